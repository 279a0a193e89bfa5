"""The commands that show what there is: incidents, the installation, its settings, its keys."""

import json
import os
import pty
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import an_alert, an_incident, to_json
from tests.support.commands import PROGRAM, done, environment, run, served

UPN = "ada@contoso.example"
OF_CONTOSO = ("--tenant", "contoso")
TIME = "2026-11-{:02}T00:00:00Z"
INCIDENTS = [
    an_incident(
        an_alert("laptops"),
        an_alert("servers"),
        incidentId=1,
        incidentName="Both",
        status="Active",
        severity="High",
        assignedTo="o'neil@contoso.example",
        lastUpdateTime=TIME.format(1),
    ),
    an_incident(
        an_alert("servers"),
        incidentId=2,
        incidentName="Servers alone",
        status="Active",
        severity="Low",
        assignedTo=None,
        lastUpdateTime=TIME.format(2),
    ),
    an_incident(
        an_alert("laptops"),
        incidentId=3,
        incidentName="Laptops alone",
        status="Resolved",
        severity="High",
        assignedTo=UPN,
        lastUpdateTime=TIME.format(3),
    ),
]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three incidents, and a user who sees the laptops."""
    directory = tmp_path_factory.mktemp("inspected")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        done("init")
        done("tenant", "add", "contoso")
        Path("incidents.jsonl").write_bytes(b"\n".join(map(to_json, INCIDENTS)))
        done("import", "incidents.jsonl", *OF_CONTOSO)
        done("user", "add", UPN, *OF_CONTOSO)
        done("user", "grant", UPN, *OF_CONTOSO, "--role", "security-reader", "--device-group", "laptops")
        done("user", "add", "eve@contoso.example", *OF_CONTOSO)
    return directory


@pytest.fixture(autouse=True)
def working_directory(made_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made_once)


# Incidents


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ((), [3, 2, 1]),
        (("--top", "2"), [3, 2]),
        (("--status", "Active"), [2, 1]),
        (("--status", "resolved", "--status", "InProgress"), [3]),
        (("--severity", "high"), [3, 1]),
        (("--severity", "High", "--top", "1"), [3]),
        (("--severity", "High", "--severity", "low", "--status", "Active"), [2, 1]),
        (("--assignee", "o'neil@contoso.example"), [1]),
        (("--unassigned",), [2]),
        (("--filter", f"lastUpdateTime ge {TIME.format(2)}"), [3, 2]),
        (("--filter", f"status eq 'Active' or assignedTo eq '{UPN}'", "--severity", "High"), [3, 1]),
        (("--filter", "status eq 'Resolved' or status eq 'Active'", "--unassigned"), [2]),
        (("--as-user", UPN), [3, 1]),
        (("--as-user", UPN, "--status", "Active"), [1]),
    ],
)
def test_incidents_are_listed_by_what_is_asked_for(options: tuple[str, ...], numbers: list[int]) -> None:
    listed = done("incident", "list", *OF_CONTOSO, *options)

    assert [each["incident_id"] for each in listed] == numbers


def test_a_list_says_of_each_incident_what_people_look_for() -> None:
    (first, *_) = done("incident", "list", *OF_CONTOSO, "--status", "Active", "--severity", "High")

    assert first == {
        "incident_id": 1,
        "status": "Active",
        "severity": "High",
        "classification": INCIDENTS[0]["classification"],
        "determination": INCIDENTS[0]["determination"],
        "assigned_to": "o'neil@contoso.example",
        "created_at": INCIDENTS[0]["createdTime"],
        "last_update_at": TIME.format(1),
        "name": "Both",
        "redirect_incident_id": None,
        "tags": INCIDENTS[0]["tags"],
        "alerts": 2,
    }


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--status", "Open"), 2, "is not a status"),
        (("--filter", "severity eq 'High'"), 2, "the property 'severity' cannot be used"),
        (("--filter", "status eq 'Active') or (status eq 'Resolved'"), 2, "stands at character"),
        (("--assignee", "a", "--unassigned"), 2, "cannot be combined"),
        (("--top", "0"), 2, "--top must be 1 or more"),
        (("--as-user", "nobody"), 1, "there is no user 'nobody'"),
        (("--as-user", "eve@contoso.example"), 1, "no role that allows viewing security data"),
    ],
)
def test_a_list_that_cannot_be_is_one_line(options: tuple[str, ...], code: int, reason: str) -> None:
    ended = run("incident", "list", *OF_CONTOSO, *options)

    assert (ended.code, reason in ended.refusal) == (code, True), ended.err


def test_an_incident_is_shown_whole_and_to_a_user_as_the_api_would() -> None:
    whole = done("incident", "show", "1", *OF_CONTOSO)
    to_ada = done("incident", "show", "1", *OF_CONTOSO, "--as-user", UPN)

    assert whole == json.loads(to_json(INCIDENTS[0]))
    assert [alert["alertId"] for alert in to_ada["alerts"]] == [whole["alerts"][0]["alertId"]]
    token = done("token", *OF_CONTOSO, "--user", UPN)["access_token"]
    with served("--port", "0") as (_, said):
        answer = answer_of(f"{said['url']}/api/incidents/1", token)
    assert {key: value for key, value in answer.items() if key != "@odata.context"} == to_ada


@pytest.mark.parametrize("options", [("99",), ("2", "--as-user", UPN)])
def test_an_incident_out_of_sight_is_like_a_missing_one(options: tuple[str, ...]) -> None:
    ended = run("incident", "show", *options, *OF_CONTOSO)

    assert (ended.code, ended.refusal) == (1, f"vigie: Incident {options[0]} was not found")


def test_an_incident_is_shown_to_people_line_by_line() -> None:
    lines = run("incident", "show", "1", *OF_CONTOSO).out.splitlines()

    assert any(line.split() == ["severity", "High"] for line in lines)
    assert any(line.split() == ["alerts", "2"] for line in lines)


# The installation


def test_the_status_says_what_there_is_while_no_server_runs() -> None:
    told = done("status", "--database", "sqlite:///.vigie/vigie.sqlite3")

    assert told["database"] == {"place": ".vigie/vigie.sqlite3", "schema": done("migrate")["schema"]}
    assert told["issuer"] == "http://127.0.0.1:8400"
    assert told["keys"] == {
        "place": ".vigie/signing-keys.json",
        "signs": done("keys", "list")[0]["kid"],
        "accepted": 1,
        "problem": None,
    }
    (tenant,) = told["tenants"]
    assert (tenant["name"], tenant["incidents"], tenant["applications"], tenant["users"]) == (
        "contoso",
        3,
        0,
        2,
    )


@pytest.mark.parametrize("tls", [(), ("--tls", "auto")])
def test_the_status_says_whether_the_server_answers(
    tls: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served("--port", "0", *tls) as (process, said):
        monkeypatch.setenv("VIGIE_SERVER_PUBLIC_URL", said["url"])
        if tls:
            monkeypatch.setenv("VIGIE_TLS_MODE", "auto")
        while_it_runs = done("status")["server"]
        process.terminate()
        process.wait(30)
        afterwards = done("status")["server"]

    assert while_it_runs == {"url": said["url"], "reachable": True, "ready": True, "problem": None}
    assert (afterwards["reachable"], afterwards["problem"]) == (False, "Connection refused")
    assert "is not reachable: Connection refused" in run("status").out


def test_the_status_makes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")

    assert done("status")["keys"]["signs"] is None
    assert done("keys", "list") == []
    assert not Path(".vigie/signing-keys.json").exists()


def test_a_rotated_key_is_listed_behind_the_one_that_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = done("keys", "rotate")["kid"]
    rotated = done("keys", "rotate")

    assert done("keys", "list") == [
        {"kid": rotated["kid"], "signs": True, "accepted_until": None},
        {"kid": first, "signs": False, "accepted_until": rotated["retired"][0]["accepted_until"]},
        *[
            {"kid": each["kid"], "signs": False, "accepted_until": each["accepted_until"]}
            for each in rotated["retired"][1:]
        ],
    ]


# The settings


def test_every_setting_is_told_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.toml").write_text(
        '[server]\nport = 8443\nhost = "127.0.0.2"\n[quotas]\nstore = "redis://u:hidden@cache.example"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("VIGIE_SERVER_PORT", "9000")

    told = done("config", "check", "--config", "my.toml", "--database", "sqlite:///x.sqlite3")

    assert told["file"] == "my.toml"
    found = {f"{each['section']}.{each['key']}": (each["value"], each["source"]) for each in told["settings"]}
    assert found["server.port"] == (9000, "environment VIGIE_SERVER_PORT")
    assert found["server.host"] == ("127.0.0.2", "my.toml")
    assert found["database.url"] == ("sqlite:///x.sqlite3", "--database")
    assert found["logging.level"] == ("info", "default")
    assert found["quotas.store"] == ("redis://u:...@cache.example", "my.toml")
    assert [each.name for each in tmp_path.iterdir()] == ["my.toml"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[server]\nport = 99999\n", "[server] port = 99999: must be"),
        ("[server]\nprot = 1\n", "unknown key 'prot'"),
        ('[tls]\ncert = "a.pem"\n', "[tls] cert is set without [tls] key"),
        ('[identity]\nauthority = "none"\n', "requires an issuer"),
    ],
)
def test_settings_that_stop_a_start_are_exit_2(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vigie.toml").write_text(text, encoding="utf-8")

    ended = run("config", "check")

    assert (ended.code, reason in ended.refusal) == (2, True), ended.err


# On a terminal


def test_a_narrow_terminal_gets_a_block_for_each_entry_of_a_history() -> None:
    (entry,) = done("history", *OF_CONTOSO, "--incident", "1")

    shown = shown_on_a_terminal("history", *OF_CONTOSO, "--incident", "1", columns=80)

    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[0] == f"at          {entry['at']}"
    assert [line.partition("  ")[0] for line in lines] == ["at", "actor", "action", "changes", "request id"]


def test_a_wide_terminal_gets_a_table_in_which_no_time_is_split() -> None:
    (entry,) = done("history", *OF_CONTOSO, "--incident", "1")

    shown = shown_on_a_terminal("history", *OF_CONTOSO, "--incident", "1", columns=160)

    assert entry["at"] in shown
    assert entry["request_id"] in shown
    assert any("actor" in line and "request id" in line for line in shown.splitlines())


# Helpers


def shown_on_a_terminal(*arguments: str, columns: int) -> str:
    """What a command shows on a terminal of this width."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"COLUMNS": str(columns), "TERM": "xterm"}),
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            # The program has ended.
            process.wait(30)
    os.close(ours)
    return shown.decode().replace("\r\n", "\n")


def answer_of(url: str, token: str) -> dict[str, Any]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
