"""Lists are sent while they are read: bounded in memory and time, and never whole when they are not."""

import asyncio
import gzip
import json
import os
import socket
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack, closing
from http.client import HTTPResponse, IncompleteRead
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest

from tests.support.builders import Document, a_device, an_alert, an_incident
from tests.support.commands import served
from tests.support.database_access import below
from tests.support.house import Answer, House, RunningHouse, eventually
from tests.support.many_incidents import fill
from vigie.config.settings import QuotaSettings, ServerSettings
from vigie.core.audit import AuditContext
from vigie.core.instants import Instant, format_instant, parse_instant
from vigie.documents.defender.reading import keep_document
from vigie.http.exchange import ClientGone, Exchange, Scope
from vigie.http.streaming import SLOWEST_BYTES_PER_SECOND, ClientTooSlow, streaming
from vigie.storage.sqlite.database import SNAPSHOTS_MAX

MIB = 1024 * 1024
PAGE_BYTES_MIN = 130 * MIB
GROWTH_BYTES_MAX = 24 * MIB
"""By how much a page of 100 incidents of 500 alerts may make the server grow: four copies of one incident, and
what Python and SQLite keep for the next page."""

WRITE_SECONDS = 3
SWEEP_SECONDS = 1
NOON = parse_instant("2026-02-11T12:00:00Z")
SOMEBODY = AuditContext(actor="tests", request_id="", at=NOON)

GENEROUS = QuotaSettings(list_per_minute=100_000, list_per_hour=100_000)


def large_incidents(count: int, alert_count: int) -> Iterator[Document]:
    """Incidents of many alerts each; the first is the newest."""
    device = a_device("laptops", note="x" * 1500)
    alerts = [an_alert(devices=[device]) for _ in range(alert_count)]
    for number in range(1, count + 1):
        updated_at = format_instant(Instant(NOON - number))
        yield {**an_incident(*alerts, lastUpdateTime=updated_at), "incidentId": number}


def house_in(folder: Path, *, write_seconds: int = WRITE_SECONDS) -> RunningHouse:
    return RunningHouse(folder, server=ServerSettings(port=0, write_seconds=write_seconds), quotas=GENEROUS)


def put(house: House, documents: Iterator[Document]) -> None:
    store = house.running.installation.incidents
    kept = map(keep_document, documents)
    while some_of_them := list(islice(kept, 20)):
        house.running.run(store.put_incidents(house.tenant.tenant_id, some_of_them, SOMEBODY))


@pytest.fixture(scope="module")
def heavy_house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A tenant with one page of 100 incidents of 500 alerts."""
    with house_in(tmp_path_factory.mktemp("heavy")) as running:
        house = House(running)
        put(house, large_incidents(100, 500))
        yield house


@pytest.fixture
def own_house(tmp_path: Path) -> Iterator[House]:
    """A house that a test may break: 12 incidents of more than 80 KiB each."""
    with house_in(tmp_path) as running:
        house = House(running)
        put(house, large_incidents(12, 40))
        yield house


class Asks(Protocol):
    """Makes clients that have asked for a list and read nothing yet."""

    def __call__(
        self, house: House, path: str = "/api/incidents", *, token: str | None = None, headers: str = ""
    ) -> socket.socket:
        """One client, with a small buffer of its own."""


@pytest.fixture
def asks() -> Iterator[Asks]:
    """Every client is closed at the end."""
    with ExitStack() as clients:

        def ask(
            house: House, path: str = "/api/incidents", *, token: str | None = None, headers: str = ""
        ) -> socket.socket:
            place = urlsplit(house.running.url)
            client = clients.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(20)
            client.connect((place.hostname, place.port))
            head = f"GET {path} HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: {token or house.a_token()}\r\n"
            client.sendall(f"{head}{headers}\r\n".encode())
            return client

        yield ask


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has closed the connection, found out by reading on from where it was left."""
    try:
        while piece := connection.recv(MIB):
            if piece.endswith(b"0\r\n\r\n"):
                return False
    except ConnectionError:
        return True
    return True


