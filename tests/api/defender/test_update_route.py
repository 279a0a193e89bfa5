"""PATCH /api/incidents/{id}: what is changed, by whom, what is refused in which order, and what survives."""

import gzip
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.builders import (
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_audit_context,
    an_entity,
    an_incident,
    exactly,
    to_json,
)
from tests.support.commands import done, served
from tests.support.database_access import without_table
from tests.support.house import Clock, House, RunningHouse, eventually
from tests.support.paths import DOCS
from tests.support.updating import (
    JSON,
    WRITE,
    WRITE_ALL,
    at_once,
    comments_in,
    head_of,
    operator_over,
    update,
    writer_of,
)
from vigie.api.defender.handlers import UPDATE_BYTES_MAX
from vigie.config.settings import QuotaSettings, RetentionSettings, ServerSettings, UpdateSettings
from vigie.core.access import RolePermission
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.documents.defender.reading import NotAnIncident, keep_incident

CONTEXT = "/api/$metadata#Incidents/$entity"
UNKNOWN = 987_654_321
DAY_SECONDS = 86_400

# docs/api/update-incident.md, "Classification and determination": the classification, and the documented word.
ALIASES = {
    "CompromisedUser": ("TruePositive", "CompromisedAccount"),
    "ConfirmedUserActivity": ("InformationalExpectedActivity", "ConfirmedActivity"),
    "InsufficientData": ("FalsePositive", "NoEnoughDataToValidate"),
    "NotEnoughDataToValidate": ("FalsePositive", "NoEnoughDataToValidate"),
    "NotMalicious": ("FalsePositive", "Clean"),
}
BODY_SECONDS = 1


