"""The commands that show evidence."""

from pathlib import Path

import pytest

from tests.support.builders import a_device, an_alert, an_entity, an_incident, to_json
from tests.support.commands import done, run

UPN = "ada@contoso.example"
OF_CONTOSO = ("--tenant", "contoso")
LAPTOP = a_device("laptops", mdatpDeviceId="d1", deviceDnsName=None)
SERVER = a_device("servers", mdatpDeviceId="d2", deviceDnsName=None)
INCIDENTS = [
    an_incident(
        an_alert(alertId="a1", devices=[LAPTOP], entities=[an_entity(LAPTOP, sha1="AA")]),
        an_alert(alertId="a2", devices=[SERVER], entities=[an_entity(SERVER, sha1="bb")]),
        incidentId=1,
    ),
    an_incident(
        an_alert(alertId="a3", devices=[SERVER], entities=[an_entity(SERVER, sha1="aa")]), incidentId=2
    ),
]
SEEN_BY_ALL = [
    {"kind": "fileHash", "value": "aa", "incident_id": 2, "alert_id": "a3"},
    {"kind": "fileHash", "value": "aa", "incident_id": 1, "alert_id": "a1"},
]


@pytest.fixture(autouse=True)
def an_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory, with two incidents that nothing has projected yet."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")
    Path("incidents.jsonl").write_bytes(b"\n".join(map(to_json, INCIDENTS)))
    done("import", "incidents.jsonl", *OF_CONTOSO)
    done("user", "add", UPN, *OF_CONTOSO)
    done("user", "grant", UPN, *OF_CONTOSO, "--role", "security-reader", "--device-group", "laptops")


def find(*arguments: str) -> object:
    return done("evidence", "find", *arguments, *OF_CONTOSO)


def test_evidence_is_found_without_a_server_by_any_spelling_and_kind() -> None:
    assert find("aA") == SEEN_BY_ALL
    assert find("sha1:AA", "--kind", "filehash") == SEEN_BY_ALL
    assert find("aa", "--kind", "device") == find("unknown") == []


def test_what_was_changed_since_is_in_the_next_answer() -> None:
    assert find("aa") == SEEN_BY_ALL
    done("incident", "remove", "2", *OF_CONTOSO, "--yes")

    assert find("aa") == SEEN_BY_ALL[1:]


def test_a_user_finds_what_the_user_can_see() -> None:
    assert find("aa", "--as-user", UPN) == SEEN_BY_ALL[1:]
    assert find("d2", "--as-user", UPN) == []


def test_evidence_is_shown_to_people_line_by_line() -> None:
    ended = run("evidence", "find", "aa", *OF_CONTOSO)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "fileHash\taa\t2\ta3\nfileHash\taa\t1\ta1\n"


def test_the_evidence_of_an_incident_is_shown_alert_by_alert() -> None:
    shown = done("incident", "show", "1", "--evidence", *OF_CONTOSO)
    seen_by_user = done("incident", "show", "1", "--evidence", *OF_CONTOSO, "--as-user", UPN)

    assert [(each["alert_id"], each["kind"], each["value"]) for each in shown] == [
        ("a1", "device", "d1"),
        ("a1", "fileHash", "aa"),
        ("a2", "device", "d2"),
        ("a2", "fileHash", "bb"),
    ]
    assert seen_by_user == shown[:2]
    assert run("incident", "show", "2", "--evidence", *OF_CONTOSO, "--as-user", UPN).code == 1


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_is_refused(value: str) -> None:
    refused = run("evidence", "find", value, *OF_CONTOSO)

    assert (refused.code, refused.out) == (2, "")
    assert "VALUE must not be empty" in refused.refusal


def test_a_kind_that_there_is_not_is_one_line() -> None:
    ended = run("evidence", "find", "aa", *OF_CONTOSO, "--kind", "file")

    assert ended.code == 2
    assert ended.refusal == (
        "vigie: invalid kind 'file'; allowed: "
        "device, account, address, host, url, fileHash, mailbox, process, registry; "
        "see `vigie evidence find --help`"
    )


def test_what_is_not_built_yet_is_told_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigie.cli.evidence._CATCH_UP_SECONDS_MAX", 0.0)

    ended = run("evidence", "find", "aa", *OF_CONTOSO, "--json")

    assert (ended.code, ended.json) == (0, [])
    assert ended.err == (
        "the evidence of this tenant is still being built; run the command again for the rest\n"
    )


def test_what_is_missing_is_counted_for_administrators_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    find("aa")
    done("incident", "remove", "2", *OF_CONTOSO, "--yes")
    monkeypatch.setattr("vigie.cli.evidence._CATCH_UP_SECONDS_MAX", 0.0)

    behind, of_user = (
        run("evidence", "find", "aa", *OF_CONTOSO, *options) for options in ((), ("--as-user", UPN))
    )

    assert behind.err == "1 change is not in the evidence yet\n"
    assert of_user.err == "some changes are not in the evidence yet\n"
    # The document decides, whatever the projection has not heard of.
    assert behind.out == of_user.out == "fileHash\taa\t1\ta1\n"
