"""Paths may have any letter case: the same answer, the same checks, the same names in log and metrics."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import an_incident
from tests.support.house import INCIDENTS_API, Answer, Clock, House, RunningHouse
from tests.support.routes import EVERY_CALL, ROUTES
from tests.support.updating import WRITE_ALL
from tests.support.valkey import free_port
from vigie.api.defender.handlers import incident_segment
from vigie.config.settings import LoggingSettings, MetricsSettings, QuotaSettings

CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "title": str.title, "swapped": str.swapcase}


def written(path: str, case: Callable[[str], str]) -> str:
    """A template with its own words in another case, and its places as they are."""
    return re.sub(r"(\{\w+\})|([^{]+)", lambda found: found[1] or case(found[2]), path)


@pytest.fixture(scope="module")
def talkative(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that logs every request; what it logs is cut off with `capfd`."""
    quotas = QuotaSettings(get_per_minute=10**6, list_per_minute=10**6, update_per_minute=10**6)
    logging = LoggingSettings(level="info")
    with RunningHouse(tmp_path_factory.mktemp("talkative"), logging=logging, quotas=quotas) as running:
        yield House(running)


def lines_of(capfd: pytest.CaptureFixture[str], count: int) -> list[dict[str, Any]]:
    """The lines of so many requests, once they are written."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        found += [line for line in lines if line["event"] == "request"]
    return found


def shown(answer: Answer) -> set[str]:
    """The names of the headers that say something of the route."""
    return {name for name, _ in answer.headers} - {"date", "set-cookie", "content-length"}


@pytest.mark.parametrize("case", CASES)
def test_every_route_is_the_same_in_any_letter_case(
    talkative: House, capfd: pytest.CaptureFixture[str], case: str
) -> None:
    house = talkative
    number, token = house.takes(an_incident()), house.a_token(WRITE_ALL)
    headers = [("Authorization", f"Bearer {token}")]
    capfd.readouterr()
    answers = {}
    for method, route in EVERY_CALL:
        body = b'{"tags": []}' if method == "PATCH" else b""
        for path in (route, written(route, CASES[case])):
            place = path.format(tenant=house.tenant.guid, id=number)
            answers[method, path] = house.running.request(method, place, headers, body=body)

    logged = iter(lines_of(capfd, len(answers)))
    for method, route in EVERY_CALL:
        usual, other = answers[method, route], answers[method, written(route, CASES[case])]
        assert other.status == usual.status != 404, (method, route)
        assert shown(other) == shown(usual), (method, route)
        first, second = next(logged), next(logged)
        assert first["route"] == second["route"] == route
        assert (first["path"] is None) == (second["path"] is None) == ("/oauth2/" in route), (method, route)


@pytest.mark.parametrize(
    ("path", "segment"),
    [
        (b"/api/incidents/7", b"7"),
        (b"/API/Incidents/7", b"7"),
        (b"/api/V1.0/INCIDENTS/7", b"7"),
        (b"/Api/incidents/aBc", b"aBc"),
        (b"/api/incidents/aBc", b"aBc"),
        (b"/api/incidents", b""),
        (b"/API/incidents/", b""),
        (b"/api/v1.0/Incidents", b""),
        (b"/api/incidents/7/", None),
        (b"/API/incidents/7/", None),
        (b"/api/v2.0/incidents/7", None),
        (b"/api/v1x0/incidents/7", None),
        (b"/api/incident\xc5\xbf/7", None),
        (b"/api/incidentsx", None),
        (b"/api/%69ncidents/7", None),
        (b"/api/incidents/7\n", b"7\n"),
        (b"/API/incidents\n", None),
    ],
)
def test_what_stands_behind_the_list_is_found_as_it_came(path: bytes, segment: bytes | None) -> None:
    assert incident_segment(path) == segment


@pytest.mark.parametrize(
    "path", ["/%C5%BFignin.css", "/reference/redoc.j%C5%BF", "/{tenant}/discovery/%E2%84%AAeys"]
)
def test_a_letter_that_only_python_takes_for_another_is_another(house: House, path: str) -> None:
    answer = house.running.request("GET", path.format(tenant=house.tenant.guid))

    assert (answer.status, answer.code) == (404, "NotFound")


def test_what_ends_in_a_line_feed_is_another_path(house: House) -> None:
    paths = [
        path.replace("{tenant}", house.tenant.guid)
        for path in sorted({row.path for row in ROUTES if not row.is_direct})
    ]

    answers = {path: house.running.request("GET", f"{path}%0A") for path in paths}

    assert {
        path: each for path, each in answers.items() if (each.status, each.code) != (404, "NotFound")
    } == {}


def test_a_token_is_had_under_the_documented_spelling_and_reads(house: House) -> None:
    application, secret = house.add_application("Incident.Read.All")
    form = {"client_id": application.client_id, "client_secret": secret}

    second = house.ask_for_token(form, f"/{house.tenant.guid.upper()}/OAuth2/V2.0/Token")
    first = house.ask_for_token(
        {**form, "scope": None, "resource": INCIDENTS_API}, f"/{house.tenant.guid}/OAuth2/Token"
    )

    for answer in (first, second):
        assert house.get("/api/Incidents", answer.json["access_token"]).status == 200


def test_a_spelling_of_ones_own_has_no_quota_of_its_own(tmp_path: Path) -> None:
    with RunningHouse(
        tmp_path, clock=Clock(), quotas=QuotaSettings(get_per_minute=3, list_per_minute=2)
    ) as running:
        house = House(running)
        number, token = house.takes(an_incident()), house.a_token()

        read = [house.get(f"/{api}/incidents/{number}", token).status for api in ("api", "API", "Api", "aPI")]
        listed = [house.get(f"/api/{name}", token).status for name in ("incidents", "Incidents", "INCIDENTS")]

    assert read == [200, 200, 200, 429]
    assert listed == [200, 200, 429]


def test_metrics_name_the_route_and_not_the_spelling(house: House) -> None:
    house.get("/API/INCIDENTS/7", None)

    metrics = house.running.request("GET", "/Metrics").body.decode()

    assert 'route="/api/incidents/{id}",status="401"' in metrics
    assert "INCIDENTS" not in metrics


def test_metrics_on_a_port_of_their_own_are_on_no_other_in_any_spelling(tmp_path: Path) -> None:
    port = free_port()
    with RunningHouse(tmp_path, metrics=MetricsSettings(listen=f"127.0.0.1:{port}")) as running:
        assert running.request("GET", "/METRICS").status == 404
        running.url = f"http://127.0.0.1:{port}"
        assert running.request("GET", "/METRICS").status == 200
