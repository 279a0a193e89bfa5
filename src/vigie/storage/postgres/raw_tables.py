"""The rows of a PostgreSQL database as they are, for a copy of the whole."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg

from vigie.storage.database import Row
from vigie.storage.postgres.connection import connect, shown
from vigie.storage.postgres.statement import received, sent
from vigie.storage.transfer import COPYING, INSTALLATION, OTHERS_SECONDS_MAX, Rows, Table, in_use

_ROWS_AT_ONCE = 200
_POLL_SECONDS = 0.1
# All who use the same database and schema have the same application name.
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
)


class PostgresRawTables:
    """One database that no other process writes to."""

    def __init__(self, connection: asyncpg.Connection, place: str) -> None:
        self._connection = connection
        self._place = place

    async def check_alone(self) -> None:
        """Raise StoreError if there are other connections of Vigie's. Those that end now are waited for."""
        end = time.monotonic() + OTHERS_SECONDS_MAX
        while await self._connection.fetchval(_OTHERS):
            if time.monotonic() > end:
                raise in_use(self._place)
            await asyncio.sleep(_POLL_SECONDS)

    async def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that count."""
        found = await self._connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            table.name,
        )
        return tuple(row["attname"] for row in found)

    async def count(self, table: Table) -> int:
        """How many rows there are."""
        return int(await self._connection.fetchval(f"SELECT count(*) FROM {table.name}"))

    async def last(self, table: Table) -> Row | None:
        """The greatest key."""
        key = ", ".join(table.key)
        backwards = ", ".join(f"{each} DESC" for each in table.key)
        found = await self._connection.fetchrow(
            f"SELECT {key} FROM {table.name} ORDER BY {backwards} LIMIT 1"
        )
        return None if found is None else received(found)

    async def rows(self, table: Table, columns: Sequence[str], after: Row | None) -> AsyncIterator[list[Row]]:
        """The rows behind a key in the order of keys; all of them, in any order, without one."""
        text = f"SELECT {', '.join(columns)} FROM {table.name}"
        if after:
            numbers = ", ".join(f"${number}" for number in range(1, len(after) + 1))
            text += f" WHERE ({', '.join(table.key)}) > ({numbers})"
        if after is not None:
            text += f" ORDER BY {', '.join(table.key)}"
        async with self._connection.transaction(readonly=True):
            cursor = await self._connection.cursor(text, *map(sent, after or ()))
            while rows := await cursor.fetch(_ROWS_AT_ONCE):
                yield [received(row) for row in rows]

    async def put(self, rows: Sequence[Rows]) -> None:
        """Add rows, all or none."""
        async with self._connection.transaction():
            for table, columns, some in rows:
                if table is INSTALLATION:
                    names = [row[columns.index("name")] for row in some]
                    await self._connection.execute("DELETE FROM installation WHERE name = any($1)", names)
                await self._connection.copy_records_to_table(
                    table.name, columns=columns, records=[tuple(map(sent, row)) for row in some]
                )

    async def finish(self) -> None:
        """Remove the mark of an unfinished copy, and number new tenants after those that were copied."""
        await self._connection.execute("DELETE FROM installation WHERE name = $1", COPYING)
        await self._connection.execute(
            "SELECT setval(pg_get_serial_sequence('tenant', 'tenant_id'),"
            " (SELECT coalesce(max(tenant_id), 0) + 1 FROM tenant), false)"
        )
        await self._connection.execute("ANALYZE")


@asynccontextmanager
async def postgres_raw_tables(url: str) -> AsyncIterator[PostgresRawTables]:
    """The rows of a database of this version."""
    connection = await connect(url)
    try:
        yield PostgresRawTables(connection, shown(url))
    finally:
        await connection.close()
