"""The fast path over PostgreSQL, while that takes its time: nobody is answered out of turn, twice or not at all."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import asyncpg
import pytest
import uvloop

from tests.api.test_fast_path import PLAIN, Client, Twin, a_twin, next_answer
from tests.support.builders import an_alert, an_incident
from tests.support.house import House, RunningHouse
from tests.support.stores import store_of_tests

T = TypeVar("T")


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house on PostgreSQL with a few incidents in it."""
    with store_of_tests("postgres"), RunningHouse(tmp_path_factory.mktemp("fast_path")) as running:
        house = House(running)
        for number in (1, 3, 6):
            house.takes(an_incident(an_alert("laptops"), incidentId=number))
        yield house


@pytest.fixture(scope="module")
def tokens(shared_house: House) -> dict[str, str]:
    return {"application": shared_house.a_token(), "scoped": shared_house.a_token_exposed_to("laptops")}


@asynccontextmanager
async def a_slow_store(house: House) -> AsyncIterator[None]:
    """Reads of incidents wait until the block ends."""
    connection = await asyncpg.connect(house.running.settings.database.url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE incident IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def requests_for(tokens: dict[str, str], *numbers: int) -> list[bytes]:
    asked = tuple(("GET", f"/api/incidents/{number}") for number in numbers)
    return replace(PLAIN, requests=asked).whole(tokens)


@asynccontextmanager
async def a_used_connection(
    twin: Twin, tokens: dict[str, str]
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection whose next request the fast path takes."""
    client = Client(twin)
    for request in requests_for(tokens, 1, 1, 1):
        await client.send([request], None)
    assert client.streams is not None
    yield client.streams
    await client.close()


def run_scene(scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(scene())


def test_what_comes_behind_a_request_that_waits_is_answered_after_it(
    shared_house: House, tokens: dict[str, str]
) -> None:
    async def scene() -> tuple[list[bytes], int]:
        async with (
            a_twin(shared_house, is_fast=True) as twin,
            a_used_connection(twin, tokens) as (reader, writer),
        ):
            asked_on_standard_path = twin.standard_count
            async with a_slow_store(shared_house):
                for request in requests_for(tokens, 1, 3, 6):
                    writer.write(request)
                    await asyncio.sleep(0.05)
            answers = [await next_answer(reader, is_head=False) for _ in range(3)]
            return answers, twin.standard_count - asked_on_standard_path

    answers, asked_on_standard_path = run_scene(scene)

    numbers = [json.loads(answer.partition(b"\r\n\r\n")[2])["incidentId"] for answer in answers]
    assert numbers == [1, 3, 6]
    # Two came in one piece in the end, and the fast path takes one at a time.
    assert asked_on_standard_path <= 2


def test_a_server_that_stops_answers_what_waits_and_closes(
    shared_house: House, tokens: dict[str, str]
) -> None:
    async def scene() -> bytes:
        async with (
            a_twin(shared_house, is_fast=True) as twin,
            a_used_connection(twin, tokens) as (reader, writer),
        ):
            async with a_slow_store(shared_house):
                writer.write(requests_for(tokens, 1)[0])
                await asyncio.sleep(0.05)
                for connection in list(twin.state.connections):
                    connection.shutdown()
            return await reader.read()

    answered = run_scene(scene)

    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answered


def test_who_goes_away_while_waiting_takes_nothing_from_others(
    shared_house: House, tokens: dict[str, str]
) -> None:
    async def scene() -> bytes:
        async with (
            a_twin(shared_house, is_fast=True) as twin,
            a_used_connection(twin, tokens) as (_, leaves),
            a_used_connection(twin, tokens) as (reader, stays),
        ):
            async with a_slow_store(shared_house):
                for writer in (leaves, stays):
                    writer.write(requests_for(tokens, 1)[0])
                await asyncio.sleep(0.05)
                leaves.close()
                await asyncio.sleep(0.05)
            return await next_answer(reader, is_head=False)

    assert run_scene(scene).startswith(b"HTTP/1.1 200 OK")


def test_damage_met_after_waiting_is_answered_as_anywhere(
    shared_house: House, tokens: dict[str, str]
) -> None:
    number = shared_house.takes(an_incident(an_alert("laptops"), incidentId=9))
    asked = replace(PLAIN, requests=(("GET", f"/api/incidents/{number}"),) * 5, token="scoped")

    async def scene() -> list[bytes]:
        async with a_twin(shared_house, is_fast=True) as twin:
            client = Client(twin)
            for place, request in enumerate(asked.whole(tokens)):
                if place == 3:
                    await damage(shared_house, number)
                async with asyncio.timeout(10):
                    await client.send([request], None)
            await client.close()
            return [each[9:12] for each in client.received]

    assert run_scene(scene) == [b"200", b"200", b"200", b"503", b"503"]


def test_switched_off_every_request_takes_the_standard_path_to_the_same_answers(
    shared_house: House, tokens: dict[str, str]
) -> None:
    async def scene(*, is_fast: bool) -> tuple[int, list[bytes]]:
        async with a_twin(shared_house, is_fast=is_fast) as twin:
            client = Client(twin)
            for request in requests_for(tokens, 1, 3, 6, 1):
                await client.send([request], None)
            await client.close()
            return twin.standard_count, [each.partition(b"\r\n\r\n")[2] for each in client.received]

    standard_count, answers = run_scene(partial(scene, is_fast=False))
    few, same_answers = run_scene(partial(scene, is_fast=True))

    assert (standard_count, few) == (4, 2)
    assert len(answers) == 4
    assert answers == same_answers


async def damage(house: House, number: int) -> None:
    connection = await asyncpg.connect(house.running.settings.database.url)
    try:
        await connection.execute("UPDATE incident SET spans = 'x' WHERE incident_id = $1", number)
    finally:
        await connection.close()
