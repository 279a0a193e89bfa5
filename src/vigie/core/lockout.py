"""How often a password may be guessed: for each name, whether anybody is called so or not."""

from dataclasses import dataclass

from vigie.core.instants import TICKS_PER_SECOND, Instant

_FIRST_WAIT_SECONDS = 30
_REMEMBERED_SECONDS = 3600
_LONG_AGO = Instant(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOut:
    """After `attempts` wrong ones in a row there is a wait, twice as long each time, up to `seconds_max`."""

    attempts: int
    seconds_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Attempts under one name since the last one that succeeded."""

    count: int = 0
    locked_until: Instant = _LONG_AGO

    def is_locked(self, now: Instant) -> bool:
        """Whether another attempt has to wait."""
        return now < self.locked_until

    @property
    def forgotten_at(self) -> Instant:
        """When they count no more, if there is no other before."""
        return Instant(self.locked_until + _REMEMBERED_SECONDS * TICKS_PER_SECOND)


def counted(earlier: Attempts, rule: LockOut, now: Instant) -> Attempts:
    """Count an attempt, before it is known how it ends: guesses at the same moment are all counted."""
    count = earlier.count + 1
    doublings = min(count - rule.attempts, 20)
    wait_seconds = min(_FIRST_WAIT_SECONDS << doublings, rule.seconds_max) if doublings >= 0 else 0
    return Attempts(count=count, locked_until=Instant(now + wait_seconds * TICKS_PER_SECOND))
