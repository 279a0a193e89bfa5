"""The incident service: read one incident, read a page of them, update one."""

from asyncio import Future
from contextlib import AbstractAsyncContextManager

from msgspec.structs import replace

from vigie.core.access import Caller, Exposure, overlap
from vigie.core.audit import AuditContext
from vigie.core.enums import Status
from vigie.core.errors import DisallowedOperation, IncidentNotFound, PermissionMissing
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.queries import PageRequest
from vigie.core.replication import ReplicationPosition
from vigie.core.update import IdempotencyKey, Update
from vigie.documents.defender.shapes import merged_into, status_of
from vigie.documents.defender.updating import updated
from vigie.storage.database import Row
from vigie.storage.incident_row import IncidentRow
from vigie.storage.incident_transaction import IncidentTransaction
from vigie.storage.incidents import IncidentStore
from vigie.storage.listing.reading import Page

_SECONDS_PER_DAY = 86_400
_REPEATED_WITHIN_TICKS = _SECONDS_PER_DAY * TICKS_PER_SECOND
"""For how long a request with an idempotency key is done once only."""
_NOT_FOUND_DETAIL = "missing, or hidden from the caller"


class IncidentService:
    """Answers questions about incidents, and changes them, each within what an exposure may know."""

    def __init__(self, incidents: IncidentStore, *, retention_days: int) -> None:
        self._incidents = incidents
        self._retention_ticks = retention_days * _SECONDS_PER_DAY * TICKS_PER_SECOND

    def retained_since(self, now: Instant) -> Instant | None:
        """Incidents last updated before this are past their retention; None when nothing ever is."""
        return Instant(now - self._retention_ticks) if self._retention_ticks else None

    async def get_incident(
        self,
        tenant_id: int,
        exposure: Exposure,
        incident_id: int,
        now: Instant,
        *,
        min_position: ReplicationPosition | None = None,
    ) -> bytes:
        """What the exposure may know of an incident, as JSON without `@odata.context`.

        It is as of now, or from a replica that has come as far as `min_position`. Raises IncidentNotFound for
        one that is missing, hidden or past its retention, all alike.
        """
        document = await self._incidents.find_incident(
            tenant_id,
            incident_id,
            exposure,
            retained_since=self.retained_since(now),
            min_position=min_position,
        )
        if document is None:
            raise IncidentNotFound(incident_id, detail=_NOT_FOUND_DETAIL)
        return document

    def try_get_incident(
        self, tenant_id: int, exposure: Exposure, incident_id: int, now: Instant
    ) -> bytes | None:
        """What `get_incident` would answer, if that can be said on the spot; None leaves it to that."""
        return self.try_incident(self._incidents.lookup(tenant_id, incident_id), exposure, now)

    def submit_lookup(self, tenant_id: int, incident_id: int) -> Future[Row | None] | None:
        """Ask for what `try_incident` takes; None where `try_get_incident` has the answer, or nobody."""
        return self._incidents.submit_lookup(tenant_id, incident_id)

    def try_incident(self, row: Row | None, exposure: Exposure, now: Instant) -> bytes | None:
        """What `get_incident` would answer from a row, if that can be said on the spot."""
        return self._incidents.try_visible(row, exposure, retained_since=self.retained_since(now))

    def list_incidents(
        self,
        tenant_id: int,
        exposure: Exposure,
        request: PageRequest,
        now: Instant,
        *,
        min_position: ReplicationPosition | None = None,
    ) -> AbstractAsyncContextManager[Page]:
        """A page of what the exposure may know; hidden incidents neither fill it nor count.

        It is as of now, or from a replica that has come as far as `min_position`.
        """
        return self._incidents.page(
            tenant_id, exposure, request, retained_since=self.retained_since(now), min_position=min_position
        )

    async def update_incident(
        self,
        caller: Caller,
        exposure: Exposure,
        incident_id: int,
        update: Update,
        audit_context: AuditContext,
        *,
        idempotency_key: IdempotencyKey | None,
    ) -> bytes:
        """Change an incident and answer what the exposure may know of it then.

        A request with an `idempotency_key` that was done before, within its time, changes nothing again. Raises
        IncidentNotFound as reading does, PermissionMissing for a visible one that the caller may not manage,
        DisallowedOperation for one that has been merged away, InvalidBody for a determination that does not go with
        the classification.
        """

        async def change(transaction: IncidentTransaction) -> bytes | None:
            at = audit_context.at
            row = await transaction.find(incident_id)
            if row is None or not self._may_know(row, exposure, at):
                return None
            if idempotency_key is None or await transaction.note_request(
                idempotency_key, at, since=Instant(at - _REPEATED_WITHIN_TICKS)
            ):
                _require_manageable(row, caller, exposure)
                row = await _updated(transaction, row, incident_id, update, audit_context, author=caller.name)
            return row.visible_to(exposure)

        document = await self._incidents.change(caller.tenant_id, audit_context, change)
        if document is None:
            raise IncidentNotFound(incident_id, detail=_NOT_FOUND_DETAIL)
        return document

    def _may_know(self, row: IncidentRow, exposure: Exposure, now: Instant) -> bool:
        """Whether the exposure knows about an incident, and its retention has not ended."""
        retained_since = self.retained_since(now)
        is_retained = retained_since is None or row.last_update_at >= retained_since
        return is_retained and row.is_visible_to(exposure)


def _require_manageable(row: IncidentRow, caller: Caller, exposure: Exposure) -> None:
    """Raise PermissionMissing for an incident that the caller may see, but not change."""
    if caller.manages is None or not row.is_visible_to(overlap(exposure, caller.manages)):
        raise PermissionMissing("The user may see this incident, but not manage it.")


async def _updated(
    transaction: IncidentTransaction,
    row: IncidentRow,
    incident_id: int,
    update: Update,
    audit_context: AuditContext,
    *,
    author: str,
) -> IncidentRow:
    """Write the incident after the update. Raises DisallowedOperation for one that has been merged away."""
    before = row.split()
    if status_of(before.head) is Status.REDIRECTED:
        raise DisallowedOperation(
            f"Incident {incident_id} was merged into incident {merged_into(before.head)}; update that one."
        )
    at = await transaction.moment_after(audit_context.at)
    after = replace(before, head=updated(before.head, update, at=at, author=author))
    return await transaction.put_head(incident_id, row, before, after, at)
