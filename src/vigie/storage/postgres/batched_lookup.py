"""Single incidents that are asked for at the same moment, fetched by one statement."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from vigie.storage.database import Row

Fetch = Callable[[int, Sequence[int]], Awaitable[Sequence[Row]]]
"""Rows of a tenant by numbers, the number in front; a number that is not there has no row."""

_NUMBERS_MAX = 200

_Asked = dict[int, asyncio.Future[Row | None]]


class BatchedLookup:
    """What is asked while a fetch for the tenant is under way waits for the next one, which takes it all.

    A fetch begins after everything it answers was asked, so that whoever writes and reads finds what it wrote.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._asked: dict[int, _Asked] = {}
        self._fetching: dict[int, asyncio.Task[None]] = {}

    async def find(self, tenant_id: int, number: int) -> Row | None:
        """The row of that number in that tenant, without the number in front."""
        # Others may wait for the same row: one that goes away must not take it from them.
        return await asyncio.shield(self.ask(tenant_id, number))

    def ask(self, tenant_id: int, number: int) -> asyncio.Future[Row | None]:
        """What `find` waits for. Others may wait for it too: it is not to be cancelled."""
        asked = self._asked.setdefault(tenant_id, {})
        if number not in asked:
            asked[number] = asyncio.get_running_loop().create_future()
        answer = asked[number]
        if tenant_id not in self._fetching:
            self._fetching[tenant_id] = asyncio.create_task(self._fetch_until_none_is_asked(tenant_id))
        return answer

    async def close(self) -> None:
        """Wait for the fetches that are under way."""
        await asyncio.gather(*self._fetching.values())

    async def _fetch_until_none_is_asked(self, tenant_id: int) -> None:
        asked = self._asked[tenant_id]
        try:
            while asked:
                some = {number: asked.pop(number) for number in list(asked)[:_NUMBERS_MAX]}
                await self._answer(tenant_id, some)
        finally:
            del self._asked[tenant_id], self._fetching[tenant_id]

    async def _answer(self, tenant_id: int, some: _Asked) -> None:
        try:
            found = {number: row for number, *row in await self._fetch(tenant_id, list(some))}
        # Whatever it is, it is the answer to each of those who asked, and to nobody else.
        except Exception as error:  # noqa: BLE001
            for answer in some.values():
                answer.set_exception(error)
                # Whoever asked may have gone away.
                answer.exception()
            return
        for number, answer in some.items():
            row = found.get(number)
            answer.set_result(None if row is None else tuple(row))
