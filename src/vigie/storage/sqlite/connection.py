"""One connection to a database file, and named statements on it."""

import os
import re
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from vigie.storage.database import Deferred, Row, Values
from vigie.storage.statements import statements

T = TypeVar("T")

_NAME = re.compile(r"(?<!:):([a-z]\w*)")

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


class _Positional(NamedTuple):
    """A statement that takes its values by place, which costs less than by name, and what puts them there."""

    text: str
    values_of: Callable[[Values], tuple[Any, ...]]


class SqliteSession:
    """Named statements on one connection, the program's unless `texts` are given. Its coroutines never suspend."""

    def __init__(self, connection: sqlite3.Connection, texts: Mapping[str, str] | None = None) -> None:
        self.deferred: dict[object, Deferred] = {}
        self._connection = connection
        self._positional = _by_name if texts is None else lambda statement: _positional(texts[statement])

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        text, values_of = self._positional(statement)
        return cast("Row | None", self._connection.execute(text, values_of(values)).fetchone())

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        text, values_of = self._positional(statement)
        return self._connection.execute(text, values_of(values)).fetchall()

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        text, values_of = self._positional(statement)
        return self._connection.execute(text, values_of(values)).rowcount

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        text, values_of = self._positional(statement)
        self._connection.executemany(text, map(values_of, values))


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
    return _placed(statements()[statement], names)


@cache
def _by_name(statement: str) -> _Positional:
    return _positional(statements()[statement])


@cache
def _positional(text: str) -> _Positional:
    names = tuple(dict.fromkeys(_NAME.findall(text)))
    # An itemgetter of a single name gives no tuple.
    values_of = itemgetter(*names) if len(names) > 1 else lambda values: tuple(values[name] for name in names)
    return _Positional(_placed(text, names), values_of)


def _placed(text: str, names: Sequence[str]) -> str:
    return _NAME.sub(lambda found: f"?{names.index(found[1]) + 1}", text)


def _how_to_read(path: Path) -> str:
    """Without a log beside it, nothing can be newer than the file; SQLite would want to make one all the same."""
    log = path.with_name(f"{path.name}-wal")
    is_complete = not log.exists() or log.stat().st_size == 0
    return "?mode=ro&immutable=1" if is_complete and not os.access(path.parent, os.W_OK) else "?mode=ro"
