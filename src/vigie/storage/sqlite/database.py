"""The embedded database: point reads run on the event loop, scans on threads, and changes on one more."""

import asyncio
import sqlite3
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from time import perf_counter
from typing import TypeVar, cast

from vigie.core.errors import StoreUnavailable
from vigie.core.replication import ReplicationPosition
from vigie.storage.database import (
    Change,
    Lookup,
    Observer,
    OnLost,
    Row,
    StoreError,
    Values,
    ignore_loss,
    unobserved,
)
from vigie.storage.listing.dialect import SQLITE
from vigie.storage.migration_steps import OnProgress, ignore_progress
from vigie.storage.sqlite.connection import SqliteSession, by_place, connect
from vigie.storage.sqlite.failures import unavailable_when_it_fails
from vigie.storage.sqlite.file import (
    HOW_TO_REPAIR,
    OpenedFile,
    check_is_ours,
    left_behind,
    make_file,
    migrate,
)
from vigie.storage.sqlite.scans import Scans, ThreadedSnapshot
from vigie.storage.sqlite.wal_size import READERS_STOPPED_FROM_BYTES, log_bytes
from vigie.storage.sqlite.writer import Writer

T = TypeVar("T")

# A reader waits for no lock in WAL mode, except while a log is recovered: that must not stop the event loop.
_LOOP_BUSY_TIMEOUT_SECONDS = 0.2
# More is slower: what was not read lately is nearer in the page cache of the system than in a large one here.
_READER_CACHE_KIB = 8 * 1024
SCAN_READERS = 4
SNAPSHOTS_MAX = 32


