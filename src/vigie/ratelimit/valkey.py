"""The rate limiter of many processes: every caller's log lies in one Valkey or Redis, and is counted there."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from itertools import repeat
from time import perf_counter
from typing import Self

from vigie.core.errors import QuotaStoreUnavailable
from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess
from vigie.ratelimit.memory import CallerKey, MemoryRateLimiter
from vigie.ratelimit.valkey_connection import Answer, ConnectionLost, Script, ScriptCall, ValkeyConnection

TICKS_PER_MICROSECOND = 10
ASKED_AT_ONCE_MAX = 100
PROBE_SECONDS_MIN = 0.25
PROBE_SECONDS_MAX = 2.0

Waiting = tuple[ScriptCall, asyncio.Future[Answer | ConnectionLost]]

SPEND = Script("spend.lua")

# A call that is always admitted, and leaves nothing behind for longer than two seconds.
_PROBE = ScriptCall(SPEND, (b"vigie:{probe}",), (b"1", b"1"))


class ValkeyRateLimiter:
    """Counts calls by quota and caller for all processes that share the store, on the store's clock.

    Calls that come while others are asked about wait for the next batch: there is one connection, and a caller
    who goes away takes no answer from another. When the store is gone, each call is decided without it, at
    once, and the store is tried again beside the answers: by `local` if there is one, else it is refused.
    """

    is_local = False

    def __init__(
        self,
        link: ValkeyConnection,
        *,
        local: MemoryRateLimiter | None,
        on_gone: Callable[[str], None] = lambda _: None,
        on_back: Callable[[], None] = lambda: None,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._link = link
        self._local = local
        self._on_gone = on_gone
        self._on_back = on_back
        self._observe = observe
        self._waiting: list[Waiting] = []
        self._asking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._windows: dict[Quota, tuple[bytes, ...]] = {}
        self.decided_without_count = 0

    async def __aenter__(self) -> Self:
        """Find out whether the store is there; the server starts either way."""
        (answer,) = await self._link.ask([_PROBE])
        if isinstance(answer, ConnectionLost):
            self._go_without(answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of the store."""
        if self._asking is not None:
            await self._asking
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        await self._link.close()

    @property
    def is_up(self) -> bool:
        """Whether the store counts at the moment."""
        return self._probing is None

    def spend(
        self, quota: Quota, caller: CallerKey, now: Instant
    ) -> QuotaExcess | Awaitable[QuotaExcess | None] | None:
        """Admit and count a call, or say why it does not fit; then it is not counted.

        `now` is only for the rate limiter that counts when the store is gone. Raises QuotaStoreUnavailable.
        """
        if not self.is_up:
            return self.spend_without_store(quota, caller, now)
        return self._spend_there(quota, caller, now)

    async def _spend_there(self, quota: Quota, caller: CallerKey, now: Instant) -> QuotaExcess | None:
        said = await self.ask(self.question(quota, caller))
        if isinstance(said, ConnectionLost):
            return self.spend_without_store(quota, caller, now)
        return refusal_in(said, quota)

    async def ask(self, question: ScriptCall) -> Answer | ConnectionLost:
        """Ask the store, together with what others ask; broken at once while it is gone."""
        if not self.is_up:
            return ConnectionLost("the store is gone")
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        said: Answer | ConnectionLost = await answer
        return said

    def spend_without_store(self, quota: Quota, caller: CallerKey, now: Instant) -> QuotaExcess | None:
        """What is decided while the store is gone. Raises QuotaStoreUnavailable."""
        self.decided_without_count += 1
        if self._local is None:
            raise QuotaStoreUnavailable(retry_after_seconds=round(PROBE_SECONDS_MAX))
        return self._local.spend(quota, caller, now)

    def question(self, quota: Quota, caller: CallerKey) -> ScriptCall:
        """How the store is asked to admit a call and count it."""
        windows = self._windows.get(quota)
        if windows is None:
            windows = self._windows[quota] = tuple(
                str(number).encode()
                for window in quota.windows
                for number in (window.calls, window.ticks // TICKS_PER_MICROSECOND)
            )
        return ScriptCall(SPEND, (key_of(caller, quota.name),), windows)

    # Asking

    async def _ask_all(self) -> None:
        """Ask about those who wait, batch by batch, until nobody does or the store is gone."""
        try:
            while self._waiting and self.is_up:
                await self._ask_about(self._waiting[:ASKED_AT_ONCE_MAX])
        finally:
            self._asking = None
            _answer(self._waiting, repeat(ConnectionLost("not asked")))
            self._waiting.clear()

    async def _ask_about(self, batch: list[Waiting]) -> None:
        started_seconds = perf_counter()
        answers = await self._link.ask([question for question, _ in batch])
        self._observe(perf_counter() - started_seconds)
        del self._waiting[: len(batch)]
        _answer(batch, answers)
        broken = next((answer for answer in answers if isinstance(answer, ConnectionLost)), None)
        if broken is not None:
            self._go_without(broken)

    # Gone, and back

    def _go_without(self, broken: ConnectionLost) -> None:
        # What an earlier outage has left there would refuse those whom the store has let in since.
        if self._local is not None:
            self._local.forget()
        self._probing = asyncio.create_task(self._probe())
        self._on_gone(str(broken))

    async def _probe(self) -> None:
        """Ask for nothing, at growing intervals, until the store counts again."""
        seconds = PROBE_SECONDS_MIN
        while True:
            await asyncio.sleep(seconds)
            (answer,) = await self._link.ask([_PROBE])
            if not isinstance(answer, ConnectionLost):
                break
            seconds = min(2 * seconds, PROBE_SECONDS_MAX)
        self._probing = None
        self._on_back()


def key_of(caller: CallerKey, name: str) -> bytes:
    """Where something of a caller lies. In braces what decides where a cluster keeps it: all of it together."""
    tenant_id, application_id = caller
    return f"vigie:{{{tenant_id}:{application_id}}}:{name}".encode()


def refusal_in(said: Answer, quota: Quota) -> QuotaExcess | None:
    """What the script says of a call: nothing of one that is admitted."""
    if not said or not said[0]:
        return None
    number, wait_microseconds = map(int, said)
    return QuotaExcess(window=quota.windows[number - 1], wait_ticks=wait_microseconds * TICKS_PER_MICROSECOND)


def _answer(waiting: Iterable[Waiting], answers: Iterable[Answer | ConnectionLost]) -> None:
    for (_, waiter), answer in zip(waiting, answers, strict=False):
        # Done is one whose caller has gone away.
        if not waiter.done():
            waiter.set_result(answer)
