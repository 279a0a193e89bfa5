"""Every refusal says why in the log, and says it without what the caller had said."""

import inspect
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import an_incident
from tests.support.house import House, RunningHouse
from tests.support.updating import WRITE_ALL, update
from vigie.api.defender.error_responses import ERROR_RESPONSES
from vigie.config.settings import LoggingSettings
from vigie.core.errors import InvalidQuery, Refusal, for_caller, for_log, user_text
from vigie.core.instants import Instant
from vigie.core.quotas import QuotaExcess, minute_and_hour
from vigie.http.protocol import Limits

WORDS = "Zaphod"
"""What callers say here wherever they can say something."""

A_QUOTA = minute_and_hour("get", per_minute=1, per_hour=1)
VALUES = {
    "str": "x",
    "int": 1,
    "tuple": ("GET",),
    "Instant": Instant(0),
    "Optional": None,
    "bool": True,
    "Quota": A_QUOTA,
    "QuotaExcess": QuotaExcess(window=A_QUOTA.windows[0], wait_ticks=1),
}

LISTS = (
    f"$filter=status eq '{WORDS}'",
    f"$filter=status eq {WORDS}",
    f"$filter=assignedTo eq {WORDS}",
    f"$filter=createdTime ge '{WORDS}'",
    f"$filter='{WORDS}' eq 'a'",
    f"$filter=status eq 'Active' '{WORDS}'",
    f"$filter=status '{WORDS}'",
    f'$filter=status eq "{WORDS}"',
    "$filter=createdTime ge 2026-99-11T00:00:00Z",
    "$filter=severity eq 'High'",
    "$filter=contains(status,'a')",
    f"$top={WORDS}",
    "$top=101",
    f"$count={WORDS}",
    "$orderby=severity",
    "$select=status",
    "$filter=",
)
BODIES: tuple[Any, ...] = (
    b"",
    f'"{WORDS}'.encode(),
    [],
    {},
    {"severity": WORDS},
    {"status": 1},
    {"status": WORDS},
    {"status": "Redirected"},
    {"classification": WORDS},
    {"determination": WORDS},
    {"determination": "Malware"},
    {"comment": " "},
    {"comment": f"{WORDS}\u0000"},
    {"tags": [""]},
    {"tags": [WORDS * 100]},
    {"tags": [WORDS] * 201},
    {"comment": WORDS * 100_000},
)
FORMS: tuple[dict[str, str | None], ...] = (
    {},
    {"client_id": WORDS, "client_secret": WORDS},
    {"client_id": "app", "client_secret": WORDS},
    {"client_id": "app"},
    {"client_id": "app", "client_secret": "right", "scope": WORDS},
    {"client_id": "app", "client_secret": "right", "scope": f"{WORDS}/.default"},
    {"client_id": "app", "client_secret": "right", "scope": None, "resource": WORDS},
    {"grant_type": WORDS},
    {"grant_type": "refresh_token", "refresh_token": WORDS, "client_id": "app", "client_secret": "right"},
    {"grant_type": "authorization_code", "code": WORDS, "client_id": "app", "client_secret": "right"},
    {"client_id": "app", "client_assertion": WORDS, "client_assertion_type": WORDS},
)
PATHS = ("token", "devicecode")


@pytest.mark.parametrize("refusal", ERROR_RESPONSES)
def test_no_refusal_can_be_made_without_a_reason(refusal: Callable[..., Refusal]) -> None:
    parameters = inspect.signature(refusal).parameters.values()
    needed = [each for each in parameters if each.default is each.empty]
    values = {
        each.name: VALUES[str(getattr(each.annotation, "__name__", each.annotation))] for each in needed
    }
    places = [values.pop(each.name) for each in needed if each.kind is not each.KEYWORD_ONLY]

    assert refusal(*places, **values).detail


