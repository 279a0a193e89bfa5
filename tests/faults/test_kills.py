"""`kill -9` under load, of a server, of Valkey, of the primary: no acknowledged change is lost, or done twice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.cluster import NUMBERS, Cluster, a_cluster
from tests.faults.load import LOST, ask, assert_nothing_lost, comments_of, loaded, ready
from tests.support.house import eventually

ENOUGH = 40
"""How many answers are waited for before and behind a fault."""

WHOLE_WITHIN_SECONDS = 10.0
"""How soon after a fault, or its repair, no call fails any more; docs/operations.md says so."""

WHOLE_AFTER_SILENCE_SECONDS = 45.0
"""The same after a primary that says nothing more, and neither ends its connections."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all: each fault is repaired."""
    with a_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def test_a_server_that_is_killed_takes_nothing_with_it(cluster: Cluster) -> None:
    killed = cluster.nodes[0]
    with loaded(cluster.ports, cluster.token) as load:
        assert eventually(lambda: len(load.acknowledged) > ENOUGH, within_seconds=20)
        killed.kill()
        gone_at = time.monotonic()
        assert eventually(lambda: load.statuses(since=gone_at)[LOST] > 3, within_seconds=20)
        killed.start()
        back_at = time.monotonic()
        known = len(load.acknowledged)
        assert eventually(lambda: len(load.acknowledged) > known + ENOUGH, within_seconds=20)

    assert set(load.statuses()) == {200, LOST}
    assert load.last_failure() < back_at + WHOLE_WITHIN_SECONDS
    assert_nothing_lost(load)


def test_a_valkey_that_is_killed_takes_nothing_with_it(cluster: Cluster) -> None:
    with loaded(cluster.ports, cluster.token) as load:
        assert eventually(lambda: len(load.acknowledged) > ENOUGH, within_seconds=20)
        cluster.valkey.kill()
        known = len(load.acknowledged)
        assert eventually(lambda: len(load.acknowledged) > known + ENOUGH, within_seconds=20)
        cluster.valkey.start()
        known = len(load.acknowledged)
        assert eventually(lambda: len(load.acknowledged) > known + ENOUGH, within_seconds=20)
        assert eventually(lambda: cluster.valkey.do("DBSIZE") > 0, within_seconds=WHOLE_WITHIN_SECONDS)

    # Each server counts for itself meanwhile.
    assert set(load.statuses()) == {200}
    assert_nothing_lost(load)


def test_a_primary_that_is_killed_is_followed_by_its_synchronous_standby(cluster: Cluster) -> None:
    with loaded(cluster.ports, cluster.token) as load:
        assert eventually(lambda: len(load.acknowledged) > ENOUGH, within_seconds=20)
        cluster.primary.kill()
        gone_at = time.monotonic()
        assert eventually(lambda: load.statuses(since=gone_at)[503] > 3, within_seconds=20)
        cluster.fail_over()
        promoted_at = time.monotonic()
        known = len(load.acknowledged)
        assert eventually(lambda: len(load.acknowledged) > known + ENOUGH, within_seconds=20)

    assert set(load.statuses("read", "update")) == {200, 503}
    # One that has begun is cut.
    assert set(load.statuses("list")) <= {200, 503, LOST}
    assert load.last_failure() < promoted_at + WHOLE_WITHIN_SECONDS
    assert load.sent_again_count > 0
    assert_nothing_lost(load)
    assert [ready(port) for port in cluster.ports] == [200] * len(cluster.ports)
    cluster.bring_standby_back()


def test_a_primary_that_falls_silent_is_followed_too(cluster: Cluster) -> None:
    """As a machine that is gone without a word: connections to it neither end nor answer."""
    silent = cluster.primary
    with loaded(cluster.ports, cluster.token) as load:
        assert eventually(lambda: len(load.acknowledged) > ENOUGH, within_seconds=20)
        silent.hang()
        try:
            gone_at = time.monotonic()
            assert eventually(lambda: load.statuses(since=gone_at)[503] > 0, within_seconds=20)
            cluster.fail_over()
            known = len(load.acknowledged)
            assert eventually(lambda: len(load.acknowledged) > known + ENOUGH, within_seconds=60)
        finally:
            silent.kill()

    assert set(load.statuses("read", "update")) == {200, 503}
    # One that has begun is cut.
    assert set(load.statuses("list")) <= {200, 503, LOST}
    assert load.last_failure() < gone_at + WHOLE_AFTER_SILENCE_SECONDS
    assert_nothing_lost(load)
    cluster.bring_standby_back()


def test_while_the_synchronous_standby_is_gone_changes_are_not_acknowledged_and_reads_go_on(
    cluster: Cluster,
) -> None:
    port, other, path = cluster.ports[0], cluster.ports[1], f"/api/incidents/{NUMBERS[0]}"
    comment = "said while the standby was gone"
    read = []
    cluster.replica.kill()
    with ThreadPoolExecutor(1) as callers:
        answering = callers.submit(ask, port, cluster.token, path, comment)
        while not answering.done():
            status, incident = ask(other, cluster.token, path)
            read.append((status, comment in comments_of(incident)))
            time.sleep(0.2)
    cluster.replica.start()

    status, refusal = answering.result()
    assert status == 503
    assert refusal["error"]["message"].startswith("It is not known whether the change was made.")
    # What the standby does not have is in nobody's sight.
    assert set(read) == {(200, False)}
    status, incident = ask(other, cluster.token, path, comment)
    assert (status, comments_of(incident).count(comment)) == (200, 1)
