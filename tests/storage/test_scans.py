"""Long reads on threads: within their time, stopped when nobody waits, and never in each other's way."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from vigie.core.errors import QueryTooSlow, StoreUnavailable
from vigie.storage.database import LARGE_ROW_BYTES, Statement
from vigie.storage.sqlite.scans import LoopTurn, Scans, ThreadedSnapshot

COUNT = Statement("SELECT count(*) FROM letter", {})
LETTERS = Statement("SELECT name FROM letter ORDER BY name", {})
ENDLESS = Statement(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n", {}
)

SOME_STEPS = Statement(
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 20000) SELECT count(*) FROM n", {}
)
"""Enough for the watch over the time to look at it once."""


def a_nap(seconds: float) -> Statement:
    return Statement("SELECT nap(:seconds)", {"seconds": seconds})


@dataclass(kw_only=True)
class Store:
    """A file with few letters in it, and who is connected to it."""

    path: Path
    naps: list[float] = field(default_factory=list)
    connections: list[sqlite3.Connection] = field(default_factory=list)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.create_function("nap", 1, self._nap)
        self.connections.append(connection)
        return connection

    def _nap(self, seconds: float) -> int:
        time.sleep(seconds)
        self.naps.append(seconds)
        return 1

    def scans(self, *, readers: int = 2, snapshots_max: int = 3, seconds_max: float = 5.0) -> Scans:
        return Scans(
            self.connect,
            must_release=lambda: False,
            readers=readers,
            snapshots_max=snapshots_max,
            seconds_max=seconds_max,
        )

    def open_count(self) -> int:
        """How many of the connections are not closed."""
        return sum(map(_is_open, self.connections))


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        connection.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "letters.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE letter (name TEXT)")
        connection.executemany("INSERT INTO letter VALUES (?)", [(letter * 50_000,) for letter in "abc"])
        connection.commit()
    store = Store(path=path)
    yield store
    for connection in store.connections:
        connection.close()


async def letters_in(snapshot: ThreadedSnapshot) -> list[str]:
    batches = snapshot.batches(LETTERS, lambda row: str(row[0]).encode())
    return [piece[:1].decode() async for batch in batches for piece in batch]


def test_rows_come_in_batches_that_stop_growing_at_64_kib(store: Store) -> None:
    async def scan() -> list[int]:
        async with store.scans().snapshot() as snapshot:
            return [len(batch) async for batch in snapshot.batches(LETTERS, lambda row: str(row[0]).encode())]

    assert asyncio.run(scan()) == [2, 1]


@pytest.mark.parametrize("is_short", [True, False])
def test_only_what_is_short_is_read_on_the_thread_of_the_loop(store: Store, is_short: bool) -> None:
    async def scan() -> tuple[list[int], set[int]]:
        threads: set[int] = set()

        def read(row: tuple[str]) -> bytes:
            threads.add(threading.get_ident())
            return row[0].encode()

        letters = replace(LETTERS, is_short=is_short)
        async with store.scans().snapshot() as snapshot:
            return [len(batch) async for batch in snapshot.batches(letters, read)], threads

    batches, threads = asyncio.run(scan())

    assert batches == [2, 1]
    assert (threads == {threading.get_ident()}) == is_short


@pytest.mark.parametrize("letters", ["Xab", "aXb", "aXXb", "abX", "X", "XX", "Xa"])
def test_from_a_large_row_on_even_a_short_statement_is_read_on_a_thread(store: Store, letters: str) -> None:
    pieces = [letter * (LARGE_ROW_BYTES if letter == "X" else 1) for letter in letters]
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("DELETE FROM letter")
        connection.executemany("INSERT INTO letter VALUES (?)", [(piece,) for piece in pieces])
        connection.commit()
    on_loop: list[str] = []

    def read(row: tuple[str]) -> bytes:
        if threading.get_ident() == here:
            on_loop.append(row[0])
        return row[0].encode()

    async def scan() -> list[bytes]:
        letters = Statement("SELECT name FROM letter ORDER BY rowid", {}, is_short=True)
        async with store.scans().snapshot() as snapshot:
            return [piece async for batch in snapshot.batches(letters, read) for piece in batch]

    here = threading.get_ident()
    answer = asyncio.run(scan())

    assert answer == [piece.encode() for piece in pieces]
    assert on_loop == pieces[: letters.index("X")]


def test_what_is_said_to_be_short_and_is_not_is_stopped_all_the_same(store: Store) -> None:
    async def scan() -> list[list[bytes]]:
        async with store.scans(seconds_max=0.1).snapshot() as snapshot:
            return [batch async for batch in snapshot.batches(replace(ENDLESS, is_short=True), lambda _: b"")]

    with pytest.raises(QueryTooSlow):
        asyncio.run(scan())


# Time


def test_what_is_read_on_the_loop_is_a_moment_in_each_turn_together() -> None:
    turn = LoopTurn()

    def hold_loop() -> None:
        time.sleep(0.002)

    async def ask() -> list[bool]:
        found = [turn.is_spent()]
        hold_loop()
        found.append(turn.is_spent())
        await asyncio.sleep(0)
        return [*found, turn.is_spent()]

    assert asyncio.run(ask()) == [False, True, False]


def test_a_scan_over_its_time_is_stopped_and_its_reader_goes_on(store: Store) -> None:
    async def scan() -> int:
        scans = store.scans(readers=1, snapshots_max=1, seconds_max=0.1)
        with pytest.raises(QueryTooSlow) as refused:
            async with scans.snapshot() as snapshot:
                await snapshot.number(ENDLESS)
        assert refused.value.detail == "a scan took longer than 0.1 s"
        async with scans.snapshot() as snapshot:
            return await snapshot.number(COUNT)

    started = time.monotonic()
    assert asyncio.run(scan()) == 3
    assert time.monotonic() - started < 2


def test_the_time_is_for_all_statements_together(store: Store) -> None:
    async def scan() -> None:
        async with store.scans(seconds_max=1.0).snapshot() as snapshot:
            await snapshot.number(a_nap(0.9))
            started = time.monotonic()
            with pytest.raises(QueryTooSlow):
                await snapshot.number(ENDLESS)
            assert time.monotonic() - started < 0.6

    asyncio.run(scan())


def test_time_does_not_run_while_nobody_reads(store: Store) -> None:
    async def scan() -> int:
        async with store.scans(seconds_max=0.5).snapshot() as snapshot:
            await snapshot.number(COUNT)
            await asyncio.sleep(0.8)
            return await snapshot.number(SOME_STEPS)

    assert asyncio.run(scan()) == 20_000


def test_time_does_not_run_while_a_scan_waits_for_a_thread(store: Store) -> None:
    async def scan() -> list[int]:
        scans = store.scans(readers=1, snapshots_max=4, seconds_max=1.0)

        async def nap() -> int:
            async with scans.snapshot() as snapshot:
                await snapshot.number(a_nap(0.4))
                return await snapshot.number(SOME_STEPS)

        return list(await asyncio.gather(*(nap() for _ in range(4))))

    assert asyncio.run(scan()) == [20_000] * 4


# Snapshots


def test_more_snapshots_are_open_than_there_are_threads(store: Store) -> None:
    async def scan() -> list[list[str]]:
        scans = store.scans(readers=1, snapshots_max=3)
        async with scans.snapshot() as one, scans.snapshot() as two, scans.snapshot() as three:
            return [await letters_in(snapshot) for snapshot in (one, two, three)]

    assert asyncio.run(scan()) == [["a", "b", "c"]] * 3


def test_a_caller_that_finds_none_free_waits_until_one_is(store: Store) -> None:
    async def scan() -> int:
        scans = store.scans(snapshots_max=1)

        async def late() -> int:
            async with scans.snapshot() as snapshot:
                return await snapshot.number(COUNT)

        async with scans.snapshot():
            waiting = asyncio.create_task(late())
            await asyncio.sleep(0.05)
            assert not waiting.done()
        return await waiting

    assert asyncio.run(scan()) == 3


def test_a_caller_that_finds_none_free_in_time_is_told_to_come_again(store: Store) -> None:
    async def scan() -> int:
        scans = store.scans(snapshots_max=1, seconds_max=0.1)
        async with scans.snapshot() as first:
            with pytest.raises(StoreUnavailable) as refused:
                async with scans.snapshot():
                    pass
            assert refused.value.detail == "no snapshot was free for 0.1 s"
            return await first.number(COUNT)

    assert asyncio.run(scan()) == 3


def test_a_snapshot_stays_as_it_was_and_the_next_one_is_new(store: Store) -> None:
    async def scan() -> list[int]:
        scans = store.scans()
        with closing(sqlite3.connect(store.path)) as writer:
            async with scans.snapshot() as snapshot:
                before = await snapshot.number(COUNT)
                writer.execute("INSERT INTO letter VALUES ('d')")
                writer.commit()
                after = await snapshot.number(COUNT)
            async with scans.snapshot() as snapshot:
                return [before, after, await snapshot.number(COUNT)]

    assert asyncio.run(scan()) == [3, 3, 4]


def test_connections_are_used_again_and_no_more_are_kept_than_there_are_threads(store: Store) -> None:
    async def scan() -> tuple[int, int]:
        scans = store.scans(readers=1, snapshots_max=3)
        async with scans.snapshot(), scans.snapshot(), scans.snapshot():
            pass
        kept = store.open_count()
        async with scans.snapshot():
            pass
        scans.close()
        return kept, store.open_count()

    assert asyncio.run(scan()) == (1, 0)
    assert len(store.connections) == 3


def test_a_store_that_cannot_be_connected_to_is_unavailable_and_blocks_nobody(store: Store) -> None:
    def connect() -> sqlite3.Connection:
        if not store.path.exists():
            raise sqlite3.OperationalError("unable to open database file")
        return store.connect()

    async def scan() -> int:
        scans = Scans(connect, must_release=lambda: False, readers=1, snapshots_max=1, seconds_max=1.0)
        hidden = store.path.rename(store.path.with_suffix(".hidden"))
        with pytest.raises(StoreUnavailable):
            async with scans.snapshot():
                pass
        hidden.rename(store.path)
        async with scans.snapshot() as snapshot:
            return await snapshot.number(COUNT)

    assert asyncio.run(scan()) == 3


# Cancelling


def test_a_caller_that_goes_away_stops_what_is_read_for_it(store: Store) -> None:
    async def scan() -> int:
        scans = store.scans(readers=1, snapshots_max=1, seconds_max=60.0)

        async def long() -> None:
            async with scans.snapshot() as snapshot:
                await snapshot.number(ENDLESS)

        task = asyncio.create_task(long())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with scans.snapshot() as snapshot:
            return await snapshot.number(COUNT)

    started = time.monotonic()
    assert asyncio.run(scan()) == 3
    assert time.monotonic() - started < 5


def test_a_connection_is_not_given_back_before_its_thread_has_left_it_however_often_it_is_cancelled(
    store: Store,
) -> None:
    async def scan() -> None:
        scans = store.scans(seconds_max=60.0)

        async def nap() -> None:
            async with scans.snapshot() as snapshot:
                await snapshot.number(a_nap(0.6))

        task = asyncio.create_task(nap())
        for _ in range(3):
            await asyncio.sleep(0.05)
            task.cancel()
        assert (task.done(), store.naps) == (False, [])
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.naps == [0.6]

    asyncio.run(scan())


def test_what_has_not_begun_when_it_is_cancelled_never_does(store: Store) -> None:
    async def scan() -> None:
        scans = store.scans(readers=1, seconds_max=60.0)

        async def nap(seconds: float) -> None:
            async with scans.snapshot() as snapshot:
                await snapshot.number(a_nap(seconds))

        first, second = (asyncio.create_task(nap(seconds)) for seconds in (0.6, 0.2))
        await asyncio.sleep(0.1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert not first.done()
        await first
        assert store.naps == [0.6]

    asyncio.run(scan())
