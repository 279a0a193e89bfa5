"""The last change of each caller over all servers, so that a caller reads its own writes from replicas.

It is stored beside the quotas and read in the same call. A caller must never read what is older than a change of
its own that was answered. Six rules together make sure of that.

- A change is noted when it is admitted, and until it has ended no position is given to readers.
- Before it is answered, the position behind it is stored: always the greatest, so that a late one does no harm. If
  it cannot be stored, the answer waits until `age_seconds` have passed since the change was made.
- For a reader without a stored position, the present one is stored. It is read after the call was admitted, and a
  change that ends later stores a later one.
- Before a reader of the change feed, which is read from the primary, is told of changes, the present position is
  stored in the same way: what it reads because of them is as new as they are.
- When the connection is new, no position is used for `age_seconds`: another store may have taken the place of the
  one before, without the last positions that were stored there.
- Replicas serve nothing that is older than `age_seconds`, on any server: what was changed before that, they have.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Self

from vigie.core.errors import StoreUnavailable
from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess
from vigie.core.replication import ReplicationPosition
from vigie.ratelimit.memory import CallerKey
from vigie.ratelimit.valkey import ValkeyRateLimiter, excess_in, key_of
from vigie.ratelimit.valkey_connection import Answer, ConnectionLost, Script, ScriptCall, ValkeyConnection

STORE_POSITION = Script("read_your_writes.lua")
DIGITS = 29
"""Of a position, so that as texts they are in the same order as numbers."""

_AGAIN_AFTER_SECONDS = 0.25


class ValkeyReadYourWrites:
    """Counts calls as the rate limiter does, and in the same call reads how far a caller's changes reach."""

    def __init__(
        self,
        rate_limiter: ValkeyRateLimiter,
        connection: ValkeyConnection,
        *,
        current_position: Callable[[], Awaitable[ReplicationPosition]],
        age_seconds: float,
        change_seconds_max: float,
    ) -> None:
        self._rate_limiter = rate_limiter
        self._connection = connection
        self._current_position = current_position
        self._age_seconds = age_seconds
        self._change_microseconds = b"%d" % round(change_seconds_max * 1_000_000)
        self._learning: dict[CallerKey, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        """Find out whether the quota store answers."""
        await self._rate_limiter.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection to it."""
        for task in self._learning.values():
            task.cancel()
        await asyncio.gather(*self._learning.values(), return_exceptions=True)
        await self._rate_limiter.__aexit__()

    async def spend_on_read(
        self, quota: Quota, caller: CallerKey, now: Instant
    ) -> QuotaExcess | ReplicationPosition | None:
        """Admit and count a read, with the position behind all that the caller has changed, None if unknown."""
        answer = await self._spend(quota, caller, b"")
        if isinstance(answer, ConnectionLost):
            return self._rate_limiter.spend_without_store(quota, caller, now)
        if excess := excess_in(answer, quota):
            return excess
        if not answer:
            self._learn(caller)
        is_new = monotonic() < self._connection.opened_at_seconds + self._age_seconds
        return ReplicationPosition(int(answer[1])) if len(answer) > 1 and not is_new else None

    async def spend_on_change(
        self, quota: Quota, caller: CallerKey, now: Instant, change: str
    ) -> QuotaExcess | None:
        """Admit and count a change, and note that it is under way."""
        answer = await self._spend(quota, caller, change.encode())
        if isinstance(answer, ConnectionLost):
            return self._rate_limiter.spend_without_store(quota, caller, now)
        return excess_in(answer, quota)

    async def end(self, caller: CallerKey, change: str) -> None:
        """A change has been made: store the position behind it where all servers read it, or wait long enough."""
        # Not by the loop's own clock, which may be a moment ahead of itself.
        old_enough_at_seconds = monotonic() + self._age_seconds
        while (left_seconds := old_enough_at_seconds - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_seconds):
                    if await self._store_position(caller, change):
                        return
                    await asyncio.sleep(_AGAIN_AFTER_SECONDS)

    async def call_off(self, caller: CallerKey, change: str) -> None:
        """A change was refused, or never begun, and has changed nothing."""
        await self._rate_limiter.submit(_position_call(caller, None, change))

    async def _spend(self, quota: Quota, caller: CallerKey, change: bytes) -> Answer | ConnectionLost:
        call = self._rate_limiter.spend_call(quota, caller)
        keys = (*call.keys, key_of(caller, "position"))
        values = (*call.values, change, self._change_microseconds)
        return await self._rate_limiter.submit(ScriptCall(call.script, keys, values))

    async def _store_position(self, caller: CallerKey, change: str) -> bool:
        if not self._rate_limiter.is_up:
            return False
        try:
            position = await self._current_position()
        except StoreUnavailable:
            return False
        answer = await self._rate_limiter.submit(_position_call(caller, position, change))
        return not isinstance(answer, ConnectionLost)

    def _learn(self, caller: CallerKey) -> None:
        """Store the present position in the background, so that the caller's next read may go to a replica."""
        if caller not in self._learning:
            self._learning[caller] = task = asyncio.create_task(self._store_present_position(caller))
            task.add_done_callback(lambda _: self._learning.pop(caller))

    async def _store_present_position(self, caller: CallerKey) -> None:
        await self._store_position(caller, "")


def _position_call(caller: CallerKey, position: ReplicationPosition | None, change: str) -> ScriptCall:
    digits = b"" if position is None else b"%0*d" % (DIGITS, position)
    return ScriptCall(STORE_POSITION, (key_of(caller, "position"),), (digits, change.encode()))
