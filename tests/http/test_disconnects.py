"""Clients that go, or are sent away, while the server works for them: no defect, and no traceback in the log."""

import asyncio
import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from tests.support.builders import an_alert, an_incident
from tests.support.house import House, RunningHouse, eventually
from vigie.config.settings import LoggingSettings
from vigie.core.instants import Instant
from vigie.http.anonymous_throttle import (
    AnonymousThrottle,
    AnonymousThrottles,
    AnswerKind,
    anonymous_throttles,
)
from vigie.http.exchange import Exchange

LARGE = "x" * 300_000
PIPELINED = 18
RESETS = 12
_AT_ONCE = struct.pack("ii", 1, 0)

ROUTES = (
    "/readyz",
    "/metrics",
    "/reference",
    "/{tenant}/discovery/keys",
    "/{tenant}/oauth2/v2.0/token",
    "/api/incidents/{id}",
    "/api/incidents",
)


@pytest.fixture(scope="module")
def talkative(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that logs every request, with a large incident in it; what it logs is cut off with `capfd`."""
    with RunningHouse(tmp_path_factory.mktemp("talkative"), logging=LoggingSettings(level="info")) as running:
        house = House(running)
        house.takes(an_incident(an_alert("laptops", description=LARGE), incidentId=1))
        yield house


@pytest.fixture(scope="module")
def token(talkative: House) -> str:
    return talkative.a_token_exposed_to("laptops")


@pytest.mark.parametrize("route", ROUTES)
def test_who_is_sent_away_for_asking_too_much_at_once_is_no_defect(
    talkative: House, token: str, route: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()

    with connected(talkative) as connection:
        connection.sendall(a_request(talkative, token, route) * PIPELINED)
        everything_from(connection)

    assert_no_defect(lines_until_answered(capfd, route))


@pytest.mark.parametrize("route", ROUTES)
def test_who_resets_the_connection_while_it_is_answered_is_no_defect(
    talkative: House, token: str, route: str, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()

    for number in range(RESETS):
        with connected(talkative) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            connection.sendall(a_request(talkative, token, route) * 2)
            time.sleep(number / 2000)

    assert_no_defect(lines_until_answered(capfd, route))


class Closing:
    """What a request knows of its connection."""

    def __init__(self, *, is_closing: bool) -> None:
        self.is_closing = lambda: is_closing


class Refusing(RequestResponseCycle):
    """A request whose connection takes nothing, without uvicorn having told it why."""

    def __init__(self, *, is_closing: bool) -> None:
        self.disconnected = False
        self.transport = Closing(is_closing=is_closing)  # type: ignore[assignment]

    async def send(self, message: Any) -> None:
        """As uvloop refuses what is written to a closed connection."""
        raise RuntimeError(f"{message['type']}: the handler is closed")


class Held(AnonymousThrottle):
    """As if there had been very many answers."""

    async def wait(self) -> bool:
        return True


async def nothing() -> dict[str, Any]:
    """What comes from a client that has sent all there is."""
    return {"type": "http.disconnect"}


def an_exchange(cycle: Refusing) -> Exchange:
    return Exchange(
        {"method": "GET", "headers": []},
        nothing,
        cycle.send,
        request_id="|1.",
        at=Instant(0),
        started_seconds=0,
    )


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize(
    "kept",
    [None, anonymous_throttles(100), dict.fromkeys(AnswerKind, Held(1))],
    ids=["without", "not held", "held"],
)
def test_an_answer_may_find_nobody_there(kept: AnonymousThrottles | None, status: int) -> None:
    gone = Refusing(is_closing=True)
    exchange = an_exchange(gone)
    exchange.anonymous_throttles = kept

    asyncio.run(exchange.answer(status, [], b"{}"))

    # Or uvicorn would complain that no answer came.
    assert gone.disconnected


def test_what_fails_on_an_open_connection_is_a_defect() -> None:
    exchange = an_exchange(Refusing(is_closing=False))

    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(exchange.answer(200, [], b"{}"))


def a_request(house: House, token: str, route: str) -> bytes:
    path = route.format(tenant=house.tenant.guid, id=1)
    fields = {"Host": urlsplit(house.running.url).netloc, "Authorization": f"Bearer {token}"}
    form = ""
    if path.endswith("/token"):
        form = urlencode({"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "x"})
        fields |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
    lines = (f"{name}: {value}" for name, value in fields.items())
    return "\r\n".join([f"{'POST' if form else 'GET'} {path} HTTP/1.1", *lines, "", form]).encode()


def connected(house: House) -> socket.socket:
    place = urlsplit(house.running.url)
    return socket.create_connection((place.hostname, place.port), timeout=20)


def everything_from(connection: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass


def lines_until_answered(capfd: pytest.CaptureFixture[str], route: str) -> list[dict[str, Any]]:
    """What is logged until a request of a route is through, and a moment longer."""
    lines: list[dict[str, Any]] = []

    def are_through() -> bool:
        lines.extend(json.loads(line) for line in capfd.readouterr().err.splitlines())
        return route in [line.get("route") for line in lines]

    assert eventually(are_through, within_seconds=5), lines
    time.sleep(0.3)
    are_through()
    return lines


def assert_no_defect(lines: list[dict[str, Any]]) -> None:
    assert [line for line in lines if line["event"] != "request"] == []
    # 503: more lists than one application may read at once.
    assert {line["status"] for line in lines if line["level"] == "error"} <= {503}
    assert all(line["refusal"] != "InternalServerError" for line in lines)
