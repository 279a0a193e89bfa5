"""Readers that poll as connectors do, while writers write and the clock steps about: no update is missed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.builders import Document, a_redirected_stub, an_alert, an_incident
from tests.support.house import Clock, House, RunningHouse
from tests.support.updating import WRITE, WRITE_ALL, update
from vigie.config.settings import QuotaSettings
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant

PAGE_SIZE = 100
INCIDENT_COUNT = 230
LONG_AGO = "2000-01-01T00:00:00Z"
BEFORE_THE_CLOCK = "2020-01-01T00:00:00Z"

Poll = Callable[["Reader"], list[Document]]
Ask = Callable[[str], Document]


@dataclass
class Log:
    """The updates that were acknowledged, in the order in which the writers heard of it."""

    acknowledged: list[tuple[int, Instant]] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)


@dataclass
class Reader:
    """A connector: what it has seen of each incident, and the newest time of all."""

    ask: Ask
    poll: Poll
    cursor: str = LONG_AGO
    seen: dict[int, Instant] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def read(self, log: Log) -> int:
        """Poll once, and see whether that has passed over an update; how many incidents came."""
        known = len(log.acknowledged)
        incidents = self.poll(self)
        for incident in incidents:
            at, number = parse_instant(incident["lastUpdateTime"]), incident["incidentId"]
            self.seen[number] = max(at, self.seen.get(number, at))
            self.cursor = max(self.cursor, incident["lastUpdateTime"], key=parse_instant)
        passed = parse_instant(self.cursor)
        self.missed += [
            f"incident {number} of {format_instant(at)}, the cursor is at {self.cursor}"
            for number, at in log.acknowledged[:known]
            if at <= passed and self.seen.get(number, Instant(0)) < at
        ]
        return len(incidents)

    def read_on(self, log: Log) -> None:
        """Poll until the writers have ended, and then until nothing more comes."""
        while not log.is_over.is_set():
            self.read(log)
        while self.read(log):
            pass


def like_xsoar(reader: Reader) -> list[Document]:
    """Pages of 100 by `$skip`, which is left out when it is 0; a short page is the last."""
    incidents: list[Document] = []
    while True:
        query = f"%24top=100&%24filter={quote_plus(f'lastUpdateTime gt {reader.cursor}')}"
        skip = f"&%24skip={len(incidents)}" if incidents else ""
        page = reader.ask(f"/api/incidents?{query}{skip}")["value"]
        incidents += page
        if len(page) < PAGE_SIZE:
            return incidents


def like_opencti(reader: Reader) -> list[Document]:
    """Along the links; the first incident is the newest, and its time the next cursor."""
    at = format_instant(parse_instant(reader.cursor)).replace("Z", "+00:00")
    link = f"/api/incidents?$filter={quote_plus(f'lastUpdateTime gt {at}')}"
    incidents: list[Document] = []
    while link:
        answer = reader.ask(link)
        incidents += answer["value"]
        link = answer.get("@odata.nextLink", "").partition("/api/")[2]
        link = link and f"/api/{link}"
    if incidents:
        newest = max(incidents, key=lambda incident: parse_instant(incident["lastUpdateTime"]))
        assert len(incidents) > PAGE_SIZE or newest is incidents[0]
    return incidents


@pytest.fixture(scope="module")
def polled_server(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server without a quota to speak of, whose clock is ours."""
    many = 10**6
    quotas = QuotaSettings(
        list_per_minute=many,
        list_per_hour=many,
        update_per_minute=many,
        update_per_hour=many,
        get_per_minute=many,
        get_per_hour=many,
    )
    with RunningHouse(tmp_path_factory.mktemp("polled"), clock=Clock(), quotas=quotas) as running:
        yield running


def asking(house: House, token: str) -> Ask:
    def ask(path: str) -> Document:
        answer = house.get(path, token)
        assert answer.status == 200, answer.body
        document: Document = answer.json
        return document

    return ask


def write(
    house: House, log: Log, token: str, numbers: Sequence[int], moments: Sequence[Instant], seed: int
) -> None:
    """Update incidents in any order, and set the clock before each update."""
    random, clock = Random(seed), house.running.clock
    assert clock is not None
    for moment in moments:
        clock.show(moment)
        number = random.choice(numbers)
        answer = update(house, number, token, {"comment": f"{seed}"})
        assert answer.status == 200, answer.body
        log.acknowledged.append((number, parse_instant(answer.json["lastUpdateTime"])))