def nothing_is_held(house: House) -> bool:
    """Whether no reader looks at an older state of the store, so that its log can be emptied."""
    return not below(house.running.settings.database).is_held()


# Chunks


def test_a_list_is_sent_in_chunks(own_house: House) -> None:
    answer = own_house.get("/api/incidents", own_house.a_token())

    assert answer.header("transfer-encoding") == "chunked"
    assert answer.header("content-length") is None
    assert [each["incidentId"] for each in answer.json["value"]] == list(range(1, 13))


def test_an_empty_list_is_whole_too(running_house: RunningHouse) -> None:
    house = House(running_house)

    answer = house.get("/api/incidents", house.a_token())

    assert answer.json == {"@odata.context": f"{running_house.url}/api/$metadata#Incidents", "value": []}


def test_incidents_of_more_than_a_batch_each_are_whole_with_one_behind_the_page(own_house: House) -> None:
    put(own_house, large_incidents(101, 40))

    answer = own_house.get("/api/incidents", own_house.a_token())

    assert [each["incidentId"] for each in answer.json["value"]] == list(range(1, 101))
    assert answer.json["@odata.nextLink"].endswith("/api/incidents?$skip=100")


@pytest.mark.parametrize(
    ("coding", "decode"),
    [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("gzip;q=0.1, deflate;q=0", None)],
)
def test_a_compressed_list_is_the_same_list(
    own_house: House, coding: str, decode: Callable[[bytes], bytes] | None
) -> None:
    token = own_house.a_token()
    plain = own_house.get("/api/incidents", token)

    answer = own_house.get("/api/incidents", token, [("Accept-Encoding", coding)])

    assert answer.header("content-encoding") == coding.partition(";")[0]
    assert answer.header("vary") == plain.header("vary") == "Accept-Encoding"
    assert plain.header("content-encoding") is None
    assert (decode or gzip.decompress)(answer.body) == plain.body


def test_head_has_the_headers_alone_and_reads_no_further(own_house: House) -> None:
    token = own_house.a_token()

    head = own_house.get("/api/incidents", token, method="HEAD")
    get = own_house.get("/api/incidents", token)

    own = {"date", "transfer-encoding"}
    assert (head.status, head.body) == (200, b"")
    assert [each for each in head.headers if each[0] not in own] == [
        each for each in get.headers if each[0] not in own
    ]


def test_a_connection_goes_on_after_a_list(own_house: House, asks: Asks) -> None:
    token = own_house.a_token()
    head = f"GET /api/incidents?$top=2 HTTP/1.1\r\nHost: vigie.example\r\nAuthorization: {token}"
    request = f"{head}\r\n\r\n".encode()

    client = asks(own_house, "/api/incidents?$top=1", token=token)
    for count in (1, 2, 2):
        with closing(HTTPResponse(client)) as response:
            response.begin()
            assert len(json.loads(response.read())["value"]) == count
        client.sendall(request)


# HTTP/1.0


def in_http_1_0(house: House, path: str, *, method: str = "GET", headers: str = "") -> Answer:
    head = f"{method} {path} HTTP/1.0\r\nHost: vigie.example\r\nAuthorization: Bearer {house.a_token()}\r\n"
    return house.running.send(f"{head}{headers}\r\n".encode(), method=method)


@pytest.mark.parametrize("path", ["/api/incidents", "/api/incidents?$top=1"])
def test_http_1_0_has_no_chunks_and_gets_the_length_instead(own_house: House, path: str) -> None:
    answer = in_http_1_0(own_house, path)

    assert answer.header("transfer-encoding") is None
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.json["value"] == own_house.get(path, own_house.a_token()).json["value"]


def test_http_1_0_may_be_compressed_and_may_ask_for_the_head(own_house: House) -> None:
    whole = in_http_1_0(own_house, "/api/incidents")

    compressed = in_http_1_0(own_house, "/api/incidents", headers="Accept-Encoding: gzip\r\n")
    head = in_http_1_0(own_house, "/api/incidents", method="HEAD")

    assert gzip.decompress(compressed.body) == whole.body
    assert (head.status, head.body, head.header("transfer-encoding")) == (200, b"", None)


