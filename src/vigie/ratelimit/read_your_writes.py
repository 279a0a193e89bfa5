"""The last change of each caller over all servers, so that a caller reads its own writes from replicas.

It is kept beside the quotas and asked for in the same call. A caller must never read what is older than a change
of its own that was answered. That stands on five things.

- A change is noted when it is admitted, and until it has ended readers are told nothing.
- Before it is answered, the position behind it is put there: always the greatest, so that it does not matter who
  comes late. If it cannot be, the answer waits until `age_seconds` have passed since the change was made.
- For a reader of whom nothing is known, the position of that moment is put there. It is asked for after the call
  was admitted, and a change that ends later puts a later one.
- When the connection is new, nothing is believed for `age_seconds`: another Valkey may have taken the place of the
  one before, and not have heard the last that was put there.
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
from vigie.ratelimit.valkey import ValkeyRateLimiter, key_of, refusal_in
from vigie.ratelimit.valkey_connection import Answer, ConnectionLost, Script, ScriptCall, ValkeyConnection

KEEP = Script("read_your_writes.lua")
DIGITS = 29
"""Of a position, so that as texts they are in the same order as numbers."""

_AGAIN_AFTER_SECONDS = 0.25


class ReadYourWrites:
    """Counts calls as the rate limiter does, and keeps what callers have changed last while it does."""

    def __init__(
        self,
        rate_limiter: ValkeyRateLimiter,
        link: ValkeyConnection,
        *,
        now_in_store: Callable[[], Awaitable[ReplicationPosition]],
        age_seconds: float,
        change_seconds_max: float,
    ) -> None:
        self._meter = rate_limiter
        self._link = link
        self._now_in_store = now_in_store
        self._age_seconds = age_seconds
        self._lasts = b"%d" % round(change_seconds_max * 1_000_000)
        self._learning: dict[CallerKey, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        """Find out whether the store of the quotas is there."""
        await self._meter.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of it."""
        for task in self._learning.values():
            task.cancel()
        await asyncio.gather(*self._learning.values(), return_exceptions=True)
        await self._meter.__aexit__()

    async def spend_on_read(
        self, quota: Quota, caller: CallerKey, now: Instant
    ) -> QuotaExcess | ReplicationPosition | None:
        """Admit and count a read, with the position behind all that the caller has changed, None if unknown."""
        said = await self._spend(quota, caller, b"")
        if isinstance(said, ConnectionLost):
            return self._meter.spend_without_store(quota, caller, now)
        if refused := refusal_in(said, quota):
            return refused
        if not said:
            self._learn(caller)
        is_new = monotonic() < self._link.opened_at_seconds + self._age_seconds
        return ReplicationPosition(int(said[1])) if len(said) > 1 and not is_new else None

    async def spend_on_change(
        self, quota: Quota, caller: CallerKey, now: Instant, change: str
    ) -> QuotaExcess | None:
        """Admit and count a change, and note that it is under way."""
        said = await self._spend(quota, caller, change.encode())
        if isinstance(said, ConnectionLost):
            return self._meter.spend_without_store(quota, caller, now)
        return refusal_in(said, quota)

    async def end(self, caller: CallerKey, change: str) -> None:
        """A change has been made: put the position behind it where all servers read it, or wait long enough."""
        # Not by the loop's own clock, which may be a moment ahead of itself.
        old_enough_at_seconds = monotonic() + self._age_seconds
        while (left_seconds := old_enough_at_seconds - monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_seconds):
                    if await self._put_position(caller, change):
                        return
                    await asyncio.sleep(_AGAIN_AFTER_SECONDS)

    async def call_off(self, caller: CallerKey, change: str) -> None:
        """A change was refused, or never begun, and has changed nothing."""
        await self._meter.ask(_keep(caller, None, change))

    async def _spend(self, quota: Quota, caller: CallerKey, change: bytes) -> Answer | ConnectionLost:
        asked = self._meter.question(quota, caller)
        return await self._meter.ask(
            ScriptCall(
                asked.script,
                (*asked.keys, key_of(caller, "position")),
                (*asked.values, change, self._lasts),
            )
        )

    async def _put_position(self, caller: CallerKey, change: str) -> bool:
        if not self._meter.is_up:
            return False
        try:
            position = await self._now_in_store()
        except StoreUnavailable:
            return False
        said = await self._meter.ask(_keep(caller, position, change))
        return not isinstance(said, ConnectionLost)

    def _learn(self, caller: CallerKey) -> None:
        """Find out beside the answer how far the database is now: the caller's next read may go to a replica."""
        if caller not in self._learning:
            self._learning[caller] = task = asyncio.create_task(self._put_present_position(caller))
            task.add_done_callback(lambda _: self._learning.pop(caller))

    async def _put_present_position(self, caller: CallerKey) -> None:
        await self._put_position(caller, "")


def _keep(caller: CallerKey, position: ReplicationPosition | None, change: str) -> ScriptCall:
    said = b"" if position is None else b"%0*d" % (DIGITS, position)
    return ScriptCall(KEEP, (key_of(caller, "position"),), (said, change.encode()))
