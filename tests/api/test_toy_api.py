"""A second API on the real server: it is told from the first in everything that makes an API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from tests.support import toy_api as toy
from tests.support.builders import an_alert, an_incident
from tests.support.house import READ_ALL, Answer, House, RunningHouse, eventually, from_base64
from vigie.api.defender.handlers import API_NAME, INCIDENT_ROUTE
from vigie.config.settings import LoggingSettings, QuotaSettings
from vigie.http.profile import ApiProfile
from vigie.http.protocol import limited_protocol
from vigie.runtime.apis import APIS, ApiContext
from vigie.runtime.resources import RESOURCES

NUMBER = 5127
MISSING = 5128
DEFENDER_CALLS_A_MINUTE = 5


@pytest.fixture(scope="module")
def served(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server with both APIs, which logs what it answers."""
    with RunningHouse(
        tmp_path_factory.mktemp("toys"),
        apis=(*APIS, toy.toy_api),
        resources=(*RESOURCES, toy.RESOURCE),
        quotas=QuotaSettings(get_per_minute=DEFENDER_CALLS_A_MINUTE),
        logging=LoggingSettings(level="info"),
    ) as running:
        yield running


@pytest.fixture
def both(served: RunningHouse) -> House:
    """A tenant with an incident, on that server."""
    house = House(served)
    house.takes(an_incident(an_alert("servers"), incidentId=NUMBER))
    return house


def a_toy_token(house: House) -> str:
    """As a client gets it, of an application that may use both APIs."""
    application, secret = house.add_application(READ_ALL, toy.PERMISSION)
    answer = house.ask_for_token(
        {
            "client_id": application.client_id,
            "client_secret": secret,
            "scope": f"{toy.AUDIENCE}/.default",
        }
    )
    return str(answer.json["access_token"])


def toy_answer(house: House, token: str | None, path: str = f"/toys/{NUMBER}", method: str = "GET") -> Answer:
    return house.get(path, token, method=method)


def test_the_token_of_each_api_opens_it_and_not_the_other(both: House) -> None:
    tokens = {"toy": a_toy_token(both), "defender": both.a_token(READ_ALL, toy.PERMISSION)}
    paths = {"toy": f"/toys/{NUMBER}", "defender": f"/api/incidents/{NUMBER}"}

    statuses = {
        (name, api): both.get(path, token).status
        for name, token in tokens.items()
        for api, path in paths.items()
    }

    assert statuses == {
        ("toy", "toy"): 200,
        ("toy", "defender"): 401,
        ("defender", "defender"): 200,
        ("defender", "toy"): 401,
    }


def test_a_token_carries_the_permissions_of_its_api_alone(both: House) -> None:
    application, _ = both.add_application(READ_ALL, toy.PERMISSION)

    assert application.permissions == (READ_ALL, toy.PERMISSION)
    assert claims_of(a_toy_token(both))["roles"] == [toy.PERMISSION]
    assert claims_of(both.a_token(READ_ALL, toy.PERMISSION))["roles"] == [READ_ALL]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(from_base64(token.split(".")[1]))
    return claims


def token_for(house: House, kind: str) -> str:
    """A token that brings a refusal."""
    if kind == "InvalidToken":
        return "not.a.token"
    if kind == "WrongAudience":
        return house.a_token()
    return (
        house.a_token(READ_ALL, audience=toy.AUDIENCE) if kind == "PermissionMissing" else a_toy_token(house)
    )


@pytest.mark.parametrize(
    ("status", "kind", "method", "path"),
    [
        (401, "InvalidToken", "GET", f"/toys/{NUMBER}"),
        (401, "WrongAudience", "GET", f"/toys/{NUMBER}"),
        (403, "PermissionMissing", "GET", f"/toys/{NUMBER}"),
        (404, "IncidentNotFound", "GET", f"/toys/{MISSING}"),
        (404, "RouteNotFound", "GET", "/toys"),
        (404, "RouteNotFound", "GET", f"/toys/{NUMBER}/parts"),
        (405, "MethodNotAllowed", "DELETE", f"/toys/{NUMBER}"),
        (429, "QuotaExceeded", "GET", f"/toys/{NUMBER}"),
        (500, "Broken", "GET", f"/toys/{toy.BROKEN}"),
        (500, "Broken", "GET", f"/toys/{toy.WITHOUT_ROW}"),
    ],
)
def test_each_error_has_the_shape_of_the_api_that_is_called(
    both: House, status: int, kind: str, method: str, path: str
) -> None:
    token = token_for(both, kind)
    if status == 429:
        spend(both, token)

    answer = toy_answer(both, token, path, method)

    assert answer.status == status
    assert answer.header("content-type") == toy.MEDIA_TYPE
    assert answer.header("x-toy") == "1"
    assert answer.header("odata-version") is None
    assert answer.header("www-authenticate") == ("Toy" if status == 401 else None)
    assert answer.header("allow") == ("GET, HEAD" if status == 405 else None)
    assert (answer.header("retry-after") is None) == (status != 429)
    assert answer.json.keys() == {"toy"}
    assert answer.json["toy"]["kind"] == f"toy.{kind}"
    assert answer.json["toy"]["request"]
    # Microsoft's sentences, and the name of the member `target`, are the Defender API's.
    assert not re.search("^(Invalid Authorization|Missing|API calls quota)|target", answer.json["toy"]["why"])


