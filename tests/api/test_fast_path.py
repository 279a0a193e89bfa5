"""The fast path and the standard path are twins: the same answers, lines, counts and quotas, whatever is sent."""

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import cache
from http.client import HTTPConnection
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import msgspec
import pytest
import uvicorn
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from tests.support.builders import a_redirected_stub, an_alert, an_audit_context, an_incident
from tests.support.house import Clock, House, RunningHouse, eventually
from vigie.config.settings import QuotaSettings
from vigie.core.instants import Instant
from vigie.http.protocol import Limits
from vigie.observability.access_log import AccessLog
from vigie.observability.log_writer import LogWriter
from vigie.runtime.container import Components, build_components
from vigie.runtime.installation import opened

DATE = (b"date", b"Tue, 24 Nov 2026 09:28:00 GMT")
ANSWERED_IN_SECONDS = 20
PER_MINUTE = 12
LARGE = 70_000

METRICS_OF_TIME = re.compile(r"_sum\b|le=\"\d|_created|process_")


@dataclass
class Twin:
    """One of the two ways, really served on the loopback: its socket, its clocks, its lines, its counts."""

    parts: Components
    wall: Clock
    steady: Clock
    port: int
    written: io.BytesIO
    log: AccessLog
    state: ServerState
    standard_count: int = 0

    def new_lines(self) -> list[dict[str, Any]]:
        """The log since it was last looked at, without what differs between any two requests."""
        self.log.writer.flush()
        lines = [json.loads(line) for line in self.written.getvalue().splitlines()]
        self.written.seek(0)
        self.written.truncate()
        return [line | {"duration_ms": 0, "request_id": line["request_id"][-12:]} for line in lines]

    @property
    def counts(self) -> list[str]:
        """The metrics, without those that measure time."""
        text = self.parts.metrics.render().decode()
        return [line for line in text.splitlines() if not METRICS_OF_TIME.search(line)]


