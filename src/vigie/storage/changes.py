"""Changes of incidents, inside one transaction: the row, its visibility labels and the history always together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vigie.core.access import Exposure
from vigie.core.audit import AuditContext
from vigie.core.incident import Spans, StoredIncident, decode_spans
from vigie.core.instants import Instant
from vigie.documents import lossless
from vigie.documents.defender.shapes import assignee_of, status_of
from vigie.documents.differences import added, differences, removed, replaced
from vigie.documents.splitting import SplitDocument, join_document, split_document
from vigie.storage.corruption import unavailable_when_damaged, visible
from vigie.storage.database import Session, Values
from vigie.storage.stubs import propagate_visibility, with_inherited_visibility
from vigie.storage.visibility import labels_on


class IncidentRow(NamedTuple):
    """The columns of an incident that a change needs."""

    document: bytes
    alerts_at: int
    spans: bytes
    last_update_at: Instant

    def known_spans(self) -> Spans:
        """The spans. Raises StoreUnavailable if they are damaged."""
        with unavailable_when_damaged():
            return decode_spans(self.spans)

    def split(self) -> SplitDocument:
        """The document in two. Raises StoreUnavailable if it is damaged."""
        with unavailable_when_damaged():
            return split_document(self.document, self.alerts_at, decode_spans(self.spans))

    def visible_to(self, exposure: Exposure) -> bytes | None:
        """The document as this exposure may know it; None for nothing. Raises StoreUnavailable if it is damaged."""
        return visible(self.document, self.alerts_at, self.spans, exposure)


def key_of(tenant_id: int, incident_id: int) -> dict[str, int]:
    """How statements name one incident."""
    return {"tenant_id": tenant_id, "incident_id": incident_id}


async def find_row(session: Session, key: Values) -> IncidentRow | None:
    """One incident's row."""
    row = await session.row("find_incident", key)
    return None if row is None else IncidentRow(*row)


async def put(
    session: Session, tenant_id: int, incident: StoredIncident, audit_context: AuditContext
) -> bool:
    """Add an incident, or put it in the place of another; True when there was another.

    It keeps the time that it came with. `note_seen` has to be called after the last of them.
    """
    key = key_of(tenant_id, incident.incident_id)
    before = await find_row(session, key)
    incident = await with_inherited_visibility(session, tenant_id, incident)
    after = IncidentRow(incident.document, incident.alerts_at, incident.spans, incident.last_update_at)
    if before == after:
        return True
    await write(session, tenant_id, before, incident)
    changes = added(incident.document) if before is None else replaced(before.split(), after.split())
    await _record(session, key, audit_context, "import", changes)
    return before is not None


async def write(
    session: Session, tenant_id: int, before: IncidentRow | None, incident: StoredIncident
) -> None:
    """Write an incident in the place of what was there, and what its stubs inherit of it; history is not."""
    key = key_of(tenant_id, incident.incident_id)
    values = {
        "status": incident.status.value,
        "severity": incident.severity,
        "assigned_to": incident.assigned_to,
        "created_at": incident.created_at,
        "last_update_at": incident.last_update_at,
        "alerts_at": incident.alerts_at,
        "spans": incident.spans,
        "document": incident.document,
        "redirect_incident_id": incident.redirect_incident_id,
    }
    if before is not None:
        await session.run_many("remove_visibility", _visibility_rows(key, before))
    await session.run("put_incident", {**key, **values})
    labels = labels_on(decode_spans(incident.spans))
    await session.run_many("add_visibility", [{**key, **values, "label": label} for label in labels])
    if before is None or before.spans != incident.spans:
        await propagate_visibility(session, key, incident.spans)


async def note_seen(session: Session, tenant_id: int, at: Instant) -> None:
    """Note that readers may see an update of this moment: those to come are later."""
    await session.run("advance_latest_update", {"tenant_id": tenant_id, "at": at})


async def moment_after(session: Session, tenant_id: int, at: Instant) -> Instant:
    """The moment of an update: `at`, or later.

    It is after every moment that a reader can have seen in the tenant, so that a client that asks for what is newer
    misses nothing, even when a clock steps back.
    """
    latest = await session.row("latest_update", {"tenant_id": tenant_id})
    return Instant(max(at, latest[0] + 1 if latest else 0))


async def put_head(
    session: Session,
    key: dict[str, int],
    before: IncidentRow,
    split: SplitDocument,
    after: SplitDocument,
    audit_context: AuditContext,
    at: Instant,
) -> IncidentRow:
    """Change an incident's own keys. `split` is what is `before`; `at` comes of `moment_after`.

    The caller has refused a merged incident: spans and redirect stay as they are.
    """
    document, alerts_at = join_document(after)
    values = {
        "status": status_of(after.head).value,
        "assigned_to": assignee_of(after.head),
        "last_update_at": at,
        "alerts_at": alerts_at,
        "document": document,
    }
    await session.run("update_incident", {**key, **values})
    await session.run_many(
        "move_visibility", [{**values, "at": at, **row} for row in _visibility_rows(key, before)]
    )
    await note_seen(session, key["tenant_id"], at)
    await _record(session, key, audit_context, "update", differences(split.head, after.head))
    return IncidentRow(document, alerts_at, before.spans, at)


async def remove(session: Session, tenant_id: int, incident_id: int, audit_context: AuditContext) -> bool:
    """Remove an incident; its history stays. False when there was none."""
    key = key_of(tenant_id, incident_id)
    before = await find_row(session, key)
    if before is None:
        return False
    await session.run_many("remove_visibility", _visibility_rows(key, before))
    await session.run("remove_incident", key)
    await propagate_visibility(session, key, None)
    with unavailable_when_damaged():
        changes = removed(before.document)
    await _record(session, key, audit_context, "remove", changes)
    return True


def _visibility_rows(key: Values, row: IncidentRow) -> list[Values]:
    labels = labels_on(row.known_spans())
    return [{**key, "last_update_at": row.last_update_at, "label": label} for label in labels]


async def _record(
    session: Session, key: Values, audit_context: AuditContext, action: str, changes: Mapping[str, Any]
) -> None:
    who = {"actor": audit_context.actor, "request_id": audit_context.request_id, "at": audit_context.at}
    await session.run(
        "add_history", {**key, **who, "action": action, "changes": lossless.encode(changes).decode()}
    )
