"""A result that is slow to find out and that anybody may ask for, cached for a while."""

from asyncio import Lock
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from vigie.core.instants import TICKS_PER_SECOND, Instant

AGE_SECONDS_MAX = 1.0

T = TypeVar("T")


class RecentResult(Generic[T]):
    """Shares a result for `age_seconds_max` after it began to be found out; 0 shares nothing.

    Of those that have one `turn`, one is found out at a time.
    """

    def __init__(
        self,
        find_out: Callable[[], Awaitable[T]],
        *,
        steady_clock: Callable[[], Instant],
        turn: Lock,
        age_seconds_max: float = AGE_SECONDS_MAX,
    ) -> None:
        self._find_out = find_out
        self._steady_clock = steady_clock
        self._turn = turn
        self._age_ticks_max = age_seconds_max * TICKS_PER_SECOND
        self._kept: tuple[Instant, T] | None = None

    async def get(self) -> T:
        """The result, as it was a moment ago."""
        kept = self._recent()
        if kept is None:
            async with self._turn:
                # Somebody else may have been here meanwhile.
                kept = self._recent() or await self._renew()
        return kept[1]

    def _recent(self) -> tuple[Instant, T] | None:
        kept = self._kept
        return kept if kept and self._steady_clock() - kept[0] < self._age_ticks_max else None

    async def _renew(self) -> tuple[Instant, T]:
        began_at = self._steady_clock()
        self._kept = kept = began_at, await self._find_out()
        return kept
