"""What whoever has proven nothing asks for is held back once there is much, so that floods wait and callers do not.

It is refusals, and the pages and metrics that anybody may read. What each costs is small, but a flood that is
answered as fast as it comes takes its share of the one core for each of its connections. One that has to wait for
each answer gets no more of it than it has connections.
"""

import asyncio
from time import monotonic

AT_ONCE_PER_SECOND = 100
"""How many are answered at once in a second."""

HELD_SECONDS = 1.0
"""How long each further one is held."""

HELD_MAX = 1000
"""How many are held at the same time; more would only take memory."""


class Pace:
    """Counts answers by the second."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self._held_count = 0
        self.held_total = 0

    async def wait(self) -> bool:
        """Wait before an answer is sent, if there have been too many within this second; whether it did."""
        if self._second != (second := int(monotonic())):
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= AT_ONCE_PER_SECOND or self._held_count >= HELD_MAX:
            return False
        self.held_total += 1
        self._held_count += 1
        try:
            await asyncio.sleep(HELD_SECONDS)
        finally:
            self._held_count -= 1
        return True
