"""The rows of a database file as they are, for a copy of the whole, and a backup of the file."""

import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from vigie.files.writing import new_file
from vigie.storage.database import Row, StoreError
from vigie.storage.sqlite.connection import connect
from vigie.storage.transfer import COPYING, INSTALLATION, OTHERS_SECONDS_MAX, Rows, Table, in_use

_ROWS_AT_ONCE = 200
_NOT_COPIED = {"incident_key", "alert_key", "history_key"}


class SqliteRawTables:
    """One database file that no other process writes to."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    async def check_alone(self) -> None:
        """Lock the file for this process from now on. Raises StoreError if another one has it open."""
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            # In this mode the lock is taken by the first write, and held until the connection is closed.
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise in_use(str(self._path)) from error

    async def columns(self, table: Table) -> tuple[str, ...]:
        """The columns that count."""
        found = self._connection.execute(f"PRAGMA table_info({table.name})").fetchall()
        return tuple(name for _, name, *_ in found if name not in _NOT_COPIED)

    async def count(self, table: Table) -> int:
        """How many rows there are."""
        (found,) = self._connection.execute(f"SELECT count(*) FROM {table.name}").fetchone()
        return int(found)

    async def last(self, table: Table) -> Row | None:
        """The greatest key."""
        key = ", ".join(table.key)
        backwards = ", ".join(f"{each} DESC" for each in table.key)
        found: Row | None = self._connection.execute(
            f"SELECT {key} FROM {table.name} ORDER BY {backwards} LIMIT 1"
        ).fetchone()
        return found

    async def rows(self, table: Table, columns: Sequence[str], after: Row | None) -> AsyncIterator[list[Row]]:
        """The rows behind a key in the order of keys; all of them, in any order, without one."""
        text = f"SELECT {', '.join(columns)} FROM {table.name}"
        if after:
            text += f" WHERE ({', '.join(table.key)}) > ({', '.join('?' * len(after))})"
        if after is not None:
            text += f" ORDER BY {', '.join(table.key)}"
        cursor = self._connection.execute(text, after or ())
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield rows

    async def put(self, rows: Sequence[Rows]) -> None:
        """Add rows, all or none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for table, columns, some in rows:
                verb = "INSERT OR REPLACE" if table is INSTALLATION else "INSERT"
                places = ", ".join("?" * len(columns))
                self._connection.executemany(
                    f"{verb} INTO {table.name} ({', '.join(columns)}) VALUES ({places})", some
                )
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    async def finish(self) -> None:
        """Remove the mark of an unfinished copy; SQLite goes on numbering by itself."""
        self._connection.execute("DELETE FROM installation WHERE name = ?", (COPYING,))


@contextmanager
def sqlite_raw_tables(path: Path) -> Iterator[SqliteRawTables]:
    """The rows of a database file of this version."""
    with closing(connect(path, is_read_only=False, busy_timeout_seconds=OTHERS_SECONDS_MAX)) as connection:
        yield SqliteRawTables(connection, path)


def back_up(path: Path, file: Path) -> int:
    """Write a database as of one moment to a new file, while others go on; its size in bytes. Raises StoreError."""
    in_the_way = StoreError(f"{file} is there already and was not touched; name another file")
    # Before the work is done, and a link as well, wherever it leads.
    if os.path.lexists(file):
        raise in_the_way
    try:
        with new_file(file, replaces=False) as part:
            _write_copy(path, part)
        return file.stat().st_size
    except FileExistsError as error:
        raise in_the_way from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StoreError(
            f"there is no folder {file.parent} to write {file.name} in; make it first"
        ) from error
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}; name another file") from error
    except sqlite3.Error as error:
        raise StoreError(f"the database at {path} cannot be copied: {error}") from error


def _write_copy(path: Path, file: Path) -> None:
    with closing(connect(path, is_read_only=True)) as source, closing(sqlite3.connect(file)) as copy:
        source.backup(copy)
        # One whole file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreError(f"the database at {path} is damaged: {verdict}")
