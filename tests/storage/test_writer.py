"""Changes that wait together: one transaction, and each for itself."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from vigie.storage.database import Session
from vigie.storage.sqlite.database import SqliteDatabase, open_sqlite


@asynccontextmanager
async def a_database(folder: Path) -> AsyncIterator[SqliteDatabase]:
    database = open_sqlite(folder / "vigie.sqlite3", create=True)
    try:
        yield database
    finally:
        await database.close()


class Change:
    """Writes a value under its name, then fails if it is to; counts how often it is run."""

    def __init__(self, name: str, error: Exception | None = None) -> None:
        self.name, self.error, self.runs = name, error, 0

    async def __call__(self, session: Session) -> str:
        self.runs += 1
        await session.run("put_installation_value", {"name": self.name, "value": str(self.runs)})
        if self.error is not None:
            raise self.error
        return self.name


async def value(database: SqliteDatabase, name: str) -> str | None:
    row = await database.row("installation_value", {"name": name})
    return row[0] if row else None


@pytest.mark.parametrize("is_retryable", [True, False])
def test_a_change_that_fails_is_undone_alone_among_those_that_wait_together(
    tmp_path: Path, is_retryable: bool
) -> None:
    error = ValueError("no")
    before, failing, after = Change("before"), Change("failing", error), Change("after")

    async def scene() -> tuple[list[Any], list[str | None]]:
        async with a_database(tmp_path) as database:
            together = [database.write(each, is_retryable=is_retryable) for each in (before, failing, after)]
            results = await asyncio.gather(*together, return_exceptions=True)
            return results, [await value(database, each.name) for each in (before, failing, after)]

    results, values = asyncio.run(scene())

    assert results == ["before", error, "after"]
    assert [one is not None for one in values] == [True, False, True]


def test_a_change_that_may_run_once_only_runs_once_beside_one_that_fails(tmp_path: Path) -> None:
    once, failing = Change("once"), Change("failing", ValueError("no"))

    async def scene() -> None:
        async with a_database(tmp_path) as database:
            await asyncio.gather(
                database.write(once, is_retryable=False), database.write(failing), return_exceptions=True
            )

    asyncio.run(scene())

    assert (once.runs, failing.runs) == (1, 1)


def test_changes_of_one_turn_of_the_loop_are_committed_together(tmp_path: Path) -> None:
    async def scene() -> list[object]:
        async with a_database(tmp_path) as database:

            async def committed_early(_session: Session) -> list[object]:
                with closing(sqlite3.connect(database.path)) as another:
                    return list(another.execute("SELECT value FROM installation WHERE name = 'early'"))

            _, committed = await asyncio.gather(
                database.write(Change("early")), database.write(committed_early)
            )
            return committed

    assert asyncio.run(scene()) == []


def test_changes_are_made_after_what_some_have_left_to_the_end_could_not_be_written(tmp_path: Path) -> None:
    class Unwritable:
        async def write(self, _session: Session) -> None:
            raise ZeroDivisionError

    async def leaving(session: Session) -> None:
        await Change("undone")(session)
        session.deferred["nothing"] = Unwritable()

    async def scene() -> tuple[list[str | None], str]:
        async with a_database(tmp_path) as database:
            with pytest.raises(ZeroDivisionError):
                await database.write(leaving)
            later = await database.write(Change("later"))
            return [await value(database, name) for name in ("undone", "later")], later

    assert asyncio.run(scene()) == ([None, "1"], "later")


def test_changes_that_have_only_come_are_done_before_a_database_is_closed(tmp_path: Path) -> None:
    async def scene() -> str:
        async with a_database(tmp_path) as database:
            await database.write(Change("first"))
            writing = asyncio.ensure_future(database.write(Change("last")))
            await asyncio.sleep(0)
        return await writing

    assert asyncio.run(scene()) == "last"
