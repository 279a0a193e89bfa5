"""A store as its database sees it: looked into, damaged and held, past the program."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import asyncpg

from tests.support.stores import the_postgres_server
from vigie.config.settings import DatabaseSettings
from vigie.storage.postgres.statement import received


class Below(Protocol):
    """One store from below."""

    bytes_type: str

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """What a statement answers; numbers come as numbers."""

    def run(self, text: str) -> None:
        """Change something."""

    def everything(self) -> bytes:
        """All that is kept, in whatever form."""

    def keys(self) -> dict[str, list[set[str]]]:
        """The columns of every primary key and unique index, by table."""

    def columns(self) -> dict[str, set[str]]:
        """The names of all columns, by table."""

    def is_held(self) -> bool:
        """Whether a reader looks at an older state of the store."""


class _InSqlite:
    bytes_type = "blob"

    def __init__(self, settings: DatabaseSettings) -> None:
        self._path = settings.path

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(text).fetchall()

    def run(self, text: str) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.executescript(text)

    def everything(self) -> bytes:
        return b"".join(each.read_bytes() for each in self._path.parent.iterdir() if each.is_file())

    def keys(self) -> dict[str, list[set[str]]]:
        tables = [
            name
            for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
            if not name.startswith("sqlite_")
        ]
        return {table: [self._primary_key(table), *self._uniques(table)] for table in tables}

    def columns(self) -> dict[str, set[str]]:
        return {
            table: {column for _, column, *_ in self.rows(f"PRAGMA table_info({table})")}
            for table in self.keys()
        }

    def _primary_key(self, table: str) -> set[str]:
        return {column for _, column, _, _, _, place in self.rows(f"PRAGMA table_info({table})") if place}

    def _uniques(self, table: str) -> Iterator[set[str]]:
        for _, index, is_unique, _, _ in self.rows(f"PRAGMA index_list({table})"):
            if is_unique:
                yield {column for _, _, column in self.rows(f"PRAGMA index_info('{index}')")}

    def is_held(self) -> bool:
        # The log can be emptied when nobody needs what is in it.
        with closing(sqlite3.connect(self._path, timeout=0)) as connection:
            return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])


class _InPostgres:
    bytes_type = "bytea"

    def __init__(self, settings: DatabaseSettings) -> None:
        self._server = the_postgres_server()
        self._database = settings.url.partition("@/")[2].partition("?")[0]

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self._server.url(self._database))
            try:
                return [received(row) for row in await connection.fetch(text)]
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def run(self, text: str) -> None:
        self._server.sql(text, database=self._database)

    def everything(self) -> bytes:
        return self._server.run("pg_dump", "-h", self._server.folder, self._database).encode()

    def keys(self) -> dict[str, list[set[str]]]:
        columns = (
            "SELECT tables.relname::text, array_to_string(array(SELECT attname FROM pg_attribute"
            " WHERE attrelid = tables.oid AND attnum = any(indkey)), ' ')"
            " FROM pg_class AS tables JOIN pg_index ON indrelid = tables.oid AND indisunique"
            " WHERE tables.relnamespace = 'public'::regnamespace AND tables.relkind = 'r'"
        )
        tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
        found: dict[str, list[set[str]]] = {table: [] for (table,) in self.rows(tables)}
        for table, names in self.rows(columns):
            found[table].append(set(names.split()))
        return found

    def columns(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {table: set() for table in self.keys()}
        text = (
            "SELECT table_name::text, column_name::text FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        )
        for table, column in self.rows(text):
            found[table].add(column)
        return found

    def is_held(self) -> bool:
        held = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND (xact_start IS NOT NULL)"
        )
        return self.rows(held) != [(0,)]


def below(settings: DatabaseSettings) -> Below:
    """A store from below."""
    return _InPostgres(settings) if settings.is_shared else _InSqlite(settings)


@contextmanager
def without_table(settings: DatabaseSettings, name: str) -> Iterator[None]:
    """A store that has been damaged, for a while."""
    below(settings).run(f"ALTER TABLE {name} RENAME TO away")
    yield
    below(settings).run(f"ALTER TABLE away RENAME TO {name}")
