"""The history: every change is in it with who, when, what and in which request, and nothing else ever is."""

import gzip
import json
import os
import pwd
import re
from functools import partial
from pathlib import Path
from typing import Any

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
from tests.support.history import redone
from tests.support.house import Clock, House, RunningHouse, eventually
from tests.support.updating import JSON, WRITE, WRITE_ALL, at_once, update, writer_of
from vigie.application.transfer.history_lines import history_line, is_history_line
from vigie.config.settings import RetentionSettings
from vigie.core.access import Caller, CallerKind
from vigie.core.audit import HistoryEntry, actor_of
from vigie.core.instants import Instant
from vigie.documents import lossless
from vigie.documents.defender.reading import keep_incident
from vigie.documents.differences import added, removed
from vigie.runtime.clock import now
from vigie.storage.statements import statements

CONTOSO = ("--tenant", "contoso")
UNKNOWN = 987_654_321
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def history_of(house: House, number: int) -> list[HistoryEntry]:
    incidents = house.running.installation.incidents
    return house.running.run(incidents.history(house.tenant.tenant_id, number))


def test_a_user_and_an_application_of_one_name_are_told_apart() -> None:
    def caller(kind: CallerKind) -> Caller:
        return Caller(
            tenant_id=1,
            tenant_guid="",
            kind=kind,
            application_id="6f0c",
            name="ana",
            granted=(),
            exposure=None,
        )

    assert actor_of(caller(CallerKind.USER)) == "user ana"
    assert actor_of(caller(CallerKind.APPLICATION)) == "application ana (6f0c)"


# What is written down


def test_an_import_is_the_first_entry(house: House) -> None:
    incident = an_incident(an_alert("servers"))
    number = house.takes(incident)

    (entry,) = history_of(house, number)

    audit_context = an_audit_context()
    assert entry == HistoryEntry(
        incident_id=number,
        entry=1,
        at=audit_context.at,
        action="import",
        actor=audit_context.actor,
        request_id=audit_context.request_id,
        changes=added(keep_incident(to_json(incident)).document),
    )


def test_importing_the_same_again_is_no_change(house: House) -> None:
    incident = an_incident(an_alert("servers"))
    number = house.takes(incident)

    house.takes(incident)

    assert len(history_of(house, number)) == 1


def test_an_import_that_replaces_says_what_changed(house: House) -> None:
    incident = an_incident(an_alert("servers"), an_alert())
    number = house.takes(incident)
    fewer = {**incident, "alerts": incident["alerts"][:1], "status": "Resolved", "new": 1.50}

    house.takes(fewer)

    changes = history_of(house, number)[1].changes
    assert changes.keys() == {"status", "new", "alerts"}
    assert changes["status"] == {"from": "Active", "to": "Resolved"}
    assert lossless.encode(changes["new"]) == b'{"to":1.5}'
    assert all(SHA256.fullmatch(digest) for digest in changes["alerts"].values())


def test_an_update_says_who_when_what_and_in_which_request(house: House) -> None:
    number = house.takes(an_incident(status="Active", tags=["tier-0"]))
    user = house.add_user(role="security-operator")
    body = {"status": "Resolved", "tags": ["tier-0", "b"], "comment": "Done."}
    started_at = now()

    answer = update(house, number, house.token_of(user, WRITE), body)

    entry = history_of(house, number)[1]
    assert (entry.entry, entry.action, entry.actor) == (2, "update", f"user {user.upn}")
    assert started_at <= entry.at <= now()
    assert entry.changes == {
        "lastUpdateTime": {"from": "2026-02-11T07:52:30.81Z", "to": answer.json["lastUpdateTime"]},
        "status": {"from": "Active", "to": "Resolved"},
        "tags": {"added": ["b"]},
        "comments": {"added": answer.json["comments"]},
    }
    # The answer to another request shows what names of requests begin with.
    prefix = update(house, number, None, {}).json["error"]["target"][:-12]
    assert entry.request_id.startswith(prefix)


def test_an_application_is_named_with_its_id(house: House) -> None:
    number = house.takes(an_incident())
    application, secret = house.add_application(WRITE_ALL)

    update(house, number, house.fetch_token(application, secret), {"tags": []})

    assert history_of(house, number)[1].actor == f"application {application.name} ({application.client_id})"


