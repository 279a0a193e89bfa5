"""Schema 5: stubs become visible as the incidents that they lead to."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session

_ROWS_AT_ONCE = 1_000
_COLUMNS = ("tenant_id", "incident_id", "status", "assigned_to", "created_at", "last_update_at", "spans")

_INCIDENT_ID_MAX = 2**63 - 1

_Label = int | str


class _AlertSpan(msgspec.Struct, array_like=True):
    length: int
    own: tuple[_Label, ...] = ()
    named: tuple[_Label, ...] = ()


class _Spans(msgspec.Struct, array_like=True):
    alerts: tuple[_AlertSpan, ...]
    outside: tuple[_Label, ...] = ()
    inherited: tuple[_Label | None, ...] | None = None


class _Document(msgspec.Struct):
    status: str
    redirectIncidentId: Any = None  # noqa: N815  a key of the document

    @property
    def is_redirected(self) -> bool:
        return self.status == "Redirected" or self.redirectIncidentId is not None

    @property
    def target(self) -> int | None:
        target = self.redirectIncidentId
        is_id = isinstance(target, int) and not isinstance(target, bool) and 1 <= target <= _INCIDENT_ID_MAX
        return target if is_id else None


_decode_spans = msgspec.msgpack.Decoder(_Spans).decode
_decode_document = msgspec.json.Decoder(_Document).decode


async def stubs_inherit(session: Session) -> None:
    """Make the stubs in the database visible to the readers of the incidents that they redirect to."""
    # First the target of each stub: a redirect can be followed to its end when all of them are known.
    async for row in _rows(session, "rows_behind"):
        await _note_target(session, row)
    async for row in _rows(session, "stubs_behind"):
        end = await session.row("spans_of_end", row)
        if end is not None:
            with unavailable_when_damaged():
                inherited = _in_order(_visible_by(_decode_spans(end[0])))
                stub = _decode_spans(row["spans"])
            await _set_spans(session, row, replace(stub, inherited=inherited))


async def _note_target(session: Session, row: dict[str, Any]) -> None:
    """Store what a stub redirects to. Until that is followed, nothing makes it visible."""
    with unavailable_when_damaged():
        spans = _decode_spans(row["spans"])
    # An incident with alerts is no stub, so that its document, up to megabytes long, is not read.
    if spans.alerts:
        return
    (text,) = await session.row("document", row) or (b"",)
    with unavailable_when_damaged():
        document = _decode_document(text)
    if document.is_redirected:
        await session.run("set_target", {**row, "target": document.target})
        await _set_spans(session, row, replace(spans, inherited=()))


async def _set_spans(session: Session, row: dict[str, Any], spans: _Spans) -> None:
    before = _labels_on(_decode_spans(row["spans"]))
    await session.run_many("remove_label", [{**row, "label": label} for label in before])
    await session.run_many("add_label", [{**row, "label": label} for label in _labels_on(spans)])
    await session.run("set_spans", {**row, "spans": msgspec.msgpack.encode(spans)})


def _visible_by(spans: _Spans) -> frozenset[_Label | None]:
    """The device groups of which any one makes an incident visible; None: every reader sees it."""
    if spans.inherited is not None:
        return frozenset(spans.inherited)
    if not spans.alerts:
        return frozenset({None})
    return frozenset(label for alert in spans.alerts for label in (alert.own or (None,)))


def _in_order(labels: Iterable[_Label | None]) -> tuple[_Label | None, ...]:
    """None first, then numbers, then names: equal sets have to be equal bytes."""
    return tuple(sorted(labels, key=lambda label: (label is not None, isinstance(label, str), label)))


def _labels_on(spans: _Spans) -> tuple[str, ...]:
    """The labels under which an incident is found: `*` in the whole tenant, `>` as a stub, the empty one by all."""
    of_groups = [
        "" if label is None else f"#{label}" if isinstance(label, int) else f"={label}"
        for label in _visible_by(spans)
    ]
    return ("*", *((">",) if spans.inherited is not None else ()), *of_groups)


async def _rows(session: Session, statement: str) -> AsyncIterator[dict[str, Any]]:
    """The rows of all tenants that a statement finds, some at a time."""
    last = {"tenant_id": 0, "incident_id": 0}
    while rows := await session.rows(statement, {**last, "count": _ROWS_AT_ONCE}):
        for row in rows:
            yield dict(zip(_COLUMNS, row, strict=True))
        last = {"tenant_id": rows[-1][0], "incident_id": rows[-1][1]}
