"""Batched lookups: each caller gets the row that was asked for, as it is after it was asked."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.storage.database import Row
from vigie.storage.postgres.batched_lookup import BatchedLookup

TENANTS = st.integers(1, 3)
NUMBERS = st.integers(1, 6)


@dataclass
class Rows:
    """Rows that know whose they are, fetched when a test lets them."""

    missing: frozenset[tuple[int, int]] = frozenset()
    version: int = 0
    fetched: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    failures: list[Exception] = field(default_factory=list)

    async def fetch(self, tenant_id: int, numbers: Sequence[int]) -> Sequence[Row]:
        self.fetched.append((tenant_id, tuple(numbers)))
        version = self.version
        await self.pause.wait()
        if self.failures:
            raise self.failures.pop(0)
        found = [number for number in numbers if (tenant_id, number) not in self.missing]
        # In an order of its own, as a database may.
        return [(number, tenant_id, number, version) for number in reversed(found)]


@given(
    asked=st.lists(st.tuples(TENANTS, NUMBERS, st.booleans(), st.integers(0, 3)), max_size=40),
    missing=st.frozensets(st.tuples(TENANTS, NUMBERS)),
)
def test_results_never_cross_callers(
    asked: list[tuple[int, int, bool, int]], missing: frozenset[tuple[int, int]]
) -> None:
    async def ask() -> None:
        rows = Rows(missing=missing)
        lookups = BatchedLookup(rows.fetch)
        waiting: list[tuple[tuple[int, int], asyncio.Task[Row | None]]] = []
        for tenant_id, number, goes_away, pauses in asked:
            task = asyncio.create_task(lookups.find(tenant_id, number))
            for _ in range(pauses):
                await asyncio.sleep(0)
            if goes_away:
                task.cancel()
            else:
                waiting.append(((tenant_id, number), task))
        rows.pause.set()
        for key, task in waiting:
            assert await task == (None if key in missing else (*key, 0))
        await lookups.close()

    asyncio.run(ask())


def test_what_is_asked_while_a_fetch_is_under_way_goes_into_the_next_one() -> None:
    async def ask() -> list[tuple[int, tuple[int, ...]]]:
        rows = Rows()
        lookups = BatchedLookup(rows.fetch)
        tasks = [asyncio.create_task(lookups.find(1, 1))]
        await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(lookups.find(1, number)) for number in (2, 3, 2, 1)]
        tasks += [asyncio.create_task(lookups.find(2, 1))]
        await asyncio.sleep(0.01)
        rows.pause.set()
        await asyncio.gather(*tasks)
        return rows.fetched

    assert asyncio.run(ask()) == [(1, (1,)), (2, (1,)), (1, (2, 3, 1))]


def test_a_caller_that_asks_after_a_write_sees_it_although_a_fetch_was_under_way() -> None:
    async def ask() -> list[Row | None]:
        rows = Rows()
        lookups = BatchedLookup(rows.fetch)
        before = asyncio.create_task(lookups.find(1, 1))
        await asyncio.sleep(0.01)
        rows.version = 1
        after = asyncio.create_task(lookups.find(1, 1))
        await asyncio.sleep(0.01)
        rows.pause.set()
        return [await before, await after]

    assert asyncio.run(ask()) == [(1, 1, 0), (1, 1, 1)]


def test_a_failure_is_the_answer_to_those_who_asked_and_to_nobody_else() -> None:
    async def ask() -> Row | None:
        rows = Rows(failures=[ConnectionError("gone")])
        lookups = BatchedLookup(rows.fetch)
        unlucky = [asyncio.create_task(lookups.find(1, number)) for number in (1, 2)]
        await asyncio.sleep(0.01)
        later = asyncio.create_task(lookups.find(1, 1))
        rows.pause.set()
        for task in unlucky:
            with pytest.raises(ConnectionError):
                await task
        return await later

    assert asyncio.run(ask()) == (1, 1, 0)
