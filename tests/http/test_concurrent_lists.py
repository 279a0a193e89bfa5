"""The lists one caller may read at once, so that slow readers leave the database to others."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import House, RunningHouse, eventually
from tests.support.two_callers import Authenticator, two_applications, two_users_of_one_application
from vigie.api.defender.handlers import LISTS_AT_ONCE_MAX

# More than the system takes for a client that reads nothing.
LARGE = "x" * 400_000


@pytest.fixture
def full_house(running_house: RunningHouse) -> House:
    house = House(running_house)
    for _ in range(40):
        house.takes(an_incident(an_alert(description=LARGE)))
    return house


def a_reader_that_reads_no_further(house: House, token: str) -> socket.socket:
    place = urlsplit(house.running.url)
    reader = socket.create_connection((place.hostname, place.port), timeout=20)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = f"GET /api/incidents HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    reader.sendall(request.encode())
    # Its list is under way, before anybody else asks for one.
    assert reader.recv(1)
    return reader


@pytest.mark.parametrize("callers", [two_applications, two_users_of_one_application])
def test_a_caller_whose_readers_are_slow_is_refused_and_nobody_else(
    full_house: House, callers: Authenticator
) -> None:
    slow, other = callers(full_house)
    short = "/api/incidents?$top=1&$filter=status%20eq%20'Resolved'"

    with ExitStack() as stack:
        for _ in range(LISTS_AT_ONCE_MAX):
            stack.enter_context(a_reader_that_reads_no_further(full_house, slow))

        assert eventually(lambda: full_house.get(short, slow).status == 503)
        refused = full_house.get(short, slow)
        assert refused.header("retry-after") is not None
        assert full_house.get(short, other).status == 200

    assert eventually(lambda: full_house.get(short, slow).status == 200, within_seconds=10)
