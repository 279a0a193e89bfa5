"""The clocks of the system: the time of day, and one that never steps back."""

import time

from vigie.core.instants import Instant


def now() -> Instant:
    """The time of day, for tokens and documents."""
    return Instant(time.time_ns() // 100)


def steady_now() -> Instant:
    """A monotonic clock, for quotas and timeouts."""
    return Instant(time.monotonic_ns() // 100)
