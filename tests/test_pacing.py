"""Floods of bad tokens, bad secrets and wrong passwords wait for their answers; those who hold good ones do not."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.builders import an_incident
from tests.house import READ_ALL, House, RunningHouse, a_name, eventually
from tests.visitor import Visitor, asking
from vigie.settings import QuotaSettings
from vigie.web.pacing import AT_ONCE_PER_SECOND, HELD_MAX, HELD_SECONDS, Pace

FLOODERS = 20


@pytest.fixture(scope="module")
def flooded(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, so that other tests do not have to wait."""
    quotas = QuotaSettings(get_per_minute=1_000_000, get_per_hour=1_000_000)
    with RunningHouse(tmp_path_factory.mktemp("flooded"), quotas=quotas) as running:
        yield House(running)


@contextmanager
def a_flood(house: House, kind: str) -> Iterator[list[int]]:
    """Threads that ask again as soon as they are answered, and the statuses they got."""
    statuses: list[int] = []
    over = threading.Event()
    application, secret = house.add_application(READ_ALL)
    forged = f"{house.a_token().rpartition('.')[0]}.AAAA"
    form: dict[str, str | None] = {"client_id": application.client_id, "client_secret": f"{secret}x"}
    number = house.takes(an_incident())

    page = asking(house)

    def ask_for_page() -> Callable[[], int]:
        visitor = Visitor(house).get(page.url)
        return lambda: visitor.submit(username=a_name("somebody"), password="guess").shown.status

    def ask() -> None:
        ways: dict[str, Callable[[], int]] = {
            "tokens": lambda: house.get(number, forged).status,
            "secrets": lambda: house.ask_for_token(form).status,
        }
        once = ways[kind] if kind in ways else ask_for_page()
        while not over.is_set():
            statuses.append(once())

    threads = [threading.Thread(target=ask) for _ in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=20)


@pytest.mark.parametrize("kind", ["tokens", "secrets", "passwords"])
def test_a_flood_gets_few_answers_and_good_callers_get_theirs_at_once(flooded: House, kind: str) -> None:
    number, token = flooded.takes(an_incident()), flooded.a_token()
    flooded.get(number, token)
    with a_flood(flooded, kind) as statuses:
        while len(statuses) < AT_ONCE_PER_SECOND + 1:
            time.sleep(0.01)
        began, before = time.monotonic(), len(statuses)
        good = []
        while time.monotonic() < began + 2 * HELD_SECONDS:
            asked = time.monotonic()
            assert flooded.get(number, token).status == 200
            good.append(time.monotonic() - asked)
        seconds, refused = time.monotonic() - began, len(statuses) - before

    # The page says that a password is wrong, or that too many are being tried.
    assert set(statuses) <= ({403, 503} if kind == "passwords" else {401})
    assert refused <= (seconds + 1) * (AT_ONCE_PER_SECOND + FLOODERS / HELD_SECONDS)
    assert sorted(good)[len(good) // 2] < HELD_SECONDS / 2


def test_what_was_held_is_counted(flooded: House) -> None:
    metrics = flooded.running.request("GET", "/metrics").body.decode()

    (line,) = (line for line in metrics.splitlines() if line.startswith("vigie_refusals_held_total "))
    assert float(line.split()[1]) > 0


def test_refusals_to_known_callers_and_a_few_to_unknown_ones_are_not_held(tmp_path: Path) -> None:
    quotas = QuotaSettings(get_per_minute=1_000_000, get_per_hour=1_000_000)
    with RunningHouse(tmp_path, quotas=quotas) as running:
        house = House(running)
        token, without = house.a_token(), house.a_token_without_permission()

        for _ in range(AT_ONCE_PER_SECOND):
            house.get(404_404, token)
            house.get(404_404, without)
        house.get(1, None)
        metrics = running.request("GET", "/metrics").body

    assert b"vigie_refusals_held_total 0.0" in metrics


def test_public_pages_are_held_once_many_are_asked_for_but_health_is_not(flooded: House) -> None:
    def seconds(path: str) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as asking:
            count = 2 * AT_ONCE_PER_SECOND + 20
            answers = asking.map(lambda _: flooded.running.request("GET", path).status, range(count))
            assert set(answers) == {200}
        return time.monotonic() - began

    # Beside those that go at once in the second in which it begins and in the next, some are held.
    assert seconds("/reference") > HELD_SECONDS
    assert seconds("/healthz") < HELD_SECONDS


def test_as_many_as_there_may_be_in_a_second_go_at_once_and_then_each_waits() -> None:
    async def ask() -> list[bool]:
        pace = Pace()
        # At the beginning of a second of the clock that it counts by.
        await asyncio.sleep(1 - time.monotonic() % 1)
        return await asyncio.gather(*(pace.wait() for _ in range(AT_ONCE_PER_SECOND + 5)))

    assert asyncio.run(ask()) == [False] * AT_ONCE_PER_SECOND + [True] * 5


def test_only_so_many_are_held_at_a_time() -> None:
    async def ask() -> int:
        pace = Pace()
        await asyncio.sleep(1 - time.monotonic() % 1)
        held = await asyncio.gather(*(pace.wait() for _ in range(AT_ONCE_PER_SECOND + HELD_MAX + 50)))
        return sum(held)

    assert asyncio.run(ask()) == HELD_MAX


def test_clients_that_leave_while_they_are_held_are_no_defect(flooded: House) -> None:
    place = urlsplit(flooded.running.url)
    before, held = answered(flooded, 401), 2 * AT_ONCE_PER_SECOND
    for _ in range(held):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(b"GET /api/incidents/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    assert eventually(lambda: answered(flooded, 401) >= before + held, within_seconds=10)
    assert answered(flooded, 500) == 0


def answered(house: House, status: int) -> float:
    """How many answers of a status there were, whether or not somebody was there to take them."""
    metrics = house.running.request("GET", "/metrics").body.decode()
    found = re.findall(rf'^vigie_http_requests_total\{{.*status="{status}"\}} (\S+)$', metrics, re.M)
    return sum(map(float, found))
