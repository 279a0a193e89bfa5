"""The store that Vigie made before alerts were rows: tests/storage/old_store/README.md says how."""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from tests.support.paths import ROOT
from tests.support.postgres_server import PostgresServer
from tests.support.stores import current_kind, the_postgres_server
from vigie.config.settings import DatabaseSettings
from vigie.core.incident import decode_spans
from vigie.documents.defender.reading import keep_incident
from vigie.storage.statements import migrations
from vigie.storage.visibility import label_set

FOLDER = ROOT / "tests" / "storage" / "old_store"
TENANTS = ("contoso", "fabrikam")
LAST_SCRIPTS: Mapping[str, str] = {"sqlite": "visibility", "postgres": "visibility"}
"""The last migration of that time, in each database."""

Rows = dict[str, list[dict[str, Any]]]


def answers_of_then() -> Any:
    """What the program of that time answered."""
    return json.loads((FOLDER / "answers.json").read_text(encoding="utf-8"))


def exported_then(tenant: str) -> bytes:
    """What `vigie export` of that time wrote."""
    return (FOLDER / f"{tenant}.jsonl").read_bytes()


def old_store_in(folder: Path, *, documents: Iterable[bytes] = ()) -> DatabaseSettings:
    """The store as it was then, in a file of the folder or in a PostgreSQL database of its own.

    `documents` are incidents that contoso has besides.
    """
    file = folder / "vigie.sqlite3"
    file.touch(mode=0o600)
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript((FOLDER / "store.sql").read_text(encoding="utf-8"))
        for table, rows in rows_of_then(documents).items():
            for row in rows:
                _insert(connection, table, row)
        connection.commit()
        if current_kind() == "sqlite":
            return DatabaseSettings(url=f"sqlite:///{file}")
        rows_by_table = _all_rows(connection)
    file.unlink()
    server = the_postgres_server()
    name = server.new_database()
    asyncio.run(_fill(server, name, rows_by_table))
    return DatabaseSettings(url=server.url(name))


def rows_of_then(documents: Iterable[bytes]) -> Rows:
    """The rows that the program of that time wrote for incidents of contoso, history apart."""
    rows: Rows = {"incident": [], "incident_visibility": []}
    for document in documents:
        kept = keep_incident(document)
        listed = {
            "tenant_id": 1,
            "incident_id": kept.incident_id,
            "status": kept.status.value,
            "assigned_to": kept.assigned_to,
            "created_at": kept.created_at,
            "last_update_at": kept.last_update_at,
        }
        columns = {
            "severity": kept.severity,
            "alerts_at": kept.alerts_at,
            "spans": kept.spans,
            "document": kept.document,
            "redirect_incident_id": kept.redirect_incident_id,
        }
        rows["incident"].append({**listed, **columns})
        labels = ("*", *label_set(decode_spans(kept.spans)))
        rows["incident_visibility"] += [{**listed, "label": label} for label in labels]
    return rows


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)


def _all_rows(connection: sqlite3.Connection) -> Rows:
    """Every table in the order of its making: what it refers to is before it."""
    connection.row_factory = sqlite3.Row
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
    )
    return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for (name,) in tables}


async def _fill(server: PostgresServer, database: str, rows_by_table: Rows) -> None:
    """Make the tables by the scripts of that time, and put the rows in, as `vigie copy` does."""
    connection = await asyncpg.connect(server.url(database))
    try:
        await connection.execute("CREATE TABLE vigie_schema (version bigint NOT NULL)")
        for script in migrations("postgres"):
            await connection.execute(script.script)
            if script.name == LAST_SCRIPTS["postgres"]:
                await connection.execute(f"INSERT INTO vigie_schema VALUES ({script.number})")
                break
        await connection.execute("DELETE FROM installation")
        for table, rows in rows_by_table.items():
            await _put(connection, table, rows)
        await connection.execute(
            "SELECT setval(pg_get_serial_sequence('tenant', 'tenant_id'), (SELECT max(tenant_id) FROM tenant))"
        )
    finally:
        await connection.close()


async def _put(connection: asyncpg.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    found = await connection.fetch(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1", table
    )
    names = [name for (name,) in found if rows and name in rows[0]]
    if names:
        places = ", ".join(f"${place}" for place in range(1, len(names) + 1))
        await connection.executemany(
            f"INSERT INTO {table} ({', '.join(names)}) OVERRIDING SYSTEM VALUE VALUES ({places})",
            [[row[name] for name in names] for row in rows],
        )
