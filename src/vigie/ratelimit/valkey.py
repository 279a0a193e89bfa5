"""The rate limiter of several servers: the log of every caller is in one Valkey or Redis, and is counted there."""

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
BATCH_MAX = 100
PROBE_SECONDS_MIN = 0.25
PROBE_SECONDS_MAX = 2.0

_Pending = tuple[ScriptCall, asyncio.Future[Answer | ConnectionLost]]

SPEND = Script("spend.lua")

# It is always admitted, and leaves nothing behind for longer than two seconds.
_PROBE = ScriptCall(SPEND, (b"vigie:{probe}",), (b"1", b"1"))


class ValkeyRateLimiter:
    """Counts calls by quota and caller for all servers that share the quota store, on the store's clock.

    Calls that come while a batch is under way wait for the next one: there is one connection, and a caller that
    goes away takes no answer from another. When the store is gone, each call is decided at once without it, by
    `local` if there is one, else it is refused; the store is tried again in the background.
    """

    is_local = False

    def __init__(
        self,
        connection: ValkeyConnection,
        *,
        local: MemoryRateLimiter | None,
        on_gone: Callable[[str], None] = lambda _: None,
        on_back: Callable[[], None] = lambda: None,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._connection = connection
        self._local = local
        self._on_gone = on_gone
        self._on_back = on_back
        self._observe = observe
        self._pending: list[_Pending] = []
        self._sending: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._windows: dict[Quota, tuple[bytes, ...]] = {}
        self.decided_without_count = 0

    async def __aenter__(self) -> Self:
        """Find out whether the store answers; the server starts either way."""
        (answer,) = await self._connection.run([_PROBE])
        if isinstance(answer, ConnectionLost):
            self._fall_back(answer)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connection, after what is under way."""
        if self._sending is not None:
            await self._sending
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        await self._connection.close()

    @property
    def is_up(self) -> bool:
        """Whether the store counts at the moment."""
        return self._probing is None

    def spend(
        self, quota: Quota, caller: CallerKey, now: Instant
    ) -> QuotaExcess | Awaitable[QuotaExcess | None] | None:
        """Admit and count a call, or say why it does not fit; then it is not counted.

        `now` is only for `local`, which counts when the store is gone. Raises QuotaStoreUnavailable.
        """
        if not self.is_up:
            return self.spend_without_store(quota, caller, now)
        return self._spend_there(quota, caller, now)

    async def _spend_there(self, quota: Quota, caller: CallerKey, now: Instant) -> QuotaExcess | None:
        answer = await self.submit(self.spend_call(quota, caller))
        if isinstance(answer, ConnectionLost):
            return self.spend_without_store(quota, caller, now)
        return excess_in(answer, quota)

    async def submit(self, call: ScriptCall) -> Answer | ConnectionLost:
        """The answer to a call, which is sent together with others; lost at once while the store is gone."""
        if not self.is_up:
            return ConnectionLost("the store is gone")
        future: asyncio.Future[Answer | ConnectionLost] = asyncio.get_running_loop().create_future()
        self._pending.append((call, future))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await future

    def spend_without_store(self, quota: Quota, caller: CallerKey, now: Instant) -> QuotaExcess | None:
        """The decision while the store is gone. Raises QuotaStoreUnavailable."""
        self.decided_without_count += 1
        if self._local is None:
            raise QuotaStoreUnavailable(retry_after_seconds=round(PROBE_SECONDS_MAX))
        return self._local.spend(quota, caller, now)

    def spend_call(self, quota: Quota, caller: CallerKey) -> ScriptCall:
        """The script call that admits and counts a call of a caller."""
        windows = self._windows.get(quota)
        if windows is None:
            windows = self._windows[quota] = tuple(
                str(number).encode()
                for window in quota.windows
                for number in (window.calls, window.ticks // TICKS_PER_MICROSECOND)
            )
        return ScriptCall(SPEND, (key_of(caller, quota.name),), windows)

    # Batches

    async def _send_all(self) -> None:
        """Send what is pending, batch by batch, until nothing is or the store is gone."""
        try:
            while self._pending and self.is_up:
                await self._send(self._pending[:BATCH_MAX])
        finally:
            self._sending = None
            _settle(self._pending, repeat(ConnectionLost("not sent")))
            self._pending.clear()

    async def _send(self, batch: list[_Pending]) -> None:
        started_seconds = perf_counter()
        answers = await self._connection.run([call for call, _ in batch])
        self._observe(perf_counter() - started_seconds)
        # Only now: if this is cancelled, `_send_all` settles those of the batch with the others.
        del self._pending[: len(batch)]
        _settle(batch, answers)
        lost = next((answer for answer in answers if isinstance(answer, ConnectionLost)), None)
        if lost is not None:
            self._fall_back(lost)

    # Gone, and back

    def _fall_back(self, lost: ConnectionLost) -> None:
        # The log of an earlier outage would refuse callers that the store has admitted since.
        if self._local is not None:
            self._local.forget()
        self._probing = asyncio.create_task(self._probe())
        self._on_gone(str(lost))

    async def _probe(self) -> None:
        """Try the store at growing intervals until it counts again."""
        seconds = PROBE_SECONDS_MIN
        while True:
            await asyncio.sleep(seconds)
            (answer,) = await self._connection.run([_PROBE])
            if not isinstance(answer, ConnectionLost):
                break
            seconds = min(2 * seconds, PROBE_SECONDS_MAX)
        self._probing = None
        self._on_back()


def key_of(caller: CallerKey, name: str) -> bytes:
    """The key of something of a caller. A cluster places keys by the part in braces: all of a caller's together."""
    tenant_id, application_id = caller
    return f"vigie:{{{tenant_id}:{application_id}}}:{name}".encode()


def excess_in(answer: Answer, quota: Quota) -> QuotaExcess | None:
    """The excess that the script reports of a call, None of one that is admitted."""
    if not answer or not answer[0]:
        return None
    number, wait_microseconds = map(int, answer)
    return QuotaExcess(window=quota.windows[number - 1], wait_ticks=wait_microseconds * TICKS_PER_MICROSECOND)


def _settle(pending: Iterable[_Pending], answers: Iterable[Answer | ConnectionLost]) -> None:
    for (_, future), answer in zip(pending, answers, strict=False):
        # It is done already if its caller has gone away.
        if not future.done():
            future.set_result(answer)
