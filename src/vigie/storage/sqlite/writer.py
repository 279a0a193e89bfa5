"""The one writer of a process: a thread that commits the changes that wait together."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from vigie.core.errors import StoreUnavailable
from vigie.storage.database import Change
from vigie.storage.sqlite.connection import SqliteSession, finish
from vigie.storage.sqlite.wal_size import Emptying

T = TypeVar("T")

_JOBS_PER_COMMIT_MAX = 64
_CACHE_KIB = 8 * 1024
_CHECKPOINT_PAGES = 10_000


class _Job:
    """A change that waits for the writer, and the future that its caller waits for."""

    def __init__(self, change: Change[Any]) -> None:
        self.change = change
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def settle(self) -> None:
        """Tell the caller, on its loop; one that has gone away is not told."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Writer:
    """A thread that takes the changes that wait and commits them together, then tells their callers.

    `check_place` raises StoreUnavailable where a commit would be lost.
    """

    def __init__(
        self, path: Path, connect: Callable[[], sqlite3.Connection], check_place: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._check_place = check_place
        self._emptying = Emptying(path)
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="vigie-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Change[T]) -> T:
        """Run a change and return once it is durable."""
        job = _Job(change)
        self._waiting.put(job)
        return cast("T", await job.future)

    def stop(self) -> None:
        """Finish what waits and end."""
        self._waiting.put(None)
        self._thread.join()

    def _serve(self) -> None:
        connection: sqlite3.Connection | None = None
        while jobs := self._take():
            try:
                connection = connection or _prepared(self._connect())
                _commit_together(connection, SqliteSession(connection), jobs, self._check_place)
            except (sqlite3.Error, StoreUnavailable) as error:
                for job in jobs:
                    job.error = job.error or error
            _tell(jobs)
            if connection is not None:
                self._emptying.after_commit(connection)
        if connection is not None:
            connection.close()

    def _take(self) -> list[_Job]:
        """The next job and those that wait behind it; none when it is time to end."""
        jobs: list[_Job] = []
        while len(jobs) < _JOBS_PER_COMMIT_MAX and not (jobs and self._waiting.empty()):
            job = self._waiting.get()
            if job is None:
                if jobs:
                    self._waiting.put(None)
                break
            jobs.append(job)
        return jobs


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    # What a savepoint would need to go back would else be written to a file, a fifth of an update.
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _tell(jobs: list[_Job]) -> None:
    """Wake the callers, those of one loop together: to wake it costs more than to tell one."""
    for loop in {job.loop for job in jobs}:
        # The loop may have ended with the process that waited.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_settle, [job for job in jobs if job.loop is loop])


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        job.settle()


def _commit_together(
    connection: sqlite3.Connection, session: SqliteSession, jobs: list[_Job], check_place: Callable[[], None]
) -> None:
    """Run every job in one transaction; a job that fails is undone alone.

    Raises sqlite3.Error or StoreUnavailable when nothing of it is done.
    """
    try:
        # IMMEDIATE: a transaction that reads first and writes later can fail half-way as busy.
        connection.execute("BEGIN IMMEDIATE")
        if len(jobs) == 1:
            _run_alone(connection, session, jobs[0], check_place)
        else:
            for job in jobs:
                _run_under_savepoint(connection, session, job)
            check_place()
            connection.execute("COMMIT")
    except (sqlite3.Error, StoreUnavailable):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run_alone(
    connection: sqlite3.Connection, session: SqliteSession, job: _Job, check_place: Callable[[], None]
) -> None:
    """A job with the transaction to itself needs no savepoint, which remembers every page it changes."""
    try:
        job.result = finish(job.change(session))
    # Whatever it is, it belongs to the caller that waits for this job.
    except Exception as error:
        job.error = error
        # A full disk ends the transaction by itself.
        if not connection.in_transaction:
            raise sqlite3.OperationalError(str(error)) from error
        connection.execute("ROLLBACK")
    else:
        check_place()
        connection.execute("COMMIT")


def _run_under_savepoint(connection: sqlite3.Connection, session: SqliteSession, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    try:
        job.result = finish(job.change(session))
    # Whatever it is, it belongs to the caller that waits for this job, and to no other.
    except Exception as error:
        job.error = error
        # A full disk ends the whole transaction by itself; then there is nothing to go back to.
        if not connection.in_transaction:
            raise sqlite3.OperationalError(str(error)) from error
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")
