"""Changes of one process: of each tenant one after the other, and those that wait in one transaction.

Servers take turns by an advisory lock for each tenant that ends with the transaction, so that changes become
visible in the order of their moments: whoever polls for what is newer misses nothing.
"""

import asyncio
import threading
import uuid
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import asyncpg

from vigie.core.errors import StoreUnavailable
from vigie.storage.database import Change
from vigie.storage.postgres.change_queue import Job, Undone
from vigie.storage.postgres.connection import open_connection
from vigie.storage.postgres.failures import (
    is_connection_lost,
    is_outage,
    is_transient,
    unavailable,
    unavailable_when_it_fails,
)
from vigie.storage.postgres.schema import ADVISORY_SPACE
from vigie.storage.postgres.session import PostgresSession

T = TypeVar("T")

_DESKS_MAX = 4
_JOBS_PER_COMMIT_MAX = 64
_TRIES_MAX = 3
_BEGIN_SECONDS_MAX = 5.0
_TRYING_SECONDS_MAX = 10.0
_FORGOTTEN_AFTER_SECONDS = 86_400
_INSTALLATION = 0
"""Whose turn changes wait for that are about no tenant, or about making one."""


class Writer:
    """A thread with a loop of its own for changes: they may take long, and wait for what they are fed with."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._lanes = _Lanes(url)
        self._thread = threading.Thread(target=self._loop.run_forever, name="vigie-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Change[T], *, is_retryable: bool) -> T:
        """Run a change and return once it is durable. It goes on when its caller has gone away."""
        work = self._lanes.run(change, is_retryable=is_retryable)
        running = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        running.add_done_callback(_hear)
        return await asyncio.shield(running)

    async def stop(self) -> None:
        """Finish what waits and end."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._lanes.close(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


@dataclass(slots=True)
class _Lane:
    """The changes of one tenant in this process, in the order in which they came."""

    waiting: deque[Job] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Desk:
    """A connection to write on, and the number of the last change that was begun there."""

    connection: asyncpg.Connection
    writer_id: uuid.UUID
    change: int = 0


