"""The one writer of a process: a thread that commits the changes that wait together.

SQLite has one writer at a time, and a durable commit waits for the disk. While one transaction is committed the
next changes arrive, so that under load one wait for the disk is shared by all of them.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from vigie.storage.database import Change, write_deferred
from vigie.storage.sqlite.connection import SqliteSession, finish
from vigie.storage.sqlite.wal_size import LogTruncation

T = TypeVar("T")

# Each change of a batch waits for the slowest, and all of them for the disk: more than this gains nothing.
_CHANGES_PER_COMMIT_MAX = 64
_CACHE_KIB = 8 * 1024
# 40 MB instead of SQLite's 4: the same pages change again and again, and are copied into the file once.
_CHECKPOINT_PAGES = 10_000


class _QueuedChange:
    """A change in the queue, and the future that its caller waits for."""

    def __init__(self, change: Change[Any], loop: asyncio.AbstractEventLoop, *, is_retryable: bool) -> None:
        self.change = change
        self.is_retryable = is_retryable
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Give the caller its result, on its loop, unless it has gone away."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """A thread that takes the changes that wait and commits them together, then wakes their callers.

    `check_file` raises StoreUnavailable where a commit would be lost.
    """

    def __init__(
        self, path: Path, connect: Callable[[], sqlite3.Connection], check_file: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._check_file = check_file
        self._truncation = LogTruncation(path)
        self._arriving: dict[asyncio.AbstractEventLoop, list[_QueuedChange]] = {}
        self._waiting: queue.SimpleQueue[_QueuedChange | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="vigie-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Change[T], *, is_retryable: bool) -> T:
        """Run a change and return once it is durable."""
        loop = asyncio.get_running_loop()
        queued = _QueuedChange(change, loop, is_retryable=is_retryable)
        arriving = self._arriving.setdefault(loop, [])
        if not arriving:
            # Those of one turn of the loop together: the first one alone would have a commit to itself.
            loop.call_soon(self._hand_over, loop)
        arriving.append(queued)
        return cast("T", await queued.future)

    async def stop(self) -> None:
        """Finish what waits and end."""
        self._hand_over(asyncio.get_running_loop())
        self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        for queued in self._arriving.pop(loop, ()):
            self._waiting.put(queued)

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while batch := self._take():
            try:
                # Opened with the first change: a server that only reads has no writer to the file.
                connection = connection or _prepared(self._connect())
                _commit_together(connection, SqliteSession(connection), batch, self._check_file)
            # Whatever it was, it belongs to the changes of this batch; the thread has to go on.
            except Exception as error:  # noqa: BLE001
                for queued in batch:
                    queued.error = queued.error or error
            # After the commit, never before: a caller that is answered must find its change after a power cut.
            _settle_all(batch)
            if connection is not None:
                self._truncation.after_commit(connection)
        if connection is not None:
            connection.close()

    def _take(self) -> list[_QueuedChange]:
        """The next change and those that wait behind it; none when it is time to end."""
        batch: list[_QueuedChange] = []
        while len(batch) < _CHANGES_PER_COMMIT_MAX and not (batch and self._waiting.empty()):
            queued = self._waiting.get()
            if queued is None:
                # The end has been taken out of the queue: put back, it is found when this batch is done.
                if batch:
                    self._waiting.put(None)
                break
            batch.append(queued)
        return batch


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    # The pages that a savepoint has to remember would be written to a file, a fifth of an update.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Debian's SQLite would fill each page that becomes free with zeros, and write it: 110 for a large answer.
    connection.execute("PRAGMA secure_delete = FAST")
    return connection


def _settle_all(batch: list[_QueuedChange]) -> None:
    """Settle the changes, those of one event loop together: waking a loop costs more than settling one."""
    for loop in {queued.loop for queued in batch}:
        # The loop may have ended with the process that waited.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, [queued for queued in batch if queued.loop is loop])


def _settle(batch: list[_QueuedChange]) -> None:
    for queued in batch:
        queued.settle()


def _commit_together(
    connection: sqlite3.Connection,
    session: SqliteSession,
    batch: list[_QueuedChange],
    check_file: Callable[[], None],
) -> None:
    """Run every change in one transaction; one that fails is undone alone. What is raised undoes them all."""
    try:
        # IMMEDIATE: a transaction that reads first and writes later can fail half-way as busy.
        connection.execute("BEGIN IMMEDIATE")
        if not _run_all(connection, session, batch):
            connection.execute("ROLLBACK")
            return
        # As late as can be: a file that was replaced meanwhile would take the commit with it.
        check_file()
        connection.execute("COMMIT")
    except Exception:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run_all(connection: sqlite3.Connection, session: SqliteSession, batch: list[_QueuedChange]) -> bool:
    """Run the changes, all of them again under savepoints if one has to be undone; False when that is the only one.

    A savepoint remembers every page that is changed, and hardly any change fails that has written something.
    """
    if len(batch) == 1 or all(queued.is_retryable for queued in batch):
        if all(_try(connection, session, queued) for queued in batch):
            finish(write_deferred(session))
            return True
        if len(batch) == 1:
            return False
        session.deferred.clear()
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
    for queued in batch:
        connection.execute("SAVEPOINT change")
        if _try(connection, session, queued):
            finish(write_deferred(session))
        else:
            session.deferred.clear()
            connection.execute("ROLLBACK TO change")
        connection.execute("RELEASE change")
    return True


def _try(connection: sqlite3.Connection, session: SqliteSession, queued: _QueuedChange) -> bool:
    """Run a change for its result or its error; False when what it has written must be undone."""
    written_before = connection.total_changes
    queued.result = queued.error = None
    try:
        queued.result = finish(queued.change(session))
    # Any error belongs to the caller that waits for this change, and to no other.
    except Exception as error:
        queued.error = error
        # A full disk ends the whole transaction by itself; then nothing is left to go on with.
        if not connection.in_transaction:
            raise sqlite3.OperationalError(str(error)) from error
        return connection.total_changes == written_before
    return True
