"""Changes of incidents, inside one transaction."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vigie.core.access import Exposure
from vigie.core.audit import AuditContext
from vigie.core.changes import ChangeKind, Labels, NewChange
from vigie.core.incident import Spans, StoredIncident, decode_spans
from vigie.core.instants import Instant
from vigie.documents import lossless
from vigie.documents.defender.shapes import assignee_of, status_of
from vigie.documents.differences import added, differences, removed, replaced
from vigie.documents.splitting import SplitDocument, join_document, split_document
from vigie.storage import change_feed
from vigie.storage.corruption import unavailable_when_damaged, visible
from vigie.storage.database import Session, Values
from vigie.storage.listing_rows import add_listing, move_listing, remove_listing
from vigie.storage.stubs import propagate_visibility, with_inherited_visibility
from vigie.storage.visibility import label_set


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

    def labels(self) -> Labels:
        """The labels under which scoped callers find it. Raises StoreUnavailable if the spans are damaged."""
        return label_set(self.known_spans())

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


class IncidentWriter:
    """Changes of incidents inside one transaction: rows, listings, history and feed always together.

    `finish` has to be called after the last of them.
    """

    def __init__(self, session: Session, tenant_id: int, audit_context: AuditContext) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self._audit_context = audit_context
        self._changes: list[NewChange] = []
        self._latest = Instant(0)

    async def put(self, incident: StoredIncident) -> bool:
        """Add an incident, or put it in the place of another; True when there was another.

        It keeps the time that it came with.
        """
        key = key_of(self._tenant_id, incident.incident_id)
        self._latest = max(self._latest, incident.last_update_at)
        before = await find_row(self._session, key)
        incident = await with_inherited_visibility(self._session, self._tenant_id, incident)
        after = IncidentRow(incident.document, incident.alerts_at, incident.spans, incident.last_update_at)
        if before == after:
            return True
        await self._write(key, before, incident)
        changes = added(incident.document) if before is None else replaced(before.split(), after.split())
        await self._record(key, "import", changes)
        kind = ChangeKind.CREATED if before is None else ChangeKind.UPDATED
        self._note(kind, incident.incident_id, before and before.labels(), after.labels())
        return before is not None

    async def put_head(
        self,
        key: dict[str, int],
        before: IncidentRow,
        split: SplitDocument,
        after: SplitDocument,
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
        await self._session.run("update_incident", {**key, **values})
        await move_listing(self._session, {**key, **values})
        await self._record(key, "update", differences(split.head, after.head))
        self._latest = max(self._latest, at)
        labels = before.labels()
        self._note(ChangeKind.UPDATED, key["incident_id"], labels, labels)
        return IncidentRow(document, alerts_at, before.spans, at)

    async def remove(self, incident_id: int) -> bool:
        """Remove an incident; its history stays. False when there was none."""
        key = key_of(self._tenant_id, incident_id)
        before = await find_row(self._session, key)
        if before is None:
            return False
        await remove_listing(self._session, key)
        await self._session.run("remove_incident", key)
        self._changes += await propagate_visibility(self._session, key, None)
        with unavailable_when_damaged():
            changes = removed(before.document)
        await self._record(key, "remove", changes)
        self._note(ChangeKind.REMOVED, incident_id, before.labels(), None)
        return True

    async def finish(self) -> None:
        """Give the changes their numbers, and note the last update that readers may see because of them."""
        await change_feed.record(
            self._session, self._tenant_id, self._changes, self._audit_context, last_update_at=self._latest
        )

    async def _write(self, key: dict[str, int], before: IncidentRow | None, incident: StoredIncident) -> None:
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
            await remove_listing(self._session, key)
        await self._session.run("put_incident", {**key, **values})
        await add_listing(self._session, {**key, **values}, decode_spans(incident.spans))
        if before is None or before.spans != incident.spans:
            self._changes += await propagate_visibility(self._session, key, incident.spans)

    def _note(self, kind: ChangeKind, incident_id: int, before: Labels | None, after: Labels | None) -> None:
        self._changes.append(
            NewChange(kind=kind, incident_id=incident_id, visible_before=before, visible_after=after)
        )

    async def _record(self, key: Values, action: str, changes: Mapping[str, Any]) -> None:
        context = self._audit_context
        who = {"actor": context.actor, "request_id": context.request_id, "at": context.at}
        text = lossless.encode(changes).decode()
        await self._session.run("add_history", {**key, **who, "action": action, "changes": text})