class _Lanes:
    """A lane for each tenant that is being changed, and few desks for all of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lanes: dict[int, _Lane] = {}
        self._free = asyncio.Semaphore(_DESKS_MAX)
        self._desks: list[_Desk] = []

    async def run(self, change: Change[T], *, is_retryable: bool) -> T:
        """Run a change to its end, anew where that is safe. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _TRYING_SECONDS_MAX
        tries = 0
        while True:
            tries += 1
            job = Job(self._enter)
            try:
                with unavailable_when_it_fails():
                    return await _run(change, job)
            except Undone as undone:
                error = undone.__cause__ or undone
                is_over = tries == _TRIES_MAX or loop.time() > end or not is_transient(error)
                if is_over or (job.has_begun and not is_retryable):
                    raise unavailable(error) from error

    async def close(self) -> None:
        """Finish what waits and let go of the connections."""
        while tasks := [lane.task for lane in self._lanes.values() if lane.task]:
            await asyncio.wait(tasks)
        for desk in self._desks:
            await desk.connection.close()

    def _enter(self, job: Job, tenant_id: int | None) -> None:
        key = _INSTALLATION if tenant_id is None else tenant_id
        lane = self._lanes.setdefault(key, _Lane())
        lane.waiting.append(job)
        if lane.task is None:
            lane.task = asyncio.create_task(self._serve(key, lane))

    async def _serve(self, key: int, lane: _Lane) -> None:
        while lane.waiting:
            jobs: list[Job] = []
            failure: Exception | None = None
            try:
                await self._commit_together(key, lane, jobs)
            except StoreUnavailable as error:
                failure = error
            # Whatever it is, it belongs to the changes that wait for this transaction.
            except Exception as error:  # noqa: BLE001
                failure = error
                if is_outage(error):
                    failure = Undone()
                    failure.__cause__ = error
            if failure is not None and not jobs:
                jobs = list(lane.waiting)
                lane.waiting.clear()
            for job in jobs:
                job.settle(failure)
        del self._lanes[key]

    async def _commit_together(self, key: int, lane: _Lane, jobs: list[Job]) -> None:
        """Run the changes that wait in one transaction. `jobs` are those whose work is in it.

        What is raised undoes them all.
        """
        async with self._desk() as desk:
            # It waits for nobody, and so says soon whether anybody is there.
            await desk.connection.execute("BEGIN", timeout=_BEGIN_SECONDS_MAX)
            session = await self._take_turn(key, desk)
            while lane.waiting and len(jobs) < _JOBS_PER_COMMIT_MAX:
                is_first = not jobs
                if not is_first:
                    await desk.connection.execute("SAVEPOINT job")
                jobs.append(lane.waiting.popleft())
                error = await jobs[-1].work(session)
                if error is not None and is_transient(error):
                    raise error
                if error is not None and is_first:
                    await desk.connection.execute("ROLLBACK")
                    return
                if error is not None:
                    await desk.connection.execute("ROLLBACK TO job")
            await self._commit(desk)

    async def _take_turn(self, key: int, desk: _Desk) -> PostgresSession:
        session = PostgresSession(desk.connection)
        desk.change += 1
        note = {"writer_id": desk.writer_id, "change": desk.change}
        # Advisory locks are numbered in 32 bits; tenants that meet there wait for each other.
        turn = {"space": ADVISORY_SPACE, "tenant": key % 2**31}
        if await session.row("begin_change", {**note, **turn}) is None:
            raise asyncpg.InterfaceError("the writer is no longer known to the database")
        return session

    async def _commit(self, desk: _Desk) -> None:
        try:
            answer = await desk.connection.execute("COMMIT")
        except Exception as error:
            if not is_connection_lost(error):
                raise
            desk.connection.terminate()
            if not await self._is_committed(desk):
                raise
            return
        if answer != "COMMIT":
            raise RuntimeError(f"the transaction was given up: {answer}")

    async def _is_committed(self, lost: _Desk) -> bool:
        """Whether the last change of a lost connection was committed. Raises StoreUnavailable if none can say."""
        try:
            connection = await open_connection(self._url)
            try:
                session = PostgresSession(connection)
                row = await session.row("committed_change", {"writer_id": lost.writer_id})
            finally:
                connection.terminate()
        except Exception as error:
            raise StoreUnavailable(
                f"the outcome of a change is not known: {error}", message=_OUTCOME_UNKNOWN
            ) from error
        return row is not None and row[0] == lost.change

    @asynccontextmanager
    async def _desk(self) -> AsyncIterator[_Desk]:
        """A desk to oneself. It is used again, unless what is done there fails."""
        async with self._free:
            desk = self._find_desk() or await self._new_desk()
            try:
                yield desk
            except BaseException as error:
                desk.connection.terminate()
                if is_connection_lost(error):
                    self._clear_desks()
                raise
            self._desks.append(desk)

    def _clear_desks(self) -> None:
        """Let go of the idle connections: they lead where one has led that is lost."""
        while self._desks:
            self._desks.pop().connection.terminate()

    def _find_desk(self) -> _Desk | None:
        while self._desks:
            desk = self._desks.pop()
            if not desk.connection.is_closed():
                return desk
        return None

    async def _new_desk(self) -> _Desk:
        desk = _Desk(await open_connection(self._url), uuid.uuid4())
        session = PostgresSession(desk.connection)
        await session.run("forget_writers", {"seconds": _FORGOTTEN_AFTER_SECONDS})
        await session.run("add_writer", {"writer_id": desk.writer_id})
        return desk


_OUTCOME_UNKNOWN = (
    "It is not known whether the change was made. Send it again under the same Idempotency-Key if it had one, "
    "else look first."
)


async def _run(change: Change[T], job: Job) -> T:
    """Run a change once; what it raises comes out when it is undone."""
    try:
        result = await change(job)
    except Undone:
        raise
    except Exception as error:
        job.end(error)
        await job.settled()
        raise
    job.end(None)
    await job.settled()
    return result


def _hear(running: asyncio.Future[T]) -> None:
    """Whoever waited may have gone away: then nobody else asks how it ended."""
    if not running.cancelled():
        running.exception()
