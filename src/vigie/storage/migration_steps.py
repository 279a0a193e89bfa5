"""Steps of migrations that SQL alone cannot do, run in the transaction of the script whose name they bear.

The statements of a step are its own, in `sql/migration_steps/`: they speak to the schema as it was when the script
was written, which later migrations change.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from vigie.core.incident import decode_spans, inheriting, visibility_of
from vigie.documents.defender.reading import keep_incident
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session
from vigie.storage.visibility import labels_on

_ROWS_AT_ONCE = 1_000
_COLUMNS = ("tenant_id", "incident_id", "status", "assigned_to", "created_at", "last_update_at", "spans")


async def stubs_inherit(session: Session) -> None:
    """Let the stubs that are there be visible as the incidents that they lead to."""
    # First what each stub names: a redirect can be followed to its end when all of them are known.
    async for row in _rows(session, "rows_behind"):
        await _note_target(session, row)
    async for row in _rows(session, "stubs_behind"):
        end = await session.row("spans_of_end", row)
        if end is not None:
            with unavailable_when_damaged():
                spans = inheriting(row["spans"], visibility_of(decode_spans(end[0])))
            await _set_spans(session, row, spans)


async def _note_target(session: Session, row: dict[str, Any]) -> None:
    """Keep what a stub redirects to. Until that is followed, nothing makes it visible."""
    with unavailable_when_damaged():
        if decode_spans(row["spans"]).alerts:
            return
    (document,) = await session.row("document", row) or (b"",)
    with unavailable_when_damaged():
        incident = keep_incident(document)
    # Most incidents without alerts are no stubs: their rows stay as they are.
    if incident.spans != row["spans"]:
        await session.run("set_target", {**row, "target": incident.redirect_incident_id})
        await _set_spans(session, row, incident.spans)


async def _set_spans(session: Session, row: dict[str, Any], spans: bytes) -> None:
    before, after = (labels_on(decode_spans(each)) for each in (row["spans"], spans))
    await session.run_many("remove_label", [{**row, "label": label} for label in before])
    await session.run_many("add_label", [{**row, "label": label} for label in after])
    await session.run("set_spans", {**row, "spans": spans})


async def _rows(session: Session, statement: str) -> AsyncIterator[dict[str, Any]]:
    """The rows of all tenants that a statement finds, some at a time."""
    last = {"tenant_id": 0, "incident_id": 0}
    while rows := await session.rows(statement, {**last, "count": _ROWS_AT_ONCE}):
        for row in rows:
            yield dict(zip(_COLUMNS, row, strict=True))
        last = {"tenant_id": rows[-1][0], "incident_id": rows[-1][1]}


STEPS: Mapping[str, Callable[[Session], Coroutine[Any, Any, None]]] = {"stubs_inherit": stubs_inherit}
