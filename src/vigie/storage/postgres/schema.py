"""The schema in PostgreSQL: recognised, created, and brought up to this version by one server of many."""

import asyncpg

from vigie.storage.database import StoreError
from vigie.storage.migration_steps import STEPS
from vigie.storage.postgres.connection import connect, shown
from vigie.storage.postgres.failures import reason_of
from vigie.storage.postgres.session import PostgresSession
from vigie.storage.statements import migrations, step_statements

ADVISORY_SPACE = 0x56494749
"""`VIGI`: the first half of every advisory lock of ours."""

_SCHEMA_LOCK = -1
_VERSION_MIN = 15

# In a table of its own, so that another program's database is never taken for one of Vigie's.
_SCHEMA_TABLE = "CREATE TABLE vigie_schema (version bigint NOT NULL)"


async def migrate(url: str, *, create: bool) -> None:
    """Bring the database up to this version. Raises StoreError, saying what to do.

    With `create`, an empty database is set up; without, that is an error.
    """
    connection = await connect(url)
    try:
        await _check_server(connection, url)
        newest = migrations("postgres")[-1].number
        version = await _find_version(connection, url)
        if version == 0 and not create:
            raise StoreError(
                f"the database {shown(url)} is empty; `vigie init` or `vigie tenant add` sets it up"
            )
        if version < newest:
            await _apply_migrations(connection, url)
    except asyncpg.PostgresError as error:
        raise StoreError(f"the database {shown(url)} cannot be used: {reason_of(error)}") from error
    finally:
        await connection.close()


async def _check_server(connection: asyncpg.Connection, url: str) -> None:
    found = connection.get_server_version().major
    if found < _VERSION_MIN:
        raise StoreError(
            f"{shown(url)} is PostgreSQL {found}; Vigie needs PostgreSQL {_VERSION_MIN} or later"
        )
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"the encoding of {shown(url)} is {encoding}, and must be UTF8: "
            "`createdb --encoding UTF8 --template template0` makes such a database"
        )


async def _find_version(connection: asyncpg.Connection, url: str) -> int:
    """The version of the schema, 0 for an empty database."""
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    names = {table["tablename"] for table in tables}
    if not names:
        return 0
    if "vigie_schema" not in names:
        raise StoreError(f"{shown(url)} is the database of another program; name another one")
    version = int(await connection.fetchval("SELECT version FROM vigie_schema"))
    newest = migrations("postgres")[-1].number
    if version > newest:
        raise StoreError(
            f"the database {shown(url)} was made by a newer Vigie (schema {version}, this one knows {newest}); "
            "use that version"
        )
    return version


async def _apply_migrations(connection: asyncpg.Connection, url: str) -> None:
    """Apply what is missing in one transaction; of several servers that start at once one does the work."""
    async with connection.transaction():
        await connection.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_SPACE}, {_SCHEMA_LOCK})")
        version = await _find_version(connection, url)
        if version == 0:
            await connection.execute(_SCHEMA_TABLE)
            await connection.execute("INSERT INTO vigie_schema (version) VALUES (0)")
        for migration in migrations("postgres"):
            if migration.number > version:
                await connection.execute(migration.script)
                if step := STEPS.get(migration.name):
                    await step(PostgresSession(connection, step_statements(migration.name)))
                await connection.execute(f"UPDATE vigie_schema SET version = {migration.number}")
