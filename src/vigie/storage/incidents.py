"""The incidents of every tenant. Exposure is a required argument of every read for a caller."""

import asyncio
from asyncio import Future
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

import msgspec

from vigie.core.access import WHOLE_TENANT as EXPOSED_TO_ALL
from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.audit import AuditContext, HistoryEntry
from vigie.core.errors import StoreUnavailable
from vigie.core.incident import StoredIncident, decode_spans, visibility_of
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.core.replication import ReplicationPosition
from vigie.documents import lossless
from vigie.documents.defender.alerts import alert_id_of
from vigie.documents.defender.redaction import visible_document
from vigie.storage.alert_rows import assembled_aside
from vigie.storage.corruption import DAMAGED, visible
from vigie.storage.database import LARGE_ROW_BYTES, Database, Row, Session
from vigie.storage.directory.known_device_groups import DeviceGroupsOfTenant
from vigie.storage.incident_row import IncidentRow, key_of, put_answer
from vigie.storage.incident_transaction import IncidentTransaction
from vigie.storage.listing.reading import Page, PageReader
from vigie.storage.listing_rows import forget_unused_sets

_EXPORT_PAGE_COUNT = 20
_REMOVAL_COUNT = 200
_READS_MAX = 5

T = TypeVar("T")


class PutCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many incidents were new, and how many took the place of an older one of the same number."""

    added: int = 0
    replaced: int = 0

    def __add__(self, other: "PutCount") -> "PutCount":
        return PutCount(added=self.added + other.added, replaced=self.replaced + other.replaced)


class IncidentStore:
    """Reads and writes incidents in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pages = PageReader(database)
        self.lookup = database.prepare_lookup("find_incident", "tenant_id", "incident_id")
        """Answers at once the row that `try_visible` takes, or None."""

    async def check_readable(self) -> None:
        """Read one row. Raises StoreUnavailable when that cannot be done."""
        await self._database.row("newest_incident", {})

    async def find_incident(
        self,
        tenant_id: int,
        incident_id: int,
        exposure: Exposure,
        *,
        retained_since: Instant | None = None,
        min_position: ReplicationPosition | None = None,
    ) -> bytes | None:
        """What this exposure may know of an incident, as JSON without `@odata.context`; None for nothing.

        An incident last updated before `retained_since` is past its retention, and gone. It is read as of now, or
        from a replica that has come as far as `min_position`.
        """
        row = await self._find_row(tenant_id, incident_id, min_position)
        if row is None:
            return None
        document, alerts_at, spans, last_update_at = row
        if retained_since is not None and last_update_at < retained_since:
            return None
        if exposure.whole_tenant or len(document) < LARGE_ROW_BYTES:
            return visible(document, alerts_at, spans, exposure)
        return await asyncio.to_thread(visible, document, alerts_at, spans, exposure)

    async def find_alert(
        self, tenant_id: int, alert_id: str, exposure: Exposure, *, retained_since: Instant | None = None
    ) -> bytes | None:
        """What this exposure may know of the first alert of an id, as JSON; None for nothing.

        It is decided from the incident that the alert is in, as reading that is.
        """
        homes = await self._database.rows("homes_of_alert", {"tenant_id": tenant_id, "alert_id": alert_id})
        for (incident_id,) in homes:
            row = await self._find_row(tenant_id, incident_id)
            if row is None or (retained_since is not None and row[3] < retained_since):
                continue
            for _, alert in IncidentRow(*row).alerts_visible_to(exposure):
                if alert_id_of(alert) == alert_id:
                    return alert
        return None

    async def next_without_answer(self, tenant_id: int, after: int) -> int | None:
        """The next incident behind a number whose answer is absent; None when there is none."""
        row = await self._database.row("next_without_answer", {"tenant_id": tenant_id, "after": after})
        return row[0] if row else None

    async def put_answer(self, tenant_id: int, incident_id: int) -> None:
        """Put an answer back, if it is absent."""
        await self._database.write(partial(put_answer, key=key_of(tenant_id, incident_id)))

    async def visibility(self, tenant_id: int, incident_id: int) -> frozenset[DeviceGroupLabel | None]:
        """The device groups of which any one makes an incident visible; None among them: every reader sees it."""
        row = await self._find_row(tenant_id, incident_id)
        return visibility_of(decode_spans(row[2])) if row else frozenset()

    async def _find_row(
        self, tenant_id: int, incident_id: int, min_position: ReplicationPosition | None = None
    ) -> Row | None:
        """The row that `find_incident` reads, with its answer assembled where that is absent."""
        for _ in range(_READS_MAX):
            row = await self._database.find_incident(tenant_id, incident_id, min_position=min_position)
            if row is None or row[0]:
                return row
            # As of now, and so no older than the row. The answer may have been put back meanwhile: then once more.
            parts = await self._database.rows("parts_of_incident", key_of(tenant_id, incident_id))
            if (found := await assembled_aside(parts)) is not None:
                return found
        raise StoreUnavailable("an incident changed again and again while it was read")

    def submit_lookup(self, tenant_id: int, incident_id: int) -> Future[Row | None] | None:
        """Request the row that `try_visible` takes; None where it need not be waited for."""
        return self._database.submit_lookup(tenant_id, incident_id)

    def try_visible(
        self, row: Row | None, exposure: Exposure, *, retained_since: Instant | None = None
    ) -> bytes | None:
        """What `find_incident` would return for a row, if that can be decided at once; None says nothing."""
        if row is None:
            return None
        document, alerts_at, spans, last_update_at = row
        if retained_since is not None and last_update_at < retained_since:
            return None
        # A large one takes too long here, and an answer that is absent has to be assembled.
        if not 0 < len(document) < LARGE_ROW_BYTES:
            return None
        try:
            return visible_document(document, alerts_at, spans, exposure)
        # `find_incident` meets the same error, and raises it.
        except DAMAGED:
            return None

    async def put_incidents(
        self,
        tenant_id: int,
        incidents: Iterable[StoredIncident],
        audit_context: AuditContext,
        *,
        on_put: Callable[[PutCount], None] | None = None,
        on_written: Callable[[], object] | None = None,
    ) -> PutCount:
        """Add or replace incidents, all or none of them, and create the device groups they are met in.

        The incidents are drawn by the thread that writes. `on_put` hears there of each one, before anything
        is durable, and `on_written` when nothing is left but to commit: of a change that is tried again, each time.
        """

        async def change(session: Session) -> PutCount:
            total = PutCount()
            transaction = IncidentTransaction(session, tenant_id, audit_context)
            groups = await DeviceGroupsOfTenant.load(session, tenant_id)
            for incident in incidents:
                existed = await transaction.put(incident)
                total += (count := PutCount(replaced=1) if existed else PutCount(added=1))
                await groups.meet(incident.device_groups)
                if on_put is not None:
                    on_put(count)
            await transaction.finish()
            if on_written is not None:
                session.deferred[on_written] = _Announcement(on_written)
            return total

        is_retryable = isinstance(incidents, Sequence) and on_put is None
        return await self._database.write(change, is_retryable=is_retryable)

    async def change(
        self,
        tenant_id: int,
        audit_context: AuditContext,
        change: Callable[[IncidentTransaction], Awaitable[T]],
    ) -> T:
        """Run a change of incidents in a transaction, and return once it is durable.

        It awaits nothing but its transaction. What it raises undoes it and comes out here.
        """

        async def run(session: Session) -> T:
            transaction = IncidentTransaction(session, tenant_id, audit_context)
            result = await change(transaction)
            await transaction.finish()
            return result

        return await self._database.write(run)

    async def remove_incident(self, tenant_id: int, incident_id: int, audit_context: AuditContext) -> bool:
        """Remove one incident; False when there was none."""
        return await self.change(
            tenant_id, audit_context, lambda transaction: transaction.remove(incident_id)
        )

    async def remove_incidents_before(
        self, tenant_id: int, before: Instant, audit_context: AuditContext
    ) -> int:
        """Remove all incidents last updated before a moment, a few at a time so that others can write too."""
        values = {"tenant_id": tenant_id, "before": before, "count": _REMOVAL_COUNT}
        total = 0

        async def change(session: Session) -> int:
            rows = await session.rows("some_incidents_before", values)
            transaction = IncidentTransaction(session, tenant_id, audit_context)
            removed_count = sum([await transaction.remove(incident_id) for (incident_id,) in rows])
            await transaction.finish()
            return removed_count

        while removed := await self._database.write(change):
            total += removed
        if total:
            await self._database.write(lambda session: forget_unused_sets(session, tenant_id))
        return total

    async def all_documents(self, tenant_id: int) -> AsyncIterator[bytes]:
        """Every incident of a tenant, whole: for administrators, never for a caller."""
        after = 0
        while rows := await self._database.rows(
            "incidents_after", {"tenant_id": tenant_id, "after": after, "count": _EXPORT_PAGE_COUNT}
        ):
            for after, document in rows:
                if whole := document or await self.find_incident(tenant_id, after, EXPOSED_TO_ALL):
                    yield whole

    async def history(self, tenant_id: int, incident_id: int) -> list[HistoryEntry]:
        """All that has happened to an incident, oldest first, also after it is gone."""
        rows = await self._database.rows("history", key_of(tenant_id, incident_id))
        return [_entry(row) for row in rows]

    async def all_history(self, tenant_id: int) -> AsyncIterator[HistoryEntry]:
        """All that has happened to the incidents of a tenant, by their numbers, those that are gone included."""
        last = {"incident_id": 0, "entry": 0}
        while rows := await self._database.rows(
            "history_after", {"tenant_id": tenant_id, "count": _EXPORT_PAGE_COUNT, **last}
        ):
            for row in rows:
                yield _entry(row)
            last = {"incident_id": rows[-1][0], "entry": rows[-1][1]}

    def page(
        self,
        tenant_id: int,
        exposure: Exposure,
        request: PageRequest,
        *,
        retained_since: Instant | None = None,
        min_position: ReplicationPosition | None = None,
    ) -> AbstractAsyncContextManager[Page]:
        """One page, as `PageReader.page` reads it."""
        return self._pages.page(
            tenant_id, exposure, request, retained_since=retained_since, min_position=min_position
        )


class _Announcement:
    """The word that all is written, which is given behind all that is deferred."""

    def __init__(self, on_written: Callable[[], object]) -> None:
        self._on_written = on_written

    async def write(self, _: Session, /) -> None:
        self._on_written()


def _entry(row: Row) -> HistoryEntry:
    incident_id, entry, at, action, actor, request_id, changed = row
    return HistoryEntry(
        incident_id=incident_id,
        entry=entry,
        at=at,
        action=action,
        actor=actor,
        request_id=request_id,
        changes=lossless.decode(changed.encode()),
    )
