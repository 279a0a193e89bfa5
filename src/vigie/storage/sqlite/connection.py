"""One connection to a database file, and named statements on it."""

import os
import re
import sqlite3
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from vigie.storage.database import Row, Values
from vigie.storage.statements import statements

T = TypeVar("T")

BUSY_TIMEOUT_SECONDS = 10.0
"""How long a change waits for another process that writes."""


def connect(
    path: Path, *, is_read_only: bool, busy_timeout_seconds: float = BUSY_TIMEOUT_SECONDS
) -> sqlite3.Connection:
    """Open a database file that exists. Transactions are begun and ended by its user."""
    uri = path.absolute().as_uri() + (_how_to_read(path) if is_read_only else "?mode=rw")
    connection = sqlite3.connect(
        uri, uri=True, timeout=busy_timeout_seconds, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


class SqliteSession:
    """Named statements on one connection, the program's unless `texts` are given. Its coroutines never suspend."""

    def __init__(self, connection: sqlite3.Connection, texts: Mapping[str, str] | None = None) -> None:
        self._connection = connection
        self._statements = statements() if texts is None else texts

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        found = self._connection.execute(self._statements[statement], values).fetchone()
        return cast("Row | None", found)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        return self._connection.execute(self._statements[statement], values).fetchall()

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        return self._connection.execute(self._statements[statement], values).rowcount

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        self._connection.executemany(self._statements[statement], values)


def finish(change: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that awaits nothing but such a session to its end."""
    try:
        change.send(None)
    except StopIteration as stop:
        return cast("T", stop.value)
    change.close()
    raise RuntimeError("a change may await nothing but its session")


def by_place(statement: str, names: Sequence[str]) -> str:
    """A statement that takes its values in the order of these names: that costs less than to name them."""
    return re.sub(r":(\w+)", lambda found: f"?{names.index(found[1]) + 1}", statements()[statement])


def _how_to_read(path: Path) -> str:
    """Without a log beside it, nothing can be newer than the file; SQLite would want to make one all the same."""
    log = path.with_name(f"{path.name}-wal")
    is_complete = not log.exists() or log.stat().st_size == 0
    return "?mode=ro&immutable=1" if is_complete and not os.access(path.parent, os.W_OK) else "?mode=ro"
