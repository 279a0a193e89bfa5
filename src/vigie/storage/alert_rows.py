"""The rows of alerts, and the answers that are assembled from them."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from vigie.core.access import DeviceGroupLabel
from vigie.core.alert import StoredAlert
from vigie.documents.defender.reading import assemble
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import LARGE_ROW_BYTES, Row, Session, Values

_encode = msgspec.msgpack.encode
_decode_source: Any = msgspec.msgpack.Decoder(DeviceGroupLabel).decode

_HEAD_PLACE = -1


async def add_alerts(
    session: Session, key: Values, alerts: Iterable[StoredAlert], *, first_place: int = 0
) -> None:
    """Add the rows of alerts to an incident, from a place on."""
    rows = [alert_row(key, place, alert) for place, alert in enumerate(alerts, start=first_place)]
    if rows:
        await session.run_many("add_alert", rows)


def assembled_from(parts: Sequence[Row]) -> Row | None:
    """The row of `find_incident` with the answer made of `parts_of_incident`; None where that is there, or nothing.

    Raises StoreUnavailable for rows that are damaged.
    """
    if not parts or parts[0][0] != _HEAD_PLACE or parts[0][1] is None:
        return None
    (_, head, _, last_update_at), *alerts = parts
    with unavailable_when_damaged():
        answer = assemble(head, [(text, _source_of(source)) for _, text, source, _ in alerts])
    return *answer, last_update_at


async def assembled_aside(parts: Sequence[Row]) -> Row | None:
    """As `assembled_from`; on a thread where it would keep others on the loop waiting."""
    size_bytes = sum(len(text or b"") for _, text, *_ in parts)
    if size_bytes < LARGE_ROW_BYTES:
        return assembled_from(parts)
    return await asyncio.to_thread(assembled_from, parts)


def _source_of(stored: bytes | None) -> DeviceGroupLabel | None:
    label: DeviceGroupLabel | None = None if stored is None else _decode_source(stored)
    return label


def alert_row(key: Values, place: int, alert: StoredAlert) -> dict[str, object]:
    """The columns of an alert, without its copy number."""
    return {
        **msgspec.structs.asdict(alert),
        **key,
        "place": place,
        "own_groups": _encode(alert.own_groups) if alert.own_groups else None,
        "named_groups": _encode(alert.named_groups) if alert.named_groups else None,
        "source_group": None if alert.source_group is None else _encode(alert.source_group),
    }
