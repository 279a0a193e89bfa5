"""Scans: reads of many rows, each in a snapshot on a connection, within a set time, long ones on a thread."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import chain
from time import perf_counter
from typing import Any, TypeVar, cast

from vigie.core.errors import QueryTooSlow, StoreUnavailable
from vigie.storage.database import LARGE_ROW_BYTES, Row, Search, Statement, Values
from vigie.storage.sqlite.failures import unavailable_when_it_fails
from vigie.storage.statements import statements

T = TypeVar("T")

_STEPS_BETWEEN_LOOKS = 10_000
_LOOK_AT_LOG_SECONDS = 0.25
_TURN_SECONDS = 0.001
_BATCH_BYTES = 64 * 1024
# To hand over to a thread and back costs as much as to read two batches.
_HANDED_BYTES = 4 * _BATCH_BYTES


class Scans:
    """A few threads that read, and more snapshots than threads: one that waits for its client needs none.

    A read that finds no snapshot free waits for one, as long as a scan may take. When they `must_release`, those
    that are open are stopped: they keep the log from being restarted.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        must_release: Callable[[], bool],
        readers: int,
        snapshots_max: int,
        seconds_max: float,
    ) -> None:
        self._connect = connect
        self._must_release = must_release
        self._open: set[ThreadedSnapshot] = set()
        self._is_looking = False
        self._readers = readers
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="vigie-scan")
        self._free = asyncio.Semaphore(snapshots_max)
        self._connections: list[sqlite3.Connection] = []
        self._seconds_max = seconds_max
        self._turn = LoopTurn()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator["ThreadedSnapshot"]:
        """One view of the database for several statements. It is closed however the block ends.

        Raises StoreUnavailable when none gets free in time.
        """
        await self._wait()
        try:
            with unavailable_when_it_fails():
                connection = self._connections.pop() if self._connections else self._connect()
            snapshot = ThreadedSnapshot(self._threads, connection, self._seconds_max, self._turn)
            try:
                snapshot.watch()
                self._open.add(snapshot)
                self._look_later()
                yield snapshot
            finally:
                self._open.discard(snapshot)
                snapshot.end()
                self._give_back(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Close the connections; no scan may be under way."""
        self._threads.shutdown()
        for connection in self._connections:
            connection.close()

    def _look_later(self) -> None:
        if self._open and not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(_LOOK_AT_LOG_SECONDS, self._look)

    def _look(self) -> None:
        self._is_looking = False
        if self._open and self._must_release():
            for snapshot in self._open:
                snapshot.stop()
        self._look_later()

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._seconds_max):
                await self._free.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(f"no snapshot was free for {self._seconds_max:g} s") from error

    def _give_back(self, connection: sqlite3.Connection) -> None:
        # Each holds pages in memory: more of them than threads are for a busy moment only.
        if len(self._connections) < self._readers:
            self._connections.append(connection)
        else:
            connection.close()


class ThreadedSnapshot:
    """One reader, looking at the database as it was when the first statement began.

    Its time runs while it reads, not while it waits for a thread or for the consumer of its batches.
    """

    def __init__(
        self,
        threads: ThreadPoolExecutor,
        connection: sqlite3.Connection,
        seconds_max: float,
        turn: "LoopTurn",
    ) -> None:
        self._turn = turn
        self._connection = connection
        self._threads = threads
        self._seconds_max = seconds_max
        self._seconds_left = seconds_max
        self._deadline_seconds = 0.0
        self._is_abandoned = False
        self._is_reading = False
        self._is_stopped = False
        self._cursor: sqlite3.Cursor | None = None

    def watch(self) -> None:
        """Start the watch over its time; the snapshot begins with its first statement."""
        self._connection.set_progress_handler(self._must_stop, _STEPS_BETWEEN_LOOKS)

    def stop(self) -> None:
        """End the snapshot although it is in use: the next read, or the one under way, raises QueryTooSlow."""
        self._is_stopped = True
        if not self._is_reading:
            self._release()

    def end(self) -> None:
        """End the snapshot; nothing may be under way."""
        self._connection.set_progress_handler(None, 0)
        self._release()

    def _release(self) -> None:
        # A statement that has not been read to its end would keep the old view open, through the rollback.
        if self._cursor is not None:
            self._cursor.close()
        self._connection.rollback()

    async def number(self, statement: Statement) -> int:
        """The one number that a statement answers."""
        row = await self._run(lambda: self._connection.execute(statement.text, statement.values).fetchone())
        return int(row[0])

    async def numbers(self, statement: Statement) -> list[int]:
        """The one number of each row of a short statement, which costs less than to hand it to a thread."""
        rows = self._run_here(lambda: self._connection.execute(statement.text, statement.values).fetchall())
        return [number for (number,) in rows]

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row of a named statement."""
        text = statements()[statement]
        return await self._run(lambda: self._connection.execute(text, values).fetchall())

    async def search(self, search: Search[T]) -> T:
        """What a search finds: one that runs any statement is handed to a thread, as a whole."""
        try:
            first = next(search)
        except StopIteration as found:
            return cast(T, found.value)
        return await self._run(lambda: self._found(search, first))

    def _found(self, search: Search[T], statement: Statement) -> T:
        while True:
            rows = self._connection.execute(statement.text, statement.values).fetchall()
            try:
                statement = search.send(rows)
            except StopIteration as found:
                return cast(T, found.value)

    async def batches(self, statement: Statement, read: Callable[[Row], bytes]) -> AsyncIterator[list[bytes]]:
        """What `read` makes of each row, in batches of about 64 KiB; the rows behind them stay in the database.

        `read` runs on the thread that reads: for a short statement that is the loop's own, which reads a batch
        sooner than it hands one over, until it meets a large row. One statement at a time is read so.
        """
        self._cursor = cursor = self._connection.cursor()
        rows = _Rows(cursor, read, is_on_loop=statement.is_short)

        def begin() -> list[list[bytes]]:
            cursor.execute(statement.text, statement.values)
            # One at first, so that the answer begins before more is read.
            return [rows.batch()]

        step = begin
        while True:
            batches = await self._run_for(rows, step)
            # None is kept here while the next are read: one may be as large as an incident.
            batches = [batch for batch in reversed(batches) if batch]
            while batches:
                yield batches.pop()
            if rows.are_read:
                return
            step = rows.next_batches
            if rows.is_on_loop and self._turn.is_spent():
                # The tasks that are ready go before the next batch.
                await asyncio.sleep(0)

    async def _run_for(self, rows: "_Rows", step: Callable[[], T]) -> T:
        return self._run_here(step) if rows.is_on_loop else await self._run(step)

    def _run_here(self, step: Callable[[], T]) -> T:
        """Run a step on the loop's thread."""
        self._check_not_stopped()
        try:
            return self._timed(step)
        except sqlite3.DatabaseError:
            with self._within_time():
                raise

    async def _run(self, step: Callable[[], T]) -> T:
        """Run a step on a thread. A cancellation stops the step, and waits until it has ended."""
        with self._within_time():
            work = self._threads.submit(self._timed, step)
            running = asyncio.wrap_future(work)
            self._is_reading = True
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                self._is_abandoned = True
                work.cancel()
                await _settled(running)
                raise
            finally:
                self._is_reading = False

    @contextmanager
    def _within_time(self) -> Iterator[None]:
        try:
            self._check_not_stopped()
            with unavailable_when_it_fails():
                yield
            self._check_not_stopped()
        except StoreUnavailable as error:
            self._check_not_stopped()
            if self._seconds_left <= 0:
                raise QueryTooSlow(f"a scan took longer than {self._seconds_max:g} s") from error
            raise

    def _check_not_stopped(self) -> None:
        if self._is_stopped:
            raise QueryTooSlow("a scan kept the log from being restarted, and was stopped")

    def _timed(self, step: Callable[[], T]) -> T:
        started_seconds = perf_counter()
        self._deadline_seconds = started_seconds + self._seconds_left
        try:
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
            return step()
        finally:
            self._seconds_left -= perf_counter() - started_seconds

    def _must_stop(self) -> bool:
        return self._is_abandoned or self._is_stopped or perf_counter() > self._deadline_seconds


class LoopTurn:
    """How long the reads of all snapshots have gone on in this turn of the loop, together and not each."""

    def __init__(self) -> None:
        self._began_seconds: float | None = None

    def is_spent(self) -> bool:
        """Whether other tasks are to go first; a turn begins with the first that asks."""
        now_seconds = perf_counter()
        if self._began_seconds is None:
            self._began_seconds = now_seconds
            asyncio.get_running_loop().call_soon(self._end)
        return now_seconds - self._began_seconds > _TURN_SECONDS

    def _end(self) -> None:
        self._began_seconds = None


async def _settled(running: asyncio.Future[Any]) -> None:
    """Wait for the end of a step, also when the waiter is cancelled again: its connection is still in use."""
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({running})


class _Rows:
    """The rows of one statement that are still to come, in batches.

    On the loop a large row is fetched and left for a thread to go on with. The document stands first in a row.
    """

    def __init__(self, cursor: sqlite3.Cursor, read: Callable[[Row], bytes], *, is_on_loop: bool) -> None:
        self._cursor = cursor
        self._read = read
        self._left: Row | None = None
        self.is_on_loop = is_on_loop
        self.are_read = False

    def next_batches(self) -> list[list[bytes]]:
        """One on the loop; on a thread as many as are handed over at once."""
        if self.is_on_loop:
            return [self.batch()]
        batches: list[list[bytes]] = []
        size = 0
        while size < _HANDED_BYTES and not self.are_read:
            batches.append(self.batch())
            size += sum(map(len, batches[-1]))
        return batches

    def batch(self) -> list[bytes]:
        """The next rows, as `read` has made them; fewer than fit when there are no more, or a large row is met."""
        batch: list[bytes] = []
        size = 0
        for row in self._rows():
            if self.is_on_loop and len(row[0]) >= LARGE_ROW_BYTES:
                self._left, self.is_on_loop = row, False
                return batch
            batch.append(piece := self._read(row))
            size += len(piece)
            if size >= _BATCH_BYTES:
                return batch
        self.are_read = True
        return batch

    def _rows(self) -> Iterator[Row]:
        left, self._left = self._left, None
        return self._cursor if left is None else chain((left,), self._cursor)
