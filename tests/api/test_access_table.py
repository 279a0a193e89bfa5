"""The access table: every route there is, with the answer that each kind of caller gets."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import Answer, House, RunningHouse
from tests.support.routes import EVERY_CALL, ROUTES
from vigie.api.defender.handlers import INCIDENT_ROUTE, LIST_ROUTE
from vigie.api.vigie.handlers import CHANGES_ROUTE
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

SHOWS_NO_INCIDENT: frozenset[tuple[str, str]] = frozenset(
    {
        ("HEAD", INCIDENT_ROUTE),
        ("HEAD", LIST_ROUTE),
        # Ids, kinds and times: tests/api/vigie/test_changes.py says whose.
        ("GET", CHANGES_ROUTE),
        ("HEAD", CHANGES_ROUTE),
    }
)
"""Guarded calls whose answers have no incident in them for anybody."""

GUARDED = {
    ("GET", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    ("HEAD", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    ("PATCH", INCIDENT_ROUTE): Answers(401, 401, 401, 403, 404, 200),
    # A list says nothing of what is hidden, but it is a list.
    ("GET", LIST_ROUTE): Answers(401, 401, 401, 403, 200, 200),
    ("HEAD", LIST_ROUTE): Answers(401, 401, 401, 403, 200, 200),
    ("GET", CHANGES_ROUTE): Answers(401, 401, 401, 403, 200, 200),
    ("HEAD", CHANGES_ROUTE): Answers(401, 401, 401, 403, 200, 200),
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
        re.findall(
            r'^vigie_http_request_duration_seconds_count\{api=".*",route="(.+)"\}', metrics, re.MULTILINE
        )
    )
    assert measured == {route.path for route in ROUTES} | {UNMATCHED_ROUTE, OTHER}


def test_the_exempt_routes_only_get_fewer() -> None:
    assert len(EXEMPT) <= EXEMPT_COUNT_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """One tenant, one incident that only some may see, and a token for each kind of caller."""

    house: House
    incident_id: int
    tokens: Mapping[str, str | None]

    def answer(self, method: str, route: str, token: str | None) -> Answer:
        path = route.format(tenant=self.house.tenant.guid, id=self.incident_id)
        headers = [("Authorization", f"Bearer {token}")] if token else []
        return self.house.running.request(method, path, headers, body=UPDATE if method == "PATCH" else b"")


@pytest.fixture(scope="module")
def callers(running_house: RunningHouse) -> Callers:
    house = House(running_house)
    incident_id = house.takes(an_incident(an_alert("servers"), incidentName="only for some"))
    return Callers(house=house, incident_id=incident_id, tokens=tokens_in(house))


def tokens_in(house: House) -> dict[str, str | None]:
    """Tokens that are good for anything but what their name says; the incident is in the group `servers`."""
    scope = ("Incident.ReadWrite",)
    operator = house.add_user("servers", role="security-operator")
    return {
        "no_token": None,
        "expired": house.token_of(operator, *scope, lifetime_seconds=-4000),
        "wrong_audience": house.a_token("Incident.ReadWrite.All", audience="https://graph.microsoft.com"),
        "no_permission": house.a_token_without_permission(),
        "hidden": house.token_of(house.add_user("laptops", role="security-operator"), *scope),
        "seen": house.token_of(operator, *scope),
    }


@pytest.mark.parametrize(("method", "route"), EVERY_CALL)
def test_every_caller_gets_the_stated_answer(callers: Callers, method: str, route: str) -> None:
    answers = {caller: callers.answer(method, route, token) for caller, token in callers.tokens.items()}

    row = GUARDED.get((method, route))
    stated = asdict(row) if row else dict.fromkeys(CALLERS, EXEMPT.get((method, route)))
    assert {caller: answer.status for caller, answer in answers.items()} == stated
    shown_to = {caller for caller, answer in answers.items() if b"only for some" in answer.body}
    assert shown_to == ({"seen"} if row and (method, route) not in SHOWS_NO_INCIDENT else set())


@pytest.mark.parametrize(("method", "route"), EVERY_CALL)
def test_every_answer_keeps_browsers_from_guessing_and_from_plain_http(
    callers: Callers, method: str, route: str
) -> None:
    answer = callers.answer(method, route, None)

    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("strict-transport-security") == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize("host", ["localhost:8443", "vigie.localhost"])
@pytest.mark.parametrize("path", ["/devicelogin", "/common/discovery/keys", "/reference", "/favicon.ico"])
def test_other_programs_of_the_machine_may_go_on_with_plain_http(house: House, host: str, path: str) -> None:
    answer = house.running.request("GET", path, host=host)

    assert answer.header("strict-transport-security") is None
    assert answer.header("x-content-type-options") == "nosniff"