@pytest.fixture(scope="module")
def generous_house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose store the twins share; a quota that a few requests spend."""
    quotas = QuotaSettings(get_per_minute=PER_MINUTE, get_per_hour=10**6)
    with RunningHouse(tmp_path_factory.mktemp("twins"), quotas=quotas) as running:
        house = House(running)
        house.takes(an_incident(an_alert("laptops"), an_alert("servers"), incidentId=1))
        house.takes(an_incident(an_alert("servers"), incidentId=2))
        house.takes(an_incident(an_alert("laptops"), an_alert(None), incidentId=3))
        house.takes(an_incident(an_alert("laptops", "servers"), incidentId=4))
        house.takes(an_incident(an_alert("laptops", description="x" * LARGE), incidentId=5))
        house.takes(a_redirected_stub(1, incidentId=6))
        house.takes(a_redirected_stub(2, incidentId=8))
        yield house


@pytest.fixture(scope="module")
def tokens(generous_house: House) -> dict[str, str]:
    house = generous_house
    return {
        "application": house.a_token(),
        "another": house.a_token(),
        "scoped": house.a_token_exposed_to("laptops"),
        "powerless": house.a_token_without_permission(),
        "elsewhere": house.a_token(audience="https://graph.microsoft.com"),
        "short": house.a_token(lifetime_seconds=90),
        "forged": house.a_token()[:-4] + "AAAA",
    }


@cache
def started_at(running: RunningHouse) -> Instant:
    """When the twins of a house begin: all at the same moment, and not long after its tokens were made."""
    return Clock().now()


@asynccontextmanager
async def a_twin(house: House, *, is_fast: bool, keep_alive_seconds: int = 5) -> AsyncIterator[Twin]:
    running = house.running
    wall, steady = Clock(), Clock()
    wall.show(started_at(running))
    written = io.BytesIO()
    log = AccessLog(LogWriter(written), enabled=True)
    async with AsyncExitStack() as stack:
        # Answers are not held back here: that goes by the clock on the wall, and would hold up the examples.
        server_settings = msgspec.structs.replace(
            running.settings.server, anonymous_answers_per_second=10**9, fast_path=is_fast
        )
        settings = msgspec.structs.replace(running.settings, server=server_settings)
        installation = await stack.enter_async_context(opened(settings, create=False))
        with (
            patch("vigie.runtime.container.now", wall.now),
            patch("vigie.runtime.container.steady_now", steady.now),
        ):
            parts = await build_components(installation, running.url, log)
        on_refused = parts.metrics.connection_refusals.count
        kind = parts.connection_protocol(Limits(), on_refused)
        state = ServerState()
        state.default_headers = [DATE]
        twin = Twin(parts=parts, wall=wall, steady=steady, port=0, written=written, log=log, state=state)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            twin.standard_count += 1
            await parts.app(scope, receive, send)

        config = uvicorn.Config(
            counted,
            loop="none",
            interface="asgi3",
            access_log=False,
            log_config=None,
            ws="none",
            lifespan="off",
            proxy_headers=False,
        )
        config.timeout_keep_alive = keep_alive_seconds
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: kind(config, state, {}),
            "127.0.0.1",
            0,
        )
        twin.port = server.sockets[0].getsockname()[1]
        yield twin
        server.close()
        await asyncio.gather(*state.tasks)
        for connection in list(state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


class Client:
    """One connection after another to a twin, and all that came back."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.received: list[bytes] = []

    async def send(self, requests: list[bytes], split: int | None) -> None:
        """Send these at once, or cut in two, and take in the answers; what was closed is opened anew."""
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self._twin.port)
        reader, writer = self.streams
        data = b"".join(requests)
        writer.write(data[:split])
        if split is not None:
            await asyncio.sleep(0.003)
            writer.write(data[split:])
        for request in requests:
            async with asyncio.timeout(ANSWERED_IN_SECONDS):
                answer = await next_answer(reader, is_head=request.startswith(b"HEAD"))
            self.received.append(answer)
            if not answer or b"connection: close" in answer:
                await self.close()
                return

    async def close(self) -> None:
        """Hang up."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


async def next_answer(reader: asyncio.StreamReader, *, is_head: bool) -> bytes:
    """One answer, with what is said before it; nothing when there is none."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"HTTP/1.1 100"):
            return head + await next_answer(reader, is_head=is_head)
        length = re.search(rb"content-length: (\d+)", head)
        return head + (b"" if is_head or not length else await reader.readexactly(int(length[1])))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


# What is sent

PATHS = st.sampled_from(
    [
        *[f"/api/incidents/{number}" for number in (1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 8)],
        "/api/incidents/0001",
        "/api/incidents/000000000000000000000001",
        "/api/incidents/9223372036854775807",
        "/api/incidents/9223372036854775808",
        "/api/incidents/-1",
        "/api/incidents/1a",
        "/api/incidents/%31",
        "/api/incidents/1/",
        "/api/incidents/1?",
        "/api/incidents/1?$top=1",
        "/api/incidents/1#x",
        "/api/incidents//1",
        "/api/v1.0/incidents/1",
        "/API/incidents/1",
        "/healthz",
    ]
)
HOSTS = st.sampled_from(
    ["Host: vigie.example", "Host: vigie.example", "Host: other:8400", "Host: a\r\nHost: b", "X: y"]
)
EXTRAS = st.sampled_from(
    [
        "",
        "",
        "",
        "Accept-Encoding: gzip\r\n",
        "Accept-Encoding: identity\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "Expect: 100-continue\r\n",
        "Upgrade: h2c\r\nConnection: upgrade\r\n",
        "Content-Length: 0\r\n",
        "Content-Length: 4\r\n",
        "Authorization: Bearer second\r\n",
        "Forwarded: host=elsewhere\r\n",
        "Client-Request-Id: 48f6b1c2-e5d7-4a30-b9f8-27c3d06a1e54\r\n",
        "Client-Request-Id: {100% -1.25 %x}\r\n",
        "Client-Request-Id: %\r\n",
        "User-Agent: " + "x" * 9000 + "\r\n",
        "User-Agent: caf\xe9\r\n",
    ]
)
METHODS = st.sampled_from([*["GET"] * 9, "HEAD", "DELETE"])
VERSIONS = st.sampled_from([*["HTTP/1.1"] * 9, "HTTP/1.0"])
TOKENS = st.sampled_from(
    ["application", "application", "scoped", "another", "powerless", "elsewhere", "short", "forged", None]
)
SPLITS = st.sampled_from([None, None, None, None, 5, 40, -1, -3])
PAUSES = st.sampled_from([0, 0, 0, 0, 0, 20, 61, 100])


