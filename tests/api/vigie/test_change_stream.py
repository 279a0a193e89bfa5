"""The change feed as server-sent events: at once, without loss or doubles, and only as long as it is allowed."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import pytest

from tests.api.vigie.test_changes import (
    PATH,
    a_change,
    a_tenant_on,
    an_incident_of,
    record,
)
from tests.support.event_streams import Event, EventStream
from tests.support.house import READ_ALL, Clock, House, RunningHouse, eventually
from vigie.api.vigie.change_stream import HEARTBEAT_SECONDS
from vigie.api.vigie.cursors import CURSOR_LENGTH
from vigie.config.settings import QuotaSettings, ServerSettings

GENEROUS = QuotaSettings(changes_per_minute=10**6, changes_per_hour=10**6, change_streams=50)
SOON_SECONDS = 5.0


@pytest.fixture(scope="module")
def running(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    with RunningHouse(tmp_path_factory.mktemp("streams"), quotas=GENEROUS) as served:
        yield served


@pytest.fixture
def home(running: RunningHouse) -> House:
    return a_tenant_on(running)


def stream(house: House, token: str, *, after: str | int = "latest", last_id: str = "") -> EventStream:
    return EventStream(house.running.url, f"{PATH}?after={after}", token, last_id)


def told(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.kind, event.data["incidentId"]) for event in events]


def ends(opened: EventStream, *, within_seconds: float = SOON_SECONDS) -> bool:
    """Whether a stream is ended properly in time, without another event."""
    opened.wait_no_longer_than(within_seconds)
    return opened.rest() == []


# Events


def test_a_change_is_an_event_with_its_number(home: House) -> None:
    with stream(home, home.a_token()) as opened:
        home.takes(an_incident_of(1))

        (event,) = opened.take(1)

    number = event.data.pop("number")
    assert event.kind == "created"
    assert (event.id, number) == ("1", 1)
    assert event.data.keys() == {"at", "kind", "incidentId", "alertId", "actor"}
    assert opened.retry_milliseconds == 2_000


def test_the_headers_are_friendly_to_proxies(home: House) -> None:
    with stream(home, home.a_token()) as opened:
        headers = {name.lower(): value for name, value in opened.response.getheaders()}

    assert headers.items() >= {
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("vary", "Accept, Accept-Encoding"),
        ("transfer-encoding", "chunked"),
    }
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream;q=0.5, application/json", True),
        ("application/json;q=0.1, text/event-stream; q=1", True),
        ("text/event-stream;q=0", False),
        ("text/event-stream; q=0.0", False),
        ("*/*", False),
        ("text/*", False),
        ("text/event-streams", False),
        ("", False),
    ],
)
def test_a_stream_is_for_clients_that_ask_for_one(home: House, accept: str, is_stream: bool) -> None:
    answer = home.get(PATH, home.a_token(), [("Accept", accept)], method="HEAD")

    assert answer.status == 200
    assert (answer.header("content-type") == "text/event-stream") is is_stream


def test_a_stream_begins_with_what_there_is(home: House) -> None:
    for number in range(1, 401):
        record(home, a_change(number))

    with stream(home, home.a_token(), after=0) as opened:
        events = opened.take(400)

    assert [event.data["number"] for event in events] == list(range(1, 401))


def test_the_last_event_id_wins_over_after(home: House) -> None:
    for number in range(1, 4):
        home.takes(an_incident_of(number))

    with stream(home, home.a_token(), after=0, last_id="2") as opened:
        assert told(opened.take(1)) == [("created", 3)]


def test_a_last_event_id_that_is_none_is_400(home: House) -> None:
    with stream(home, home.a_token(), last_id="yesterday") as opened:
        assert opened.status == 400


def test_a_scoped_reader_hears_of_what_it_sees_alone_and_resumes_with_a_cursor(home: House) -> None:
    token = home.a_token_exposed_to("laptops")
    with stream(home, token) as opened:
        home.takes(an_incident_of(1, "servers"))
        home.takes(an_incident_of(2, "laptops"))
        (event,) = opened.take(1)
    home.takes(an_incident_of(3, "servers"))
    home.takes(an_incident_of(4, "laptops"))
    with stream(home, token, last_id=event.id) as resumed:
        (after,) = resumed.take(1)

    assert told([event, after]) == [("created", 2), ("created", 4)]
    assert "number" not in event.data
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{{CURSOR_LENGTH}}}", event.id)


def test_a_stream_without_events_has_an_id_to_resume_with(home: House) -> None:
    token = home.a_token_exposed_to("laptops")
    with stream(home, token) as opened:
        opened.wait_no_longer_than(1)
        with pytest.raises(TimeoutError):
            opened.take(1)
    home.takes(an_incident_of(1, "laptops"))

    with stream(home, token, last_id=opened.last_id) as resumed:
        assert told(resumed.take(1)) == [("created", 1)]


def test_somebody_elses_id_is_400_and_one_of_another_scope_410(home: House) -> None:
    user = home.add_user("laptops")
    with stream(home, home.token_of(user, "Incident.Read")) as opened:
        opened.wait_no_longer_than(1)
        with pytest.raises(TimeoutError):
            opened.take(1)
    home.grant(user, "security-reader", "servers")

    with (
        stream(home, home.a_token_exposed_to("laptops"), last_id=opened.last_id) as strange,
        stream(home, home.token_of(user, "Incident.Read"), last_id=opened.last_id) as wider,
    ):
        assert (strange.status, wider.status) == (400, 410)


def test_something_is_said_when_nothing_happens(home: House) -> None:
    began = time.monotonic()
    with stream(home, home.a_token()) as opened:
        opened.read_comment()

    assert HEARTBEAT_SECONDS - 1 < time.monotonic() - began < HEARTBEAT_SECONDS + SOON_SECONDS


def test_http_1_0_has_no_streams(home: House) -> None:
    head = f"GET {PATH} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {home.a_token()}\r\n"

    answer = home.running.send(f"{head}Accept: text/event-stream\r\n\r\n".encode())

    assert (answer.status, answer.code) == (400, "InvalidInput")
    assert b"proxy_http_version 1.1" in answer.body


# The end of a stream


def test_a_stream_ends_with_its_token(store: str, tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock, quotas=GENEROUS) as served:
        house = a_tenant_on(served)
        with stream(house, house.a_token(lifetime_seconds=60)) as opened:
            clock.forward(seconds=60 + 300 + 1)

            assert ends(opened)


def test_a_stream_ends_with_its_application(home: House) -> None:
    application, secret = home.add_application(READ_ALL)
    with stream(home, home.fetch_token(application, secret)) as opened:
        home.running.run(home.directory.remove_application(home.tenant, application))

        assert ends(opened)


def test_a_stream_ends_with_its_permission(home: House) -> None:
    application, secret = home.add_application(READ_ALL)
    with stream(home, home.fetch_token(application, secret)) as opened:
        home.running.run(home.directory.update_application(home.tenant, application, permissions=()))

        assert ends(opened)


@pytest.mark.parametrize("groups", [(), ("servers",)])
def test_a_stream_ends_when_its_reader_may_see_more(home: House, groups: tuple[str, ...]) -> None:
    user = home.add_user("laptops")
    with stream(home, home.token_of(user, "Incident.Read")) as opened:
        home.grant(user, "security-reader", *groups)

        assert ends(opened)


def test_a_server_that_stops_ends_its_streams_at_once(store: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        served = RunningHouse(tmp_path, quotas=GENEROUS)
        served.__enter__()
        house = a_tenant_on(served)
        opened = [
            stack.enter_context(stream(house, token))
            for token in (house.a_token(), house.a_token_exposed_to("laptops"))
        ]
        began = time.monotonic()
        served.__exit__()

        assert time.monotonic() - began < 3
        assert all(ends(each) for each in opened)


def test_a_client_that_goes_away_is_noticed(home: House) -> None:
    def open_count() -> int:
        body = home.running.request("GET", "/metrics").body.decode()
        return int(float(re.findall(r"^vigie_change_streams (.+)$", body, re.MULTILINE)[0]))

    with stream(home, home.a_token()):
        assert open_count() == 1

    assert eventually(lambda: open_count() == 0, within_seconds=SOON_SECONDS)


# Bounds


def test_a_caller_has_only_so_many_streams(store: str, tmp_path: Path) -> None:
    quotas = QuotaSettings(change_streams=2)
    with RunningHouse(tmp_path, quotas=quotas) as served, ExitStack() as stack:
        house = a_tenant_on(served)
        token = house.a_token()
        first, _ = (stack.enter_context(stream(house, token)) for _ in range(2))
        third = stack.enter_context(stream(house, token))
        other = stack.enter_context(stream(house, house.a_token()))
        first.close()

        def is_served() -> bool:
            with stream(house, token) as again:
                return again.status == 200

        assert (third.status, other.status) == (429, 200)
        assert third.response.getheader("retry-after") == "10"
        assert eventually(is_served, within_seconds=SOON_SECONDS)


def test_a_server_has_only_so_many_streams(store: str, tmp_path: Path) -> None:
    server = ServerSettings(port=0, change_streams_max=2)
    with RunningHouse(tmp_path, server=server) as served, ExitStack() as stack:
        house = a_tenant_on(served)
        statuses = [stack.enter_context(stream(house, house.a_token())).status for _ in range(3)]

        assert statuses == [200, 200, 503]


def test_a_client_that_does_not_read_is_cut(store: str, tmp_path: Path) -> None:
    server = ServerSettings(port=0, write_seconds=2)
    with RunningHouse(tmp_path, server=server, quotas=GENEROUS) as served:
        house = a_tenant_on(served)
        for _ in range(40):
            record(house, *(a_change(number, "#11") for number in range(1_000)))
        path = f"{PATH}?after=0&limit=1000"
        with EventStream(served.url, path, house.a_token(), receive_bytes=4096) as opened:
            time.sleep(6)

            events = opened.rest()

        assert len(events) < 40_000


def test_streams_of_a_tenant_share_one_look_at_its_feed(store: str, tmp_path: Path) -> None:
    pattern = re.compile(r'^vigie_store_seconds_count\{operation="latest_change"\} (.+)$', re.MULTILINE)
    with RunningHouse(tmp_path, quotas=GENEROUS) as served, ExitStack() as stack:
        house = a_tenant_on(served)

        def look_count() -> float:
            return float(pattern.findall(served.request("GET", "/metrics").body.decode())[0])

        for _ in range(30):
            stack.enter_context(stream(house, house.a_token()))
        before = look_count()
        time.sleep(3)

        # Six for all streams, and what projections look at; 180 if each looked by itself.
        assert look_count() - before < 30


# While others write


@pytest.mark.parametrize("groups", [(), ("laptops",)])
def test_nothing_is_lost_or_doubled_by_a_client_that_comes_and_goes(
    home: House, groups: tuple[str, ...]
) -> None:
    count = 150
    token = home.a_token_exposed_to(*groups)
    heard: list[int] = []

    def write() -> None:
        for number in range(1, count + 1):
            home.takes(an_incident_of(2 * number, "laptops"))
            home.takes(an_incident_of(2 * number + 1, "servers"))

    last_id = ""
    writer = threading.Thread(target=write)
    writer.start()
    wanted = [number for number in range(2, 2 * count + 2) if not groups or number % 2 == 0]
    while len(heard) < len(wanted):
        with stream(home, token, after=0, last_id=last_id) as opened:
            # Fewer where the server has ended the stream, as it does when its database does not answer.
            some = list(islice(opened.events(), min(17, len(wanted) - len(heard))))
        heard += [event.data["incidentId"] for event in some]
        last_id = some[-1].id if some else last_id
    writer.join()

    assert heard == wanted
