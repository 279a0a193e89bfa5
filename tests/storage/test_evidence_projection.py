"""The projection of evidence: whatever happens, it ends as one that was made from nothing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import an_alert, an_entity, an_incident
from tests.support.database_access import below
from tests.support.evidence_tables import ProjectedTenant
from tests.support.house import House, RunningHouse, eventually
from vigie.core.enums import Status
from vigie.core.errors import StoreUnavailable
from vigie.core.evidence import Evidence, EvidenceKind
from vigie.core.instants import Instant
from vigie.core.update import Update
from vigie.runtime.installation import Installation, opened
from vigie.storage.evidence_projection import VALUES_MAX, Backlog

END_OF_TIME = Instant(10**18)


@pytest.fixture
def tenant(house: House) -> ProjectedTenant:
    return ProjectedTenant(house)


def an_incident_with(number: int, *hashes: str) -> dict[str, Any]:
    """An incident of one alert for each hash."""
    alerts = [an_alert(alertId=f"a{sha1}", entities=[an_entity(sha1=sha1)]) for sha1 in hashes]
    return an_incident(incidentId=number, alerts=alerts)


def incidents_with(tenant: ProjectedTenant, sha1: str) -> list[int]:
    async def found() -> list[int]:
        evidence = Evidence(EvidenceKind.FILE_HASH, sha1)
        return [each async for each in tenant.projection.incidents_with(tenant.tenant_id, evidence)]

    return tenant.run(found())


def test_what_is_imported_is_found_and_what_is_removed_is_not(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(1, "aa", "bb"), an_incident_with(2, "aa"), an_incident_with(3, "cc"))
    tenant.catch_up()
    assert incidents_with(tenant, "aa") == [2, 1]

    tenant.remove(2)
    tenant.put(an_incident_with(1, "bb"))
    tenant.catch_up()

    assert [incidents_with(tenant, each) for each in ("aa", "bb", "cc", "dd")] == [[], [1], [3], []]
    tenant.assert_whole()


def test_a_tenant_without_incidents_has_nothing_to_project(tenant: ProjectedTenant) -> None:
    assert tenant.run(tenant.projection.step(tenant.tenant_id)) is False
    assert tenant.catch_up() == Backlog()
    consumers = f"SELECT name FROM consumer WHERE tenant_id = {tenant.tenant_id}"
    assert below(tenant.settings).rows(consumers) == []


def test_tenants_are_apart(tenant: ProjectedTenant, house: House) -> None:
    other = ProjectedTenant(House(house.running))
    for each in (tenant, other):
        each.put(an_incident_with(1, "aa"))
        each.catch_up()

    tenant.remove(1)
    tenant.catch_up()

    assert (incidents_with(tenant, "aa"), incidents_with(other, "aa")) == ([], [1])


def test_an_incident_with_the_greatest_number_is_found(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(2**63 - 1, "aa"))

    tenant.assert_whole()
    assert incidents_with(tenant, "aa") == [2**63 - 1]


def test_more_incidents_than_a_page_are_all_found(tenant: ProjectedTenant) -> None:
    tenant.put(*(an_incident_with(number, "aa") for number in range(1, 251)))
    tenant.catch_up()

    assert incidents_with(tenant, "aa") == list(range(250, 0, -1))


@pytest.mark.parametrize("values_max", [1, 100, VALUES_MAX])
def test_a_large_incident_is_written_in_slices(tenant: ProjectedTenant, values_max: int) -> None:
    addresses = [{"entityType": "Ip", "ipAddress": f"10.0.{each}.1"} for each in range(250)]
    alerts = [an_alert(entities=addresses[start : start + 50]) for start in range(0, 250, 50)]

    def follow() -> None:
        while tenant.run(tenant.projection.step(tenant.tenant_id, values_max=values_max)):
            pass

    tenant.put(an_incident(incidentId=1, alerts=alerts), an_incident_with(2, "aa"))
    follow()
    assert tenant.tables() == tenant.from_nothing()

    tenant.put(an_incident_with(1, "bb"))
    follow()
    assert tenant.tables() == tenant.from_nothing()


def test_more_values_than_one_transaction_writes(tenant: ProjectedTenant) -> None:
    addresses = [
        {"entityType": "Ip", "ipAddress": f"10.{each >> 8}.{each & 255}.1"} for each in range(12_500)
    ]
    alerts = [an_alert(entities=addresses[start : start + 500]) for start in range(0, 12_500, 500)]
    assert len(addresses) > VALUES_MAX

    tenant.put(an_incident(incidentId=1, alerts=alerts), an_incident_with(2, "aa"))

    tenant.assert_whole()


def test_evidence_that_moves_to_another_place_is_noted(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(1, "aa", "bb"))
    tenant.catch_up()
    tenant.put(an_incident_with(1, "bb", "aa"))

    tenant.assert_whole()


def test_evidence_goes_with_an_alert_that_is_added_moved_or_merged(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(1, "aa", "bb"), an_incident_with(2, "cc"), an_incident_with(3, "dd"))
    tenant.catch_up()

    tenant.add(2, an_alert(alertId="aee", entities=[an_entity(sha1="ee")]))
    tenant.move(["aaa"], 2)
    tenant.merge(2, 3)
    tenant.catch_up()

    found = [incidents_with(tenant, each) for each in ("aa", "bb", "cc", "dd", "ee")]
    kept = found[2][0]
    assert found == [[kept], [1], [kept], [kept], [kept]]
    tenant.assert_whole()


def test_what_was_there_before_there_was_a_feed_is_built(tenant: ProjectedTenant) -> None:
    tenant.put(*(an_incident_with(number, f"{number:02x}", "aa") for number in range(1, 101)))
    tenant.catch_up()
    below(tenant.settings).run(
        f"DELETE FROM change WHERE tenant_id = {tenant.tenant_id};"
        f"UPDATE latest_change SET number = 0, first_number = 1 WHERE tenant_id = {tenant.tenant_id};"
        f"DELETE FROM evidence WHERE tenant_id = {tenant.tenant_id};"
        f"DELETE FROM evidence_incident WHERE tenant_id = {tenant.tenant_id};"
        f"DELETE FROM evidence_of_incident WHERE tenant_id = {tenant.tenant_id};"
    )
    tenant.forget_positions()
    assert tenant.run(tenant.projection.backlog(tenant.tenant_id)).is_building

    tenant.assert_whole()


def test_one_that_comes_too_late_begins_from_nothing(tenant: ProjectedTenant) -> None:
    feed = tenant.installation.change_feed
    tenant.put(an_incident_with(1, "aa"), an_incident_with(2, "bb"))
    tenant.catch_up()
    tenant.put(an_incident_with(3, "cc"))
    tenant.remove(1)
    tenant.put(an_incident_with(2, "dd"))

    tenant.run(feed.prune(tenant.tenant_id, END_OF_TIME))

    tenant.assert_whole()
    assert [incidents_with(tenant, each) for each in ("aa", "bb", "cc", "dd")] == [[], [], [3], [2]]


def test_building_goes_on_where_it_was_and_then_follows_the_feed(tenant: ProjectedTenant) -> None:
    tenant.put(*(an_incident_with(number, f"{number:02x}") for number in range(1, 101)))
    tenant.forget_positions()
    for _ in range(3):
        tenant.run(tenant.projection.step(tenant.tenant_id))

    # Both sides of where it is now: what is built already, and what is not.
    tenant.put(an_incident_with(1, "aa"), an_incident_with(100, "bb"), an_incident_with(101, "cc"))
    tenant.remove(2)
    tenant.remove(99)

    tenant.assert_whole()


def test_a_damaged_document_stops_nothing(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(1, "aa"), an_incident_with(2, "bb"))
    tenant.catch_up()
    damaged = "x'7b'" if tenant.settings.url.startswith("sqlite") else r"'\x7b'::bytea"
    below(tenant.settings).run(
        f"UPDATE incident SET document = {damaged} WHERE tenant_id = {tenant.tenant_id} AND incident_id = 1"
    )
    tenant.forget_positions()

    assert tenant.catch_up() == Backlog()
    assert [incidents_with(tenant, each) for each in ("aa", "bb")] == [[], [2]]


def test_several_processes_make_it_together(tenant: ProjectedTenant, house: House) -> None:
    large = an_alert(entities=[{"entityType": "Ip", "ipAddress": f"10.0.0.{each}"} for each in range(200)])
    running = house.running

    async def follow(installation: Installation, writing: "asyncio.Event") -> None:
        while not writing.is_set() or await installation.evidence_projection.step(tenant.tenant_id):
            await asyncio.sleep(0)
            await installation.evidence_projection.step(tenant.tenant_id)

    async def together() -> None:
        done = asyncio.Event()
        async with (
            opened(running.settings, create=False) as one,
            opened(running.settings, create=False) as other,
        ):
            following = asyncio.gather(follow(one, done), follow(other, done))
            for turn in range(12):
                incidents = [an_incident(large, incidentId=number) for number in range(1 + turn % 3, 12)]
                incidents += [an_incident_with(20 + number, f"{turn}{number}") for number in range(20)]
                await asyncio.to_thread(tenant.put, *incidents)
                await asyncio.to_thread(tenant.remove, 1 + turn)
            done.set()
            await following

    asyncio.run(together())

    tenant.assert_whole()


numbers = st.integers(min_value=1, max_value=4)
hashes = st.lists(st.sampled_from(["aa", "bb", "cc"]), max_size=3)
steps = st.one_of(
    st.tuples(st.just("put"), numbers, hashes),
    st.tuples(st.just("add"), numbers, hashes.filter(bool)),
    st.tuples(st.just("move"), numbers, hashes.filter(bool)),
    st.tuples(st.just("merge"), numbers, numbers),
    st.tuples(st.just("update"), numbers, st.none()),
    st.tuples(st.just("remove"), numbers, st.none()),
    st.tuples(st.just("step"), st.none(), st.none()),
    st.tuples(st.just("prune"), st.none(), st.none()),
    st.tuples(st.just("forget"), st.none(), st.none()),
)


@given(st.lists(steps, max_size=12))
@settings(max_examples=50)
def test_after_any_sequence_it_is_as_made_from_nothing(
    running_house: RunningHouse, sequence: list[tuple[str, Any, Any]]
) -> None:
    tenant = ProjectedTenant(House(running_house))
    for name, number, values in sequence:
        match name:
            case "put":
                tenant.put(an_incident_with(number, *values))
            case "add":
                tenant.add(number, an_alert(alertId=f"a{values[0]}", entities=[an_entity(sha1=values[0])]))
            case "move":
                tenant.move([f"a{each}" for each in values], number)
            case "merge":
                tenant.merge(number, values)
            case "update":
                tenant.update(number, Update(status=Status.RESOLVED))
            case "remove":
                tenant.remove(number)
            case "step":
                tenant.run(tenant.projection.step(tenant.tenant_id))
            case "prune":
                tenant.run(tenant.installation.change_feed.prune(tenant.tenant_id, END_OF_TIME))
            case "forget":
                tenant.forget_positions()

    tenant.assert_whole()


def test_a_server_follows_the_feed_in_the_background(tenant: ProjectedTenant) -> None:
    tenant.put(an_incident_with(1, "aa"))

    assert eventually(lambda: not tenant.run(tenant.projection.backlog(tenant.tenant_id)), within_seconds=15)
    assert tenant.tables() == tenant.from_nothing()


def test_a_tenant_whose_rows_are_damaged_keeps_no_other_from_being_followed(
    tenant: ProjectedTenant, house: House
) -> None:
    other = ProjectedTenant(House(house.running))
    tenant.put(an_incident_with(1, "aa"))
    tenant.catch_up()
    damaged = "x'ff'" if tenant.settings.url.startswith("sqlite") else r"'\xff'::bytea"
    below(tenant.settings).run(
        f"UPDATE evidence_of_incident SET evidence = {damaged} WHERE tenant_id = {tenant.tenant_id}"
    )
    tenant.put(an_incident_with(1, "bb"))
    other.put(an_incident_with(1, "aa"))

    assert eventually(lambda: incidents_with(other, "aa") == [1], within_seconds=15)
    with pytest.raises(StoreUnavailable):
        tenant.catch_up()
