"""The lockout of user names: how often a password may be guessed, for names that exist and others alike."""

import hashlib

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.letter_case import lowered

_FIRST_WAIT_SECONDS = 30
_REMEMBERED_SECONDS = 3600
_LONG_AGO = Instant(0)

_CLOCKS_DIFFER_SECONDS = 60
"""How far the clocks of two servers may be apart."""


class LockOut(msgspec.Struct, frozen=True, kw_only=True):
    """After `attempts` wrong ones in a row there is a wait, twice as long each time, up to `seconds_max`."""

    attempts: int
    seconds_max: int

    def wait_ticks(self, count: int) -> int:
        """How long a name has to wait after so many attempts."""
        doublings = min(count - self.attempts, 20)
        seconds = min(_FIRST_WAIT_SECONDS << doublings, self.seconds_max) if doublings >= 0 else 0
        return seconds * TICKS_PER_SECOND


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts under one name since the last one that succeeded."""

    count: int = 0
    locked_until: Instant = _LONG_AGO

    def is_locked(self, rule: LockOut, now: Instant) -> bool:
        """Whether another attempt has to wait.

        A lock that ends later than one that began now was begun by a clock that was wrong, and holds nobody.
        """
        latest = now + rule.wait_ticks(self.count) + _CLOCKS_DIFFER_SECONDS * TICKS_PER_SECOND
        return now < self.locked_until <= latest

    @property
    def forgotten_at(self) -> Instant:
        """When they count no more, if there is no other before."""
        return Instant(self.locked_until + _REMEMBERED_SECONDS * TICKS_PER_SECOND)


def counted(earlier: Attempts, rule: LockOut, now: Instant) -> Attempts:
    """Count an attempt, before it is known how it ends: guesses at the same moment are all counted."""
    count = earlier.count + 1
    return Attempts(count=count, locked_until=Instant(now + rule.wait_ticks(count)))


def digest_of_name(user_name: str) -> bytes:
    """Under what the attempts of a user name are counted, in whatever case of its ASCII letters."""
    name = lowered(user_name.strip())
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