@pytest.fixture(scope="module")
def generous_server(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server without a quota to speak of, where a body has a second to arrive."""
    many = 10**6
    quotas = QuotaSettings(
        get_per_minute=many, get_per_hour=many, update_per_minute=many, update_per_hour=many
    )
    limits = ServerSettings(port=0, body_seconds=BODY_SECONDS)
    with RunningHouse(tmp_path_factory.mktemp("generous"), quotas=quotas, server=limits) as running:
        yield running


@pytest.fixture
def generous(generous_server: RunningHouse) -> House:
    """A tenant of its own on it."""
    return House(generous_server)


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[House]:
    """A house whose clock is ours, and which keeps incidents for 30 days."""
    quotas = QuotaSettings(update_per_minute=3, update_per_hour=1000)
    retention = RetentionSettings(days=30)
    with RunningHouse(tmp_path, clock=Clock(), quotas=quotas, retention=retention) as running:
        yield House(running)


def clock_of(house: House) -> Clock:
    assert house.running.clock is not None
    return house.running.clock


def a_fresh_incident(house: House, *alerts: Document, days_ago: float = 0, **changes: object) -> Document:
    """An incident that was updated so long ago by the clock of the house."""
    at = Instant(clock_of(house).now() - round(days_ago * DAY_SECONDS * TICKS_PER_SECOND))
    return an_incident(*alerts, lastUpdateTime=format_instant(at), **changes)


# The answer


def test_the_answer_is_the_whole_incident_behind_its_context(house: House) -> None:
    incident = an_incident(an_alert("servers"), an_alert(), comments=[])
    number, token = house.takes(incident), writer_of(house)

    answer = update(
        house,
        number,
        token,
        {
            "status": "Resolved",
            "assignedTo": "ines@fabrikam.example",
            "classification": "TruePositive",
            "determination": "CompromisedAccount",
            "tags": ["tier-0", "reviewed"],
            "comment": "Password reset, device reimaged.",
        },
    )

    assert answer.status == 200
    (comment,) = answer.json["comments"]
    moment = answer.json["lastUpdateTime"]
    expected = {
        "@odata.context": house.running.url + CONTEXT,
        **incident,
        "lastUpdateTime": moment,
        "assignedTo": "ines@fabrikam.example",
        "classification": "TruePositive",
        "determination": "CompromisedAccount",
        "status": "Resolved",
        "tags": ["tier-0", "reviewed"],
        "comments": [
            {
                "comment": "Password reset, device reimaged.",
                "createdBy": comment["createdBy"],
                "createdTime": moment,
            }
        ],
    }
    assert exactly(answer.body) == exactly(to_json(expected))


def test_reading_gives_what_the_update_answered_with_the_same_headers(house: House) -> None:
    number, token = house.takes(an_incident(an_alert("servers"))), writer_of(house)

    updated = update(house, number, token, {"tags": ["a"]})
    read = house.get(number, token)

    assert (updated.status, updated.body) == (200, read.body)
    assert [pair for pair in updated.headers if pair[0] != "date"] == [
        pair for pair in read.headers if pair[0] != "date"
    ]


def test_what_was_not_asked_for_stays_to_the_last_byte(house: House) -> None:
    odd = an_alert("servers", odd=[1.10, {"é": None}], more="\u200b")
    incident = {"first": 1e3, **an_incident(odd, an_alert()), "last": {"b": 1, "a": [0.10]}}
    number, token = house.takes(incident), writer_of(house)
    before = house.get(number, token).body

    after = update(house, number, token, {"status": "InProgress"}).body

    moment = json.loads(after)["lastUpdateTime"].encode()
    changed = before.replace(b'"2026-02-11T07:52:30.81Z"', b'"%s"' % moment)
    assert after == changed.replace(b'"status":"Active"', b'"status":"InProgress"')


def test_the_answer_is_compressed_as_the_client_likes(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    answer = update(house, number, token, {"tags": ["a"]}, [JSON, ("Accept-Encoding", "gzip")])

    assert answer.header("content-encoding") == "gzip"
    assert json.loads(gzip.decompress(answer.body))["tags"] == ["a"]


def test_the_alias_with_a_version_updates_alike(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    answer = update(house, f"/api/v1.0/incidents/{number}", token, {"tags": ["a"]})

    assert (answer.status, answer.json["tags"]) == (200, ["a"])


def test_an_update_is_found_by_filters_and_at_the_front_of_the_list(house: House) -> None:
    numbers = [house.takes(an_incident()) for _ in range(3)]
    token = writer_of(house)

    update(house, numbers[1], token, {"status": "Resolved", "assignedTo": "ana@contoso.example"})

    def listed(query: str) -> list[int]:
        return [each["incidentId"] for each in house.get(f"/api/incidents?{query}", token).json["value"]]

    assert listed("")[0] == numbers[1]
    assert listed("$filter=status+eq+'Resolved'") == [numbers[1]]
    assert listed("$filter=assignedTo+eq+'ana@contoso.example'") == [numbers[1]]
    assert listed("$filter=status+eq+'Active'") == [numbers[0], numbers[2]]


def test_alerts_do_not_follow_their_incident(house: House) -> None:
    incident = an_incident(an_alert(status="New"))

    answer = update(house, house.takes(incident), writer_of(house), {"status": "Resolved"})

    assert answer.json["alerts"] == incident["alerts"]


def test_a_later_import_replaces_what_was_updated(house: House) -> None:
    incident = an_incident()
    number, token = house.takes(incident), writer_of(house)
    update(house, number, token, {"status": "Resolved", "comment": "Gone after the import."})

    house.takes(incident)

    assert house.get(number, token).json == {"@odata.context": house.running.url + CONTEXT, **incident}


# What clients send


@pytest.mark.parametrize(
    "body",
    [
        # Cortex XSOAR leaves out what is empty, but for the assignee that is taken away.
        {"status": "Resolved", "classification": "Unknown", "determination": "NotAvailable"},
        {"assignedTo": ""},
        {"classification": "FalsePositive", "determination": "Other", "tags": ["a", "b"], "comment": "x"},
        # phMDE has the label of a classification, and names of determinations that Microsoft refuses.
        {"classification": "Informational, expected activity", "determination": "ConfirmedUserActivity"},
        {"classification": "TruePositive", "determination": "CompromisedUser"},
        {"classification": "FalsePositive", "determination": "InsufficientData"},
        # The documented example.
        {
            "status": "Resolved",
            "assignedTo": "secop2@contoso.com",
            "classification": "TruePositive",
            "determination": "Malware",
            "tags": ["Yossi's playground", "Don't mess with the Zohan"],
            "comment": "pen testing",
        },
    ],
)
def test_what_real_clients_send_is_taken(house: House, body: Document) -> None:
    answer = update(house, house.takes(an_incident()), writer_of(house), body)

    assert answer.status == 200


def test_the_label_of_a_classification_is_answered_as_the_documented_word(house: House) -> None:
    body = {"classification": "Informational, expected activity", "determination": "ConfirmedUserActivity"}

    answer = update(house, house.takes(an_incident()), writer_of(house), body)

    assert answer.json["classification"] == "InformationalExpectedActivity"


@pytest.mark.parametrize("name", ["Authorization-bare", "double-slash", "If-Match", "no-content-type"])
def test_habits_of_clients_do_no_harm(house: House, name: str) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    path, headers = f"/api/incidents/{number}", [("Authorization", f"Bearer {token}"), JSON]
    match name:
        case "Authorization-bare":
            headers[0] = ("Authorization", token)
        case "double-slash":
            path = f"/api//incidents/{number}"
        case "If-Match":
            headers.append(("If-Match", '"old"'))
        case _:
            headers.remove(JSON)

    assert house.running.request("PATCH", path, headers, body=b'{"status":"Resolved"}').status == 200


# Bodies: each row of the table in docs/errors.md


@pytest.mark.parametrize("nobody", ["", None])
def test_unassigning_leaves_it_to_nobody(house: House, nobody: str | None) -> None:
    number = house.takes(an_incident(assignedTo="ana@contoso.example"))

    answer = update(house, number, writer_of(house), {"assignedTo": nobody})

    assert (answer.status, answer.json["assignedTo"]) == (200, None)


def test_clearing_tags_leaves_an_empty_list(house: House) -> None:
    answer = update(house, house.takes(an_incident(tags=["a"])), writer_of(house), {"tags": []})

    assert (answer.status, answer.json["tags"]) == (200, [])


REFUSED: dict[str, tuple[object, str]] = {
    "empty comment": ({"comment": ""}, "A comment may not be empty"),
    "blank comment": ({"comment": " \n"}, "A comment may not be empty"),
    "long comment": ({"comment": "x" * 10_001}, "at most 10000 characters"),
    "10,000 tags": ({"tags": ["t"] * 10_000}, "at most 200 tags; there were 10000"),
    "empty tag": ({"tags": [""]}, "A tag may not be empty"),
    "long tag": ({"tags": ["t" * 321]}, "at most 320 characters"),
    "long assignee": ({"assignedTo": "a" * 321}, "at most 320 characters"),
    "control character in a comment": ({"comment": "a\x1b[31m"}, "control character U+001B"),
    "control character in a tag": ({"tags": ["a\nb"]}, "control character U+000A"),
    "control character in an assignee": ({"assignedTo": "a\x00"}, "control character U+0000"),
    "wrong type of status": ({"status": 1}, "$.status"),
    "wrong type of tags": ({"tags": "a,b"}, "$.tags"),
    "wrong type of comment": ({"comment": {"comment": "x"}}, "$.comment"),
    "null for anything but the assignee": ({"status": None}, "$.status"),
    "wrong case of a key": ({"Status": "Resolved"}, "there is no key 'Status'"),
    "unknown key": ({"severity": "High"}, "there is no key 'severity'"),
    "plural of comment": ({"comments": ["x"]}, "there is no key 'comments'"),
    "unknown status": ({"status": "Closed"}, "'Closed' is not a status"),
    "unknown classification": ({"classification": "Malware"}, "is not a classification"),
    "removed determination": ({"determination": "Apt"}, "'Apt' is not a determination"),
    "no pair": ({"classification": "FalsePositive", "determination": "Malware"}, "does not go with"),
    "determination alone": ({"determination": "Malware"}, "needs a classification"),
    "an array": ([], "it is a list and must be an object"),
    "a text": ("Resolved", "it is a text and must be an object"),
    "null": (None, "it is null and must be an object"),
    "an empty object": ({}, "it says nothing"),
    "no body": (b"", "there is none"),
    "broken JSON": (b'{"status":', "truncated"),
    "a form": (b"status=Resolved", "malformed"),
    "not UTF-8": (b'{"comment":"\xe9"}', "not UTF-8"),
    "half a surrogate pair": (b'{"comment":"\\ud800"}', "surrogate"),
    "a key twice": (b'{"status":"Active","status":"Resolved"}', "stands twice"),
    "nested too deeply": (b'{"comment":' * 20_000, "nested too deeply"),
}


def test_every_refused_body_has_a_row_in_the_documents() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    section = text.partition("## Updating an incident")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| 400 `InvalidRequestBody` \|", section, re.MULTILINE)

    assert sorted(rows) == sorted([*REFUSED, "a comment more", "another content type"])


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_that_cannot_be_is_refused_with_the_reason_and_changes_nothing(
    generous: House, name: str
) -> None:
    body, reason = REFUSED[name]
    number, token = generous.takes(an_incident()), writer_of(generous)
    before = generous.get(number, token).body

    answer = update(generous, number, token, body)

    assert (answer.status, answer.code) == (400, "InvalidRequestBody")
    assert reason in answer.json["error"]["message"]
    assert len(answer.body) < 1000
    assert generous.get(number, token).body == before


def test_a_comment_more_than_a_thousand_is_refused_and_other_updates_are_not(house: House) -> None:
    comment = {"comment": "x", "createdBy": "ana", "createdTime": "2026-01-01T00:00:00Z"}
    number, token = house.takes(an_incident(comments=[comment] * 999)), writer_of(house)

    answers = [update(house, number, token, {"comment": "y", "tags": []}) for _ in range(2)]
    other = update(house, number, token, {"tags": ["b"]})

    assert [answer.status for answer in answers] == [200, 400]
    assert "at most 1000 comments" in answers[1].json["error"]["message"]
    assert (other.status, len(other.json["comments"])) == (200, 1000)


@pytest.mark.parametrize("letters", [str, str.lower, str.upper, str.swapcase])
def test_values_of_enumerations_may_have_any_letter_case(house: House, letters: Callable[[str], str]) -> None:
    graded = {"status": "Resolved", "classification": "TruePositive", "determination": "SecurityTesting"}
    number, token = house.takes(an_incident()), writer_of(house)

    answer = update(house, number, token, {key: letters(value) for key, value in graded.items()})

    assert answer.status == 200
    assert {key: answer.json[key] for key in graded} == graded
    assert {key: house.get(number, token).json[key] for key in graded} == graded


@pytest.fixture
def verbatim(tmp_path: Path) -> Iterator[House]:
    """A house that keeps an alias of a determination as it was sent."""
    with RunningHouse(tmp_path, updates=UpdateSettings(determinations="as-sent")) as running:
        yield House(running)


@pytest.mark.parametrize(("classification", "alias"), [(pair[0], alias) for alias, pair in ALIASES.items()])
def test_an_alias_is_stored_and_answered_as_the_documented_word(
    house: House, classification: str, alias: str
) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    answer = update(house, number, token, {"classification": classification, "determination": alias})

    assert (answer.status, answer.json["determination"]) == (200, ALIASES[alias][1])
    assert house.get(number, token).json["determination"] == ALIASES[alias][1]


def test_an_alias_is_stored_and_answered_as_it_was_sent_where_that_is_set(verbatim: House) -> None:
    number, token = verbatim.takes(an_incident()), writer_of(verbatim)

    for alias, (classification, _) in ALIASES.items():
        body = {"classification": classification, "determination": alias.lower()}
        answer = update(verbatim, number, token, body)

        assert (answer.status, answer.json["determination"]) == (200, alias)
        assert verbatim.get(number, token).json["determination"] == alias


def test_a_kept_alias_goes_with_its_classification_and_no_other(verbatim: House) -> None:
    number, token = verbatim.takes(an_incident()), writer_of(verbatim)
    update(verbatim, number, token, {"classification": "FalsePositive", "determination": "NotMalicious"})

    same = update(verbatim, number, token, {"classification": "FalsePositive"})
    other = update(verbatim, number, token, {"classification": "TruePositive"})
    refused = update(verbatim, number, token, {"determination": "NotMalicious"})

    assert same.json["determination"] == "NotMalicious"
    assert other.json["determination"] == "NotAvailable"
    assert (refused.status, refused.code) == (400, "InvalidRequestBody")


def test_redirected_is_a_value_that_cannot_be_set(house: House) -> None:
    answer = update(house, house.takes(an_incident()), writer_of(house), {"status": "Redirected"})

    assert (answer.status, answer.code) == (400, "InvalidInput")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/json;odata.metadata=minimal", 200),
        ("application/merge-patch+json", 200),
        ("text/json", 200),
        ("text/plain", 400),
        ("application/x-www-form-urlencoded", 400),
        ("multipart/form-data; boundary=x", 400),
        ("application/xml", 400),
        ("x", 400),
    ],
)
def test_only_json_is_read(generous: House, content_type: str, status: int) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)

    answer = update(generous, number, token, {"tags": ["b"]}, [("Content-Type", content_type)])

    assert answer.status == status
    assert answer.code == (None if status == 200 else "InvalidRequestBody")
    assert generous.get(number, token).json["tags"] == (["b"] if status == 200 else ["tier-0"])


def padded(size_bytes: int) -> bytes:
    body = b'{"tags":["b"]}'
    return body + b" " * (size_bytes - len(body))


def test_a_body_of_256_kib_is_taken_and_one_byte_more_is_not(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)

    refused = update(generous, number, token, padded(UPDATE_BYTES_MAX + 1))
    taken = update(generous, number, token, padded(UPDATE_BYTES_MAX))

    assert (refused.status, refused.code) == (413, "BadRequest")
    assert str(UPDATE_BYTES_MAX) in refused.json["error"]["message"]
    assert taken.status == 200


def test_a_comment_of_a_megabyte_is_too_large(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)

    answer = update(generous, number, token, {"comment": "x" * 1024 * 1024})

    assert (answer.status, answer.code) == (413, "BadRequest")
    assert comments_in(generous, number, token) == []


def test_a_chunked_body_is_taken_and_bounded_too(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)
    head = head_of(generous, number, token, "Transfer-Encoding: chunked")
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"

    taken = generous.running.send(head + b'e\r\n{"tags":["b"]}\r\n0\r\n\r\n', method="PATCH")
    refused = generous.running.send(head + chunk * 65 + b"0\r\n\r\n", method="PATCH")

    assert (taken.status, refused.status) == (200, 413)


def broken_off(house: House, number: int, token: str, *, waits: bool) -> bytes:
    """Say more is to come than does; what the server answers."""
    place = urlsplit(house.running.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(head_of(house, number, token, "Content-Length: 100") + b'{"tags":["b"]}')
        return connection.recv(100) if waits else b""


@pytest.mark.parametrize("waits", [True, False])
def test_a_body_that_breaks_off_changes_nothing_though_it_reads_well(generous: House, waits: bool) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)
    started = time.monotonic()

    answer = broken_off(generous, number, token, waits=waits)

    # Deadlines are kept by a sweep each second, late by two at most.
    assert answer == b""
    assert time.monotonic() - started < BODY_SECONDS + 3
    assert not eventually(lambda: generous.get(number, token).json["tags"] != ["tier-0"], within_seconds=0.2)


# Who may


def test_a_token_that_may_only_read_is_refused(house: House) -> None:
    answer = update(house, house.takes(an_incident()), house.a_token("Incident.Read.All"), {"tags": ["b"]})

    assert (answer.status, answer.code) == (403, "Forbidden")
    assert "Incident.ReadWrite.All" in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("scopes", "role", "status"),
    [
        (("Incident.ReadWrite",), "security-operator", 200),
        (("Incident.ReadWrite",), "security-administrator", 200),
        (("Incident.ReadWrite",), "security-reader", 403),
        (("Incident.ReadWrite",), None, 403),
        (("Incident.Read",), "security-operator", 403),
        (("Incident.ReadWrite.All",), "security-operator", 403),
        ((), "security-operator", 403),
    ],
)
def test_a_user_updates_by_a_scope_and_a_role_together(
    house: House, scopes: tuple[str, ...], role: str | None, status: int
) -> None:
    number, user = house.takes(an_incident()), house.add_user(role=role)

    assert update(house, number, house.token_of(user, *scopes), {"tags": ["b"]}).status == status


def test_a_user_may_see_more_than_it_may_manage(house: House) -> None:
    laptop, server, both, open_to_all = (
        house.takes(an_incident(*alerts))
        for alerts in (
            (an_alert("laptops"),),
            (an_alert("servers"),),
            (an_alert("servers"), an_alert("laptops")),
            (an_alert(),),
        )
    )
    user = house.add_user("servers", "laptops", role="security-reader")
    house.grant(user, "security-operator", "laptops")
    token = house.token_of(user, WRITE)

    answers = {
        number: update(house, number, token, {"tags": ["b"]})
        for number in (laptop, server, both, open_to_all)
    }

    assert {number: answer.status for number, answer in answers.items()} == {
        laptop: 200,
        server: 403,
        both: 200,
        open_to_all: 200,
    }
    assert answers[server].code == "Forbidden"
    assert house.get(server, token).json["tags"] == ["tier-0"]


def test_what_is_managed_out_of_exposure_does_not_count(house: House) -> None:
    number = house.takes(an_incident(an_alert("servers"), an_alert("laptops")))
    user = house.add_user("laptops", role="security-reader")
    manager = house.running.run(
        house.directory.add_role(house.tenant, "manager", [RolePermission.MANAGE_INCIDENTS])
    )
    house.grant(user, manager.name, "servers")

    answer = update(house, number, house.token_of(user, WRITE), {"tags": ["b"]})

    assert (answer.status, answer.code) == (403, "Forbidden")


def test_a_hidden_incident_is_refused_exactly_like_a_missing_one(house: House) -> None:
    hidden, token = house.takes(an_incident(an_alert("servers"))), operator_over(house, "laptops")

    answers = [update(house, number, token, {"tags": ["b"]}) for number in (hidden, UNKNOWN)]

    assert [answer.status for answer in answers] == [404, 404]
    messages = [answer.json["error"]["message"] for answer in answers]
    assert messages == [f"Incident {number} was not found" for number in (hidden, UNKNOWN)]
    assert house.get(hidden, house.a_token()).json["tags"] == ["tier-0"]


def test_an_incident_of_another_tenant_is_missing(house: House) -> None:
    elsewhere = house.add_tenant()
    number = house.takes(an_incident(), tenant=elsewhere)

    assert update(house, number, writer_of(house), {"tags": ["b"]}).status == 404
    assert house.get(number, house.a_token(tenant=elsewhere)).json["tags"] == ["tier-0"]


def test_a_scoped_user_is_answered_its_part_and_the_rest_stays(house: House) -> None:
    server = a_device("servers")
    mixed = an_alert(devices=[server, a_device("laptops")], entities=[an_entity(server), an_entity()])
    incident = an_incident(an_alert("servers"), mixed)
    number, token = house.takes(incident), operator_over(house, "laptops")

    answer = update(house, number, token, {"status": "Resolved", "comment": "Done."})

    assert answer.body == house.get(number, token).body
    assert [alert["alertId"] for alert in answer.json["alerts"]] == [mixed["alertId"]]
    assert len(answer.json["alerts"][0]["devices"]) == 1
    assert house.get(number, house.a_token()).json["alerts"] == incident["alerts"]


def test_comments_are_by_the_user_or_the_application(house: House) -> None:
    number = house.takes(an_incident())
    user = house.add_user(role="security-operator")
    application, secret = house.add_application(WRITE_ALL)

    update(house, number, house.token_of(user, WRITE), {"comment": "By a user."})
    update(house, number, house.fetch_token(application, secret), {"comment": "By an application."})

    comments = house.get(number, house.a_token()).json["comments"]
    assert [each["createdBy"] for each in comments] == [user.upn, application.name]


def test_a_merged_incident_cannot_be_updated(house: House) -> None:
    target, token = house.takes(an_incident()), writer_of(house)
    number = house.takes(a_redirected_stub(target))
    before = house.get(number, token).body

    answer = update(house, number, token, {"status": "Active"})

    assert (answer.status, answer.code) == (403, "DisallowedOperation")
    assert str(target) in answer.json["error"]["message"]
    assert house.get(number, token).body == before


# The order of refusals


def test_of_several_reasons_the_first_is_told(clocked: House) -> None:
    fresh = a_fresh_incident(clocked, an_alert("servers"))
    hidden = clocked.takes(fresh)
    target = clocked.takes(a_fresh_incident(clocked, an_alert("laptops")))
    stub = clocked.takes(a_redirected_stub(target, lastUpdateTime=fresh["lastUpdateTime"]))
    nonsense, no_pair = b"{", {"determination": "Malware"}
    reader = clocked.a_token("Incident.Read.All")
    scoped = operator_over(clocked, "laptops")

    def refused(incident: int | str, token: str | None, body: object) -> tuple[int, str | None]:
        answer = update(clocked, incident, token, body)
        clock_of(clocked).forward(seconds=21)
        return answer.status, answer.code

    graph = clocked.a_token(WRITE_ALL, audience="https://graph.microsoft.com")
    assert refused("/api/incidents/x", None, nonsense) == (401, "Unauthorized")
    assert refused("/api/incidents/x", graph, nonsense) == (401, "Unauthorized")
    assert refused("/api/incidents/x", reader, nonsense) == (403, "Forbidden")
    assert refused("/api/incidents/x?$top=1", scoped, nonsense) == (400, "InvalidInput")
    assert refused(f"/api/incidents/{hidden}?$top=1", scoped, nonsense) == (400, "ODataError")
    assert refused(hidden, scoped, nonsense) == (400, "InvalidRequestBody")
    assert refused(hidden, scoped, no_pair) == (404, "ResourceNotFound")
    assert refused(stub, scoped, no_pair) == (403, "DisallowedOperation")


@pytest.mark.parametrize("query", ["", "=", "a=1", "api-version=1.0", "=status"])
def test_parameters_that_are_no_options_are_ignored(house: House, query: str) -> None:
    path = f"/api/incidents/{house.takes(an_incident())}?{query}"

    assert update(house, path, writer_of(house), {"tags": ["b"]}).status == 200


# Quota


def test_updates_have_a_bucket_of_their_own(clocked: House) -> None:
    number, token = clocked.takes(a_fresh_incident(clocked)), writer_of(clocked)

    statuses = [update(clocked, number, token, {"tags": [str(each)]}).status for each in range(4)]
    refused = update(clocked, number, token, b"{")

    assert statuses == [200, 200, 200, 429]
    assert refused.stated_wait == ("3 per 00:01:00", "60")
    assert clocked.get(number, token).json["tags"] == ["2"]
    clock_of(clocked).forward(seconds=60)
    assert update(clocked, number, token, {"tags": ["later"]}).status == 200


def test_the_quota_is_50_a_minute_unless_it_is_set(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    statuses = [update(house, number, token, {"tags": ["b"]}).status for _ in range(51)]

    assert statuses == [200] * 50 + [429]


def test_refused_updates_count_too(clocked: House) -> None:
    token = writer_of(clocked)

    statuses = [update(clocked, UNKNOWN, token, b"{").status for _ in range(4)]

    assert statuses == [400, 400, 400, 429]


# Retention and bad minutes


def test_what_is_past_its_retention_is_missing(clocked: House) -> None:
    token = writer_of(clocked)
    kept, past = (clocked.takes(a_fresh_incident(clocked, days_ago=days)) for days in (29.9, 30.1))

    assert update(clocked, kept, token, {"tags": ["b"]}).status == 200
    assert update(clocked, past, token, {"tags": ["b"]}).status == 404


def test_a_store_that_cannot_answer_is_503_and_nothing_is_changed(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        house = House(running)
        number, token = house.takes(an_incident()), writer_of(house)
        update(house, number, token, {"tags": ["before"]})

        with without_table(running.settings.database, "history"):
            during = update(house, number, token, {"tags": ["during"]})
            tags_during = house.get(number, token).json["tags"]

        assert (during.status, during.code) == (503, "ServiceUnavailable")
        assert int(during.header("retry-after") or "") > 0
        # What cannot be written down in the history is not done.
        assert tags_during == ["before"]
        assert update(house, number, token, {"tags": ["after"]}).status == 200


# At once


def test_two_updates_at_once_both_survive_field_by_field(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)
    bodies: list[Document] = [
        {"status": "Resolved"},
        {"assignedTo": "ana@contoso.example"},
        {"tags": ["a", "b"]},
        {"classification": "TruePositive", "determination": "Malware"},
        {"comment": "Seen."},
    ]
    for _ in range(5):
        number = generous.takes(an_incident())

        answers = at_once([partial(update, generous, number, token, each) for each in bodies])

        incident = generous.get(number, token).json
        assert [answer.status for answer in answers] == [200] * len(bodies)
        assert incident["comments"][0]["comment"] == "Seen."
        expected = {key: value for body in bodies for key, value in body.items() if key != "comment"}
        assert {key: incident[key] for key in expected} == expected
        times = [answer.json["lastUpdateTime"] for answer in answers]
        assert len(set(times)) == len(bodies)
        assert max(times, key=parse_instant) == incident["lastUpdateTime"]


def test_comments_at_once_all_survive_in_the_order_of_their_times(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)
    texts = [f"comment {each}" for each in range(24)]

    at_once([partial(update, generous, number, token, {"comment": each}) for each in texts])

    comments = generous.get(number, token).json["comments"]
    times = [parse_instant(each["createdTime"]) for each in comments]
    assert sorted(each["comment"] for each in comments) == sorted(texts)
    assert times == sorted(set(times))


# The same request again


@pytest.mark.parametrize("header", ["idempotency-key", "Idempotency-Key", "IDEMPOTENCY-KEY"])
def test_a_request_that_names_itself_is_done_once(house: House, header: str) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    headers = [JSON, (header, "5f0e")]

    first = update(house, number, token, {"comment": "Once."}, headers)
    again = update(house, number, token, {"comment": "Once."}, headers)

    assert (again.status, again.body) == (200, first.body)
    assert comments_in(house, number, token) == ["Once."]


def test_also_when_both_come_at_the_same_moment(generous: House) -> None:
    number, token = generous.takes(an_incident()), writer_of(generous)
    headers = [JSON, ("Idempotency-Key", "5f0e")]

    answers = at_once([partial(update, generous, number, token, {"comment": "Once."}, headers)] * 12)

    assert {(answer.status, answer.body) for answer in answers} == {(200, answers[0].body)}
    assert comments_in(generous, number, token) == ["Once."]


def test_without_a_name_it_is_done_again(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    for name in ("", "", None, None):
        headers = [JSON] if name is None else [JSON, ("Idempotency-Key", name)]
        update(house, number, token, {"comment": "Again."}, headers)

    assert comments_in(house, number, token) == ["Again."] * 4


@pytest.mark.parametrize(
    "other", ["name", "body", "spelling of the body", "caller", "user", "incident", "tenant"]
)
def test_another_request_is_another_one(house: House, other: str) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    name, body, again = "5f0e", b'{"comment":"x"}', number
    update(house, number, token, body, [JSON, ("Idempotency-Key", name)])
    match other:
        case "name":
            name = "5F0E"
        case "body":
            body = b'{"comment":"y"}'
        case "spelling of the body":
            body = b'{"comment": "x"}'
        case "caller":
            token = writer_of(house)
        case "user":
            token = operator_over(house)
        case "incident":
            again = house.takes(an_incident())
        case _:
            elsewhere = house.add_tenant()
            house.takes(an_incident(incidentId=number), tenant=elsewhere)
            token = house.a_token(WRITE_ALL, tenant=elsewhere)
    count = len(comments_in(house, again, token))

    assert update(house, again, token, body, [JSON, ("Idempotency-Key", name)]).status == 200
    assert len(comments_in(house, again, token)) == count + 1


def test_two_users_of_one_program_do_not_take_each_others_requests(house: House) -> None:
    number, headers = house.takes(an_incident()), [JSON, ("Idempotency-Key", "1")]

    for _ in range(2):
        update(house, number, operator_over(house), {"comment": "Mine."}, headers)

    assert comments_in(house, number, house.a_token()) == ["Mine."] * 2


def test_a_request_id_of_the_client_is_no_idempotency_key(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    headers = [JSON, ("client-request-id", "48f6b1c2-e5d7-4a30-b9f8-27c3d06a1e54")]

    statuses = [
        update(house, number, token, {"status": status, "comment": "x"}, headers).json["status"]
        for status in ("Resolved", "Active", "Resolved")
    ]

    assert statuses == ["Resolved", "Active", "Resolved"]
    assert house.get(number, token).json["status"] == "Resolved"
    assert comments_in(house, number, token) == ["x"] * 3


def test_a_request_id_of_the_client_makes_no_other_request_of_it(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)

    for each in ("a", "b"):
        headers = [JSON, ("client-request-id", each), ("Idempotency-Key", "same")]
        update(house, number, token, {"comment": "Once."}, headers)

    assert comments_in(house, number, token) == ["Once."]


@pytest.mark.parametrize(("waited_seconds", "count"), [(0, 1), (DAY_SECONDS - 1, 1), (DAY_SECONDS + 1, 2)])
def test_a_name_is_remembered_for_24_hours(clocked: House, waited_seconds: int, count: int) -> None:
    number = clocked.takes(a_fresh_incident(clocked))
    application, _ = clocked.add_application(WRITE_ALL)
    headers = [JSON, ("Idempotency-Key", "5f0e")]

    def send() -> int:
        token = token_of_application(clocked, application.client_id)
        return update(clocked, number, token, {"comment": "Once."}, headers).status

    statuses = [send()]
    clock_of(clocked).forward(seconds=waited_seconds)
    statuses.append(send())

    assert statuses == [200, 200]
    assert len(comments_in(clocked, number, clocked.a_token())) == count


def token_of_application(house: House, client_id: str) -> str:
    """A token of an application that is good now, wherever the clock stands."""
    claims: dict[str, Any] = {"appid": client_id, "oid": client_id, "sub": client_id, "roles": [WRITE_ALL]}
    return house.sign(house.claims(**claims))


def test_a_request_that_was_refused_is_tried_again(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    headers = [JSON, ("Idempotency-Key", "5f0e")]
    body = {"determination": "Malware", "comment": "Now it goes."}

    refused = update(house, number, token, body, headers)
    update(house, number, token, {"classification": "TruePositive"})
    taken = update(house, number, token, body, headers)

    assert (refused.status, taken.status) == (400, 200)
    assert comments_in(house, number, token) == ["Now it goes."]


def test_a_request_sent_again_does_not_undo_what_came_between(house: House) -> None:
    number, token = house.takes(an_incident()), writer_of(house)
    headers = [JSON, ("Idempotency-Key", "5f0e")]

    update(house, number, token, {"status": "Active"}, headers)
    update(house, number, token, {"status": "Resolved"})
    late = update(house, number, token, {"status": "Active"}, headers)

    assert (late.status, late.json["status"]) == (200, "Resolved")


def test_a_request_sent_again_answers_no_more_than_the_caller_may_see(house: House) -> None:
    number = house.takes(an_incident(an_alert("servers")))
    user = house.add_user("servers", role="security-operator")
    headers = [JSON, ("Idempotency-Key", "5f0e")]
    token = house.token_of(user, WRITE)
    assert update(house, number, token, {"comment": "Once."}, headers).status == 200

    house.takes(an_incident(an_alert("laptops"), incidentId=number))

    assert update(house, number, token, {"comment": "Once."}, headers).status == 404


# Time


def test_times_of_updates_go_forward_over_a_tenant_whatever_the_clock_does(clocked: House) -> None:
    numbers = [clocked.takes(a_fresh_incident(clocked)) for _ in range(2)]
    times: list[int] = []
    for step_seconds in (0, 20, -30, 0, -60, 200, -1):
        clock_of(clocked).forward(seconds=step_seconds)
        answer = update(clocked, numbers[len(times) % 2], writer_of(clocked), {"comment": "x"})
        times.append(parse_instant(answer.json["lastUpdateTime"]))

    assert times == sorted(set(times))


def test_an_update_comes_after_an_import_from_the_future(house: House) -> None:
    number = house.takes(an_incident())
    house.takes(an_incident(lastUpdateTime="2199-12-31T23:59:59.9999999Z"))

    answer = update(house, number, writer_of(house), {"comment": "x"})

    assert answer.json["lastUpdateTime"] == "2200-01-01T00:00:00Z"


def test_there_is_a_moment_left_after_the_last_that_can_be_imported(house: House) -> None:
    number = house.takes(an_incident(lastUpdateTime="9998-12-31T23:59:59.9999999Z"))

    answer = update(house, number, writer_of(house), {"comment": "x"})

    assert (answer.status, answer.json["lastUpdateTime"]) == (200, "9999-01-01T00:00:00Z")


@pytest.mark.parametrize("time", ["9999-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"])
def test_an_import_that_leaves_no_moment_for_updates_is_refused(time: str) -> None:
    with pytest.raises(NotAnIncident) as refused:
        keep_incident(to_json(an_incident(lastUpdateTime=time)))

    assert refused.value.path == "$.lastUpdateTime"
    assert "later updates" in refused.value.reason


@pytest.mark.parametrize("undo", ["removed", "put back"])
def test_also_when_that_incident_is_gone_or_put_back(house: House, undo: str) -> None:
    number, seen = house.takes(an_incident()), house.takes(an_incident(lastUpdateTime="2199-01-01T00:00:00Z"))
    if undo == "removed":
        incidents = house.running.installation.incidents
        house.running.run(incidents.remove_incident(house.tenant.tenant_id, seen, an_audit_context()))
    else:
        house.takes(an_incident(incidentId=seen))

    answer = update(house, number, writer_of(house), {"comment": "x"})

    assert answer.json["lastUpdateTime"] == "2199-01-01T00:00:00.0000001Z"


def test_the_future_of_one_tenant_is_not_that_of_another(house: House) -> None:
    house.takes(an_incident(lastUpdateTime="2199-01-01T00:00:00Z"), tenant=house.add_tenant())

    answer = update(house, house.takes(an_incident()), writer_of(house), {"comment": "x"})

    assert answer.json["lastUpdateTime"] < "2100"


# Durability


def comment_on(number: int, url: str, token: str, acknowledged: list[str]) -> None:
    """Comment on an incident until the server is gone, and note what it acknowledged."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        for text in map(f"{number}/{{}}".format, count()):
            body = to_json({"comment": text})
            connection.request(
                "PATCH",
                f"/api/incidents/{number}",
                body,
                {"Authorization": f"Bearer {token}", **dict([JSON])},
            )
            answer = connection.getresponse()
            answer.read()
            acknowledged += [text] * (answer.status == 200)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vigie.toml").write_text("[quotas]\nupdate_per_minute = 100000\nupdate_per_hour = 100000\n")
    Path("incidents.jsonl").write_bytes(
        b"\n".join(to_json(an_incident(incidentId=each)) for each in range(1, 9))
    )
    done("tenant", "add", "contoso")
    done("app", "add", "writer", "--tenant", "contoso", "--permission", WRITE_ALL)
    done("import", "incidents.jsonl", "--tenant", "contoso")
    token = done("token", "--tenant", "contoso", "--app", "writer")["access_token"]
    acknowledged: list[str] = []

    with served("--port", "0") as (process, said):
        writers = [
            threading.Thread(target=comment_on, args=(number, said["url"], token, acknowledged))
            for number in range(1, 9)
        ]
        for writer in writers:
            writer.start()
        assert eventually(lambda: len(acknowledged) > 100, within_seconds=20)
        process.kill()
        for writer in writers:
            writer.join()

    incidents = {each["incidentId"]: each for each in done("export", "--tenant", "contoso")}
    kept = {each["comment"] for incident in incidents.values() for each in incident["comments"]}
    assert len(kept) >= len(acknowledged) > 100
    assert set(acknowledged) <= kept
