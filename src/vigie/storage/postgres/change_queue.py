"""Changes that wait for their transaction, each with the session that it gets when the transaction has begun.

The writer learns from the first statement of a change whose tenant it is about, so a change begins to run at once
and waits at that statement, in the queue of its tenant.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from vigie.storage.database import Deferred, Row, Session, Values


class Undone(Exception):
    """A transaction was undone through no fault of the changes in it; the cause says why."""


class QueuedChange:
    """One attempt to run a change. It is also the change's session: its statements wait for the transaction.

    Two coroutines hold it. The change's own calls the statements, then `end` and `settled`; that of its queue calls
    `run_in`, which lets the statements go on, and `settle` when the transaction is over.
    """

    def __init__(self, enqueue: Callable[["QueuedChange", int | None], None]) -> None:
        loop = asyncio.get_running_loop()
        self.has_begun = False
        self.tenant_id: int | None = None
        self.deferred: dict[object, Deferred] = {}
        self._enqueue = enqueue
        self._is_queued = False
        # Three moments, in this order: the transaction has begun, the change has ended, the transaction has too.
        self._session: asyncio.Future[Session] = loop.create_future()
        self._ended: asyncio.Future[Exception | None] = loop.create_future()
        self._settled: asyncio.Future[None] = loop.create_future()

    # The session of the change

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        return await (await self._session_for(values)).row(statement, values)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        return await (await self._session_for(values)).rows(statement, values)

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        return await (await self._session_for(values)).run(statement, values)

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        sets = list(values)
        if sets:
            await (await self._session_for(sets[0])).run_many(statement, sets)

    async def _session_for(self, values: Values) -> Session:
        tenant_id = values.get("tenant_id")
        tenant_id = tenant_id if isinstance(tenant_id, int) else None
        if not self._is_queued:
            self._is_queued = True
            self.tenant_id = tenant_id
            self._enqueue(self, tenant_id)
        # One that began without a tenant adds one. Nobody else can change that tenant yet, so no lock is missing.
        if self.tenant_id is not None and tenant_id not in (None, self.tenant_id):
            raise RuntimeError("a change may be about one tenant only")
        return await self._session

    # Called where the change runs

    def end(self, error: Exception | None) -> None:
        """Report how the change ended. Nothing of it is durable yet."""
        self._ended.set_result(error)

    async def settled(self) -> None:
        """Wait until the change is durable, or undone as it should be. Raises Undone or StoreUnavailable."""
        # A change without any statement was never queued, and has no transaction.
        if self._is_queued:
            await self._settled

    # Called by its queue

    async def run_in(self, session: Session) -> Exception | None:
        """Let the change go on in a transaction until it has ended; the error that it raised."""
        self.has_begun = True
        self._session.set_result(session)
        return await self._ended

    def settle(self, failure: Exception | None = None) -> None:
        """Report what became of the transaction that it was part of, or waited for."""
        # One that has not begun waits for its session, and has to learn there that it gets none.
        for promise in (self._settled, *(() if self.has_begun else (self._session,))):
            if failure is None:
                self._settled.set_result(None)
                return
            promise.set_exception(failure)
            # Marks it as retrieved: the change may wait for one of the two only.
            promise.exception()


class TenantQueue(msgspec.Struct):
    """The changes of one tenant in this process in the order in which they came, and the task that runs them."""

    waiting: deque[QueuedChange] = msgspec.field(default_factory=deque)
    task: asyncio.Task[None] | None = None

    def take_all(self) -> list[QueuedChange]:
        """Remove and return all that wait."""
        changes = list(self.waiting)
        self.waiting.clear()
        return changes
