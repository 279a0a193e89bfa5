"""Batched lookups: single incidents that are requested at the same moment are fetched by one statement.

A journey to the server costs more than the row; a batch of 200 takes hardly longer than one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from vigie.storage.database import Row

Fetch = Callable[[int, Sequence[int]], Awaitable[Sequence[Row]]]
"""Rows of a tenant by incident ids, the id in front; an id that is not there has no row."""

_BATCH_MAX = 200

_Pending = dict[int, asyncio.Future[Row | None]]
"""The lookups of one tenant that no fetch has taken yet, by incident id."""


class BatchedLookup:
    """Collects the lookups of a tenant while a fetch for it is under way; the next fetch answers them all.

    A fetch begins after all lookups that it answers, so that a caller who writes and then reads finds
    what it wrote.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._pending: dict[int, _Pending] = {}
        self._fetching: dict[int, asyncio.Task[None]] = {}

    async def find(self, tenant_id: int, incident_id: int) -> Row | None:
        """The row of that incident in that tenant, without the id in front."""
        # Others may wait for the same row: one that goes away must not take it from them.
        return await asyncio.shield(self.submit(tenant_id, incident_id))

    def submit(self, tenant_id: int, incident_id: int) -> asyncio.Future[Row | None]:
        """The future that `find` waits for. Others may wait for it too: it is not to be cancelled."""
        pending = self._pending.setdefault(tenant_id, {})
        if incident_id not in pending:
            pending[incident_id] = asyncio.get_running_loop().create_future()
        answer = pending[incident_id]
        if tenant_id not in self._fetching:
            self._fetching[tenant_id] = asyncio.create_task(self._fetch_all_pending(tenant_id))
        return answer

    async def close(self) -> None:
        """Wait for the fetches that are under way."""
        await asyncio.gather(*self._fetching.values())

    async def _fetch_all_pending(self, tenant_id: int) -> None:
        pending = self._pending[tenant_id]
        try:
            while pending:
                batch = {number: pending.pop(number) for number in list(pending)[:_BATCH_MAX]}
                await self._answer(tenant_id, batch)
        finally:
            del self._pending[tenant_id], self._fetching[tenant_id]

    async def _answer(self, tenant_id: int, batch: _Pending) -> None:
        try:
            found = {number: row for number, *row in await self._fetch(tenant_id, list(batch))}
        # Any error is the answer to each lookup of this batch, and to no other.
        except Exception as error:  # noqa: BLE001
            for answer in batch.values():
                answer.set_exception(error)
                # Marks it as retrieved: the caller may have gone away.
                answer.exception()
            return
        for number, answer in batch.items():
            row = found.get(number)
            answer.set_result(None if row is None else tuple(row))
