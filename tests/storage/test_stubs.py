"""Stubs are seen with the incidents that they were merged into, whichever of the two comes first."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.builders import (
    Document,
    a_redirected_stub,
    an_alert,
    an_audit_context,
    an_incident,
    to_json,
)
from tests.support.commands import done, run
from tests.support.database_access import below
from tests.support.house import Answer, House, RunningHouse, settings_in
from tests.support.stores import current_kind
from vigie.config.settings import IncidentsSettings
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.queries import PageRequest
from vigie.documents.defender.reading import keep_incident
from vigie.runtime.installation import Installation, opened
from vigie.storage.statements import migrations, statements

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


# Stores that were made before


# The names of before, and the number of the schema.
OLD_SCHEMAS = {
    "sqlite": (
        "ALTER TABLE incident_visibility RENAME TO incident_sight;"
        "DROP INDEX visibility_by_creation; DROP INDEX visibility_by_status; DROP INDEX visibility_by_assignee;"
        "CREATE INDEX sight_by_creation ON incident_sight (tenant_id, label, created_at);"
        "CREATE INDEX sight_by_status ON incident_sight (tenant_id, label, status);"
        "CREATE INDEX sight_by_assignee ON incident_sight (tenant_id, label, assigned_to);"
        "PRAGMA user_version = 4"
    ),
    "postgres": (
        "ALTER TABLE incident_visibility RENAME TO incident_sight;"
        "ALTER INDEX visibility_by_last_update RENAME TO sight_by_last_update;"
        "ALTER INDEX visibility_by_creation RENAME TO sight_by_creation;"
        "ALTER INDEX visibility_by_status RENAME TO sight_by_status;"
        "ALTER INDEX visibility_by_assignee RENAME TO sight_by_assignee;"
        "ALTER INDEX visibility_of_unassigned RENAME TO sight_of_nobody;"
        "UPDATE vigie_schema SET version = 2"
    ),
}
LABELLED = "tenant_id, last_update_at, incident_id, created_at, status, assigned_to"


def make_old(folder: Path) -> None:
    """Put a store back to what the release before made of it: stubs open to every reader."""
    kind = current_kind()
    old_spans = "x'929090'" if kind == "sqlite" else r"'\x929090'::bytea"
    below(settings_in(folder).database).run(
        "DROP INDEX incident_by_target;"
        "ALTER TABLE incident DROP COLUMN redirect_incident_id;"
        f"UPDATE incident SET spans = {old_spans} WHERE status = 'Redirected';"
        "DELETE FROM incident_visibility WHERE status = 'Redirected' AND label <> '*';"
        f"INSERT INTO incident_visibility (label, {LABELLED})"
        f" SELECT '', {LABELLED} FROM incident_visibility WHERE status = 'Redirected';"
        f"{OLD_SCHEMAS[kind]};"
    )


def test_a_store_of_the_release_before_is_brought_up_to_date(tmp_path: Path) -> None:
    documents = [
        an_incident(an_alert("laptops"), incidentId=1),
        an_incident(an_alert("servers"), incidentId=2),
        a_redirected_stub(4, incidentId=3),
        a_redirected_stub(1, incidentId=4),
        a_redirected_stub(2, incidentId=5),
        a_redirected_stub(10**6, incidentId=6),
        an_incident(alerts=[], incidentId=7),
    ]

    asyncio.run(put(tmp_path, documents))
    made = asyncio.run(everything_in(tmp_path))
    make_old(tmp_path)
    brought_up = asyncio.run(everything_in(tmp_path))

    assert brought_up == made
    assert brought_up == [[1, 3, 4, 7], [1, 3, 4, 7], [1, 2, 3, 4, 5, 6, 7]]


def test_of_the_release_before_it_stays_true_when_a_target_changes(tmp_path: Path) -> None:
    asyncio.run(
        put(tmp_path, [an_incident(an_alert("servers"), incidentId=1), a_redirected_stub(1, incidentId=2)])
    )
    make_old(tmp_path)

    asyncio.run(put(tmp_path, [an_incident(an_alert("laptops"), incidentId=1)]))

    assert asyncio.run(everything_in(tmp_path))[0] == [1, 2]


async def put(folder: Path, documents: list[Document]) -> None:
    async with opened(settings_in(folder), create=True) as installation:
        tenant = await installation.directory.find_tenant(
            "contoso"
        ) or await installation.directory.add_tenant("contoso", guid=None, domain=None)
        kept = [keep_incident(to_json(each)) for each in documents]
        await installation.incidents.put_incidents(tenant.tenant_id, kept, an_audit_context())


async def everything_in(folder: Path) -> list[list[int]]:
    """What those who look after laptops find one by one, and in a list; and what is there."""
    async with opened(settings_in(folder), create=False) as installation:
        tenant_id = (await installation.directory.get_tenant("contoso")).tenant_id
        one_by_one = [
            number
            for number in range(1, 8)
            if await installation.incidents.find_incident(tenant_id, number, LAPTOPS)
        ]
        return [
            one_by_one,
            *[await listed_in(installation, tenant_id, who) for who in (LAPTOPS, WHOLE_TENANT)],
        ]


async def listed_in(installation: Installation, tenant_id: int, exposure: Exposure) -> list[int]:
    async with installation.incidents.page(tenant_id, exposure, PageRequest(count=True)) as page:
        numbers = [json.loads(each)["incidentId"] async for batch in page.batches for each in batch]
    assert page.count == len(numbers)
    return sorted(numbers)


# What is written for it


def test_an_update_of_a_target_touches_no_stub(house: House) -> None:
    target = house.takes(an_incident(an_alert("laptops")))
    stub = house.takes(a_redirected_stub(target))
    before = house.get(stub, house.a_token()).body

    assert update(house, target, writer_over(house, "laptops")).status == 200

    assert house.get(stub, house.a_token()).body == before
    assert stub in lists(house, house.a_token_exposed_to("laptops"))[1]


def test_what_a_stub_inherits_is_no_entry_of_its_history(house: House) -> None:
    target = an_incident(an_alert("laptops"))
    stub = house.takes(a_redirected_stub(target["incidentId"]))
    house.takes(target)

    incidents = house.running.installation.incidents
    entries = house.running.run(incidents.history(house.tenant.tenant_id, stub))

    assert [each.action for each in entries] == ["import"]


@pytest.mark.parametrize("statement", ["stub_leading_to", "stubs_leading_to", "end_of_redirects"])
def test_redirects_are_followed_along_an_index(statement: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        for migration in migrations():
            connection.executescript(migration.script)
        values = {"tenant_id": 1, "incident_id": 2, "target": 3}
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statements()[statement]}", values).fetchall()

    steps = [step for *_, step in plan if "incident" in step]
    assert steps
    assert all(step.startswith("SEARCH incident USING ") for step in steps), steps


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_explain_says_why_a_stub_is_seen_or_is_not(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [
        an_incident(an_alert("laptops"), incidentId=1),
        an_incident(an_alert("servers"), incidentId=2),
        a_redirected_stub(1, incidentId=3),
        a_redirected_stub(2, incidentId=4),
    ]
    (in_folder / "some.json").write_bytes(to_json(documents))
    done("tenant", "add", "contoso")
    done("import", "some.json", "--tenant", "contoso")
    done("user", "add", "ana@contoso.example", "--tenant", "contoso")
    done("user", "grant", "ana@contoso.example", "--tenant", "contoso", "--role", "security-reader",
         "--device-group", "laptops")  # fmt: skip

    def told(number: int) -> str:
        asked = ("--incident", str(number), "--user", "ana@contoso.example", "--tenant", "contoso")
        return run("explain", *asked).out

    assert "redirected to incident 1, and is seen by those who see that one" in told(3)
    assert "does not see incident 4" in told(4)
    assert "redirected to incident 2, which is hidden or missing" in told(4)
    monkeypatch.setenv("VIGIE_INCIDENTS_STUBS", "everyone")
    assert "every reader sees it, by `[incidents] stubs`" in told(4)
