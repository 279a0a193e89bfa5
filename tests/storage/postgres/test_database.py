"""Failures that only PostgreSQL has: connections that end, others who wait, schemas that meet."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.database_access import below
from tests.support.house import settings_in
from tests.support.stores import KINDS, store_of_tests, the_postgres_server
from vigie.core.errors import QueryTooSlow, StoreUnavailable
from vigie.runtime.installation import opened
from vigie.storage.database import Session, Statement, StoreError
from vigie.storage.postgres import writer_connections
from vigie.storage.postgres.connection import shown
from vigie.storage.postgres.database import PostgresDatabase, open_postgres
from vigie.storage.postgres.schema import ADVISORY_SPACE
from vigie.storage.postgres.statement import numbered, received
from vigie.storage.postgres.urls import postgres_url
from vigie.storage.statements import migrations

ENDLESS = Statement("SELECT count(*) FROM generate_series(1, 1000000000000)", {})
SETTINGS_OF_VALUES = {"tenant_id": 1}


@pytest.fixture(autouse=True)
def _on_postgres() -> Iterator[None]:
    with store_of_tests("postgres"):
        yield


@pytest.fixture
def url() -> str:
    """An empty database."""
    server = the_postgres_server()
    return server.url(server.new_database())


@asynccontextmanager
async def database_at(url: str) -> AsyncIterator[PostgresDatabase]:
    database = await open_postgres(url, create=True)
    try:
        yield database
    finally:
        await database.close()


async def add_value(session: Session, name: str, value: str) -> None:
    await session.run("set_installation_value", {"name": name, "value": value})


async def end_connections(url: str, where: str = "true") -> int:
    """End the connections of servers, as a failing network does."""
    connection = await asyncpg.connect(url)
    ended = await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        f" AND pid <> pg_backend_pid() AND {where}"
    )
    await connection.close()
    return len(ended)


# Text


@given(st.lists(st.text("\x00\x01\x02ab", max_size=5), min_size=1))
def test_texts_with_a_nul_come_back_and_keep_their_order(texts: list[str]) -> None:
    asked = numbered("SELECT :text, :text, :more")
    assert (asked.text, asked.names) == ("SELECT $1, $1, $2", ("text", "more"))

    sent = [str(asked.arguments({"text": text, "more": 1})[0]) for text in texts]

    assert not any("\x00" in each for each in sent)
    assert received(sent) == tuple(texts)
    assert [text for _, text in sorted(zip(sent, texts, strict=True))] == sorted(texts)


# The schema


def test_four_servers_that_start_at_once_make_one_store(url: str) -> None:
    async def start() -> None:
        databases = await asyncio.gather(*(open_postgres(url, create=True) for _ in range(4)))
        for database in databases:
            assert await database.row("installation_value", {"name": "directory_version"}) == ("0",)
            await database.close()

    asyncio.run(start())


def test_both_databases_have_the_same_tables_and_columns(tmp_path: Path) -> None:
    found = []
    for kind in KINDS:
        with store_of_tests(kind):
            settings = settings_in(tmp_path)
            asyncio.run(_touch(settings))
            found.append(below(settings.database).columns())
    in_sqlite, in_postgres = found

    assert in_postgres.keys() - in_sqlite.keys() == {"installation_writer", "vigie_schema"}
    # What SQLite's rows are found by, besides their keys.
    in_sqlite["incident"].discard("incident_key")
    in_sqlite["alert"].discard("alert_key")
    in_sqlite["history"].discard("history_key")
    assert {table: in_postgres[table] for table in in_sqlite} == in_sqlite


async def _touch(settings: Any) -> None:
    async with opened(settings, create=True):
        pass


@pytest.mark.parametrize(
    ("made", "refusal"),
    [
        ("CREATE TABLE letter (id int)", "is the database of another program; name another one"),
        ("", "is empty; `vigie init`"),
        (
            "CREATE TABLE vigie_schema (version bigint); INSERT INTO vigie_schema VALUES (99)",
            f"was made by a newer Vigie (schema 99, this one knows {migrations('postgres')[-1][0]}); use that",
        ),
    ],
)
def test_what_is_not_a_store_of_this_version_is_refused(url: str, made: str, refusal: str) -> None:
    async def start() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(made or "SELECT 1")
        await connection.close()
        await open_postgres(url, create=False)

    with pytest.raises(StoreError) as refused:
        asyncio.run(start())

    assert refusal in str(refused.value)
    assert "\n" not in str(refused.value)


# Connecting


def test_a_password_is_never_shown() -> None:
    url = "postgresql://ana:hunter2@db.example:5433/vigie?sslmode=require&passfile=x"

    assert shown(url) == "postgresql://ana@db.example:5433/vigie"


@pytest.mark.parametrize(
    ("place", "refusal"),
    [
        ("@127.0.0.1:1/vigie", "cannot connect to postgresql://ana@127.0.0.1:1/vigie: "),
        ("@/vigie?host={folder}", "refuses the user or the password; the password is taken from PGPASSWORD"),
        ("@/none?host={folder}", "there is no database 'none'"),
    ],
)
def test_a_refused_connection_says_what_to_do(place: str, refusal: str) -> None:
    folder = str(the_postgres_server().folder)
    user = "postgres" if "none" in place else "ana"
    url = f"postgresql://{user}:hunter2{place.format(folder=folder)}"

    with pytest.raises(StoreError) as refused:
        asyncio.run(open_postgres(url, create=True))

    assert refusal in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://ana@one/vigie?sslmode=require", ["postgresql://ana@one/vigie?sslmode=require"]),
        (
            "postgresql://ana:a%40b@one:5433,two/vigie?sslmode=require",
            [
                "postgresql://ana:a%40b@one:5433/vigie?sslmode=require&target_session_attrs=read-write",
                "postgresql://ana:a%40b@two/vigie?sslmode=require&target_session_attrs=read-write",
            ],
        ),
        (
            "postgresql://ana@/vigie?host=/a,/b&port=1,2&target_session_attrs=any",
            [
                "postgresql://ana@/vigie?host=/a&target_session_attrs=any&port=1",
                "postgresql://ana@/vigie?host=/b&target_session_attrs=any&port=2",
            ],
        ),
        (
            "postgresql://[::1],[::2]/vigie?port=7",
            [
                "postgresql://[::1]/vigie?target_session_attrs=read-write&port=7",
                "postgresql://[::2]/vigie?target_session_attrs=read-write&port=7",
            ],
        ),
    ],
)
def test_of_several_hosts_each_is_asked_by_itself_for_the_primary(url: str, each: list[str]) -> None:
    assert postgres_url(url).each_host() == each


# Changes


def in_database(url: str, work: Any) -> Any:
    async def run() -> Any:
        async with database_at(url) as database:
            return await work(database)

    return asyncio.run(run())


def test_a_change_goes_on_after_its_idle_connection_has_ended(url: str) -> None:
    async def work(database: PostgresDatabase) -> None:
        await database.write(lambda session: add_value(session, "a", "1"))
        assert await end_connections(url) > 0
        await database.write(lambda session: add_value(session, "a", "2"))
        assert await database.row("installation_value", {"name": "a"}) == ("2",)

    in_database(url, work)


@pytest.mark.parametrize("is_retryable", [True, False])
def test_a_change_whose_connection_ends_half_way_is_made_again_where_that_is_safe(
    url: str, is_retryable: bool
) -> None:
    runs = []

    async def work(database: PostgresDatabase) -> None:
        async def change(session: Session) -> None:
            runs.append(1)
            await add_value(session, "a", str(len(runs)))
            if len(runs) == 1:
                await end_connections(url, "state = 'idle in transaction'")
            await add_value(session, "b", str(len(runs)))

        if is_retryable:
            await database.write(change)
        else:
            with pytest.raises(StoreUnavailable):
                await database.write(change, is_retryable=False)
        found = [await database.row("installation_value", {"name": name}) for name in ("a", "b")]
        assert found == ([("2",), ("2",)] if is_retryable else [None, None])

    in_database(url, work)
    assert len(runs) == 1 + is_retryable


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_looked_up(
    url: str, is_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outside world is the network: it ends before or behind the commit, once."""
    lost: list[int] = []
    execute = asyncpg.Connection.execute

    async def execute_over_a_bad_line(
        self: asyncpg.Connection, text: str, *values: object, **options: Any
    ) -> str:
        if text == "COMMIT" and not lost:
            lost.append(1)
            if is_committed:
                await execute(self, text, *values, **options)
            self.terminate()
            raise ConnectionResetError("the line is dead")
        return str(await execute(self, text, *values, **options))

    runs = []

    async def work(database: PostgresDatabase) -> None:
        async def change(session: Session) -> int:
            runs.append(1)
            await add_value(session, "a", "1")
            return 7

        with monkeypatch.context() as patch:
            patch.setattr(asyncpg.Connection, "execute", execute_over_a_bad_line)
            assert await database.write(change) == 7
        assert await database.row("installation_value", {"name": "a"}) == ("1",)

    in_database(url, work)
    assert len(runs) == (1 if is_committed else 2)


