"""The schema in PostgreSQL: recognised, created, and brought up to this version by one server of many."""

import asyncpg

from vigie.storage.database import StoreError
from vigie.storage.migration_steps import STEPS, UNFINISHED, OnProgress, ignore_progress
from vigie.storage.migration_steps.progress import Progress
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


async def migrate(url: str, *, create: bool, on_progress: OnProgress = ignore_progress) -> None:
    """Bring the database up to this version. Raises StoreError, saying what to do.

    With `create`, an empty database is set up; without, that is an error. What takes long is done in parts, each
    durable: broken off, it goes on from there when the database is opened again.
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
        if version < newest or await _find_unfinished(connection):
            await _apply_migrations(connection, url, on_progress)
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


async def _apply_migrations(connection: asyncpg.Connection, url: str, on_progress: OnProgress) -> None:
    """Apply what is missing; of several servers that start at once each finds what the others have done."""
    is_complete = False
    while not is_complete:
        # Each in a transaction of its own, so that a step may take several.
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_SPACE}, {_SCHEMA_LOCK})")
            name = await _find_unfinished(connection) or await _apply_next(connection, url)
            is_complete = name is None
            progress = await _take_step(connection, name) if name else None
        if progress is not None:
            on_progress(progress)


async def _apply_next(connection: asyncpg.Connection, url: str) -> str | None:
    """Run the script of the next migration; its name, None when nothing is missing."""
    version = await _find_version(connection, url)
    missing = next((each for each in migrations("postgres") if each.number > version), None)
    if missing is None:
        return None
    if version == 0:
        await connection.execute(_SCHEMA_TABLE)
        await connection.execute("INSERT INTO vigie_schema (version) VALUES (0)")
    await connection.execute(missing.script)
    await connection.execute(f"UPDATE vigie_schema SET version = {missing.number}")
    return missing.name


async def _take_step(connection: asyncpg.Connection, name: str) -> Progress | None:
    """Do a part of a migration's step, and note whether more is left."""
    step = STEPS.get(name)
    if step is None:
        return None
    progress = await step(PostgresSession(connection, step_statements(name)))
    await connection.execute("DELETE FROM installation WHERE name = $1", UNFINISHED)
    if progress is not None:
        await connection.execute("INSERT INTO installation (name, value) VALUES ($1, $2)", UNFINISHED, name)
    return progress


async def _find_unfinished(connection: asyncpg.Connection) -> str | None:
    """The migration whose step is not done yet."""
    if not await connection.fetchval("SELECT to_regclass('installation')"):
        return None
    found: str | None = await connection.fetchval(
        "SELECT value FROM installation WHERE name = $1", UNFINISHED
    )
    return found
