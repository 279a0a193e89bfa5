"""Replicas: real ones, that lag, die and come back, under two servers that read from them."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import asyncpg
import pytest
from msgspec.structs import replace

from tests.support.builders import an_incident
from tests.support.commands import events_in, run_program, served
from tests.support.event_streams import EventStream
from tests.support.house import House, RunningHouse, eventually
from tests.support.postgres_server import PostgresServer, a_postgres_server, a_standby
from tests.support.stores import NO_POSTGRES, a_secret_in, binaries
from tests.support.tcp_proxy import an_address
from tests.support.updating import WRITE_ALL, head_of, update
from tests.support.valkey import RunningValkey
from vigie.config.settings import DatabaseSettings, KeysSettings, QuotaSettings
from vigie.core.replication import ReplicationPosition
from vigie.storage.database import ReplicaFailed, Session, Statement
from vigie.storage.postgres.database import PostgresDatabase, open_postgres
from vigie.storage.postgres.replicas.database import DatabaseWithReplicas, Place
from vigie.storage.postgres.replicas.lag_monitor import LagMonitor
from vigie.storage.postgres.replicas.replica import Progress, Replica
from vigie.storage.postgres.session import PostgresSession

AGE_SECONDS = 2
BACK_SECONDS_MAX = 20.0
FIRST = ReplicationPosition(0)
COUNT_VALUES = Statement("SELECT count(*) FROM installation WHERE name = 'a'", {})
_WITHOUT_END: Mapping[str, Any] = {
    f"{call}_per_{time}": 10**6 for call in ("get", "list", "update") for time in ("minute", "hour")
}
_LOCK_LISTS = "BEGIN; LOCK TABLE incident_listing IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT"
_LOCKS = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation > 16383"
_END_WAITING = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@dataclass
class Cluster:
    """A primary and a replica of it."""

    primary: PostgresServer
    replica: PostgresServer


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    found = binaries()
    if found is None:
        pytest.skip(NO_POSTGRES)
    # Commits are waited for here, because what is lost is what this is about.
    with (
        a_postgres_server(found, "-c", "fsync=off", "-c", "max_connections=200") as primary,
        a_standby(primary, "-c", "max_standby_streaming_delay=0") as replica,
    ):
        yield Cluster(primary=primary, replica=replica)


class Node:
    """One of the servers, and what tests ask of it."""

    def __init__(self, running: RunningHouse, house: House) -> None:
        self.running = running
        self.house = copy(house)
        self.house.running = running

    def name_of(self, number: int, token: str) -> str:
        """The name of an incident, as this server answers."""
        answer = self.house.get(number, token)
        assert answer.status == 200, answer.body
        return str(answer.json["incidentName"])

    def listed(self, token: str) -> list[str]:
        """The names of all incidents, as this server lists them."""
        answer = self.house.get("/api/incidents", token)
        assert answer.status == 200, answer.body
        return [incident["incidentName"] for incident in answer.json["value"]]

    def metric(self, name: str) -> float:
        """The value of a metric."""
        lines = self.running.request("GET", "/metrics").body.decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    @property
    def reads(self) -> tuple[float, float]:
        """How many reads the primary and the replicas have answered."""
        primary, replica = (
            self.metric(f'vigie_store_reads_total{{place="{place}"}}') for place in ("primary", "standby")
        )
        return primary, replica

    @property
    def replicas_up(self) -> float:
        """How many replicas it reads from."""
        return self.metric("vigie_standbys_up")

    def reads_from_replica(
        self, number: int, token: str, *, within_seconds: float = BACK_SECONDS_MAX
    ) -> bool:
        """Whether this caller is answered by a replica in the end."""

        def is_so() -> bool:
            before = self.reads[1]
            self.name_of(number, token)
            return self.reads[1] > before

        return eventually(is_so, within_seconds=within_seconds)


@dataclass
class Pair:
    """Two servers over one cluster and one Valkey."""

    nodes: list[Node]
    house: House
    database: str
    cluster: Cluster
    valkey: RunningValkey
    renamed: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def rename(self, number: int, token: str) -> str:
        """Have the first server change an incident; how it is assigned says which change it was."""
        to = f"ana-{next(self.renamed)}@contoso.example"
        answer = update(self.nodes[0].house, number, token, {"assignedTo": to})
        assert answer.status == 200, answer.body
        return to


def assigned(node: Node, number: int, token: str) -> str:
    answer = node.house.get(number, token)
    assert answer.status == 200, answer.body
    return str(answer.json["assignedTo"])


@pytest.fixture(scope="module")
def pair(cluster: Cluster, valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    name = cluster.primary.new_database()
    sections: dict[str, Any] = {
        "database": DatabaseSettings(
            url=cluster.primary.url(name),
            replicas=(cluster.replica.url(name),),
            replica_age_seconds_max=AGE_SECONDS,
        ),
        "keys": KeysSettings(secret_file=str(a_secret_in(folder))),
        "quotas": QuotaSettings(store=valkey.url, **_WITHOUT_END),
    }
    with ExitStack() as stack:
        running = [stack.enter_context(RunningHouse(folder, **sections)) for _ in range(2)]
        house = House(running[0])
        yield Pair([Node(each, house) for each in running], house, name, cluster, valkey)


@pytest.fixture
def number(pair: Pair) -> int:
    """An incident that all replicas have."""
    number = pair.house.takes(an_incident())
    assert eventually(
        lambda: all(node.replicas_up == 1 for node in pair.nodes), within_seconds=BACK_SECONDS_MAX
    )
    pair.cluster.primary.wait_for(pair.cluster.replica)
    return number


@contextmanager
def paused(replica: PostgresServer) -> Iterator[None]:
    """It replays nothing meanwhile."""
    replica.pause_replay()
    try:
        yield
    finally:
        replica.resume_replay()


# Two servers


def test_a_caller_of_whom_nothing_is_known_is_answered_by_the_primary_and_then_by_replicas(
    pair: Pair, number: int
) -> None:
    token = pair.house.a_token()
    node = pair.nodes[0]
    assert node.reads_from_replica(number, pair.house.a_token())
    primary, replica = node.reads

    node.name_of(number, token)
    assert node.reads == (primary + 1, replica)

    assert node.reads_from_replica(number, token)
    assert pair.nodes[1].reads_from_replica(number, token)
    primary = node.reads[0]
    assert pair.nodes[1].listed(token) == node.listed(token)
    assert node.reads[0] == primary


def test_a_caller_reads_what_it_wrote_and_others_nothing_older_than_the_bound(
    pair: Pair, number: int
) -> None:
    writer, reader = pair.house.a_token(WRITE_ALL), pair.house.a_token()
    for node in pair.nodes:
        assert node.reads_from_replica(number, writer)
        assert node.reads_from_replica(number, reader)
    before = assigned(pair.nodes[0], number, reader)
    seen: list[tuple[float, str]] = []

    with paused(pair.cluster.replica):
        now = pair.rename(number, writer)
        changed_at = time.monotonic()
        for _ in range(5):
            assert [assigned(node, number, writer) for node in pair.nodes] == [now, now]
        while (asked_at := time.monotonic()) < changed_at + AGE_SECONDS + 1.5:
            seen += [(asked_at - changed_at, assigned(node, number, reader)) for node in pair.nodes]
            time.sleep(0.05)
        assert [node.replicas_up for node in pair.nodes] == [0, 0]

    assert {name for _, name in seen} == {before, now}
    assert {name for seconds, name in seen if seconds > AGE_SECONDS} == {now}
    for node in pair.nodes:
        assert node.reads_from_replica(number, writer)
        assert assigned(node, number, writer) == now
        assert node.replicas_up == 1


def test_who_is_told_of_a_change_reads_nothing_older(pair: Pair, number: int) -> None:
    """The feed is read from the primary, and its reader must not find an incident as it was before."""
    writer, reader, streamer = pair.house.a_token(WRITE_ALL), pair.house.a_token(), pair.house.a_token()
    for node in pair.nodes:
        assert node.reads_from_replica(number, reader)
        assert node.reads_from_replica(number, streamer)
    feed = "/api/vigie/changes?after="
    place = pair.nodes[0].house.get(f"{feed}latest", reader).json["next"]

    with paused(pair.cluster.replica):
        now = pair.rename(number, writer)
        told = pair.nodes[0].house.get(f"{feed}{place}", reader).json["value"]
        with EventStream(pair.nodes[0].running.url, f"{feed}{place}", streamer) as stream:
            (event,) = stream.take(1)
        seen = {assigned(node, number, token) for node in pair.nodes for token in (reader, streamer)}

    assert [(each["kind"], each["incidentId"]) for each in [*told, event.data]] == [("updated", number)] * 2
    assert seen == {now}


def test_many_writers_read_what_they_wrote_at_every_server(pair: Pair, number: int) -> None:
    numbers = [pair.house.takes(an_incident()) for _ in range(4)]
    tokens = [pair.house.a_token(WRITE_ALL) for _ in numbers]
    before = [node.reads[1] for node in pair.nodes]

    def work(number: int, token: str) -> None:
        for turn in range(25):
            now = pair.rename(number, token)
            # At once the primary is asked; replicas are, once somebody has looked how far they have come.
            for pause_seconds in (0, 0.01, 0.1 * (turn % 4)):
                time.sleep(pause_seconds)
                assert [assigned(node, number, token) for node in pair.nodes] == [now, now]

    with ThreadPoolExecutor(len(tokens)) as callers:
        for each in [callers.submit(work, *each) for each in zip(numbers, tokens, strict=True)]:
            each.result()

    assert all(node.reads[1] > read for node, read in zip(pair.nodes, before, strict=True))


def test_a_refused_change_sends_nobody_to_the_primary(pair: Pair, number: int) -> None:
    writer, reader = pair.house.a_token(WRITE_ALL), pair.house.a_token()
    node = pair.nodes[0]
    assert node.reads_from_replica(number, writer)
    assert node.reads_from_replica(number, reader)
    primary = node.reads[0]

    refused = [
        update(node.house, number, writer, {"status": "wrong"}).status,
        update(node.house, 10**9, writer, {"assignedTo": "ben"}).status,
        update(node.house, number, reader, {"assignedTo": "ben"}).status,
    ]

    assert refused == [400, 404, 403]
    assert [node.name_of(number, token) for token in (writer, reader)]
    assert node.reads[0] == primary


def test_a_change_whose_body_never_comes_sends_nobody_to_the_primary_for_long(
    pair: Pair, number: int
) -> None:
    writer = pair.house.a_token(WRITE_ALL)
    node = pair.nodes[0]
    assert node.reads_from_replica(number, writer)
    place = urlsplit(node.running.url)

    def is_under_way() -> bool:
        before = node.reads[0]
        node.name_of(number, writer)
        return node.reads[0] > before

    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(head_of(node.house, number, writer, "Content-Length: 100") + b"{")
        assert eventually(is_under_way, within_seconds=BACK_SECONDS_MAX)

    assert node.reads_from_replica(number, writer)


def test_a_replica_that_is_killed_under_reads_fails_none_of_them_and_comes_back(
    pair: Pair, number: int
) -> None:
    tokens = [pair.house.a_token() for _ in range(4)]
    for node in pair.nodes:
        for token in tokens:
            assert node.reads_from_replica(number, token)
    has_ended = threading.Event()
    statuses: list[int] = []

    def read(token: str) -> None:
        while not has_ended.is_set():
            for node in pair.nodes:
                statuses.append(node.house.get(number, token).status)
                statuses.append(node.house.get("/api/incidents", token).status)

    def ups() -> list[float]:
        return [node.replicas_up for node in pair.nodes]

    with ThreadPoolExecutor(len(tokens)) as callers:
        reads = [callers.submit(read, token) for token in tokens]
        try:
            pair.cluster.replica.kill()
            assert eventually(lambda: ups() == [0, 0], within_seconds=BACK_SECONDS_MAX)
            count = len(statuses)
            assert eventually(lambda: len(statuses) > count + 20, within_seconds=BACK_SECONDS_MAX)
            pair.cluster.replica.start()
            assert eventually(lambda: ups() == [1, 1], within_seconds=BACK_SECONDS_MAX)
        finally:
            has_ended.set()
        for each in reads:
            each.result()

    assert set(statuses) == {200}
    assert all(node.reads_from_replica(number, tokens[0]) for node in pair.nodes)


def test_a_list_whose_replica_fails_before_anything_is_sent_is_read_from_the_primary(
    pair: Pair, number: int
) -> None:
    token = pair.house.a_token()
    node, primary, replica = pair.nodes[0], pair.cluster.primary, pair.cluster.replica
    assert node.reads_from_replica(number, token)
    before = node.reads

    with ThreadPoolExecutor(2) as others:
        # A lock that is held in the primary stops the readers of the table, in the replica too.
        locking = others.submit(primary.sql, _LOCK_LISTS, database=pair.database)
        assert eventually(lambda: replica.sql(_LOCKS) == "1", within_seconds=BACK_SECONDS_MAX)
        listing = others.submit(node.listed, token)
        assert eventually(lambda: replica.sql(_END_WAITING) == "t", within_seconds=BACK_SECONDS_MAX)
        locking.result()
        assert listing.result()

    assert node.reads == (before[0] + 1, before[1] + 1)


def test_without_valkey_reads_are_the_primary_s_and_changes_wait_until_they_are_old_enough(
    pair: Pair, number: int
) -> None:
    writer = pair.house.a_token(WRITE_ALL)
    node = pair.nodes[0]
    assert node.reads_from_replica(number, writer)

    with paused(pair.cluster.replica):
        pair.valkey.kill()
        try:
            began = time.monotonic()
            now = pair.rename(number, writer)
            assert time.monotonic() - began >= AGE_SECONDS
            replica = [each.reads[1] for each in pair.nodes]
            assert [assigned(each, number, writer) for each in pair.nodes] == [now, now]
            assert [each.reads[1] for each in pair.nodes] == replica
        finally:
            pair.valkey.start()

    assert eventually(lambda: node.metric("vigie_quota_store_up") == 1, within_seconds=BACK_SECONDS_MAX)
    assert all(each.reads_from_replica(number, writer) for each in pair.nodes)
    assert [assigned(each, number, writer) for each in pair.nodes] == [now, now]


def test_without_the_primary_reads_go_on_as_long_as_they_are_not_too_old(pair: Pair, number: int) -> None:
    token = pair.house.a_token()
    node = pair.nodes[0]
    assert node.reads_from_replica(number, token)

    process = pair.cluster.primary.process
    assert process is not None
    began = time.monotonic()
    # At once, and without waiting for its end: that takes as long as the bound on a machine with much to do.
    process.send_signal(signal.SIGQUIT)
    answered: list[tuple[float, int]] = []
    try:
        while (asked_at := time.monotonic()) < began + AGE_SECONDS + 3:
            answered.append((asked_at - began, node.house.get(number, token).status))
            time.sleep(0.05)
        process.wait(timeout=30)
    finally:
        pair.cluster.primary.start()

    assert answered[0][1] == 200
    assert {status for seconds, status in answered if seconds > AGE_SECONDS + 1} == {503}
    assert all(each.reads_from_replica(number, token) for each in pair.nodes)


# One database


@dataclass
class Told:
    """What was said of replicas."""

    said: list[str] = field(default_factory=list)
    replicas: list[Replica] = field(default_factory=list)

    def replica(self, url: str) -> Replica:
        replica = Replica(
            url,
            on_ejected=lambda _, reason: self.said.append(reason),
            on_back=lambda _: self.said.append("back"),
        )
        self.replicas.append(replica)
        return replica


@asynccontextmanager
async def reading(
    primary_url: str, replica: Replica, *, age_seconds: float = AGE_SECONDS
) -> AsyncIterator[tuple[PostgresDatabase, DatabaseWithReplicas]]:
    """A database, and the same as it is read where there is a replica, once that is up."""
    primary = await open_postgres(primary_url, create=True)
    watching = asyncio.create_task(LagMonitor(primary_url, [replica], age_seconds_max=age_seconds).run())
    try:
        assert await becomes(lambda: replica.is_up)
        yield primary, DatabaseWithReplicas(primary, [replica], age_seconds_max=age_seconds)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await primary.close()


async def reached(url: str) -> Progress:
    """How far a replica has come, as one who looks would say."""
    connection = await asyncpg.connect(url)
    offset, server_id = await PostgresSession(connection).row("replayed", {}) or (0, "")
    await connection.close()
    return Progress(as_of_seconds=time.monotonic(), position=FIRST, offset=offset, server_id=server_id)


async def becomes(claim: Callable[[], bool]) -> bool:
    return await asyncio.to_thread(eventually, claim, within_seconds=BACK_SECONDS_MAX)


async def add_value(session: Session, name: str, value: str) -> None:
    await session.run("set_installation_value", {"name": name, "value": value})


@pytest.fixture
def urls(cluster: Cluster) -> tuple[str, str]:
    """An empty database, on the primary and on the replica."""
    name = cluster.primary.new_database()
    cluster.primary.wait_for(cluster.replica)
    return cluster.primary.url(name), cluster.replica.url(name)


def test_a_replica_that_is_promoted_is_ejected(cluster: Cluster, urls: tuple[str, str]) -> None:
    async def work(other: PostgresServer, told: Told) -> None:
        replica = told.replica(urls[1].replace(str(cluster.replica.folder), str(other.folder)))
        async with reading(urls[0], replica):
            await asyncio.to_thread(other.promote)
            assert await becomes(lambda: not replica.is_up)

    told = Told()
    with a_standby(cluster.primary) as other:
        asyncio.run(work(other, told))

    assert told.said == ["it is no hot standby"]


def test_a_replica_that_has_not_followed_a_new_primary_does_not_pass_for_one_that_is_far(
    cluster: Cluster,
) -> None:
    """It has replayed more of the old primary than the new one ever had: by bytes alone it would be in front."""

    async def work(old: PostgresServer, new: PostgresServer, second: PostgresServer) -> None:
        name = old.new_database()
        url = f"{old.url(name)},{new.folder}&target_session_attrs=read-write"
        old.wait_for(second)
        replica = Told().replica(second.url(name))
        async with reading(url, replica) as (primary, _):
            old.wait_for(new)
            new.kill()
            old.sql("CREATE TABLE unheard AS SELECT generate_series(1, 200000)", database=name)
            old.wait_for(second)
            assert replica.may_answer(FIRST, since_seconds=0)
            old.kill()
            new.start()
            new.promote()
            async with asyncio.timeout(BACK_SECONDS_MAX):
                await primary.write(lambda session: add_value(session, "a", "1"))
            position = await primary.position()
            bytes_of_second = second.sql("SELECT pg_last_wal_replay_lsn() - '0/0'")
            assert int(bytes_of_second) > position % 2**64
            assert not replica.may_answer(position, since_seconds=0)
            assert await becomes(lambda: not replica.is_up)

    with (
        a_postgres_server(cluster.primary.binaries) as old,
        a_standby(old) as new,
        a_standby(old, name="second") as second,
    ):
        asyncio.run(work(old, new, second))


def test_another_database_is_never_read_from(cluster: Cluster, urls: tuple[str, str]) -> None:
    async def work(told: Told) -> bool:
        other = cluster.replica.url(cluster.primary.new_database())
        replica = told.replica(other)
        primary = await open_postgres(urls[0], create=True)
        watching = asyncio.create_task(LagMonitor(urls[0], [replica], age_seconds_max=1).run())
        assert await becomes(lambda: bool(told.said))
        watching.cancel()
        await primary.close()
        return replica.is_up

    told = Told()

    assert not asyncio.run(work(told))
    assert len(told.said) == 1


def test_a_replica_that_has_been_set_back_is_not_read_from(urls: tuple[str, str]) -> None:
    async def work(told: Told) -> None:
        replica = told.replica(urls[1])
        far = replace(await reached(urls[1]), offset=2**60)
        await replica.update(far)
        with pytest.raises(ReplicaFailed):
            await replica.find_incident(1, 1)
        assert not replica.is_up
        await replica.update(far)
        with pytest.raises(ReplicaFailed):
            async with replica.snapshot(1):
                pass
        replica.close()

    told = Told()
    asyncio.run(work(told))

    assert told.said == ["the replica has been set back", "back", "the replica has been set back"]


def test_of_two_replicas_behind_one_address_only_the_one_that_was_measured_is_read_from(
    cluster: Cluster,
) -> None:
    async def work(second: PostgresServer, told: Told) -> list[int]:
        name = cluster.primary.new_database()
        for each in (cluster.replica, second):
            await asyncio.to_thread(cluster.primary.wait_for, each)
        async with (
            an_address(cluster.replica) as address,
            reading(cluster.primary.url(name), told.replica(address.url(name))) as (primary, database),
        ):
            # What is opened while they are equally far stays open.
            address.lead_to(second, cluster.replica)
            await asyncio.to_thread(cluster.primary.wait_for, second)
            await looks(told, database, FIRST)
            with paused(second):
                await primary.write(lambda session: add_value(session, "a", "1"))
                position = await primary.position()
                return [number for _ in range(3) for number in await looks(told, database, position)]

    async def looks(told: Told, database: DatabaseWithReplicas, position: ReplicationPosition) -> list[int]:
        """What several see at once, each on a connection of its own, once the replica is there."""
        replica = told.replicas[0]
        assert await becomes(lambda: replica.may_answer(position, since_seconds=0))
        seen = await asyncio.gather(*(look(database, position) for _ in range(4)))
        with suppress(ReplicaFailed):
            await replica.find_incident(1, 1)
        return [number for number in seen if number is not None]

    async def look(database: DatabaseWithReplicas, position: ReplicationPosition) -> int | None:
        try:
            async with database.snapshot(min_position=position) as view:
                number = await view.number(COUNT_VALUES)
                # The others are not to find this connection free.
                await asyncio.sleep(0.1)
                return number
        except ReplicaFailed:
            return None

    told = Told()
    with a_standby(cluster.primary, name="second") as second:
        seen = asyncio.run(work(second, told))

    assert set(seen) == {1}
    assert told.said[0] == "it leads to another machine, or to one that has been started anew"


@pytest.mark.parametrize("change", [{"server_id": "another"}, {"offset": 0}])
def test_what_was_open_to_a_replica_ends_when_it_is_another_or_set_back(
    urls: tuple[str, str], change: dict[str, Any]
) -> None:
    async def look(replica: Replica, seen: Progress) -> None:
        async with replica.snapshot(1) as view:
            await replica.update(replace(seen, **change))
            await view.number(Statement("SELECT 1", {}))

    async def work(told: Told) -> None:
        replica = told.replica(urls[1])
        seen = await reached(urls[1])
        await replica.update(seen)
        with pytest.raises(ReplicaFailed):
            await look(replica, seen)
        assert replica.is_up
        replica.close()

    told = Told()
    asyncio.run(work(told))

    assert told.said == []


def test_a_connection_that_was_begun_before_a_replica_was_set_back_is_not_used(
    cluster: Cluster, urls: tuple[str, str]
) -> None:
    async def look(replica: Replica) -> None:
        async with replica.snapshot(1) as view:
            await view.number(Statement("SELECT 1", {}))

    async def work(told: Told) -> None:
        async with an_address(cluster.replica) as address:
            replica = told.replica(address.url(urlsplit(urls[1]).path[1:]))
            seen = await reached(urls[1])
            await replica.update(seen)
            address.opens.clear()
            looking = asyncio.create_task(look(replica))
            await asyncio.sleep(0.1)
            await replica.update(replace(seen, offset=0))
            address.opens.set()
            with pytest.raises(ReplicaFailed):
                await looking
            assert replica.is_up
            replica.close()

    told = Told()
    asyncio.run(work(told))

    assert told.said == []


def test_a_heartbeat_whose_answer_is_lost_ejects_no_replica(cluster: Cluster, urls: tuple[str, str]) -> None:
    name = urlsplit(urls[0]).path[1:]

    def heartbeats() -> int:
        return int(cluster.replica.sql("SELECT max(change) FROM installation_writer", database=name))

    async def work(told: Told) -> None:
        replica = told.replica(urls[1])
        async with an_address(cluster.primary) as address:
            primary = await open_postgres(urls[0], create=True)
            watching = asyncio.create_task(LagMonitor(address.url(name), [replica], age_seconds_max=6).run())
            assert await becomes(lambda: replica.is_up)
            # Before the answers stop: behind that there is one heartbeat, and no more.
            before = await asyncio.to_thread(heartbeats)
            address.answers.clear()
            assert await becomes(lambda: heartbeats() > before)
            # As long as two looks take.
            await asyncio.sleep(1.2)
            assert told.said == []
            assert await becomes(lambda: not replica.is_up)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await primary.close()

    told = Told()
    asyncio.run(work(told))

    assert told.said == ["it has no heartbeat of the last 6 s"]


def test_a_caller_that_finds_no_connection_to_a_replica_free_is_answered_by_the_primary_and_the_replica_stays(
    cluster: Cluster, urls: tuple[str, str]
) -> None:
    async def work(told: Told) -> list[Place]:
        places: list[Place] = []
        async with an_address(cluster.replica) as address:
            replica = told.replica(address.url(urlsplit(urls[1]).path[1:]))
            async with reading(urls[0], replica) as (primary, _):
                database = DatabaseWithReplicas(
                    primary, [replica], age_seconds_max=AGE_SECONDS, count_read=places.append
                )
                # All connections are open, and have heard the question before.
                await asyncio.gather(*(find(database, tenant_id) for tenant_id in range(8)))
                places.clear()
                address.answer_seconds = 0.3
                await asyncio.gather(*(find(database, tenant_id) for tenant_id in range(24)))
                address.answer_seconds = 0
                assert replica.is_up
        return places

    async def find(database: DatabaseWithReplicas, tenant_id: int) -> None:
        assert await database.find_incident(tenant_id, 1, min_position=FIRST) is None

    told = Told()
    places = asyncio.run(work(told))

    assert set(places) == {"primary", "standby"}
    assert told.said == []


def test_a_caller_that_has_no_position_or_a_later_one_is_answered_by_the_primary(
    cluster: Cluster, urls: tuple[str, str]
) -> None:
    async def work(told: Told) -> list[str]:
        places: list[str] = []
        replica = told.replica(urls[1])
        async with reading(urls[0], replica) as (primary, _):
            database = DatabaseWithReplicas(
                primary, [replica], age_seconds_max=AGE_SECONDS, count_read=places.append
            )
            with paused(cluster.replica):
                await primary.write(lambda session: add_value(session, "a", "1"))
                now = await primary.position()
                for min_position in (None, FIRST, now):
                    await database.find_incident(1, 1, min_position=min_position)
                assert await database.row("installation_value", {"name": "a"}) == ("1",)
                for min_position in (None, FIRST, now):
                    async with database.snapshot(min_position=min_position) as view:
                        assert await view.number(Statement("SELECT 1", {})) == 1
        return places

    reads = ["primary", "standby", "primary"]

    assert asyncio.run(work(Told())) == [*reads, "primary", *reads]


def test_a_view_that_stands_in_the_way_of_what_is_replayed_fails_and_the_replica_is_back_at_once(
    cluster: Cluster, urls: tuple[str, str]
) -> None:
    async def work(told: Told) -> bool:
        replica = told.replica(urls[1])
        async with reading(urls[0], replica) as (primary, database):
            await primary.write(lambda session: add_value(session, "a", "1"))
            with pytest.raises(ReplicaFailed):
                await look_on(database)
            return await becomes(lambda: replica.is_up)

    async def look_on(database: DatabaseWithReplicas) -> None:
        """Look again and again, at what the primary removes for good meanwhile."""
        connection = await asyncpg.connect(urls[0])
        async with asyncio.timeout(BACK_SECONDS_MAX), database.snapshot(min_position=FIRST) as view:
            await view.number(COUNT_VALUES)
            await connection.execute("DELETE FROM installation WHERE name = 'a'")
            await connection.execute("VACUUM (FREEZE) installation")
            await connection.close()
            while True:
                await view.number(COUNT_VALUES)
                await asyncio.sleep(0.05)

    told = Told()

    assert asyncio.run(work(told))


# The program


def test_the_log_says_that_a_replica_is_ejected_and_back_but_not_its_password(
    cluster: Cluster,
    valkey: RunningValkey,
    urls: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    replica = urls[1].replace("postgres@", "postgres:hunter2@")
    settings = [
        f'[database]\nurl = "{urls[0]}"\nreplicas = ["{replica}"]\nreplica_age_seconds_max = 2',
        f'[quotas]\nstore = "{valkey.url}"',
        f'[keys]\nsecret_file = "{a_secret_in(tmp_path)}"',
    ]
    Path("vigie.toml").write_text("\n".join(settings), encoding="utf-8")

    log = Path("serve.log")
    with served("--port", 0, log=log) as (process, said):
        assert eventually(lambda: replicas_up(said["url"]) == "1.0", within_seconds=BACK_SECONDS_MAX)
        with paused(cluster.replica):
            assert eventually(lambda: replicas_up(said["url"]) == "0.0", within_seconds=BACK_SECONDS_MAX)
        assert eventually(lambda: replicas_up(said["url"]) == "1.0", within_seconds=BACK_SECONDS_MAX)
        process.terminate()
        process.communicate(timeout=20)

    told = [event for event in events_in(log) if event["event"].startswith("replica")]
    assert [(event["event"], event["level"]) for event in told] == [
        ("replica_ejected", "warning"),
        ("replica_back", "info"),
    ]
    assert {event["replica"] for event in told} == {urls[1].replace("postgres@", "[removed]@")}
    assert told[0]["reason"] == "it has no heartbeat of the last 2 s"
    assert "hunter2" not in log.read_text(encoding="utf-8")


def replicas_up(url: str) -> str:
    with urlopen(f"{url}/metrics", timeout=20) as answer:
        lines: list[str] = answer.read().decode().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("vigie_standbys_up "))


def test_without_a_quota_store_nothing_is_served_beside_replicas(
    urls: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"VIGIE_DATABASE": urls[0], "VIGIE_DATABASE_REPLICAS": urls[1]}

    ended = run_program("serve", "--port", "0", environ=variables)

    assert ended.code == 2
    assert "[database] replicas require a Valkey or Redis in [quotas] store" in ended.refusal