@dataclass(frozen=True)
class Step:
    """Some requests, each a path and a method, that end alike; how they are cut; and how long before the next."""

    requests: tuple[tuple[str, str], ...]
    token: str | None
    host: str
    extra: str
    version: str
    at_once: int
    split: int | None
    pause_seconds: int

    def whole(self, tokens: dict[str, str]) -> list[bytes]:
        bearer = f"Authorization: Bearer {tokens[self.token]}\r\n" if self.token else ""
        body = "{}{}" if self.extra == "Content-Length: 4\r\n" else ""
        return [
            f"{method} {path} {self.version}\r\n{self.host}\r\n{bearer}{self.extra}\r\n{body}".encode(
                "latin-1"
            )
            for method, path in self.requests
        ]


PLAIN = Step(
    requests=(),
    token="application",
    host="Host: vigie.example",
    extra="",
    version="HTTP/1.1",
    at_once=1,
    split=None,
    pause_seconds=0,
)
steps = st.builds(
    Step,
    requests=st.lists(st.tuples(METHODS, PATHS), min_size=1, max_size=8).map(tuple),
    token=TOKENS,
    host=HOSTS,
    extra=EXTRAS,
    version=VERSIONS,
    at_once=st.sampled_from([1, 1, 1, 3]),
    split=SPLITS,
    pause_seconds=PAUSES,
)
usual = st.builds(
    replace,
    st.just(PLAIN),
    requests=st.lists(st.tuples(st.just("GET"), PATHS), min_size=3, max_size=8).map(tuple),
    token=st.sampled_from(["application", "scoped", "short"]),
    pause_seconds=PAUSES,
)


