"""Random numbers from a seed, the same on every machine and release of Python."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class SeededRandom:
    """A stream of draws, all made of Python's `random` and `getrandbits`: only these two never change."""

    __slots__ = ("bits", "fraction")

    def __init__(self, seed: int) -> None:
        source = Random(seed)  # noqa: S311 - sample data, not secrets
        self.fraction = source.random
        self.bits = source.getrandbits

    def chance(self, share: float) -> bool:
        """Say yes in this share of the cases."""
        return self.fraction() < share

    def below(self, limit: int) -> int:
        """A whole number from 0 up to, but not including, the limit."""
        return int(self.fraction() * limit)

    def mostly_short(self, limit: int) -> int:
        """A length below the limit, half of the time under an eighth of it."""
        fraction = self.fraction()
        # Products and not a power: the C library's pow may differ in the last digit between machines.
        return int(fraction * fraction * fraction * limit)

    def pick(self, pool: Sequence[T]) -> T:
        """One of the pool, each as likely as the other."""
        return pool[int(self.fraction() * len(pool))]

    def neighbours(self, pool: Sequence[T], count: int) -> Sequence[T]:
        """Some that follow each other in a larger pool: one draw, however many they are."""
        first = self.below(len(pool) - count + 1)
        return pool[first : first + count]

    def hexadecimal(self, digit_count: int) -> str:
        """Digits such as a hash is written in, lower case."""
        return f"{self.bits(digit_count * 4):0{digit_count}x}"

    def guid(self) -> str:
        """A random (version 4) GUID, lower case."""
        digits = self.hexadecimal(32)
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
