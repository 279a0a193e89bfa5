"""The log of a store file stays short beside readers: those who take long are stopped, others are waited for."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from vigie.core.errors import QueryTooSlow, StoreUnavailable
from vigie.storage.database import Session, Statement
from vigie.storage.sqlite.database import SqliteDatabase, open_sqlite
from vigie.storage.sqlite.wal_size import LOG_BYTES_MAX, log_bytes

CHANGE_BYTES = 2 * 1024 * 1024
CHANGES_COUNT = 2 * LOG_BYTES_MAX // CHANGE_BYTES

MANY_ROWS = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
    " SELECT zeroblob(1000) AS piece FROM installation, n WHERE name = 'directory_version'"
)
LONG = Statement(MANY_ROWS, {})
"""More than is read in one step."""

ENDLESS = Statement(
    f"SELECT count(*) FROM ({MANY_ROWS}) AS one, ({MANY_ROWS}) AS other, ({MANY_ROWS}) AS third", {}
)
SHORT = Statement(f"SELECT count(*) FROM ({MANY_ROWS})", {})


@asynccontextmanager
async def a_store(path: Path) -> AsyncIterator[SqliteDatabase]:
    database = open_sqlite(path, create=True)
    try:
        yield database
    finally:
        await database.close()


async def write_much(database: SqliteDatabase) -> int:
    """Write twice what the log may hold; how long it has been at most."""

    async def change(session: Session, number: int) -> None:
        # Never the same twice in a row: what has not changed is not written.
        value = str(number % 10) * CHANGE_BYTES
        await session.run("set_installation_value", {"name": "much", "value": value})

    longest_bytes = 0
    for number in range(CHANGES_COUNT):
        await database.write(partial(change, number=number))
        longest_bytes = max(longest_bytes, log_bytes(database.path))
    return longest_bytes


def test_the_log_stays_short_beside_a_list_whose_client_takes_its_time(tmp_path: Path) -> None:
    async def work() -> int:
        async with a_store(tmp_path / "store") as database, database.snapshot() as snapshot:
            batches = snapshot.batches(LONG, lambda row: bytes(row[0]))
            assert await anext(batches)
            longest_bytes = await write_much(database)
            with pytest.raises(QueryTooSlow):
                _ = [batch async for batch in batches]
            return longest_bytes

    assert asyncio.run(work()) <= LOG_BYTES_MAX


def test_the_log_stays_short_beside_a_list_that_is_being_read(tmp_path: Path) -> None:
    async def work() -> int:
        async with a_store(tmp_path / "store") as database:
            database.scan_seconds_max = 600.0
            reading = asyncio.create_task(read(database, ENDLESS))
            longest_bytes = await write_much(database)
            with pytest.raises(QueryTooSlow):
                await reading
            return longest_bytes

    assert asyncio.run(work()) <= LOG_BYTES_MAX


def test_a_file_that_was_cut_short_does_not_end_the_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So little, because SQLite looks at the length only of a file that is longer than its log.
    monkeypatch.setattr("vigie.storage.sqlite.wal_size._TRUNCATED_FROM_BYTES", CHANGE_BYTES)

    async def write(session: Session, name: str, size_bytes: int) -> None:
        await session.run("set_installation_value", {"name": name, "value": "9" * size_bytes})

    async def work() -> None:
        async with a_store(tmp_path / "store") as database:
            await database.write(partial(write, name="much", size_bytes=16 * CHANGE_BYTES))
            # Done when the log that the one before has left is in the file.
            await database.write(partial(write, name="little", size_bytes=1))
            assert log_bytes(database.path) < CHANGE_BYTES
            os.truncate(database.path, 4096)
            for _ in range(3):
                # Whether they are refused or not: they are answered.
                with suppress(StoreUnavailable):
                    change = partial(write, name="more", size_bytes=2 * CHANGE_BYTES)
                    await asyncio.wait_for(database.write(change), 30)

    asyncio.run(work())


async def read(database: SqliteDatabase, statement: Statement) -> int:
    async with database.snapshot() as snapshot:
        return await snapshot.number(statement)


def test_the_log_begins_anew_beside_short_lists_that_overlap_and_none_of_them_is_stopped(
    tmp_path: Path,
) -> None:
    read_count = 0

    async def keep_reading(database: SqliteDatabase) -> None:
        nonlocal read_count
        while True:
            read_count += await read(database, SHORT) == 20000

    async def work() -> int:
        async with a_store(tmp_path / "store") as database:
            readers = [asyncio.create_task(keep_reading(database)) for _ in range(4)]
            longest_bytes = await write_much(database)
            assert not any(reader.done() for reader in readers)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            return longest_bytes

    assert asyncio.run(work()) <= LOG_BYTES_MAX
    assert read_count > 20
