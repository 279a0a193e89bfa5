"""Pages of incidents read: scope, count, path and rows as of one moment, while they are sent."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from vigie.core.access import Exposure
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.core.replication import ReplicationPosition
from vigie.storage.alert_rows import assembled_aside
from vigie.storage.corruption import visible
from vigie.storage.database import Database, ReplicaFailed, Row, Snapshot
from vigie.storage.incident_row import key_of
from vigie.storage.listing.counting import Count
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.prepared_pages import PreparedPages
from vigie.storage.listing.scope import read_scope


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Incidents as JSON without `@odata.context`, in batches.

    One more than the page's size if there are more and the caller left the size to us.

    `count` is how many match over all pages, if the request has `$count`.
    """

    count: int | None
    batches: AsyncIterator[list[bytes]]


class PageReader:
    """Reads pages from one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._prepared_pages = PreparedPages(database.dialect)

    @asynccontextmanager
    async def page(
        self,
        tenant_id: int,
        exposure: Exposure,
        request: PageRequest,
        *,
        retained_since: Instant | None = None,
        min_position: ReplicationPosition | None = None,
    ) -> AsyncIterator[Page]:
        """One page, read while it is sent: memory holds only what is on its way.

        It is read as of now, or from a replica that has come as far as `min_position`. A replica that fails before
        the first incidents are there is replaced by the primary; if it fails later, the page is cut.
        """
        if min_position is None:
            async with self._page(tenant_id, exposure, request, retained_since, None) as page:
                yield page
            return
        try:
            async with AsyncExitStack() as stack:
                try:
                    opening = self._page(tenant_id, exposure, request, retained_since, min_position)
                    page = await stack.enter_async_context(opening)
                except ReplicaFailed:
                    opening = self._page(tenant_id, exposure, request, retained_since, None)
                    page = await stack.enter_async_context(opening)
                yield page
        except ReplicaFailed as error:
            raise StoreUnavailable(str(error)) from error

    @asynccontextmanager
    async def _page(
        self,
        tenant_id: int,
        exposure: Exposure,
        request: PageRequest,
        retained_since: Instant | None,
        min_position: ReplicationPosition | None,
    ) -> AsyncIterator[Page]:
        dialect = self._database.dialect

        async with self._database.snapshot(min_position=min_position) as snapshot:
            scope = await read_scope(snapshot, tenant_id, exposure)
            count = None
            if request.count:
                counting = Count(tenant_id, scope, request.filter, retained_since, dialect=dialect)
                count = await _count(snapshot, counting)
            statement = None
            if exposure.whole_tenant:
                statement = self._prepared_pages.find(tenant_id, request, retained_since)
            if statement is None:
                listing = Listing(tenant_id, scope, request, retained_since, dialect=dialect)
                statement = await snapshot.search(listing.search())
            answers = _Answers(snapshot, tenant_id, exposure)
            read = answers.whole if exposure.whole_tenant else answers.visible
            batches = answers.completed(snapshot.batches(statement, read))
            yield Page(count=count, batches=batches if min_position is None else await _begun(batches))


class _Answers:
    """What an exposure sees of the rows of a page; answers that are absent are assembled in the page's own view."""

    def __init__(self, snapshot: Snapshot, tenant_id: int, exposure: Exposure) -> None:
        self._snapshot = snapshot
        self._tenant_id = tenant_id
        self._exposure = exposure
        # Filled by the thread that reads, and emptied from the other end by the loop.
        self._absent: deque[int] = deque()

    def whole(self, row: Row) -> bytes:
        """The document of a row of the whole tenant; nothing, for now, where it is absent."""
        document: bytes | None = row[0]
        if document:
            return document
        self._absent.append(row[1])
        return b""

    def visible(self, row: Row) -> bytes:
        """What is visible of a row; nothing, for now, where its answer is absent."""
        document, alerts_at, spans, incident_id = row
        if document:
            return self._known(document, alerts_at, spans)
        self._absent.append(incident_id)
        return b""

    async def completed(self, batches: AsyncIterator[list[bytes]]) -> AsyncIterator[list[bytes]]:
        """The same batches, with the answers that were absent."""
        async for batch in batches:
            yield batch if all(batch) else [each or await self._next_absent() for each in batch]

    async def _next_absent(self) -> bytes:
        key = key_of(self._tenant_id, self._absent.popleft())
        found = await assembled_aside(await self._snapshot.rows("parts_of_incident", key))
        if found is None:
            raise RuntimeError("an incident has neither an answer nor what one is assembled from")
        document, alerts_at, spans, _ = found
        return self._known(document, alerts_at, spans)

    def _known(self, document: bytes, alerts_at: int, spans: bytes) -> bytes:
        left = visible(document, alerts_at, spans, self._exposure)
        if left is None:
            raise RuntimeError("a label names an incident that the exposure does not know about")
        return left


async def _begun(batches: AsyncIterator[list[bytes]]) -> AsyncIterator[list[bytes]]:
    """The same batches, the first of them read already."""
    first = await anext(batches, None)

    async def all_of_them() -> AsyncIterator[list[bytes]]:
        if first is not None:
            yield first
        async for batch in batches:
            yield batch

    return all_of_them()


async def _count(snapshot: Snapshot, counting: Count) -> int:
    for probe in counting.probes():
        if await snapshot.number(probe.statement):
            return await snapshot.number(probe.count)
    return await snapshot.number(counting.statement())
