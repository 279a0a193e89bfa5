"""One incident inside a transaction: read, and changed. What may be changed is decided by the application."""

from vigie.core.audit import AuditContext
from vigie.core.instants import Instant
from vigie.core.update import IdempotencyKey
from vigie.documents.splitting import SplitDocument
from vigie.storage import change_feed
from vigie.storage.changes import IncidentRow, IncidentWriter, find_row, key_of
from vigie.storage.database import Session

_FORGOTTEN_COUNT = 10


class IncidentTransaction:
    """An incident, whether it is there or not, in the transaction of a change."""

    def __init__(self, session: Session, tenant_id: int, incident_id: int) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self._key = key_of(tenant_id, incident_id)

    async def find(self) -> IncidentRow | None:
        """The incident as it is now, whatever its visibility; None for none."""
        return await find_row(self._session, self._key)

    async def note_request(self, idempotency_key: IdempotencyKey, at: Instant, *, since: Instant) -> bool:
        """Note that a request of this key is done; False when one was, at `since` or later."""
        values = {"tenant_id": self._tenant_id, "fingerprint": idempotency_key}
        if await self._session.row("request_is_done", {**values, "since": since}):
            return False
        forgotten = {"tenant_id": self._tenant_id, "since": since, "count": _FORGOTTEN_COUNT}
        await self._session.run("forget_requests_done", forgotten)
        await self._session.run("add_request_done", {**values, "at": at})
        return True

    async def moment_after(self, at: Instant) -> Instant:
        """The moment of an update: `at`, or later, so that it is after all that a reader can have seen."""
        return await change_feed.moment_after(self._session, self._tenant_id, at)

    async def put_head(
        self,
        before: IncidentRow,
        split: SplitDocument,
        after: SplitDocument,
        audit_context: AuditContext,
        at: Instant,
    ) -> IncidentRow:
        """Write the incident's own keys, the visibility labels that go with them, the history and the feed."""
        writer = IncidentWriter(self._session, self._tenant_id, audit_context)
        row = await writer.put_head(self._key, before, split, after, at)
        await writer.finish()
        return row