# Memory


def resident_bytes(process_id: int) -> int:
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def pieces_from(connection: socket.socket) -> Iterator[int]:
    """How many bytes came, piece by piece, until the answer is whole."""
    while piece := connection.recv(MIB):
        yield len(piece)
        if piece.endswith(b"0\r\n\r\n"):
            return


@pytest.fixture(scope="module")
def heavy_process(heavy_house: House) -> Iterator[tuple[int, str]]:
    """Another process that serves the same store, and has no evidence left to read: its number and its URL."""
    projection = heavy_house.running.installation.evidence_projection
    heavy_house.running.run(projection.catch_up(heavy_house.tenant.tenant_id, seconds_max=60))
    database = heavy_house.running.settings.database.url
    config = heavy_house.running.folder / "vigie.toml"
    config.write_text(f'[keys]\nsecret_file = "{heavy_house.running.settings.keys.secret_file}"\n')
    with served("--database", database, "--config", config, "--host", "127.0.0.1", "--port", 0) as (
        process,
        said,
    ):
        yield process.pid, said["url"]


@pytest.mark.parametrize("scope", [(), ("laptops",)])
def test_a_page_of_140_mb_takes_a_few_mb_of_memory(
    heavy_house: House, heavy_process: tuple[int, str], scope: tuple[str, ...]
) -> None:
    process_id, url = heavy_process
    token = heavy_house.a_token_exposed_to(*scope)
    place = urlsplit(url)
    request = f"Host: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"

    with socket.create_connection((place.hostname or "", place.port or 0), timeout=20) as connection:
        connection.sendall(f"GET /api/incidents?$top=1 HTTP/1.1\r\n{request}".encode())
        assert sum(pieces_from(connection)) > MIB
        before = resident_bytes(process_id)
        connection.sendall(f"GET /api/incidents HTTP/1.1\r\n{request}".encode())
        read_bytes, largest = 0, before
        for length in pieces_from(connection):
            read_bytes += length
            largest = max(largest, resident_bytes(process_id))
            # Slower than the store, but steady.
            time.sleep(length / (80 * MIB))

    assert read_bytes > PAGE_BYTES_MIN
    assert largest - before < GROWTH_BYTES_MAX


# Clients that stop reading, read too slowly, or go away


def test_clients_that_stop_reading_keep_nobody_waiting_and_are_cut(heavy_house: House, asks: Asks) -> None:
    token = heavy_house.a_token()
    stalled = [asks(heavy_house, token=token) for _ in range(8)]
    for client in stalled:
        client.recv(1)
    put(heavy_house, large_incidents(1, 500))

    theirs = heavy_house.get("/api/incidents?$top=1", token)
    others = heavy_house.get("/api/incidents?$top=1", heavy_house.a_token())
    was_held = not nothing_is_held(heavy_house)

    assert was_held
    assert (theirs.status, theirs.header("retry-after"), others.status) == (503, "5", 200)
    assert eventually(lambda: nothing_is_held(heavy_house), within_seconds=WRITE_SECONDS + 3 * SWEEP_SECONDS)
    assert all(is_cut(client) for client in stalled)


def test_however_many_stop_reading_others_wait_no_longer_than_until_they_are_cut(
    heavy_house: House, asks: Asks
) -> None:
    tokens = [heavy_house.a_token() for _ in range(6)]
    stalled = [asks(heavy_house, token=token) for token in tokens for _ in range(8)]
    for client in stalled[:SNAPSHOTS_MAX]:
        client.recv(1)

    started = time.monotonic()
    answer = heavy_house.get("/api/incidents?$top=1", heavy_house.a_token())
    waited_seconds = time.monotonic() - started

    assert answer.status == 200
    assert waited_seconds < 2 * (WRITE_SECONDS + 3 * SWEEP_SECONDS)