@given(st.text(), st.text(), st.text())
def test_what_was_said_goes_back_and_not_into_the_log(before: str, words: str, behind: str) -> None:
    before, words, behind = map(for_caller, (before, words, behind))
    refusal = InvalidQuery(f"{before}{user_text(words)}{behind}")

    assert (refusal.message, refusal.detail) == (before + words + behind, f"{before}…{behind}")
    assert for_log(user_text(user_text(words))) == "…"


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A house that logs every request; what it logs is cut off with `capfd`."""
    folder: Path = tmp_path_factory.mktemp("talkative")
    with RunningHouse(folder, logging=LoggingSettings(level="info")) as running:
        yield running


def lines_of(capfd: pytest.CaptureFixture[str], request_ids: list[str]) -> list[dict[str, Any]]:
    """The one line of each of these requests, in their order."""
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 10
    while not found.keys() >= set(request_ids) and time.monotonic() < deadline:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"request_id"' in line]
        assert not found.keys() & {line["request_id"] for line in lines}
        found |= {line["request_id"]: line for line in lines}
        time.sleep(0.05)
    return [found[each] for each in request_ids]


def test_every_refusal_of_the_api_is_explained(
    talkative: RunningHouse, capfd: pytest.CaptureFixture[str]
) -> None:
    house = House(talkative)
    number, token = house.takes(an_incident()), house.a_token(WRITE_ALL)
    answers = [
        *(house.get(f"/api/incidents?{quote(query, safe='=$')}", token) for query in LISTS),
        *(update(house, number, token, each) for each in BODIES),
        *(house.get(path, token) for path in (f"/api/incidents/{WORDS}", f"/{WORDS}", f"/{WORDS}/keys")),
        house.get("/api/incidents/987654321", token),
        house.get(number, token, method="DELETE"),
        house.get(number, None),
        house.get(number, f"{WORDS}.{WORDS}.{WORDS}"),
        house.get(number, house.a_token_without_permission()),
        house.get(f"/api/incidents/{number}?$expand={WORDS}", token),
    ]
    assert {answer.status for answer in answers} >= {400, 401, 403, 404, 405, 413}

    targets = [answer.json["error"]["target"] for answer in answers if answer.status >= 400]
    assert_explained(lines_of(capfd, targets))


def test_every_refusal_of_a_token_is_explained(
    talkative: RunningHouse, capfd: pytest.CaptureFixture[str]
) -> None:
    house = House(talkative)
    application, secret = house.add_application()
    known = {"app": application.client_id, "right": secret}
    answers = [
        house.ask_for_token(
            {name: known.get(value or "", value) for name, value in form.items()},
            f"/{house.tenant.guid}/oauth2/v2.0/{path}",
        )
        for form in FORMS
        for path in PATHS
    ]
    answers += [
        house.ask_for_token({}, f"/{tenant}/oauth2/v2.0/token") for tenant in (WORDS, f"{WORDS}.example")
    ]
    assert {answer.status for answer in answers} <= {400, 401}

    lines = lines_of(capfd, [answer.json["trace_id"] for answer in answers])
    assert_explained(lines)
    assert all(line["refusal"].startswith("AADSTS") for line in lines)


def assert_explained(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        assert line["detail"], line
        assert WORDS.lower() not in line["detail"].lower(), line


@pytest.mark.parametrize(
    ("sent_bytes", "status", "reason"),
    [
        (b"nothing of the kind\r\n\r\n", 400, "malformed"),
        (b"GET / HTTP/1.1\r\nhuge: " + b"x" * Limits().head_bytes, 431, "head_too_long"),
    ],
)
def test_what_never_became_a_request_is_found_in_the_log_by_its_target(
    talkative: RunningHouse,
    capfd: pytest.CaptureFixture[str],
    sent_bytes: bytes,
    status: int,
    reason: str,
) -> None:
    port = int(talkative.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent_bytes)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    target = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["target"]

    (line,) = lines_of(capfd, [target])

    assert (line["status"], line["refusal"], line["detail"]) == (status, "BadRequest", reason)
    assert (line["method"], line["route"], line["path"]) == ("", "unmatched", None)
    assert line["remote"] == "127.0.0.1"