def test_a_commit_that_nobody_can_look_up_is_said_to_be_unknown(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = asyncpg.Connection.execute

    async def execute_until_all_is_gone(
        self: asyncpg.Connection, text: str, *values: object, **options: Any
    ) -> str:
        if text == "COMMIT":
            self.terminate()
            patch.setattr(writer_connections, "open_connection", nothing_there)
            raise ConnectionResetError("the line is dead")
        return str(await execute(self, text, *values, **options))

    async def nothing_there(_url: str) -> asyncpg.Connection:
        raise ConnectionRefusedError("nothing there")

    async def work(database: PostgresDatabase) -> None:
        patch.setattr(asyncpg.Connection, "execute", execute_until_all_is_gone)
        with pytest.raises(StoreUnavailable) as refused:
            await database.write(lambda session: add_value(session, "a", "1"))
        assert refused.value.message.startswith("It is not known whether the change was made.")

    with monkeypatch.context() as patch:
        in_database(url, work)


def test_a_change_that_fails_is_undone_alone_among_those_that_wait_together(url: str) -> None:
    async def work(database: PostgresDatabase) -> list[Any]:
        async def change(session: Session, number: int) -> int:
            await add_value(session, f"n{number}", "there")
            if number % 3 == 0:
                raise ValueError(number)
            return number

        changes = (database.write(lambda session, n=n: change(session, n)) for n in range(10))  # type: ignore[misc]
        results = await asyncio.gather(*changes, return_exceptions=True)
        assert [each for each in results if isinstance(each, int)] == [1, 2, 4, 5, 7, 8]
        return [await database.row("installation_value", {"name": f"n{number}"}) for number in range(10)]

    assert in_database(url, work) == [None if number % 3 == 0 else ("there",) for number in range(10)]


def test_writers_of_one_tenant_take_turns_over_all_servers(url: str) -> None:
    async def work(database: PostgresDatabase) -> None:
        other = await asyncpg.connect(url)
        await other.execute("BEGIN")
        await other.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_SPACE}, 7)")

        async def change(session: Session) -> object:
            return await session.row("latest_change", {"tenant_id": 7})

        waiting = asyncio.create_task(database.write(change))
        await database.write(lambda session: add_value(session, "a", "1"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await other.execute("ROLLBACK")
        assert await waiting is None
        await other.close()

    in_database(url, work)


def test_a_caller_that_goes_away_leaves_its_change_to_be_made(url: str) -> None:
    async def work(database: PostgresDatabase) -> object:
        task = asyncio.create_task(database.write(lambda session: add_value(session, "a", "1")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await database.write(lambda session: add_value(session, "b", "1"))
        return await database.row("installation_value", {"name": "a"})

    assert in_database(url, work) == ("1",)


# Reads


def test_reads_go_on_after_their_connections_have_ended(url: str) -> None:
    async def work(database: PostgresDatabase) -> object:
        await database.row("installation_value", {"name": "a"})
        await end_connections(url)
        return await database.row("installation_value", {"name": "directory_version"})

    assert in_database(url, work) == ("0",)


def test_a_scan_is_refused_when_its_connection_ends_and_the_next_one_is_not(url: str) -> None:
    one = Statement("SELECT 1", {})

    async def broken(database: PostgresDatabase) -> None:
        async with database.snapshot() as snapshot:
            await end_connections(url, "state = 'idle in transaction'")
            await snapshot.number(one)

    async def work(database: PostgresDatabase) -> int:
        with pytest.raises(StoreUnavailable):
            await broken(database)
        async with database.snapshot() as snapshot:
            return await snapshot.number(one)

    assert in_database(url, work) == 1


def test_a_scan_over_its_time_is_stopped_and_its_connection_goes_on(url: str) -> None:
    async def work(database: PostgresDatabase) -> list[int]:
        database.scan_seconds_max = 0.2
        with pytest.raises(QueryTooSlow):
            async with database.snapshot() as snapshot:
                await snapshot.number(ENDLESS)
        async with database.snapshot() as snapshot:
            one = await snapshot.number(Statement("SELECT 1", {}))
            running = Statement(
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%generate_series%'"
                " AND state = 'active' AND pid <> pg_backend_pid()",
                {},
            )
            return [one, await snapshot.number(running)]

    assert in_database(url, work) == [1, 0]


def test_a_caller_that_goes_away_stops_what_is_read_for_it(url: str) -> None:
    async def work(database: PostgresDatabase) -> int:
        async def long() -> None:
            async with database.snapshot() as snapshot:
                await snapshot.number(ENDLESS)

        tasks = [asyncio.create_task(long()) for _ in range(12)]
        await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(5), database.snapshot() as snapshot:
            return await snapshot.number(Statement("SELECT 1", {}))

    assert in_database(url, work) == 1


def test_a_snapshot_stays_as_it_was(url: str) -> None:
    values = Statement("SELECT count(*) FROM installation", {})

    async def work(database: PostgresDatabase) -> list[int]:
        async with database.snapshot() as snapshot:
            before = await snapshot.number(values)
            await database.write(lambda session: add_value(session, "a", "1"))
            return [before, await snapshot.number(values)]

    assert in_database(url, work) == [1, 1]
