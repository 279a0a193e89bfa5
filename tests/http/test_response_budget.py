"""The budget of large answers: callers who do not read hold no memory to speak of."""

import asyncio
import gzip
import socket
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import House, RunningHouse, eventually
from tests.support.two_callers import Authenticator, two_applications, two_users_of_one_application
from vigie.config.settings import ServerSettings
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import Instant
from vigie.http.exchange import Exchange
from vigie.http.response_budget import ALL_BYTES_MAX, CALLER_BYTES_MAX, ResponseBudget

MIB = 1024 * 1024
LARGE_BYTES = 10 * MIB
SLOW_READERS = CALLER_BYTES_MAX // LARGE_BYTES


@pytest.fixture
def full_house(running_house: RunningHouse) -> House:
    house = House(running_house)
    house.takes(an_incident(an_alert(description="x" * LARGE_BYTES), incidentId=1))
    return house


def a_reader_that_reads_no_further(house: House, token: str) -> socket.socket:
    place = urlsplit(house.running.url)
    reader = socket.create_connection((place.hostname, place.port), timeout=20)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.sendall(
        f"GET /api/incidents/1 HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )
    assert reader.recv(1)
    return reader


@pytest.mark.parametrize("callers", [two_applications, two_users_of_one_application])
def test_a_caller_that_does_not_read_large_incidents_is_refused_and_nobody_else(
    full_house: House, callers: Authenticator
) -> None:
    house, (slow, other) = full_house, callers(full_house)
    small = house.takes(an_incident())

    with ExitStack() as stack:
        for _ in range(SLOW_READERS):
            stack.enter_context(a_reader_that_reads_no_further(house, slow))

        refused = house.get(1, slow)
        assert (refused.status, refused.code) == (503, "ServiceUnavailable")
        assert refused.header("retry-after") is not None
        assert house.get(small, slow).status == 200
        assert house.get(1, other).status == 200

    assert eventually(lambda: house.get(1, slow).status == 200, within_seconds=10)


def test_a_large_incident_comes_whole_in_every_coding(full_house: House) -> None:
    token = full_house.a_token()
    plain = full_house.get(1, token)

    packed = full_house.get(1, token, [("Accept-Encoding", "gzip")])
    head = full_house.get(1, token, method="HEAD")

    assert plain.json["alerts"][0]["description"] == "x" * LARGE_BYTES
    assert gzip.decompress(packed.body) == plain.body
    assert head.header("content-length") == plain.header("content-length") == str(len(plain.body))


def test_who_reads_a_large_incident_too_slowly_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All that is given is then `write_seconds`.
    monkeypatch.setattr("vigie.api.defender.handlers.SLOWEST_BYTES_PER_SECOND", 10**12)
    with RunningHouse(tmp_path, server=ServerSettings(port=0, write_seconds=1)) as running:
        house = House(running)
        house.takes(an_incident(an_alert(description="x" * LARGE_BYTES), incidentId=1))
        received_bytes = 0

        def is_over() -> bool:
            nonlocal received_bytes
            received_bytes += len(reader.recv(64 * 1024))
            metrics = running.request("GET", "/metrics").body
            return (
                b'vigie_http_requests_total{api="defender",route="/api/incidents/{id}",status="200"} 1.0'
                in metrics
            )

        with a_reader_that_reads_no_further(house, house.a_token()) as reader:
            assert eventually(is_over, within_seconds=5)

    assert 0 < received_bytes < LARGE_BYTES


@pytest.mark.parametrize(
    ("others", "bytes_max"),
    [(0, CALLER_BYTES_MAX), (ALL_BYTES_MAX // CALLER_BYTES_MAX, ALL_BYTES_MAX)],
)
def test_there_is_room_up_to_the_bound_and_again_afterwards(others: int, bytes_max: int) -> None:
    answers, me = ResponseBudget(), (1, "app", "me")
    with ExitStack() as stack:
        for number in range(others):
            stack.enter_context(answers.under_way((1, "app", f"other {number}"), bytes_max // others - 1))
        left = bytes_max - others * (bytes_max // others - 1) if others else bytes_max
        stack.enter_context(answers.under_way(me, left - 1))
        answers.require_room(me, 1)
        with pytest.raises(StoreUnavailable):
            answers.require_room(me, 2)

    answers.require_room(me, bytes_max)


def test_the_only_one_may_be_of_any_size() -> None:
    ResponseBudget().require_room((1, "app", "me"), 2 * ALL_BYTES_MAX)


def test_nothing_is_held_twice_while_it_is_sent() -> None:
    sent_bytes = 0

    async def send(message: Any) -> None:
        nonlocal sent_bytes
        sent_bytes += len(message.get("body", b""))

    async def nothing() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    exchange = Exchange(
        {"method": "GET", "headers": []}, nothing, send, request_id="|1.", at=Instant(0), started_seconds=0
    )
    rest = memoryview(bytes(LARGE_BYTES))

    tracemalloc.start()
    try:
        asyncio.run(exchange.answer(200, [], b"{", rest))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert sent_bytes == LARGE_BYTES + 1
    assert peak_bytes < MIB