# Ticks: most steps are small, some are minutes, forward and back. Tokens put up with five of these.
clock_offsets = st.lists(
    st.integers(-3, 3) | st.integers(-200 * TICKS_PER_SECOND, 200 * TICKS_PER_SECOND),
    min_size=30,
    max_size=40,
)


@settings(
    max_examples=5,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
@given(
    writers=st.lists(clock_offsets, min_size=3, max_size=4),
    seed=st.integers(0, 999),
    is_visited=st.booleans(),
)
def test_a_reader_that_asks_for_what_is_newer_misses_no_update(
    polled_server: RunningHouse, writers: list[list[int]], seed: int, is_visited: bool
) -> None:
    """`is_visited`: in between, somebody imports an incident from another time."""
    house, log, clock = House(polled_server), Log(), polled_server.clock
    assert clock is not None
    # All tokens are of this moment, and every other is near to it.
    start = clock.now()
    numbers = [
        house.takes(a_redirected_stub(1) | {"status": "Active", "alerts": [an_alert("laptops")]})
        for _ in range(INCIDENT_COUNT)
    ]
    scoped = house.token_of(house.add_user("laptops"), WRITE)
    readers = [
        Reader(asking(house, token), poll)
        for poll in (like_xsoar, like_opencti)
        for token in (house.a_token(), scoped)
    ]
    writing = [
        threading.Thread(
            target=write,
            args=(house, log, house.a_token(WRITE_ALL), numbers, moments, seed + place),
        )
        for place, moments in enumerate([Instant(start + ticks) for ticks in each] for each in writers)
    ]
    reading = [threading.Thread(target=reader.read_on, args=(log,)) for reader in readers]

    for thread in (*reading, *writing):
        thread.start()
    if is_visited:
        house.takes(an_incident(an_alert("laptops"), lastUpdateTime="2199-01-01T00:00:00Z"))
    for thread in writing:
        thread.join()
    log.is_over.set()
    for thread in reading:
        thread.join()
    clock.show(start)

    assert len(log.acknowledged) == sum(map(len, writers))
    assert len({at for _, at in log.acknowledged}) == len(log.acknowledged)
    newest = {
        number: max(at for each, at in log.acknowledged if each == number) for number, _ in log.acknowledged
    }
    for reader in readers:
        assert reader.missed == []
        assert {number: reader.seen[number] for number in newest} == newest
        assert len(reader.seen) == INCIDENT_COUNT + is_visited


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[House]:
    """A house whose clock is ours."""
    with RunningHouse(tmp_path, clock=Clock()) as running:
        yield House(running)


@pytest.mark.parametrize("poll", [like_xsoar, like_opencti])
def test_an_import_older_than_what_was_seen_is_passed_over_by_such_a_reader(house: House, poll: Poll) -> None:
    house.takes(an_incident(lastUpdateTime="2026-02-11T07:52:30.81Z"))
    reader, log = Reader(asking(house, house.a_token()), poll), Log()
    reader.read(log)

    older = house.takes(an_incident(lastUpdateTime="2026-02-11T07:52:30.8099999Z"))
    equal = house.takes(an_incident(lastUpdateTime="2026-02-11T07:52:30.81Z"))
    newer = house.takes(an_incident(lastUpdateTime="2026-02-11T07:52:30.8100001Z"))

    assert reader.read(log) == 1
    assert reader.seen.keys() & {older, equal, newer} == {newer}


def test_the_first_update_brings_it_in_sight(clocked: House) -> None:
    older = clocked.takes(an_incident(lastUpdateTime=BEFORE_THE_CLOCK))
    clocked.takes(an_incident(lastUpdateTime="2199-01-01T00:00:00Z"))
    reader, log = Reader(asking(clocked, clocked.a_token()), like_xsoar, cursor="2199-01-01T00:00:00Z"), Log()
    assert reader.read(log) == 0

    update(clocked, older, clocked.a_token(WRITE_ALL), {"status": "Resolved"})

    assert reader.read(log) == 1
    assert reader.seen.keys() == {older}
