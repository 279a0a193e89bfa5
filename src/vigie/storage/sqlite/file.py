"""The file of an embedded database: made, recognised, and brought up to this version."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from vigie.core.errors import StoreUnavailable
from vigie.files.trust import check_private
from vigie.storage.database import OnLost, StoreError
from vigie.storage.migration_steps import STEPS, UNFINISHED, OnProgress
from vigie.storage.migration_steps.progress import Progress
from vigie.storage.sqlite.connection import SqliteSession, connect, finish
from vigie.storage.statements import Migration, migrations, step_statements

APPLICATION_ID = 0x56494749
"""`VIGI`, in the header of every database file, so that another program's file is never taken for one."""


HOW_TO_REPAIR = "restore a backup, or save what can still be read: `sqlite3 {path} .recover | sqlite3 FILE`"


class OpenedFile:
    """A file as it was opened, and whether its path still leads to it.

    What is written to one that has been removed or replaced is gone with the process, whatever a commit says.
    """

    def __init__(self, path: Path, on_lost: OnLost) -> None:
        self._path = path
        self._opened = _identity(path)
        self._is_in_place = True
        self._length_bytes = path.stat().st_size
        self._on_lost = on_lost

    def check(self) -> None:
        """Raises StoreUnavailable when the path leads elsewhere; the first time `on_lost` is called."""
        try:
            found = _identity(self._path)
        except OSError as error:
            raise StoreUnavailable(f"{self._path} cannot be looked at: {error.strerror}") from error
        if found == self._opened:
            self._is_in_place = True
            return
        reason = f"{self._path} was {'replaced' if found else 'removed'} while it was open"
        if self._is_in_place:
            self._is_in_place = False
            self._on_lost(reason)
        raise StoreUnavailable(reason)

    def check_length(self, connection: sqlite3.Connection) -> None:
        """Raises StoreUnavailable when the file has lost its end since it was opened.

        Not by its own header: to open and close the file once more would end SQLite's locks on it.
        """
        length_bytes = self._path.stat().st_size
        # Only then: what was written last is in the log for a while, and not in the file yet.
        if length_bytes < self._length_bytes:
            pages, page_bytes = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
            )
            if pages * page_bytes > length_bytes:
                raise StoreUnavailable(f"{self._path} was cut short while it was open")
        self._length_bytes = length_bytes


def check_whole(path: Path, *, seconds_max: float) -> bool:
    """Look through as much of the file as can be in a time; whether that was all of it.

    Raises StoreError if it is damaged.
    """
    try:
        with closing(connect(path, is_read_only=True)) as connection:
            verdict = _verdict(connection, seconds_max)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
            raise
        return False
    except sqlite3.DatabaseError as error:
        verdict = str(error)
    if verdict != "ok":
        reason = " ".join(verdict.split())
        raise StoreError(f"the database at {path} is damaged: {reason}; {HOW_TO_REPAIR.format(path=path)}")
    return True


def _verdict(connection: sqlite3.Connection, seconds_max: float) -> str:
    timer = threading.Timer(seconds_max, connection.interrupt)
    timer.start()
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    finally:
        timer.cancel()
        timer.join()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def left_behind(path: Path) -> list[Path]:
    """The log of a database and its index, where they lie beside a path."""
    return [file for end in ("-wal", "-shm") if (file := path.with_name(f"{path.name}{end}")).exists()]


def make_file(path: Path) -> None:
    """An empty file that only its owner can read: WAL and its index inherit that."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Another process may be making the same database at this moment.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def check_is_ours(path: Path) -> None:
    """Raise UntrustedFile for a database that another user has made, can write or can read.

    An empty file that was made beforehand is closed to others first.
    """
    if path.stat().st_size == 0:
        # Not ours to close: the check says so.
        with suppress(PermissionError):
            path.chmod(0o600)
    # What is written ahead, or was to be undone, counts as much as the file itself.
    for end in ("", "-wal", "-shm", "-journal"):
        # A process that closes the database meanwhile removes them.
        with suppress(FileNotFoundError):
            check_private(path.with_name(f"{path.name}{end}"))


def migrate(path: Path, on_progress: OnProgress) -> bool:
    """Bring the file up to this version; False when it cannot be written and is up to date all the same.

    What takes long is done in parts, each durable: broken off, it goes on from there when the file is opened again.
    """
    can_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    connection = connect(path, is_read_only=not can_write)
    try:
        _check_identity(connection, path)
        newest = migrations()[-1].number
        version = _check_version(connection, path, newest)
        is_behind = version < newest or _unfinished(connection) is not None
        if is_behind and not can_write:
            raise StoreError(
                f"the database at {path} is of an older version and cannot be written; let this user write the "
                "file and its folder, and run `vigie migrate`"
            )
        if can_write:
            # Not only of a new one: a backup that is put back is one whole file, without a log beside it.
            connection.execute("PRAGMA journal_mode = WAL")
        if is_behind:
            _apply_migrations(connection, path, newest, on_progress)
        return can_write
    finally:
        connection.close()


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    if identity == APPLICATION_ID:
        return
    # The number and the tables of a new database come in one transaction: a file with neither is ours to fill.
    has_tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if identity != 0 or has_tables:
        raise StoreError(f"{path} is the database of another program; name another file")


def _check_version(connection: sqlite3.Connection, path: Path, newest: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > newest:
        raise StoreError(
            f"the database at {path} was made by a newer Vigie (schema {version}, this one knows {newest}); "
            "use that version"
        )
    return version


def _apply_migrations(
    connection: sqlite3.Connection, path: Path, newest: int, on_progress: OnProgress
) -> None:
    """Apply what is missing; of several processes that start at once each finds what the others have done."""
    while True:
        # Each in a transaction of its own, so that a step may take several.
        connection.execute("BEGIN IMMEDIATE")
        version = _check_version(connection, path, newest)
        if (name := _unfinished(connection)) is None:
            missing = next((each for each in migrations() if each.number > version), None)
            if missing is None:
                connection.execute("COMMIT")
                return
            _run_script(connection, missing)
            name = missing.name
        progress = _take_step(connection, name)
        connection.execute("COMMIT")
        if progress is not None:
            on_progress(progress)


def _run_script(connection: sqlite3.Connection, migration: Migration) -> None:
    for statement in _split(migration.script):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {migration.number}")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _take_step(connection: sqlite3.Connection, name: str) -> Progress | None:
    """Do a part of a migration's step, and note whether more is left."""
    step = STEPS.get(name)
    if step is None:
        return None
    progress = finish(step(SqliteSession(connection, step_statements(name))))
    connection.execute("DELETE FROM installation WHERE name = ?", (UNFINISHED,))
    if progress is not None:
        connection.execute("INSERT INTO installation (name, value) VALUES (?, ?)", (UNFINISHED, name))
    return progress


def _unfinished(connection: sqlite3.Connection) -> str | None:
    """The migration whose step is not done yet."""
    if not connection.execute("PRAGMA user_version").fetchone()[0]:
        return None
    row = connection.execute("SELECT value FROM installation WHERE name = ?", (UNFINISHED,)).fetchone()
    return row and str(row[0])


def _split(script: str) -> Iterator[str]:
    """The statements of a script: `executescript` would commit after each."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