async def say(twin: Twin, said: list[Step], tokens: dict[str, str]) -> tuple[object, ...]:
    """Say it all, and give back all that there is to see of it. Callers start with a quota unspent."""
    twin.steady.forward(seconds=7200)
    client = Client(twin)
    for step in said:
        requests = step.whole(tokens)
        for start in range(0, len(requests), step.at_once):
            await client.send(requests[start : start + step.at_once], step.split)
        twin.wall.forward(seconds=step.pause_seconds)
        twin.steady.forward(seconds=step.pause_seconds)
    await client.close()
    # The standard path counts and writes after its answer has gone out.
    await asyncio.sleep(0.005)
    twin.wall.forward(seconds=-sum(step.pause_seconds for step in said))
    shown = [re.sub(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-", b"-", each) for each in client.received]
    return shown, twin.new_lines(), twin.counts


class Twins:
    """Both ways over one store, on one loop."""

    def __init__(self, runner: asyncio.Runner, standard: Twin, fast: Twin) -> None:
        self._runner = runner
        self.standard = standard
        self.fast = fast

    def say(self, said: list[Step], tokens: dict[str, str]) -> tuple[tuple[object, ...], ...]:
        """All that there is to see of each way."""
        return tuple(self._runner.run(say(twin, said, tokens)) for twin in (self.standard, self.fast))


@pytest.fixture(scope="module")
def twins(generous_house: House) -> Iterator[Twins]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        ways = [
            runner.run(stack.enter_async_context(a_twin(generous_house, is_fast=is_fast)))
            for is_fast in (False, True)
        ]
        yield Twins(runner, *ways)
        runner.run(stack.aclose())


@settings(max_examples=100)
@given(said=st.lists(st.one_of(usual, steps), min_size=1, max_size=6))
def test_both_ways_answer_count_log_and_spend_alike(
    twins: Twins, tokens: dict[str, str], said: list[Step]
) -> None:
    standard, fast = twins.say(said, tokens)

    assert fast == standard


@pytest.mark.parametrize("extra", ["", "Client-Request-Id: 48f6b1c2-e5d7-4a30-b9f8-27c3d06a1e54\r\n"])
def test_a_connection_that_asks_again_is_answered_by_the_fast_path(
    twins: Twins, tokens: dict[str, str], extra: str
) -> None:
    asked = tuple(("GET", f"/api/incidents/{number}") for number in (1, 3, 4, 6, 1, 3, 4, 6))
    before = twins.fast.standard_count

    standard, fast = twins.say([replace(PLAIN, requests=asked, extra=extra)], tokens)

    # The first two say the same: what has been said once is no habit.
    assert twins.fast.standard_count - before == 2
    assert fast == standard


def test_a_client_that_says_something_else_each_time_has_no_habit(
    twins: Twins, tokens: dict[str, str]
) -> None:
    said = [replace(PLAIN, requests=(("GET", "/api/incidents/1"),), token=token) for token in tokens] * 2
    before = twins.fast.standard_count

    standard, fast = twins.say(said, tokens)

    assert twins.fast.standard_count - before == len(said)
    assert fast == standard


@pytest.fixture
def connection(house: House) -> Iterator[HTTPConnection]:
    place = urlsplit(house.running.url)
    with closing(HTTPConnection(place.hostname or "", place.port, timeout=10)) as connection:
        yield connection


def status_of(connection: HTTPConnection, path: str, token: str) -> int:
    connection.request(
        "GET", path, headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    )
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_an_application_that_is_removed_is_refused_on_a_connection_it_has_used(
    house: House, connection: HTTPConnection
) -> None:
    path = f"/api/incidents/{house.takes(an_incident())}"
    application, secret = house.add_application("Incident.Read.All")
    token = house.fetch_token(application, secret)
    before = [status_of(connection, path, token) for _ in range(4)]

    house.running.run(house.directory.remove_application(house.tenant, application))

    assert before == [200] * 4
    assert eventually(lambda: status_of(connection, path, token) == 401)


def test_an_incident_that_is_removed_is_missing_on_a_connection_that_has_read_it(
    house: House, connection: HTTPConnection
) -> None:
    number, token = house.takes(an_incident()), house.a_token()
    path = f"/api/incidents/{number}"
    before = [status_of(connection, path, token) for _ in range(4)]
    incidents = house.running.installation.incidents

    house.running.run(incidents.remove_incident(house.tenant.tenant_id, number, an_audit_context()))

    assert before == [200] * 4
    assert status_of(connection, path, token) == 404


def test_a_connection_is_kept_while_the_fast_path_answers_on_it_and_closed_when_it_falls_silent(
    generous_house: House, tokens: dict[str, str]
) -> None:
    async def scene() -> tuple[int, bytes]:
        async with a_twin(generous_house, is_fast=True, keep_alive_seconds=1) as twin:
            client = Client(twin)
            request = replace(PLAIN, requests=(("GET", "/api/incidents/1"),)).whole(tokens)
            for _ in range(6):
                await client.send(request, None)
                await asyncio.sleep(0.4)
            asked_on_standard_path, streams = twin.standard_count, client.streams
            assert streams is not None
            async with asyncio.timeout(5):
                rest = await streams[0].read()
            await client.close()
            return asked_on_standard_path, rest

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(scene()) == (2, b"")
