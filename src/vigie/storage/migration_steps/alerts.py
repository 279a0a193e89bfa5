"""Schema 9: a row for each alert of the incidents that are there, some incidents at a time."""

from collections.abc import Iterator
from typing import Any

import msgspec

from vigie.core.instants import parse_instant
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Row, Session
from vigie.storage.migration_steps.progress import Progress

_INCIDENTS_AT_ONCE = 200

_Label = int | str

_TIMES = {
    "created_at": "creationTime",
    "last_update_at": "lastUpdatedTime",
    "first_activity_at": "firstActivity",
    "last_activity_at": "lastActivity",
    "resolved_at": "resolvedTime",
}
_TEXTS = {
    "alert_id": "alertId",
    "status": "status",
    "severity": "severity",
    "classification": "classification",
    "determination": "determination",
    "service_source": "serviceSource",
    "assigned_to": "assignedTo",
    "provider_alert_id": "providerAlertId",
}


class _AlertSpan(msgspec.Struct, array_like=True):
    length: int
    own: tuple[_Label, ...] = ()
    named: tuple[_Label, ...] = ()


class _Spans(msgspec.Struct, array_like=True):
    alerts: tuple[_AlertSpan, ...]


_decode_spans = msgspec.msgpack.Decoder(_Spans).decode
_encode = msgspec.msgpack.encode


async def add_some_alerts(session: Session) -> Progress | None:
    """Add the alerts of the next incidents of a tenant; None when all have their rows."""
    behind = await session.row("tenant_behind", {})
    if behind is None:
        await session.rows("end_of_alerts_to_add", {})
        return None
    tenant_id, after, done, total = behind
    rows = await session.rows(
        "incidents_behind", {"tenant_id": tenant_id, "after": after, "count": _INCIDENTS_AT_ONCE}
    )
    if not rows:
        await session.run("all_alerts_added", {"tenant_id": tenant_id})
        return Progress(done, total)
    with unavailable_when_damaged():
        alerts = [{"tenant_id": tenant_id, **alert} for row in rows for alert in _alerts(row)]
    await session.run_many("add_alert", alerts)
    await session.run("alerts_added", {"tenant_id": tenant_id, "after": rows[-1][0], "count": len(rows)})
    return Progress(done + len(rows), total)


def _alerts(row: Row) -> Iterator[dict[str, object]]:
    incident_id, document, alerts_at, spans = row
    start = alerts_at
    for place, span in enumerate(_decode_spans(spans).alerts):
        native = document[start : start + span.length]
        yield {"incident_id": incident_id, "place": place, "native": native, **_columns(native, span)}
        start += span.length + 1


def _columns(native: bytes, span: _AlertSpan) -> dict[str, object]:
    alert = msgspec.json.decode(native)
    return {
        **{column: _text(alert.get(key)) for column, key in _TEXTS.items()},
        **{column: _instant(_text(alert.get(key))) for column, key in _TIMES.items()},
        "own_groups": _encode(span.own) if span.own else None,
        "named_groups": _encode(span.named) if span.named else None,
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _instant(text: str | None) -> int | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError:
        return None
