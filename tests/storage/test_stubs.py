"""Stubs are seen with the incidents that they were merged into, whichever of the two comes first."""

from pathlib import Path

import pytest

from tests.support.builders import (
    a_redirected_stub,
    an_alert,
    an_audit_context,
    an_incident,
)
from tests.support.house import Answer, House, RunningHouse
from vigie.config.settings import IncidentsSettings
from vigie.core.access import Exposure

LAPTOPS = Exposure(device_groups=frozenset({"laptops", 11}))
OPEN_STUBS = IncidentsSettings(stubs="everyone")


def lists(house: House, token: str) -> tuple[int, set[int]]:
    """What a list counts, and shows."""
    answer = house.get("/api/incidents?$count=true", token)
    assert answer.status == 200, answer.body
    return answer.json["@odata.count"], {each["incidentId"] for each in answer.json["value"]}


def update(house: House, number: int, token: str) -> Answer:
    headers = [("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")]
    body = b'{"status":"Resolved"}'
    return house.running.request("PATCH", f"/api/incidents/{number}", headers, body=body)


def writer_over(house: House, *groups: str) -> str:
    """The token of a user who may change what is in these device groups."""
    user = house.add_user(role=None)
    house.grant(user, "security-operator", *groups)
    return house.token_of(user, "Incident.ReadWrite")


# Over HTTP


def test_a_stub_of_a_hidden_incident_answers_like_a_missing_one_everywhere(house: House) -> None:
    stub = house.takes(a_redirected_stub(house.takes(an_incident(an_alert("servers")))))
    token = writer_over(house, "laptops")

    found, changed = house.get(stub, token), update(house, stub, token)

    missing = house.get(stub + 10**6, token)
    for answer in (found, changed, house.get(stub, token, method="HEAD")):
        assert (answer.status, answer.header("content-type")) == (404, missing.header("content-type"))
    assert (found.code, changed.code) == (missing.code, missing.code)
    assert lists(house, token) == (0, set())
    assert house.get(stub, house.a_token()).status == 200
    assert update(house, stub, writer_over(house, "laptops", "servers")).code == "DisallowedOperation"


def test_a_stub_of_a_visible_incident_is_seen(house: House) -> None:
    target = house.takes(an_incident(an_alert("laptops"), an_alert("servers")))
    stub = house.takes(a_redirected_stub(target))
    token = house.a_token_exposed_to("laptops")

    assert house.get(stub, token).json["redirectIncidentId"] == target
    assert lists(house, token) == (2, {stub, target})


def test_a_stub_of_what_every_reader_sees_is_seen_by_every_reader(house: House) -> None:
    target = house.takes(an_incident(an_alert()))
    stub = house.takes(a_redirected_stub(target))
    house.takes(an_incident(an_alert("laptops")))

    assert lists(house, house.a_token_exposed_to("kiosks")) == (2, {stub, target})


def test_a_stub_follows_its_target_when_that_comes_later_changes_or_goes(house: House) -> None:
    # What an import teaches about a group is seen a moment later: these two are known from now on.
    house.takes(an_incident(an_alert("laptops", "servers")))
    laptops, servers = house.a_token_exposed_to("laptops"), house.a_token_exposed_to("servers")
    numbers = iter(an_incident()["incidentId"] for _ in range(3))
    target, middle, stub = next(numbers), next(numbers), next(numbers)

    def seen_by() -> list[str]:
        """Who sees the stub, by its number and in lists alike."""
        tokens = {"laptops": laptops, "servers": servers, "all": house.a_token()}
        found = [name for name, token in tokens.items() if house.get(stub, token).status == 200]
        assert found == [name for name, token in tokens.items() if stub in lists(house, token)[1]]
        return found

    house.takes(a_redirected_stub(middle, incidentId=stub))
    assert seen_by() == ["all"]
    house.takes(a_redirected_stub(target, incidentId=middle))
    assert seen_by() == ["all"]
    house.takes(an_incident(an_alert("laptops"), incidentId=target))
    assert seen_by() == ["laptops", "all"]
    house.takes(an_incident(an_alert("servers"), incidentId=target))
    assert seen_by() == ["servers", "all"]
    house.takes(an_incident(an_alert("laptops"), incidentId=middle))
    assert seen_by() == ["laptops", "all"]
    incidents = house.running.installation.incidents
    house.running.run(incidents.remove_incident(house.tenant.tenant_id, middle, an_audit_context()))
    assert seen_by() == ["all"]


@pytest.mark.parametrize(
    "changes",
    [
        {"redirectIncidentId": None},
        {"redirectIncidentId": "7"},
        {"redirectIncidentId": 0},
        {"redirectIncidentId": 2**80},
        {"redirectIncidentId": True},
        {"status": "Resolved"},
    ],
)
def test_a_stub_without_a_target_is_for_those_who_see_the_whole_tenant(
    house: House, changes: dict[str, object]
) -> None:
    stub = house.takes(a_redirected_stub(1, **changes))
    token = house.a_token_exposed_to("laptops")

    assert (house.get(stub, token).status, lists(house, token)) == (404, (0, set()))
    assert house.get(stub, house.a_token()).status == 200


def test_redirects_in_a_circle_lead_nowhere(house: House) -> None:
    first, second, alone = (an_incident()["incidentId"] for _ in range(3))
    for number, target in ((first, second), (alone, alone), (second, first)):
        house.takes(an_incident(an_alert("laptops"), incidentId=number))
        house.takes(a_redirected_stub(target, incidentId=number))
    token = house.a_token_exposed_to("laptops")

    assert lists(house, token) == (0, set())
    assert {house.get(number, token).status for number in (first, second, alone)} == {404}


# The setting


def test_the_setting_opens_every_stub_to_every_reader_of_a_store_that_is_there(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        house = House(running)
        hidden = house.takes(an_incident(an_alert("servers")))
        stubs = {house.takes(a_redirected_stub(hidden)), house.takes(a_redirected_stub(10**6))}
        user = house.add_user("laptops")
        assert lists(house, house.token_of(user, "Incident.Read")) == (0, set())

    with RunningHouse(tmp_path, incidents=OPEN_STUBS) as running:
        house.running = running
        token = house.token_of(user, "Incident.Read")
        assert lists(house, token) == (2, stubs)
        assert {house.get(stub, token).status for stub in stubs} == {200}
        assert house.get(hidden, token).status == 404

    with RunningHouse(tmp_path) as running:
        house.running = running
        assert lists(house, house.token_of(user, "Incident.Read")) == (0, set())