def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path, asks: Asks) -> None:
    with house_in(tmp_path, write_seconds=3600) as running:
        house = House(running)
        put(house, large_incidents(60, 300))
        gone = [asks(house) for _ in range(4)]
        for connection in gone:
            connection.recv(1)
        put(house, large_incidents(1, 1))
        was_held = not nothing_is_held(house)

        for connection in gone:
            connection.close()

        assert was_held
        assert eventually(lambda: nothing_is_held(house))


def test_a_client_that_reads_a_byte_at_a_time_is_cut(heavy_house: House, asks: Asks) -> None:
    connection = asks(heavy_house)
    started = time.monotonic()
    put(heavy_house, large_incidents(1, 500))

    def drips_on() -> bool:
        connection.recv(1)
        return nothing_is_held(heavy_house)

    assert eventually(drips_on, within_seconds=4 * WRITE_SECONDS)
    assert time.monotonic() - started > WRITE_SECONDS * 0.9
    assert is_cut(connection)


# What fails on the way


def read_until_it_breaks(client: socket.socket) -> bytes:
    """What comes of a list that is never whole."""
    with closing(HTTPResponse(client)) as response:
        response.begin()
        assert response.status == 200
        with pytest.raises(IncompleteRead) as broken:
            response.read()
        return broken.value.partial


def with_broken_spans(house: House) -> str:
    """Damage what is kept of the last incident; the token of a caller for whom it must be read."""
    store = below(house.running.settings.database)
    bad = "x'c1'" if store.bytes_type == "blob" else "'\\xc1'"
    store.run(f"UPDATE incident SET spans = {bad} WHERE incident_id = 12")
    return house.a_token_exposed_to("laptops")


# The server ends the connection that reads the last incident.
_CONNECTION_THAT_ENDS = """
CREATE FUNCTION ending() RETURNS boolean STABLE LANGUAGE plpgsql
    AS 'BEGIN RETURN pg_terminate_backend(pg_backend_pid()); END';
ALTER TABLE incident RENAME TO away;
CREATE VIEW incident AS
SELECT tenant_id, incident_id, alerts_at, spans,
       CASE WHEN incident_id = 12 AND ending() THEN NULL ELSE document END AS document
  FROM away;
"""


