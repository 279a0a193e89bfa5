"""The access table: every route there is, with the answer that each kind of caller gets."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import House
from tests.support.routes import EVERY_CALL, ROUTES
from vigie.api.defender.handlers import INCIDENT_ROUTE, LIST_ROUTE
from vigie.http.exchange import UNMATCHED_ROUTE
from vigie.observability.metrics import OTHER


@dataclass(frozen=True, slots=True)
class Answers:
    """The status for every kind of caller."""

    no_token: int
    expired: int
    wrong_audience: int
    no_permission: int
    hidden: int
    seen: int


CALLERS = tuple(Answers.__dataclass_fields__)

GUARDED = {
    ("GET", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    ("HEAD", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    ("PATCH", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    # A list says nothing of what is hidden, but it is a list.
    ("GET", LIST_ROUTE): Answers(401, 401, 401, 403, 200, 200),
    ("HEAD", LIST_ROUTE): Answers(401, 401, 401, 403, 200, 200),
}

EXEMPT = {
    # 400 and not 401: nobody who asks for a token has one, and here it is the form that is missing.
    ("POST", "/{tenant}/oauth2/v2.0/token"): 400,
    ("GET", "/{tenant}/oauth2/v2.0/token"): 400,
    ("POST", "/{tenant}/oauth2/token"): 400,
    ("GET", "/{tenant}/oauth2/token"): 400,
    # As for a token.
    ("POST", "/{tenant}/oauth2/v2.0/devicecode"): 400,
    ("POST", "/{tenant}/oauth2/devicecode"): 400,
    ("GET", "/{tenant}/v2.0/.well-known/openid-configuration"): 200,
    ("GET", "/{tenant}/.well-known/openid-configuration"): 200,
    ("GET", "/{tenant}/discovery/v2.0/keys"): 200,
    ("GET", "/{tenant}/discovery/keys"): 200,
    # 400: here it is the authority that is missing.
    ("GET", "/common/discovery/instance"): 400,
    # 400: here it is the request that is missing, or the page that the form comes from.
    ("GET", "/{tenant}/oauth2/v2.0/authorize"): 400,
    ("POST", "/{tenant}/oauth2/v2.0/authorize"): 400,
    ("GET", "/{tenant}/oauth2/authorize"): 400,
    ("POST", "/{tenant}/oauth2/authorize"): 400,
    ("GET", "/{tenant}/oauth2/deviceauth"): 200,
    ("POST", "/{tenant}/oauth2/deviceauth"): 400,
    ("GET", "/devicelogin"): 200,
    ("POST", "/devicelogin"): 400,
    ("POST", "/signin/password"): 400,
    ("POST", "/signin/consent"): 400,
    ("GET", "/signin.css"): 200,
    ("GET", "/api"): 200,
    ("GET", "/api/"): 200,
    ("GET", "/api/$metadata"): 200,
    ("GET", "/api/v1.0"): 200,
    ("GET", "/api/v1.0/"): 200,
    ("GET", "/api/v1.0/$metadata"): 200,
    ("GET", "/healthz"): 200,
    ("GET", "/readyz"): 200,
    ("GET", "/metrics"): 200,
    # Decision 15: where everything is, and the reference page with what it is made of.
    ("GET", "/"): 200,
    ("GET", "/openapi.yaml"): 200,
    ("GET", "/openapi.json"): 200,
    ("GET", "/reference"): 200,
    ("GET", "/reference/redoc.js"): 200,
    ("GET", "/reference/openapi.json"): 200,
}
"""What answers everyone alike, with whatever token or none."""

EXEMPT_COUNT_MAX = 37
"""The exempt routes may only get fewer. Lower this when one goes; a new one needs a decision in docs/decisions."""

UPDATE = b'{"status": "Resolved"}'


def test_every_route_is_in_the_table_once() -> None:
    assert set(EVERY_CALL) == GUARDED.keys() | EXEMPT.keys()
    assert not GUARDED.keys() & EXEMPT.keys()


def test_the_served_routes_are_those_of_the_table(house: House) -> None:
    metrics = house.running.request("GET", "/metrics").body.decode()

    measured = set(
        re.findall(r'^vigie_http_request_duration_seconds_count\{route="(.+)"\}', metrics, re.MULTILINE)
    )
    assert measured == {route.path for route in ROUTES} | {UNMATCHED_ROUTE, OTHER}


def test_the_exempt_routes_only_get_fewer() -> None:
    assert len(EXEMPT) <= EXEMPT_COUNT_MAX


def token_for(house: House, caller: str) -> str | None:
    """A token that is good for anything but what the name says; the incident is in the group `servers`."""
    scope = ("Incident.ReadWrite",)
    operator = house.add_user("servers", role="security-operator")
    tokens: dict[str, Callable[[], str | None]] = {
        "no_token": lambda: None,
        "expired": lambda: house.token_of(operator, *scope, lifetime_seconds=-4000),
        "wrong_audience": lambda: house.a_token(
            "Incident.ReadWrite.All", audience="https://graph.microsoft.com"
        ),
        "no_permission": house.a_token_without_permission,
        "hidden": lambda: house.token_of(house.add_user("laptops", role="security-operator"), *scope),
        "seen": lambda: house.token_of(operator, *scope),
    }
    return tokens[caller]()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize(("method", "route"), EVERY_CALL)
def test_every_caller_gets_the_stated_answer(house: House, method: str, route: str, caller: str) -> None:
    number = house.takes(an_incident(an_alert("servers"), incidentName="only for some"))
    token = token_for(house, caller)
    path = route.format(tenant=house.tenant.guid, id=number)
    headers = [("Authorization", f"Bearer {token}")] if token else []
    body = UPDATE if method == "PATCH" else b""

    answer = house.running.request(method, path, headers, body=body)

    row = GUARDED.get((method, route))
    assert answer.status == (getattr(row, caller) if row else EXEMPT[method, route])
    shows_it = row is not None and caller == "seen" and method != "HEAD"
    assert (b"only for some" in answer.body) == shows_it


@pytest.mark.parametrize(("method", "route"), EVERY_CALL)
def test_every_answer_keeps_browsers_from_guessing_and_from_plain_http(
    house: House, method: str, route: str
) -> None:
    path = route.format(tenant=house.tenant.guid, id=1)

    answer = house.running.request(method, path)

    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("strict-transport-security") == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("host", ["localhost:8443", "vigie.localhost"])
@pytest.mark.parametrize("path", ["/devicelogin", "/common/discovery/keys", "/reference", "/favicon.ico"])
def test_other_programs_of_the_machine_may_go_on_with_plain_http(house: House, host: str, path: str) -> None:
    answer = house.running.request("GET", path, host=host)

    assert answer.header("strict-transport-security") is None
    assert answer.header("x-content-type-options") == "nosniff"
