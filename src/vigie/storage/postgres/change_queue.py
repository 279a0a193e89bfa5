"""One change on its way: its session, which it has from its first statement on, and what becomes of it."""

import asyncio
from collections.abc import Callable, Iterable

from vigie.storage.database import Row, Session, Values


class Undone(Exception):
    """A transaction is undone through no fault of the changes in it; the cause says why."""


class Job:
    """One run of a change, and its session: the first statement says whose tenant it is, and waits for a turn."""

    def __init__(self, enter: Callable[["Job", int | None], None]) -> None:
        loop = asyncio.get_running_loop()
        self.has_begun = False
        self.tenant_id: int | None = None
        self._enter = enter
        self._is_waiting = False
        self._session: asyncio.Future[Session] = loop.create_future()
        self._ended: asyncio.Future[Exception | None] = loop.create_future()
        self._settled: asyncio.Future[None] = loop.create_future()

    # The session

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""
        return await (await self._turn(values)).row(statement, values)

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""
        return await (await self._turn(values)).rows(statement, values)

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""
        return await (await self._turn(values)).run(statement, values)

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""
        sets = list(values)
        if sets:
            await (await self._turn(sets[0])).run_many(statement, sets)

    async def _turn(self, values: Values) -> Session:
        tenant_id = values.get("tenant_id")
        tenant_id = tenant_id if isinstance(tenant_id, int) else None
        if not self._is_waiting:
            self._is_waiting = True
            self.tenant_id = tenant_id
            self._enter(self, tenant_id)
        # A tenant that is being added is visible to nobody yet.
        if self.tenant_id is not None and tenant_id not in (None, self.tenant_id):
            raise RuntimeError("a change may be about one tenant only")
        return await self._session

    # Its run

    def end(self, error: Exception | None) -> None:
        """Say how the run ended, before anything of it is durable."""
        self._ended.set_result(error)

    async def settled(self) -> None:
        """Wait until what was done is durable, or undone as it should be. Raises Undone or StoreUnavailable."""
        if self._is_waiting:
            await self._settled

    # Its transaction

    async def work(self, session: Session) -> Exception | None:
        """Let it go on with a session until it has ended; what it raised."""
        self.has_begun = True
        self._session.set_result(session)
        return await self._ended

    def settle(self, failure: Exception | None = None) -> None:
        """Tell what became of the transaction that it waits for, or would have been part of."""
        for promise in (self._settled, *(() if self.has_begun else (self._session,))):
            if failure is None:
                self._settled.set_result(None)
                return
            promise.set_exception(failure)
            # Not everybody who waits for the one looks at the other.
            promise.exception()
