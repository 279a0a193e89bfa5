"""The copy of a whole installation from one database to another: table by table in key order, then compared."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

import msgspec

from vigie.storage.database import Row, StoreError


class Table(msgspec.Struct, frozen=True):
    """A table, and the columns that its rows are found by and come in the order of."""

    name: str
    key: tuple[str, ...]


VISIBILITY = Table("visibility", ("tenant_id", "visibility_id"))
VISIBILITY_LABELS = Table("visibility_label", ("tenant_id", "label", "visibility_id"))
LISTINGS = Table("incident_listing", ("tenant_id", "created_at", "incident_id"))
INCIDENTS = Table("incident", ("tenant_id", "incident_id"))
ALERTS = Table("alert", ("tenant_id", "incident_id", "place"))
HISTORY = Table("history", ("tenant_id", "incident_id", "entry"))
INSTALLATION = Table("installation", ("name",))

TABLES = (
    Table("tenant", ("tenant_id",)),
    Table("application", ("tenant_id", "client_id")),
    Table("client_secret", ("tenant_id", "client_id", "sha256")),
    Table("application_certificate", ("tenant_id", "client_id", "sha256")),
    Table("redirect_uri", ("tenant_id", "client_id", "uri")),
    Table("assertion_seen", ("tenant_id", "fingerprint")),
    Table("role", ("tenant_id", "name")),
    Table("account", ("tenant_id", "object_id")),
    Table("password", ("tenant_id", "object_id")),
    Table("password_attempt", ("tenant_id", "name_sha256")),
    Table("authorization_code", ("tenant_id", "sha256")),
    Table("device_code", ("tenant_id", "sha256")),
    Table("token_family", ("tenant_id", "family_id")),
    Table("device_group", ("tenant_id", "group_id")),
    Table("assignment", ("tenant_id", "assignment_id")),
    Table("assignment_device_group", ("tenant_id", "assignment_id", "group_id")),
    VISIBILITY,
    VISIBILITY_LABELS,
    INCIDENTS,
    LISTINGS,
    ALERTS,
    HISTORY,
    Table("request_done", ("tenant_id", "fingerprint")),
    Table("change", ("tenant_id", "number")),
    Table("latest_change", ("tenant_id",)),
    Table("consumer", ("tenant_id", "name")),
    Table("evidence", ("tenant_id", "evidence_id")),
    Table("evidence_incident", ("tenant_id", "evidence_id", "incident_id")),
    Table("evidence_of_incident", ("tenant_id", "incident_id")),
    Table("webhook", ("tenant_id", "webhook_id")),
)
"""What is copied row by row, each table behind those it refers to."""

COPYING = "copying"
"""The name under which an unfinished copy says of itself that it is one."""

OTHERS_SECONDS_MAX = 2.0
"""How long another process that is about to close the database is waited for."""


Rows = tuple[Table, Sequence[str], Sequence[Row]]
"""Rows of a table, and what their columns are."""


class RawTables(Protocol):
    """One database from which, or to which, rows are copied as they are."""

    async def check_alone(self) -> None:
        """Raise StoreError if another process has the database open: its changes would be in one copy alone."""

    async def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that count."""

    async def count(self, table: Table) -> int:
        """How many rows there are."""

    async def last(self, table: Table) -> Row | None:
        """The greatest key, None when there is no row."""

    def rows(self, table: Table, columns: Sequence[str], after: Row | None) -> AsyncIterator[list[Row]]:
        """The rows behind a key in the order of keys, some at a time; all of them, in any order, without one."""

    async def put(self, rows: Sequence[Rows]) -> None:
        """Add rows, all or none. Those of the installation take the place of others."""

    async def finish(self) -> None:
        """Remove the mark of an unfinished copy, and number new tenants after those that were copied."""


OnProgress = Callable[[int], object]
"""Called with the number of rows that were copied or compared."""


async def rows_to_move(source: RawTables) -> int:
    """How many rows a copy and its comparison go through."""
    return 2 * sum([await source.count(table) for table in TABLES])


async def copy(source: RawTables, target: RawTables, on_progress: OnProgress) -> int:
    """Copy what is not there yet, and say how many rows that was.

    Raises StoreError if the target has tenants of its own, the source is an unfinished copy, or either is in use.
    """
    await _check_alone(source, target)
    if await is_unfinished(source):
        raise StoreError("the database to copy from is an unfinished copy itself")
    await _begin(target)
    copied = 0
    for table in TABLES:
        columns = await source.columns(table)
        after = await target.last(table)
        if after is not None:
            on_progress(await target.count(table))
        async for rows in source.rows(table, columns, after or ()):
            await target.put([(table, columns, rows)])
            copied += len(rows)
            on_progress(len(rows))
    return copied


async def compare(source: RawTables, target: RawTables, on_progress: OnProgress) -> dict[str, int]:
    """How many rows each table has, the same on both sides and with the same content. Raises StoreError if not."""
    counts = {}
    for table in TABLES:
        columns = await source.columns(table)
        one, other = [await _sum_of(raw_tables, table, columns) for raw_tables in (source, target)]
        if one != other:
            # A server that was started meanwhile is the likely reason, and says what to do.
            await _check_alone(source, target)
            raise StoreError(
                f"the copy is not what it was made from: {table.name} has {other[0]} rows and digest {other[1]:x}, "
                f"instead of {one[0]} and {one[1]:x}; stop all servers on both, and copy into a new database"
            )
        counts[table.name] = one[0]
        on_progress(one[0])
    # A change that was made behind the comparison has been answered as done: then the copy must not count.
    await _check_alone(source, target)
    columns = await source.columns(INSTALLATION)
    async for rows in source.rows(INSTALLATION, columns, None):
        await target.put([(INSTALLATION, columns, rows)])
    await target.finish()
    return counts


def in_use(place: str) -> StoreError:
    """The error for a database that another process has open."""
    return StoreError(
        f"a server or another command uses the database at {place}; stop all servers on it, then copy again"
    )


async def _check_alone(*databases: RawTables) -> None:
    for raw_tables in databases:
        await raw_tables.check_alone()


async def is_unfinished(raw_tables: RawTables) -> bool:
    """Whether a copy into it was begun and has not been compared yet."""
    # To its end: a cursor that is left open would hold the tables.
    names = [row async for rows in raw_tables.rows(INSTALLATION, ("name",), None) for row in rows]
    return (COPYING,) in names


async def _begin(target: RawTables) -> None:
    if await is_unfinished(target):
        return
    if await target.last(TABLES[0]) is not None:
        raise StoreError("there are tenants in the database to copy to; name one that is new")
    await target.put([(INSTALLATION, ("name", "value"), [(COPYING, "under way")])])


async def _sum_of(raw_tables: RawTables, table: Table, columns: Sequence[str]) -> tuple[int, int]:
    """How many rows there are, and a digest that does not depend on their order."""
    count = digest = 0
    async for rows in raw_tables.rows(table, columns, None):
        count += len(rows)
        for row in rows:
            digest += int.from_bytes(hashlib.sha256(msgspec.msgpack.encode(row)).digest()[:16])
    return count, digest % 2**128
