"""The changes of one process: those of a tenant one after the other, and those that wait in one transaction.

Servers exclude each other by an advisory lock for each tenant that ends with the transaction, so that changes
become visible in the order of their moments: a poller that asks for what is newer misses nothing.
"""

import asyncio
import threading
from typing import TypeVar

from vigie.core.errors import StoreUnavailable
from vigie.storage.database import Change, write_deferred
from vigie.storage.postgres.change_queue import QueuedChange, TenantQueue, Undone
from vigie.storage.postgres.failures import (
    is_outage,
    is_transient,
    unavailable,
    unavailable_when_it_fails,
)
from vigie.storage.postgres.writer_connections import WriterConnection, WriterConnections

T = TypeVar("T")

_CHANGES_PER_COMMIT_MAX = 64
_TRIES_MAX = 3
_TRYING_SECONDS_MAX = 10.0
_INSTALLATION = 0
"""The lock of changes that are about no tenant, or add one. No tenant has this number."""


class Writer:
    """A thread with an event loop of its own for changes: they may take long, and import while they run."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._queues = _ChangeQueues(url)
        self._thread = threading.Thread(target=self._loop.run_forever, name="vigie-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Change[T], *, is_retryable: bool) -> T:
        """Run a change and return once it is durable. It goes on when its caller has gone away."""
        work = self._queues.run(change, is_retryable=is_retryable)
        running = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))
        running.add_done_callback(_retrieve_error)
        return await asyncio.shield(running)

    async def stop(self) -> None:
        """Finish what waits and end."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._queues.close(), self._loop))
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()


class _ChangeQueues:
    """A queue for each tenant that is being changed, and few connections for all of them."""

    def __init__(self, url: str) -> None:
        self._queues: dict[int, TenantQueue] = {}
        self._connections = WriterConnections(url)

    async def run(self, change: Change[T], *, is_retryable: bool) -> T:
        """Run a change to its end, again where that is safe. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _TRYING_SECONDS_MAX
        tries = 0
        while True:
            tries += 1
            queued = QueuedChange(self._enqueue)
            try:
                with unavailable_when_it_fails():
                    return await _run(change, queued)
            except Undone as undone:
                error = undone.__cause__ or undone
                is_over = tries == _TRIES_MAX or loop.time() > end or not is_transient(error)
                # One that has not begun has drawn nothing yet from what can be drawn once only.
                if is_over or (queued.has_begun and not is_retryable):
                    raise unavailable(error) from error

    async def close(self) -> None:
        """Finish what waits and close the connections."""
        while tasks := [queue.task for queue in self._queues.values() if queue.task]:
            await asyncio.wait(tasks)
        await self._connections.close()

    def _enqueue(self, change: QueuedChange, tenant_id: int | None) -> None:
        key = _INSTALLATION if tenant_id is None else tenant_id
        queue = self._queues.setdefault(key, TenantQueue())
        queue.waiting.append(change)
        if queue.task is None:
            queue.task = asyncio.create_task(self._serve(key, queue))

    async def _serve(self, key: int, queue: TenantQueue) -> None:
        """Commit what waits, transaction by transaction, and settle each change."""
        while queue.waiting:
            batch: list[QueuedChange] = []
            failure = await self._try_commit(key, queue, batch)
            # Without a transaction none of those that wait could have been run: they all fail alike.
            if failure is not None and not batch:
                batch = queue.take_all()
            for change in batch:
                change.settle(failure)
        del self._queues[key]

    async def _try_commit(self, key: int, queue: TenantQueue, batch: list[QueuedChange]) -> Exception | None:
        """Commit a batch; the error for its changes when it was undone."""
        try:
            async with self._connections.acquire() as writer:
                await self._commit_together(key, queue, batch, writer)
        except StoreUnavailable as error:
            return error
        # Any other error belongs to the changes that wait for this transaction; the queue has to go on.
        except Exception as error:  # noqa: BLE001
            if not is_outage(error):
                return error
            undone = Undone()
            undone.__cause__ = error
            return undone
        return None

    async def _commit_together(
        self, key: int, queue: TenantQueue, batch: list[QueuedChange], writer: WriterConnection
    ) -> None:
        """Run the changes that wait in one transaction. Those that are run are added to `batch`.

        A change that fails is undone alone; what is raised undoes them all.
        """
        session = await writer.begin(key)
        while queue.waiting and len(batch) < _CHANGES_PER_COMMIT_MAX:
            # The first one needs no savepoint, and most are alone: that saves them a round trip to the server.
            is_first = not batch
            if not is_first:
                await writer.connection.execute("SAVEPOINT change")
            batch.append(queue.waiting.popleft())
            error = await batch[-1].run_in(session)
            if error is None:
                continue
            if is_transient(error):
                raise error
            await writer.connection.execute("ROLLBACK" if is_first else "ROLLBACK TO change")
            # Nothing is left of this transaction: the others wait for the next one.
            if is_first:
                return
        await self._connections.commit(writer)


async def _run(change: Change[T], queued: QueuedChange) -> T:
    """Run a change once; what it raises comes out when it is undone."""
    try:
        result = await change(queued)
        await write_deferred(queued)
    except Undone:
        raise
    except Exception as error:
        queued.end(error)
        await queued.settled()
        raise
    queued.end(None)
    await queued.settled()
    return result


def _retrieve_error(running: asyncio.Future[T]) -> None:
    """Mark the outcome as retrieved: a caller that has gone away does not do that."""
    if not running.cancelled():
        running.exception()
