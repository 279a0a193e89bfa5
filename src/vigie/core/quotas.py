"""Quotas as arithmetic: exact sliding windows over handed-in moments. Nothing here reads a clock."""

from collections.abc import Sequence

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """At most `calls` in any window of `seconds`; a call leaves it exactly that long after it came."""

    calls: int
    seconds: int

    @property
    def ticks(self) -> int:
        """The length in the unit of instants."""
        return self.seconds * TICKS_PER_SECOND


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """The windows that a kind of call is measured by; a call must fit into every one of them.

    Source: the public documentation gives 100 calls a minute and 1,500 an hour for getting an incident; it
    does not say when a minute starts. docs/divergences.md, "Quotas".
    """

    name: str
    windows: tuple[Window, ...]

    @property
    def longest_ticks(self) -> int:
        """How long a call matters at all."""
        return max(window.ticks for window in self.windows)

    @property
    def calls_max(self) -> int:
        """How many calls can matter at once."""
        return max(window.calls for window in self.windows)


class QuotaExcess(msgspec.Struct, frozen=True, kw_only=True):
    """Why a call does not fit: the window that lets it in last, and how long until it does."""

    window: Window
    wait_ticks: int

    @property
    def retry_after_seconds(self) -> int:
        """Whole seconds that are enough to wait, and less than one second too long."""
        return -(-self.wait_ticks // TICKS_PER_SECOND)


def minute_and_hour(name: str, *, per_minute: int, per_hour: int) -> Quota:
    """A quota of two windows, a minute and an hour."""
    return Quota(
        name=name, windows=(Window(calls=per_minute, seconds=60), Window(calls=per_hour, seconds=3600))
    )


def quota_excess(quota: Quota, earlier: Sequence[int], now: Instant) -> QuotaExcess | None:
    """Say whether a call at `now` fits the quota: None if it does, else which window it does not fit.

    `earlier` are the moments of this caller's admitted calls, oldest first, by a clock that never steps back.
    Those that no window reaches any more may be missing. Refused calls are not among them: knocking does not
    lengthen the wait.
    """
    worst = None
    for window in quota.windows:
        if len(earlier) < window.calls:
            continue
        wait_ticks = earlier[-window.calls] + window.ticks - now
        if wait_ticks > (worst.wait_ticks if worst else 0):
            worst = QuotaExcess(window=window, wait_ticks=wait_ticks)
    return worst
