"""The served description against the server that serves it: whatever schemathesis makes of it holds."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, settings
from schemathesis import Case, CheckFunction
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from tests.support.builders import an_alert, an_incident
from tests.support.house import INCIDENTS_API, House, RunningHouse
from tests.support.openapi import openapi_document
from vigie.api.defender.handlers import UPDATE_BYTES_MAX
from vigie.api.oauth.endpoints import FORM_BYTES_MAX
from vigie.config.settings import IdentitySettings, QuotaSettings

Client = dict[str, str]

SCOPES = {"scope": f"{INCIDENTS_API}/.default", "resource": INCIDENTS_API}

HEAD_TOO_LONG = 431
"""Belongs to no path: the connection answers before there is a request."""

FORM_TYPE = "application/x-www-form-urlencoded"

FOUND = 5127
"""The number that the description's examples use: with it, fuzzing meets an incident too."""


@pytest.fixture(scope="module")
def served(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house without a quota to speak of, and with the incident of the examples in it."""
    quotas = QuotaSettings(
        get_per_minute=10**6,
        get_per_hour=10**6,
        list_per_minute=10**6,
        list_per_hour=10**6,
        update_per_minute=10**6,
        update_per_hour=10**6,
        changes_per_minute=10**6,
        changes_per_hour=10**6,
    )
    identity = IdentitySettings(device_codes_per_minute=10**6, device_codes_per_hour=10**6)
    folder = tmp_path_factory.mktemp("served")
    with RunningHouse(folder, quotas=quotas, identity=identity) as running:
        house = House(running)
        house.takes(an_incident(an_alert("servers"), incidentId=FOUND))
        yield house


@pytest.fixture(scope="module")
def client(served: House) -> Client:
    """The credentials of an application, as they stand in a form."""
    application, secret = served.add_application("Incident.Read.All", "Incident.Read")
    return {"client_id": application.client_id, "client_secret": secret}


@pytest.fixture(scope="module")
def token(served: House) -> str:
    """A token that may read and write."""
    return served.a_token("Incident.ReadWrite.All")


api = schemathesis.openapi.from_dict(openapi_document())

TENANT_OPERATIONS = [
    (path, method.upper())
    for path, item in api.raw_schema["paths"].items()
    for method in item
    if "{tenant}" in path and method != "parameters"
]


def test_the_served_description_is_the_one_below(served: House) -> None:
    assert yaml.load(served.get("/openapi.yaml", None).body, Loader=yaml.CSafeLoader) == api.raw_schema


def excluded_from(case: Case[Any]) -> list[CheckFunction]:
    """The checks that do not fit what a path promises."""
    excluded: list[CheckFunction] = []
    # A schema cannot say which tenants there are, what `$filter` understands, how far a feed has come, or which
    # gradings go together.
    if (
        "{tenant}" in case.path
        or "/discovery/" in case.path
        or case.path.endswith(("/incidents", "/changes"))
        or case.operation.method == "patch"
    ):
        excluded.append(positive_data_acceptance)
    if case.path.endswith("/incidents"):
        # Empty values and parameters that are no options are ignored (docs/api/clients.md).
        excluded.append(negative_data_rejection)
    if case.path.endswith("/token"):
        # GET is answered here too, for clients that know no better, and not described for those that do.
        excluded += [unsupported_method, allow_header_conformance]
    return excluded


@api.parametrize()
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_every_call_that_can_be_described_is_answered_as_described(
    case: Case[Any], served: House, token: str
) -> None:
    answer = case.call(base_url=served.running.url, headers={"Authorization": f"Bearer {token}"})

    if answer.status_code != HEAD_TOO_LONG:
        case.validate_response(answer, excluded_checks=excluded_from(case))


Call = tuple[str, str, bytes]

SAID: dict[str, Call] = {
    "BadRequest number": ("GET", "/api/incidents/5127x", b""),
    "BadRequest update": ("PATCH", f"/api/incidents/{FOUND}", b'{"status": "Closed"}'),
    "QueryRefused page": ("GET", "/api/incidents?$top=500", b""),
    "QueryRefused filter": ("GET", "/api/incidents?$filter=severity%20eq%20'High'", b""),
    "NotFound": ("GET", "/api/incidents/99000412", b""),
    "MethodNotAllowed": ("DELETE", f"/api/incidents/{FOUND}", b""),
    "ChangesRefused limit": ("GET", "/api/vigie/changes?limit=5000", b""),
    "ChangesRefused after": ("GET", "/api/vigie/changes?after=yesterday", b""),
    "ChangesGone": ("GET", "/api/vigie/changes?after=999999", b""),
    "TooLarge update": ("PATCH", f"/api/incidents/{FOUND}", b" " * (UPDATE_BYTES_MAX + 1)),
    "TooLarge form": ("POST", "/common/oauth2/v2.0/token", b" " * (FORM_BYTES_MAX + 1)),
}
"""What brings the refusals that the description gives as examples, by the response and the example's name."""

SAID_ELSEWHERE = {
    "Unauthorized invalid",
    "Unauthorized audience",
    "Forbidden",
    "QuotaExceeded",
    "Unavailable",
}
"""They need another token, many calls, or a store that fails."""


def examples_of_refusals() -> dict[str, dict[str, str]]:
    """Every example of the error envelope, by the response and its own name, if it has one."""
    found: dict[str, Any] = {}
    for name, response in api.raw_schema["components"]["responses"].items():
        for body in response.get("content", {}).values():
            named = {name: {"value": body["example"]}} if "example" in body else {}
            named |= {f"{name} {each}": value for each, value in body.get("examples", {}).items()}
            found |= {
                each: value["value"]["error"] for each, value in named.items() if "error" in value["value"]
            }
    return {name: error for name, error in found.items() if isinstance(error, dict)}


def test_every_example_of_a_refusal_is_tried() -> None:
    assert set(SAID) | SAID_ELSEWHERE == set(examples_of_refusals())


@pytest.mark.parametrize("name", SAID)
def test_an_example_of_a_refusal_is_what_the_server_says(served: House, token: str, name: str) -> None:
    method, path, body = SAID[name]

    answer = served.running.request(method, path, [("Authorization", f"Bearer {token}")], body=body)

    example = examples_of_refusals()[name]
    assert answer.json["error"] | {"target": ""} == example | {"target": ""}


def test_so_is_every_call_about_a_tenant_that_is_there(served: House, client: Client) -> None:
    form = {"grant_type": "client_credentials", **SCOPES, **client}
    for path, method in TENANT_OPERATIONS:
        sent: dict[str, Any] = {"body": form, "media_type": FORM_TYPE} if method == "POST" else {}
        case = api[path][method].Case(path_parameters={"tenant": served.tenant.guid}, **sent)
        answer = case.call(base_url=served.running.url)

        case.validate_response(answer)
        assert answer.status_code == 200
