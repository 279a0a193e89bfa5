"""Answers to clients that have not authenticated wait once there are many, so that floods wait and callers do not.

They are error responses and what is public: pages, discovery, keys, metrics. What each costs is small, but a
flood that is answered as fast as it comes takes its share of the one core for each of its connections. One that
has to wait for each answer gets no more of it than it has connections.
"""

import asyncio
from collections.abc import Callable, Mapping
from enum import Enum
from time import monotonic

HELD_SECONDS = 1.0
"""How long each answer beyond those of its second is held."""

READY_HELD_SECONDS = 0.5
"""The same for /readyz, which is probed with a second of patience."""

HELD_MAX = 1000
"""How many are held at the same time; more would only take memory."""


class AnonymousThrottle:
    """Counts answers by the second, and holds those that are too many."""

    def __init__(
        self,
        answers_per_second: int,
        *,
        held_seconds: float = HELD_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._answers_per_second = answers_per_second
        self._held_seconds = held_seconds
        self._clock = clock
        self._second = 0
        self._count = 0
        self._held_count = 0
        self.held_total = 0

    async def wait(self) -> bool:
        """Wait before an answer is sent, if there have been too many within this second; whether it did."""
        if self._second != (second := int(self._clock())):
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= self._answers_per_second or self._held_count >= HELD_MAX:
            return False
        self.held_total += 1
        self._held_count += 1
        try:
            await asyncio.sleep(self._held_seconds)
        finally:
            self._held_count -= 1
        return True


class AnswerKind(Enum):
    """Kinds of answers that are counted apart: a flood of one does not hold back the others."""

    ERROR = "error"
    PAGE = "page"
    DOCUMENT = "document"
    READY = "ready"


AnonymousThrottles = Mapping[AnswerKind, AnonymousThrottle]


def anonymous_throttles(answers_per_second: int) -> AnonymousThrottles:
    """The throttles of one server, each with so many answers; of pages, which cost most, a quarter of that."""
    return {
        AnswerKind.ERROR: AnonymousThrottle(answers_per_second),
        AnswerKind.PAGE: AnonymousThrottle(max(1, answers_per_second // 4)),
        AnswerKind.DOCUMENT: AnonymousThrottle(answers_per_second),
        AnswerKind.READY: AnonymousThrottle(answers_per_second, held_seconds=READY_HELD_SECONDS),
    }