class SqliteDatabase:
    """One database file. Reads run on the calling thread; changes run on a thread of their own.

    A file that cannot be written is opened for reading only: reads go on, changes are refused.
    """

    dialect = SQLITE

    def __init__(self, path: Path, *, is_read_only: bool) -> None:
        self.path = path
        self.is_read_only = is_read_only
        self._reader = connect(
            path, is_read_only=is_read_only, busy_timeout_seconds=_LOOP_BUSY_TIMEOUT_SECONDS
        )
        self._reader.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        self._reads = SqliteSession(self._reader)
        # After a connection has opened it: on a file system in layers that may put another file there.
        self._file = OpenedFile(path, self._report_loss)
        self._has_snapshot = False
        self._writer: Writer | None = None
        self._scans: Scans | None = None
        self.observe: Observer = unobserved
        self.scan_seconds_max = 10.0
        self.on_lost: OnLost = ignore_loss

    def check_file(self) -> None:
        """Raises StoreUnavailable when the path of the file leads elsewhere by now, or the file was cut short."""
        self._file.check()
        with unavailable_when_it_fails():
            self._file.check_length(self._reader)

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, as of now."""
        started_seconds = perf_counter()
        with unavailable_when_it_fails():
            self._share_snapshot()
            found = await self._reads.row(statement, values)
        self.observe(statement, perf_counter() - started_seconds)
        return found

    def prepare_lookup(self, statement: str, *names: str) -> Lookup:
        """A function that answers the first row at once; its None may also mean that the database cannot answer."""
        text = by_place(statement, names)
        execute = self._reader.cursor().execute

        def row(*values: object) -> Row | None:
            try:
                if not self._has_snapshot:
                    self._share_snapshot()
                return cast("Row | None", execute(text, values).fetchone())
            except sqlite3.DatabaseError:
                return None

        return row

    async def find_incident(
        self,
        tenant_id: int,
        incident_id: int,
        *,
        min_position: ReplicationPosition | None = None,  # noqa: ARG002  nothing here lags
    ) -> Row | None:
        """The row of one incident, as of now."""
        return await self.row("find_incident", {"tenant_id": tenant_id, "incident_id": incident_id})

    def submit_lookup(self, _tenant_id: int, _incident_id: int) -> None:
        """Nothing to wait for: `prepare_lookup` answers at once."""
        return

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row, as of now."""
        started_seconds = perf_counter()
        with unavailable_when_it_fails():
            self._share_snapshot()
            found = await self._reads.rows(statement, values)
        self.observe(statement, perf_counter() - started_seconds)
        return found

    def snapshot(
        self,
        *,
        min_position: ReplicationPosition | None = None,  # noqa: ARG002  nothing here lags
    ) -> AbstractAsyncContextManager[ThreadedSnapshot]:
        """One view for reads that may take long; they run on threads of their own."""
        if self._scans is None:
            self._scans = Scans(
                self._connect_in_place,
                must_release=lambda: log_bytes(self.path) >= READERS_STOPPED_FROM_BYTES,
                readers=SCAN_READERS,
                snapshots_max=SNAPSHOTS_MAX,
                seconds_max=self.scan_seconds_max,
            )
        return self._scans.snapshot()

    async def write(self, change: Change[T], *, is_retryable: bool = True) -> T:
        """Run a change and return once it is durable. What it raises undoes it and comes out here."""
        if self.is_read_only:
            raise StoreUnavailable(
                f"{self.path} can only be read", message="The store can only be read at the moment."
            )
        if self._writer is None:
            self._writer = Writer(self.path, self._connect_in_place, self._file.check)
        with unavailable_when_it_fails():
            return await self._writer.run(change, is_retryable=is_retryable)

    async def close(self) -> None:
        """Finish the changes that wait and close the file."""
        if self._writer is not None:
            await self._writer.stop()
        if self._scans is not None:
            self._scans.close()
        self._reader.close()

    def _report_loss(self, reason: str) -> None:
        self.on_lost(reason)

    def _connect_in_place(self) -> sqlite3.Connection:
        self._file.check()
        return connect(self.path, is_read_only=self.is_read_only)

    def _share_snapshot(self) -> None:
        """Let the reads of one iteration of the event loop share a snapshot: beginning one costs as much as a read.

        A caller that waits for a change is woken in an iteration after its commit. A snapshot from before the
        commit has ended by then, as its end was scheduled first.
        """
        if not self._has_snapshot:
            asyncio.get_running_loop().call_soon(self._end_snapshot)
            self._has_snapshot = True
            self._reader.execute("BEGIN")

    def _end_snapshot(self) -> None:
        self._has_snapshot = False
        # Not when the database has been closed meanwhile, or a failure has ended it already.
        with suppress(sqlite3.ProgrammingError, sqlite3.OperationalError):
            self._reader.execute("ROLLBACK")


def open_sqlite(path: Path, *, create: bool, on_progress: OnProgress = ignore_progress) -> SqliteDatabase:
    """Open the database at a path, brought up to this version. Raises StoreError, saying what to do.

    With `create`, a database is made where there is none; without, that is an error.
    """
    try:
        if not path.exists():
            if logs := left_behind(path):
                raise StoreError(_explain_logs(path, logs))
            if not create:
                raise StoreError(
                    f"there is no database at {path}; `vigie init` or `vigie tenant add` makes one"
                )
            make_file(path)
        check_is_ours(path)
        is_read_only = not migrate(path, on_progress)
        return SqliteDatabase(path, is_read_only=is_read_only)
    except sqlite3.DatabaseError as error:
        raise StoreError(_explain(path, error)) from error
    except OSError as error:
        raise StoreError(f"the database at {path} cannot be opened: {error.strerror or error}") from error


def _explain_logs(path: Path, logs: list[Path]) -> str:
    names = " and ".join(log.name for log in logs)
    return (
        f"there is no database at {path}, but {names} of one beside it; stop the programs that use that, then put "
        f"the file back in its place, or remove {names} and restore a backup or begin anew"
    )


def _explain(path: Path, error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "locked" in text:
        return f"the database at {path} is locked by another program; try again when that has ended"
    if "not a database" in text or "malformed" in text:
        return f"{path} is not a Vigie database, or is damaged: {text}; {HOW_TO_REPAIR.format(path=path)}"
    return f"the database at {path} cannot be used: {text}"