def with_half_a_store(house: House) -> str:
    """Let the store end in the middle; the token of a caller who reads past that."""
    token = house.a_token()
    if house.running.settings.database.is_shared:
        below(house.running.settings.database).run(_CONNECTION_THAT_ENDS)
        return token
    assert house.get("/api/incidents?$top=1", token).status == 200
    assert eventually(lambda: nothing_is_held(house))
    path = house.running.settings.database.path
    os.truncate(path, path.stat().st_size * 2 // 3 // 4096 * 4096)
    return token


@pytest.mark.parametrize("damage", [with_broken_spans, with_half_a_store])
def test_a_list_that_fails_on_the_way_is_never_ended_as_if_it_were_whole(
    own_house: House, asks: Asks, damage: Callable[[House], str]
) -> None:
    token = damage(own_house)

    partial = read_until_it_breaks(asks(own_house, token=token))

    assert partial.startswith(b'{"@odata.context":')
    assert partial.count(b'"incidentUri"') >= 1
    assert b"ServiceUnavailable" not in partial
    with pytest.raises(json.JSONDecodeError):
        json.loads(partial)


def test_neither_is_it_when_it_is_compressed(own_house: House, asks: Asks) -> None:
    put(own_house, ({**each, "description": os.urandom(80_000).hex()} for each in large_incidents(12, 4)))
    token = with_broken_spans(own_house)

    partial = read_until_it_breaks(asks(own_house, token=token, headers="Accept-Encoding: gzip\r\n"))

    with pytest.raises(EOFError):
        gzip.decompress(partial)


def test_the_beginning_comes_before_the_end_is_read(own_house: House, asks: Asks) -> None:
    partial = read_until_it_breaks(asks(own_house, token=with_broken_spans(own_house)))

    assert 1 <= partial.count(b'"incidentUri"') < 12


@pytest.mark.parametrize("damage", [with_broken_spans, with_half_a_store])
def test_in_http_1_0_it_is_refused_as_nothing_has_been_sent_yet(
    own_house: House, damage: Callable[[House], str]
) -> None:
    head = f"GET /api/incidents HTTP/1.0\r\nHost: vigie.example\r\nAuthorization: {damage(own_house)}\r\n\r\n"

    answer = own_house.running.send(head.encode())

    assert answer.status >= 500
    assert answer.code in ("InternalServerError", "ServiceUnavailable")


def test_what_fails_before_the_first_incident_is_refused(own_house: House) -> None:
    token = own_house.a_token()
    database = own_house.running.settings.database
    if database.is_shared:
        below(database).run("ALTER TABLE incident RENAME TO away")
    else:
        database.path.with_name("vigie.sqlite3-wal").unlink(missing_ok=True)
        os.truncate(database.path, 4096)

    answer = own_house.get("/api/incidents", token)

    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert answer.header("retry-after") == "5"


def test_a_list_over_its_time_is_refused_and_others_go_on(tmp_path: Path) -> None:
    with house_in(tmp_path) as running:
        house = House(running)
        running.run(fill(running.installation, house.tenant.tenant_id, 1_000))
        token = house.a_token()
        if running.settings.database.is_shared:
            # A connection is opened within this time as well, if there is none yet.
            assert house.get("/api/incidents?$top=1", token).status == 200
        running.installation.database.scan_seconds_max = 0.002
        dear = "+or+".join(f"not(assignedTo+ne+'x{number}')" for number in range(100))

        refused = house.get(f"/api/incidents?$filter={dear}&$count=true", token)
        running.installation.database.scan_seconds_max = 10.0
        answered = house.get("/api/incidents?$top=1", token)

    assert (refused.status, refused.code) == (503, "ServiceUnavailable")
    assert refused.json["error"]["message"] == (
        "The query takes too long. Ask for less, for example by a range of lastUpdateTime."
    )
    assert refused.header("retry-after") == "5"
    assert answered.status == 200


# From inside


class Client:
    """The outside of an exchange: what it is sent, how long it takes over that, and when it goes away."""

    def __init__(self, *, seconds_each: float = 0.0) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.has_gone = asyncio.Event()
        self.stalls_after_bytes: int | None = None
        self._seconds_each = seconds_each
        scope: Scope = {"method": "GET", "headers": [], "http_version": "1.1"}
        self.exchange = Exchange(
            scope,
            self._receive,
            self._send,
            request_id="",
            at=NOON,
            started_seconds=0.0,
        )

    async def _receive(self) -> dict[str, Any]:
        await self.has_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        has_stalled = self.stalls_after_bytes is not None and len(self.body) >= self.stalls_after_bytes
        await asyncio.sleep(60 if has_stalled else self._seconds_each)
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(bytes(message.get("body", b"")) for message in self.sent)


async def stream(client: Client, pieces: AsyncIterator[list[bytes]], *, grace_seconds: float = 5.0) -> None:
    async with streaming(client.exchange, grace_seconds=grace_seconds) as answer:
        await answer.send([], pieces)


async def some(
    *pieces: bytes, then: Callable[[], Awaitable[object]] | None = None
) -> AsyncIterator[list[bytes]]:
    for piece in pieces:
        yield [piece]
    if then is not None:
        await then()


def test_large_pieces_are_sent_in_parts() -> None:
    async def send() -> Client:
        client = Client()
        await stream(client, some(b"a", bytes(200 * 1024), b"", b"z"))
        return client

    client = asyncio.run(send())

    assert client.body == b"a" + bytes(200 * 1024) + b"z"
    assert max(len(message.get("body", b"")) for message in client.sent) == 80 * 1024
    assert [message.get("more_body", False) for message in client.sent[1:]] == [*[True] * 5, False]


def test_pieces_that_are_too_much_together_are_sent_by_as_many_as_fit() -> None:
    async def batches() -> AsyncIterator[list[bytes]]:
        yield [b",", bytes(30 * 1024)] * 5

    async def send() -> Client:
        client = Client()
        await stream(client, batches())
        return client

    sent = [len(message["body"]) for message in asyncio.run(send()).sent[1:-1]]

    assert sent == [2 * 30 * 1024 + 3, 2 * 30 * 1024 + 2, 30 * 1024]


def test_the_body_ends_after_what_was_held_for_it_is_let_go_of() -> None:
    async def send() -> tuple[bool, bool]:
        client = Client()
        async with streaming(client.exchange, grace_seconds=5.0) as answer:
            await answer.send([], some(b"all"))
            has_ended = not client.sent[-1].get("more_body")
        return has_ended, not client.sent[-1].get("more_body")

    assert asyncio.run(send()) == (False, True)


def test_a_client_that_goes_away_stops_the_work_at_once() -> None:
    async def send() -> bool:
        client, was_stopped = Client(), False

        async def work() -> None:
            nonlocal was_stopped
            client.has_gone.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                was_stopped = True
                raise

        with pytest.raises(ClientGone):
            await stream(client, some(b"a", then=work))
        return was_stopped

    assert asyncio.run(send())


def test_a_client_may_go_away_while_the_first_piece_is_still_worked_on() -> None:
    async def send() -> list[MutableMapping[str, Any]]:
        client = Client()
        client.has_gone.set()
        with pytest.raises(ClientGone):
            async with streaming(client.exchange, grace_seconds=5.0):
                await asyncio.sleep(60)
        return client.sent

    assert asyncio.run(send()) == []


def test_a_client_that_goes_away_when_all_is_done_disturbs_nothing() -> None:
    async def send() -> list[MutableMapping[str, Any]]:
        client = Client()
        async with streaming(client.exchange, grace_seconds=5.0) as answer:
            await answer.send([], some(b"all"))
            client.has_gone.set()
        await asyncio.sleep(0.01)
        return client.sent

    assert len(asyncio.run(send())) == 3


def test_a_server_that_stops_is_not_taken_for_a_client_that_goes_away() -> None:
    async def send() -> None:
        client = Client()
        task = asyncio.create_task(stream(client, some(b"a", then=lambda: asyncio.sleep(60))))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(send())


def test_a_client_may_not_take_longer_than_its_grace_over_a_part() -> None:
    async def send() -> bytes:
        client = Client()
        much = some(bytes(SLOWEST_BYTES_PER_SECOND), b"x", then=None)
        client.stalls_after_bytes = SLOWEST_BYTES_PER_SECOND
        with pytest.raises(ClientTooSlow):
            await stream(client, much, grace_seconds=0.1)
        return client.body

    started = time.monotonic()
    assert asyncio.run(send()) == bytes(SLOWEST_BYTES_PER_SECOND)
    assert time.monotonic() - started < 10


def test_a_client_that_is_slow_all_the_time_is_cut_when_its_grace_is_used_up() -> None:
    async def send() -> int:
        client = Client(seconds_each=0.02)
        with pytest.raises(ClientTooSlow):
            await stream(client, some(*[b"x"] * 100), grace_seconds=0.1)
        return len(client.body)

    assert 1 <= asyncio.run(send()) < 20


def test_a_client_that_takes_enough_is_not_cut_however_long_it_takes() -> None:
    piece = bytes(SLOWEST_BYTES_PER_SECOND // 4)

    async def send() -> int:
        client = Client(seconds_each=0.02)
        await stream(client, some(*[piece] * 30), grace_seconds=0.3)
        return len(client.body)

    assert asyncio.run(send()) == 30 * len(piece)


def test_waiting_for_the_store_is_not_the_clients_fault() -> None:
    async def send() -> bytes:
        client = Client()

        async def slowly() -> AsyncIterator[list[bytes]]:
            for piece in (b"a", b"b", b"c"):
                await asyncio.sleep(0.1)
                yield [piece]

        await stream(client, slowly(), grace_seconds=0.05)
        return client.body

    assert asyncio.run(send()) == b"abc"
