"""What a migration does that its script cannot: steps in the same transaction, by the name of the script."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from vigie.core.incident import decode_spans
from vigie.documents.defender.reading import keep_incident
from vigie.storage import changes
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session
from vigie.storage.stubs import inherited

_ROWS_AT_ONCE = 1_000


async def stubs_inherit(session: Session) -> None:
    """Let the stubs that are there be visible as what they lead to."""
    last = {"tenant_id": 0, "incident_id": 0}
    while rows := await session.rows("spans_after", {**last, "count": _ROWS_AT_ONCE}):
        for tenant_id, incident_id, spans in rows:
            with unavailable_when_damaged():
                has_alerts = bool(decode_spans(spans).alerts)
            if not has_alerts:
                await _inherit(session, tenant_id, incident_id)
        last = {"tenant_id": rows[-1][0], "incident_id": rows[-1][1]}


async def _inherit(session: Session, tenant_id: int, incident_id: int) -> None:
    before = await changes.find_row(session, changes.key_of(tenant_id, incident_id))
    if before is not None:
        with unavailable_when_damaged():
            incident = keep_incident(before.document)
        incident = await inherited(session, tenant_id, incident)
        # Most incidents without alerts are no stubs: their rows stay as they are.
        if incident.spans != before.spans:
            await changes.write(session, tenant_id, before, incident)


STEPS: Mapping[str, Callable[[Session], Coroutine[Any, Any, None]]] = {"stubs_inherit": stubs_inherit}
