"""A cached result: shared by all who ask meanwhile, and never older than is said."""

import asyncio

from tests.support.house import Clock
from vigie.observability.cached_result import RecentResult


class Slow:
    """Says how often it was asked, after others have had their turn."""

    def __init__(self) -> None:
        self.asked = 0

    async def find_out(self) -> int:
        self.asked += 1
        found = self.asked
        await asyncio.sleep(0)
        return found


def test_all_who_ask_while_it_is_found_out_and_for_a_second_after_get_one_result() -> None:
    clock, slow = Clock(), Slow()

    async def ask() -> set[int]:
        recent = RecentResult(slow.find_out, steady_clock=clock.now, turn=asyncio.Lock())
        results = await asyncio.gather(*(recent.get() for _ in range(50)))
        clock.forward(seconds=0.9)
        return {*results, await recent.get()}

    assert asyncio.run(ask()) == {1}


def test_what_is_a_second_old_is_found_out_anew() -> None:
    clock, slow = Clock(), Slow()

    async def ask() -> list[int]:
        recent = RecentResult(slow.find_out, steady_clock=clock.now, turn=asyncio.Lock())
        first = await recent.get()
        clock.forward(seconds=1)
        return [first, await recent.get(), await recent.get()]

    assert asyncio.run(ask()) == [1, 2, 2]


def test_of_no_age_everybody_gets_a_result_of_their_own() -> None:
    slow = Slow()

    async def ask() -> list[int]:
        recent = RecentResult(slow.find_out, steady_clock=Clock().now, turn=asyncio.Lock(), age_seconds_max=0)
        return await asyncio.gather(*(recent.get() for _ in range(3)))

    assert asyncio.run(ask()) == [1, 2, 3]
