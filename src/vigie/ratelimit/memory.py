"""The rate limiter of one process: an exact sliding log of the admitted calls of each caller, in memory.

Exact, because approximate counters admitted 14 to 19 calls under a limit of 10.
"""

from array import array
from bisect import bisect_right

from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess, quota_excess

_IDLE_CALLERS_SWEPT_AT = 1024
_CALLS_SWEPT_AT = 256

CallerKey = tuple[int, str]
"""Tenant and application: quotas are counted for both together. docs/api/README.md, "Quotas"."""


class _Calls:
    """The instants of one caller's admitted calls, oldest first, eight bytes each; one log for all windows."""

    __slots__ = ("instants", "swept_at")

    def __init__(self) -> None:
        self.instants = array("q")
        self.swept_at = _CALLS_SWEPT_AT

    def sweep(self, quota: Quota, now: Instant) -> None:
        """Forget the calls that no window reaches, each time their number has doubled.

        To drop one call in front for each that is added would move the whole array each time.
        """
        gone = bisect_right(self.instants, now - quota.longest_ticks)
        del self.instants[: max(gone, len(self.instants) - quota.calls_max)]
        self.swept_at = max(_CALLS_SWEPT_AT, 2 * len(self.instants))


class MemoryRateLimiter:
    """Counts calls by quota and caller. Callers that no window reaches are forgotten."""

    is_local = True

    def __init__(self) -> None:
        self._logs: dict[str, dict[CallerKey, _Calls]] = {}
        self._sweep_at: dict[str, int] = {}

    def spend(self, quota: Quota, caller: CallerKey, now: Instant) -> QuotaExcess | None:
        """Admit and count a call at `now`, or say why it does not fit; then it is not counted.

        `now` comes from a clock that never steps back.
        """
        logs = self._logs.get(quota.name)
        if logs is None:
            logs = self._logs[quota.name] = {}
        calls = logs.get(caller)
        if calls is None:
            self._sweep(quota, logs, now)
            calls = logs[caller] = _Calls()
        instants = calls.instants
        excess = quota_excess(quota, instants, now)
        if excess is None:
            instants.append(now)
            if len(instants) >= calls.swept_at:
                calls.sweep(quota, now)
        return excess

    def forget(self) -> None:
        """Begin anew: no call has been counted."""
        self._logs.clear()
        self._sweep_at.clear()

    def caller_count(self) -> int:
        """How many callers are remembered, over all quotas."""
        return sum(len(logs) for logs in self._logs.values())

    def _sweep(self, quota: Quota, logs: dict[CallerKey, _Calls], now: Instant) -> None:
        """Forget callers whose last call is out of every window, each time their number has doubled."""
        if len(logs) < self._sweep_at.get(quota.name, _IDLE_CALLERS_SWEPT_AT):
            return
        oldest = now - quota.longest_ticks
        gone = [
            caller for caller, calls in logs.items() if not calls.instants or calls.instants[-1] <= oldest
        ]
        for caller in gone:
            del logs[caller]
        self._sweep_at[quota.name] = max(_IDLE_CALLERS_SWEPT_AT, 2 * len(logs))