def test_what_is_refused_or_sent_again_is_no_entry(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    headers = [JSON, ("Idempotency-Key", "5f0e")]
    for body in (b"{", {"determination": "Malware"}, {"comment": "Once."}, {"comment": "Once."}):
        update(house, number, token, body, headers)
    update(house, number, house.a_token(), {"tags": []})

    assert [entry.action for entry in history_of(house, number)] == ["import", "update"]


def test_an_update_that_changes_nothing_but_the_time_is_an_entry(house: House) -> None:
    number, token = house.takes(an_incident(status="Active")), writer_of(house)

    update(house, number, token, {"status": "Active"})

    assert history_of(house, number)[1].changes.keys() == {"lastUpdateTime"}


def test_the_history_outlives_the_incident_and_goes_on_when_it_comes_back(house: House) -> None:
    incident = an_incident()
    number, document = house.takes(incident), keep_incident(to_json(incident)).document
    incidents = house.running.installation.incidents

    house.running.run(
        incidents.remove_incident(house.tenant.tenant_id, number, an_audit_context(actor="remover"))
    )
    house.takes(incident)

    entries = history_of(house, number)
    assert [(entry.entry, entry.action, entry.actor) for entry in entries] == [
        (1, "import", "tests"),
        (2, "remove", "remover"),
        (3, "import", "tests"),
    ]
    assert entries[1].changes == removed(document)


def test_removing_what_is_not_there_is_no_entry(house: House) -> None:
    incidents = house.running.installation.incidents

    assert not house.running.run(
        incidents.remove_incident(house.tenant.tenant_id, UNKNOWN, an_audit_context())
    )
    assert history_of(house, UNKNOWN) == []


def test_retention_is_an_actor_too(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        house = House(running)
        number = house.takes(an_incident(lastUpdateTime="2020-01-01T00:00:00Z"))
    with RunningHouse(tmp_path, retention=RetentionSettings(days=30)) as running:
        house.running = running
        assert eventually(lambda: len(history_of(house, number)) == 2)

        entry = history_of(house, number)[1]
        assert (entry.action, entry.actor) == ("remove", "vigie retention")
        assert entry.request_id
        assert entry.at > 0


def test_entries_that_come_at_once_are_numbered_without_a_gap(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    at_once([partial(update, house, number, token, {"comment": f"{each}"}) for each in range(16)])

    entries = history_of(house, number)
    assert [entry.entry for entry in entries] == list(range(1, 18))
    assert len({entry.request_id for entry in entries}) == 17


def test_entries_are_in_order_though_the_clock_steps_back(tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock) as running:
        house = House(running)
        number, token = house.takes(an_incident()), writer_of(house)
        for text in ("a", "b"):
            update(house, number, token, {"comment": text})
            clock.forward(seconds=-5)

        entries = history_of(house, number)[1:]
        texts = [entry.changes["comments"]["added"][0]["comment"] for entry in entries]
        assert texts == ["a", "b"]
        assert entries[1].at == entries[0].at - 5 * 10**7


@pytest.mark.parametrize("seed", range(3))
def test_the_history_alone_makes_the_incident_again(house: House, seed: int) -> None:
    incident = an_incident()
    number, token = house.takes(incident), writer_of(house)
    bodies: list[Document] = [
        {"status": "Resolved", "assignedTo": "ana@contoso.example"},
        {"tags": ["a"], "comment": "First."},
        {"classification": "TruePositive", "determination": "Malware"},
        {"tags": ["a", "b"], "comment": "Second.", "assignedTo": None},
        {"classification": "FalsePositive"},
        {"tags": []},
    ]
    for body in [*bodies[seed:], *bodies[:seed]]:
        assert update(house, number, token, body).status == 200

    told = incident
    for entry in history_of(house, number)[1:]:
        told = redone(told, entry.changes.items())

    context = {"@odata.context": house.running.url + "/api/$metadata#Incidents/$entity"}
    assert context | told == house.get(number, token).json


def test_all_history_is_read_in_pages_without_losing_an_entry(house: House) -> None:
    tenant_id, incidents = house.tenant.tenant_id, house.running.installation.incidents
    numbers = sorted(house.takes(an_incident()) for _ in range(3))
    versions = [an_incident(incidentId=numbers[1], tags=[str(each)]) for each in range(450)]
    kept = [keep_incident(to_json(version)) for version in versions]
    house.running.run(incidents.put_incidents(tenant_id, kept, an_audit_context()))

    async def all_entries() -> list[tuple[int, int]]:
        return [(each.incident_id, each.entry) async for each in incidents.all_history(tenant_id)]

    expected = [(numbers[0], 1), *((numbers[1], each) for each in range(1, 452)), (numbers[2], 1)]
    assert house.running.run(all_entries()) == expected


def test_the_history_of_one_tenant_is_not_that_of_another(house: House) -> None:
    number = house.takes(an_incident(), tenant=house.add_tenant())

    assert history_of(house, number) == []


def test_with_its_tenant_a_history_is_gone(house: House) -> None:
    number = house.takes(an_incident())
    update(house, number, writer_of(house), {"tags": []}, [JSON, ("Idempotency-Key", "1")])
    incidents = house.running.installation.incidents
    house.running.run(incidents.remove_incident(house.tenant.tenant_id, number, an_audit_context()))

    house.running.run(house.directory.remove_tenant(house.tenant))

    assert history_of(house, number) == []
    for table in ("history", "request_done", "latest_change"):
        query = f"SELECT count(*) FROM {table} WHERE tenant_id = {house.tenant.tenant_id}"
        assert below(house.running.settings.database).rows(query) == [(0,)]


def test_no_statement_changes_what_is_written_down() -> None:
    changing = re.compile(r"(UPDATE|DELETE\s+FROM|REPLACE\s+INTO)\s+history\b", re.IGNORECASE)

    assert [name for name, text in statements().items() if changing.search(text)] == []
    assert "ON CONFLICT" not in statements()["add_history"]


def test_only_some_names_of_requests_are_forgotten_at_a_time_and_none_too_early(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    tenant_id = house.tenant.tenant_id
    store = below(house.running.settings.database)
    for each in range(25):
        store.run(
            f"INSERT INTO request_done VALUES ({tenant_id}, cast('{each:02}' AS {store.bytes_type}), {each})"
        )

    def ages() -> list[int]:
        rows = store.rows(f"SELECT at FROM request_done WHERE tenant_id = {tenant_id} ORDER BY at")
        return [at for (at,) in rows]

    left = []
    for each in range(3):
        update(house, number, token, {"tags": []}, [JSON, ("Idempotency-Key", f"{each}")])
        left.append(len(ages()))

    assert left == [16, 7, 3]


# The commands


@pytest.fixture
def contoso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory, and in it a store with a tenant and two incidents."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")
    imported(an_incident(incidentId=1, incidentName="first"), an_incident(incidentId=2))


def imported(*incidents: Document) -> Any:
    Path("incidents.jsonl").write_bytes(b"\n".join(map(to_json, incidents)))
    return done("import", "incidents.jsonl", *CONTOSO)


def exported(*options: str) -> list[bytes]:
    run("export", *CONTOSO, *options, "--out", "exported.jsonl")
    return Path("exported.jsonl").read_bytes().splitlines()


@pytest.mark.usefixtures("contoso")
def test_a_run_of_a_command_has_one_id_and_the_login_of_who_ran_it() -> None:
    imported(an_incident(incidentId=1, incidentName="second"), an_incident(incidentId=3))
    done("incident", "remove", 3, *CONTOSO, "--yes")

    first, third = (done("history", *CONTOSO, "--incident", number) for number in (1, 3))

    login = pwd.getpwuid(os.getuid()).pw_name
    assert [entry["actor"] for entry in first] == [f"vigie import by {login}"] * 2
    assert [entry["actor"] for entry in third] == [
        f"vigie import by {login}",
        f"vigie incident remove by {login}",
    ]
    ids = [entry["request_id"] for entry in (*first, *third)]
    assert all(RUN_ID.fullmatch(each) for each in ids)
    assert ids[1] == ids[2]
    assert len(set(ids)) == 3


@pytest.mark.usefixtures("contoso")
def test_history_says_in_lines_what_it_says_in_json() -> None:
    imported(an_incident(incidentId=1, incidentName="\x1b[31m", tags=["tier-0", "b"], score=1.10))

    ended, values = run("history", *CONTOSO, "--incident", 1), done("history", *CONTOSO, "--incident", 1)

    lines = [line.split("\t") for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert [[line[0], line[1], line[2], line[4]] for line in lines] == [
        [value["at"], value["actor"], value["action"], value["request_id"]] for value in values
    ]
    assert 'incidentName: "first" -> "\\u001b[31m"' in lines[1][3]
    assert 'tags: + "b"' in lines[1][3]
    assert "score: nothing -> 1.1" in lines[1][3]
    assert "\x1b" not in ended.out
    assert values[1]["changes"]["score"] == {"to": 1.1}


@pytest.mark.usefixtures("contoso")
def test_history_of_nothing_is_refused() -> None:
    for number in (3, 0, -1):
        ended = run("history", *CONTOSO, "--incident", number)

        assert ended.code == 1
        assert ended.refusal == f"vigie: no history for incident {number} in contoso"


@pytest.mark.usefixtures("contoso")
def test_an_export_has_the_history_behind_the_incidents_if_asked() -> None:
    done("incident", "remove", 2, *CONTOSO, "--yes")

    plain, with_history = exported(), exported("--history")

    entries = [json.loads(line)["history"] for line in with_history[len(plain) :]]
    assert with_history[: len(plain)] == plain
    assert [(each["incident_id"], each["entry"], each["action"]) for each in entries] == [
        (1, 1, "import"),
        (2, 1, "import"),
        (2, 2, "remove"),
    ]
    assert entries[0] == done("history", *CONTOSO, "--incident", 1)[0]


@pytest.mark.usefixtures("contoso")
def test_an_export_says_how_many_incidents_there_were_without_the_history() -> None:
    assert done("export", *CONTOSO, "--history", "--out", "x.jsonl")["exported"] == 2


@pytest.mark.usefixtures("contoso")
def test_with_json_it_is_one_array_also_without_any_incident() -> None:
    incidents_and_history = done("export", *CONTOSO, "--history")
    for number in (1, 2):
        done("incident", "remove", number, *CONTOSO, "--yes")

    assert ["history" in each for each in incidents_and_history] == [False, False, True, True]
    assert len(done("export", *CONTOSO, "--history")) == 4


@pytest.mark.usefixtures("contoso")
@pytest.mark.parametrize("strictly", [(), ("--strict",)])
@pytest.mark.parametrize("name", ["whole.jsonl", "whole.jsonl.gz", "whole.json"])
def test_an_export_with_history_goes_in_again_and_the_history_is_passed_over(
    name: str, strictly: tuple[str, ...]
) -> None:
    match Path(name).suffix:
        case ".json":
            Path(name).write_text(run("export", *CONTOSO, "--history", "--json").out)
        case _:
            run("export", *CONTOSO, "--history", "--out", name)
    before = exported()
    done("tenant", "add", "fabrikam")

    ended = run("import", name, "--tenant", "fabrikam", *strictly, "--json")

    assert ended.code == 0
    assert ended.json == {"read": 2, "added": 2, "replaced": 0, "refused": 0, "errors": []}
    assert ended.err == "skipped 2 lines of history: history is not imported\n"
    assert len(done("history", "--tenant", "fabrikam", "--incident", 1)) == 1
    run("export", "--tenant", "fabrikam", "--out", "again.jsonl")
    assert Path("again.jsonl").read_bytes().splitlines() == before


def test_a_compressed_export_has_the_same_lines(contoso: None) -> None:
    run("export", *CONTOSO, "--history", "--out", "x.jsonl.gz")

    assert gzip.decompress(Path("x.jsonl.gz").read_bytes()).splitlines() == exported("--history")


AN_ENTRY = HistoryEntry(
    incident_id=1, entry=1, at=Instant(0), action="import", actor="x", request_id="y", changes={}
)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (history_line(AN_ENTRY), True),
        (json.dumps(json.loads(history_line(AN_ENTRY)), indent=1).encode(), True),
        (b'{"history":{"incident_id":1,"entry":1}}', True),
        (b'{"history":{}}', False),
        (b'{"history":[1]}', False),
        (b'{"history":null}', False),
        (b'{"history":{"incident_id":1,"entry":1},"incidentId":1}', False),
        (b'{"incidentId":1,"history":{"incident_id":1,"entry":1}}', False),
        (b'{"history":{"incident_id":1,"entry":1}', False),
        (b'{"history":{"incident_id":1,"entry":1,"x":"\xff"}}', True),
        (b'{"history":' * 9999, False),
        (b"[]", False),
        (b"", False),
    ],
)
def test_only_a_line_of_history_is_passed_over(text: bytes, is_one: bool) -> None:
    assert is_history_line(text) is is_one


def test_an_incident_with_a_key_of_that_name_is_an_incident(contoso: None) -> None:
    entry = {"incident_id": 7, "entry": 1}
    said = imported({"history": entry, **a_redirected_stub(1, incidentId=7)})

    assert said["added"] == 1
    assert json.loads(exported()[-1])["history"] == entry