def test_what_is_under_no_root_is_refused_as_before(both: House) -> None:
    for path in ("/toyshop", "/api/toys", "/api/incidents/x/toys"):
        assert both.get(path, None).code == "NotFound"


def spend(house: House, token: str) -> None:
    """Use up the quota of the toys."""
    statuses = [toy_answer(house, token).status for _ in range(toy.CALLS_A_MINUTE)]
    assert statuses == [200] * toy.CALLS_A_MINUTE


def test_each_api_has_a_quota_of_its_own(both: House) -> None:
    application, secret = both.add_application(READ_ALL, toy.PERMISSION)
    form = {"client_id": application.client_id, "client_secret": secret}
    toy_token = both.ask_for_token({**form, "scope": f"{toy.AUDIENCE}/.default"}).json["access_token"]
    defender_token = both.ask_for_token(form).json["access_token"]

    spend(both, toy_token)
    of_defender = [both.get(NUMBER, defender_token).status for _ in range(DEFENDER_CALLS_A_MINUTE + 1)]

    assert toy_answer(both, toy_token).status == 429
    assert of_defender == [200] * DEFENDER_CALLS_A_MINUTE + [429]


def test_metrics_know_it_by_name(both: House) -> None:
    token = a_toy_token(both)
    spend(both, token)
    toy_answer(both, token)
    toy_answer(both, token, "/toys")

    metrics = both.get("/metrics", None).body.decode()

    for status in (200, 429):
        assert f'vigie_http_requests_total{{api="toy",route="{toy.ROUTE}",status="{status}"}}' in metrics
    assert 'vigie_http_requests_total{api="toy",route="unmatched",status="404"}' in metrics
    assert f'vigie_http_request_duration_seconds_count{{api="toy",route="{toy.ROUTE}"}}' in metrics
    assert 'vigie_quota_refusals_total{quota="toys"}' in metrics


def test_the_access_log_names_the_api(both: House, capfd: pytest.CaptureFixture[str]) -> None:
    token = a_toy_token(both)
    named = [("client-request-id", "of-this-test")]
    written: list[dict[str, Any]] = []

    def is_written() -> bool:
        lines = map(json.loads, capfd.readouterr().err.splitlines())
        # Lines of what was asked before may come late.
        written.extend(line for line in lines if line["client_request_id"] == named[0][1])
        return len(written) >= 3

    both.get(f"/toys/{NUMBER}", token, named)
    both.get("/toys", token, named)
    both.get(NUMBER, both.a_token(), named)

    assert eventually(is_written)
    assert [(line["api"], line["route"], line["status"], line["refusal"]) for line in written] == [
        (toy.NAME, toy.ROUTE, 200, None),
        (toy.NAME, "unmatched", 404, "toy.RouteNotFound"),
        (API_NAME, INCIDENT_ROUTE, 200, None),
    ]


def test_the_openapi_document_has_its_part(both: House) -> None:
    in_json = both.get("/openapi.json", None).json
    in_yaml = yaml.load(both.get("/openapi.yaml", None).body, Loader=yaml.CSafeLoader)
    shown = both.get("/reference/openapi.json", None).json

    assert in_yaml == in_json
    assert {toy.ROUTE, INCIDENT_ROUTE} <= in_json["paths"].keys()
    assert "ToyId" in in_json["components"]["parameters"]
    assert [tag["name"] for tag in in_json["tags"]][-1] == "Toys"
    samples = shown["paths"][toy.ROUTE]["get"]["x-codeSamples"]
    assert f"{both.running.url}/toys/" in samples[0]["source"]


def test_two_apis_with_a_fast_path_stop_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    def fast_toy(context: ApiContext) -> ApiProfile:
        return replace(toy.toy_api(context), fast_path=limited_protocol)

    twice = RunningHouse(
        tmp_path_factory.mktemp("fast"), apis=(*APIS, fast_toy), resources=(*RESOURCES, toy.RESOURCE)
    )

    with pytest.raises(ValueError, match="one fast path; the APIs defender and toy"), twice:
        pass


def test_two_apis_that_share_something_stop_the_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    twice = RunningHouse(
        tmp_path_factory.mktemp("twice"),
        apis=(*APIS, toy.toy_api, toy.toy_api),
        resources=(*RESOURCES, toy.RESOURCE),
    )

    with pytest.raises(ValueError, match="two of the API 'toy'"), twice:
        pass
