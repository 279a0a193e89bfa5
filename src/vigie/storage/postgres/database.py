"""The database of several servers: point reads use one pool, scans another, and changes a thread of their own."""

import asyncio
from contextlib import AbstractAsyncContextManager
from time import perf_counter
from typing import TypeVar

import asyncpg

from vigie.core.replication import ReplicationPosition, replication_position_of
from vigie.storage.database import Change, Lookup, Observer, OnLost, Row, Values, ignore_loss, unobserved
from vigie.storage.listing.dialect import POSTGRES
from vigie.storage.migration_steps import OnProgress, ignore_progress
from vigie.storage.postgres.batched_lookup import BatchedLookup
from vigie.storage.postgres.connection import open_pool
from vigie.storage.postgres.read_pool import READERS_MAX, ReadPool
from vigie.storage.postgres.scans import SCANS_MAX, ConnectionSnapshot, Scans
from vigie.storage.postgres.schema import migrate
from vigie.storage.postgres.writer import Writer

T = TypeVar("T")

_READ_SECONDS_MAX = 5.0
_READ_TRIES_MAX = 3


class PostgresDatabase:
    """One database, used from one event loop and the thread of its writer."""

    dialect = POSTGRES

    def __init__(self, url: str, readers: asyncpg.Pool, scanners: asyncpg.Pool) -> None:
        self._url = url
        self._readers = readers
        self._scanners = scanners
        self._reader = ReadPool(readers, seconds_max=_READ_SECONDS_MAX, tries_max=_READ_TRIES_MAX)
        self._incidents = BatchedLookup(self._reader.fetch_incidents)
        self._writer: Writer | None = None
        self.observe: Observer = unobserved
        self.scan_seconds_max = 10.0
        self.on_lost: OnLost = ignore_loss

    def check_file(self) -> None:
        """Nothing to check: there is no file here, and a server that is gone reports that itself."""

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, as of now."""
        started_seconds = perf_counter()
        found = await self._reader.read(lambda session: session.row(statement, values))
        self.observe(statement, perf_counter() - started_seconds)
        return found

    def prepare_lookup(self, _statement: str, *_names: str) -> Lookup:
        """A function without an answer: another process has them all, and that has to be waited for."""
        return _no_answer

    async def find_incident(
        self,
        tenant_id: int,
        incident_id: int,
        *,
        min_position: ReplicationPosition | None = None,  # noqa: ARG002  this is the primary
    ) -> Row | None:
        """The row of one incident, as of now, fetched with others that are requested at the same moment."""
        started_seconds = perf_counter()
        found = await self._incidents.find(tenant_id, incident_id)
        self.observe("find_incident", perf_counter() - started_seconds)
        return found

    def submit_lookup(self, tenant_id: int, incident_id: int) -> asyncio.Future[Row | None]:
        """Request one incident, with others that are requested at the same moment."""
        return self._incidents.submit(tenant_id, incident_id)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row, as of now."""
        started_seconds = perf_counter()
        found = await self._reader.read(lambda session: session.rows(statement, values))
        self.observe(statement, perf_counter() - started_seconds)
        return found

    def snapshot(
        self,
        *,
        min_position: ReplicationPosition | None = None,  # noqa: ARG002  this is the primary
    ) -> AbstractAsyncContextManager[ConnectionSnapshot]:
        """One view for reads that may take long; each has a connection to itself."""
        return Scans(self._scanners, self.scan_seconds_max).snapshot()

    async def position(self) -> ReplicationPosition:
        """How far the database has come now: behind all that was committed before this call.

        Raises StoreUnavailable, also of a primary that is none any more.
        """
        found = await self._reader.read(lambda session: session.row("current_position", {}))
        assert found is not None  # noqa: S101  one row, whatever there is
        return replication_position_of(*found)

    async def write(self, change: Change[T], *, is_retryable: bool = True) -> T:
        """Run a change and return once it is durable. What it raises undoes it and comes out here."""
        if self._writer is None:
            self._writer = Writer(self._url)
        return await self._writer.run(change, is_retryable=is_retryable)

    async def close(self) -> None:
        """Finish the changes that wait and close the connections."""
        if self._writer is not None:
            await self._writer.stop()
        await self._incidents.close()
        await self._readers.close()
        await self._scanners.close()


def _no_answer(*_values: object) -> Row | None:
    return None


async def open_postgres(
    url: str, *, create: bool, on_progress: OnProgress = ignore_progress
) -> PostgresDatabase:
    """Open a database, brought up to this version. Raises StoreError, saying what to do.

    With `create`, an empty database is set up; without, that is an error.
    """
    await migrate(url, create=create, on_progress=on_progress)
    readers, scanners = (
        await open_pool(url, connections_max=READERS_MAX),
        await open_pool(url, connections_max=SCANS_MAX),
    )
    return PostgresDatabase(url, readers, scanners)
