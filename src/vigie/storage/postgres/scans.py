"""Scans: reads that may take long, each in a snapshot on a connection of its own, within a stated time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import TypeVar, cast

import asyncpg

from vigie.core.errors import QueryTooSlow, StoreUnavailable
from vigie.storage.database import LARGE_ROW_BYTES, Row, Search, Statement, Values
from vigie.storage.postgres.failures import is_connection_lost, unavailable_when_it_fails
from vigie.storage.postgres.session import PostgresSession
from vigie.storage.postgres.statement import numbered, received

T = TypeVar("T")

SCANS_MAX = 12
"""Connections of one server for them, to each database that it reads from."""

_BATCH_BYTES = 80 * 1024
_FIRST_ROWS = 2

# The statements are written for one plan each: along an index, from its first row on. The planner takes another
# where its figures are old, and reads the whole tenant.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_material = off;
SET LOCAL enable_memoize = off;
SET LOCAL enable_sort = off;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL statement_timeout = {milliseconds};
"""

_BEGIN_SECONDS_MAX = 5.0
_ROLLBACK_SECONDS_MAX = 2.0

# The server itself ends a statement whose client has gone away, a moment after the client would have.
_GRACE_SECONDS = 1.0


def beginning(seconds_max: float) -> str:
    """What begins a snapshot for statements of so many seconds."""
    return _BEGIN.format(milliseconds=int(1000 * (seconds_max + _GRACE_SECONDS)))


class Scans:
    """Snapshots, as many at once as there are connections for them. A scan that finds none free waits for one."""

    def __init__(
        self, pool: asyncpg.Pool, seconds_max: float, *, opened_in_seconds: float | None = None
    ) -> None:
        self._pool = pool
        self._seconds_max = seconds_max
        self._opened_in_seconds = opened_in_seconds

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["ConnectionSnapshot"]:
        """One view of the database for several statements. It is given back however the block ends.

        Raises StoreUnavailable when none gets free in time.
        """
        seconds_max = self._seconds_max
        connection = await self._acquire(self._opened_in_seconds or seconds_max)
        try:
            with unavailable_when_it_fails():
                timeout = self._opened_in_seconds or _BEGIN_SECONDS_MAX
                await connection.execute(beginning(seconds_max), timeout=timeout)
            yield ConnectionSnapshot(connection, seconds_max)
        finally:
            # The reader may have been cancelled, and may be again.
            await asyncio.shield(self._give_back(connection))

    async def _acquire(self, seconds_max: float) -> asyncpg.Connection:
        try:
            with unavailable_when_it_fails():
                return await self._pool.acquire(timeout=seconds_max)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                raise StoreUnavailable(f"no snapshot was free for {seconds_max:g} s") from error
            raise

    async def _give_back(self, connection: asyncpg.Connection) -> None:
        try:
            await connection.execute("ROLLBACK", timeout=_ROLLBACK_SECONDS_MAX)
        except Exception as error:
            if not is_connection_lost(error):
                raise
            # Unless the pool has noticed already.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            # Those that are idle lead where it led.
            await self._pool.expire_connections()
        await self._pool.release(connection)


class ConnectionSnapshot:
    """One reader, looking at the database as it was when the first statement began.

    Its time runs while it reads, not while it waits for the consumer of its batches.
    """

    def __init__(self, connection: asyncpg.Connection, seconds_max: float) -> None:
        self._connection = connection
        self._seconds_max = seconds_max
        self._seconds_left = seconds_max

    async def number(self, statement: Statement) -> int:
        """The one number that a statement answers."""
        query = numbered(statement.text)
        async with self._timed():
            return int(await self._connection.fetchval(query.text, *query.arguments(statement.values)))

    async def numbers(self, statement: Statement) -> list[int]:
        """The one number of each row of a short statement."""
        query = numbered(statement.text)
        async with self._timed():
            rows = await self._connection.fetch(query.text, *query.arguments(statement.values))
            return [number for (number,) in rows]

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row of a named statement."""
        async with self._timed():
            return await PostgresSession(self._connection).rows(statement, values)

    async def search(self, search: Search[T]) -> T:
        """What a search finds."""
        try:
            statement = next(search)
            while True:
                statement = search.send(await self._all_rows(statement))
        except StopIteration as found:
            return cast(T, found.value)

    async def _all_rows(self, statement: Statement) -> list[Row]:
        query = numbered(statement.text)
        async with self._timed():
            rows = await self._connection.fetch(query.text, *query.arguments(statement.values))
            return [tuple(row) for row in rows]

    async def batches(self, statement: Statement, read: Callable[[Row], bytes]) -> AsyncIterator[list[bytes]]:
        """What `read` makes of each row, in batches of about 80 KiB; the rows behind them stay in the database."""
        query = numbered(statement.text)
        async with self._timed():
            cursor = await self._connection.cursor(query.text, *query.arguments(statement.values))
        count = _FIRST_ROWS
        while rows := await self._fetch(cursor, count):
            batch = await _read(rows, read)
            yield batch
            if len(rows) < count:
                return
            count = _fitting(batch)

    async def _fetch(self, cursor: asyncpg.cursor.Cursor, count: int) -> list[asyncpg.Record]:
        async with self._timed():
            rows: list[asyncpg.Record] = await cursor.fetch(count)
            return rows

    @asynccontextmanager
    async def _timed(self) -> AsyncIterator[None]:
        if self._seconds_left <= 0:
            raise self._too_slow()
        started_seconds = perf_counter()
        try:
            async with asyncio.timeout(self._seconds_left):
                with unavailable_when_it_fails():
                    yield
        except (TimeoutError, StoreUnavailable) as error:
            if isinstance(error, TimeoutError) or isinstance(error.__cause__, asyncpg.QueryCanceledError):
                raise self._too_slow() from error
            raise
        finally:
            self._seconds_left -= perf_counter() - started_seconds

    def _too_slow(self) -> QueryTooSlow:
        return QueryTooSlow(f"a scan took longer than {self._seconds_max:g} s")


async def _read(rows: list[asyncpg.Record], read: Callable[[Row], bytes]) -> list[bytes]:
    def batch() -> list[bytes]:
        return [read(received(row)) for row in rows]

    size_bytes = sum(len(value) for row in rows for value in row if isinstance(value, bytes))
    # What takes longer than a moment must not stop the loop.
    return batch() if size_bytes < LARGE_ROW_BYTES else await asyncio.to_thread(batch)


def _fitting(batch: list[bytes]) -> int:
    """How many rows like these fit into a batch: twice as many as these at most, for others may be larger."""
    size_bytes = max(sum(map(len, batch)), 1)
    return max(1, min(2 * len(batch), len(batch) * _BATCH_BYTES // size_bytes))
