"""The grant of client credentials: every rule of the token endpoints, through HTTP."""

import ast
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest

from tests.support.builders import an_incident
from tests.support.database_access import without_table
from tests.support.house import INCIDENTS_API, READ_ALL, Answer, House, RunningHouse, a_name
from vigie.api.defender.resource import INCIDENTS
from vigie.api.oauth.error_responses import TOKEN_ERRORS
from vigie.core.directory import Application
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.tokens.audiences import GRAPH
from vigie.runtime.clock import now

UNKNOWN_GUID = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True)
class Client:
    """An application that may read, with its secret, in a house."""

    house: House
    application: Application
    secret: str

    @property
    def credentials(self) -> dict[str, str]:
        """As they stand in a form."""
        return {"client_id": self.application.client_id, "client_secret": self.secret}

    def asks(self, path: str | None = None, **changes: str | None) -> Answer:
        """Ask with the credentials in the form."""
        return self.house.ask_for_token({**self.credentials, **changes}, path)

    def asks_with(self, *authorization: str, **changes: str | None) -> Answer:
        """Ask with these Authorization headers, and no credentials in the form."""
        headers = [("Authorization", value) for value in authorization]
        return self.house.ask_for_token(changes, None, headers)


@pytest.fixture
def client(house: House) -> Client:
    return Client(house, *house.add_application(READ_ALL))


def claims_in(answer: Answer) -> dict[str, object]:
    assert answer.status == 200, answer.body
    claims: dict[str, object] = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    return claims


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def percent_encoded(text: str) -> str:
    """Every character, as no library does it but every library may."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


# Every refusal


@dataclass(frozen=True, slots=True)
class Mistake:
    """A request that is wrong in one way."""

    path: str = "/{tenant}/oauth2/v2.0/token"
    form: dict[str, str | None] = field(default_factory=dict)


V1 = "/{tenant}/oauth2/token"
WITHOUT_SCOPE: dict[str, str | None] = {"scope": None}

# The regional hosts of the API, and one of its neighbour, are names of no service principal.
HOSTS_THAT_ARE_NO_RESOURCES = (
    *(
        f"https://{region}.api.security.microsoft.com"
        for region in ("us", "eu", "uk", "au", "swa", "ina", "aea")
    ),
    "https://api-uk.securitycenter.windows.com",
    "https://api.security.microsoft.com.evil.example",
    "api.security.microsoft.com",
)

MISTAKES: list[tuple[int, Mistake]] = [
    (900144, Mistake(form={"grant_type": None})),
    (900144, Mistake(form={"grant_type": ""})),
    (900144, Mistake(form={"client_id": None})),
    (900144, Mistake(form={"scope": None})),
    (900144, Mistake(path=V1, form=WITHOUT_SCOPE)),
    (70003, Mistake(form={"grant_type": "password"})),
    (70003, Mistake(form={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"})),
    (70011, Mistake(form={"scope": "offline_access"})),
    (70011, Mistake(form={"scope": f"{INCIDENTS_API}/.default https://graph.microsoft.com/.default"})),
    (1002012, Mistake(form={"scope": f"{INCIDENTS_API}/Incident.Read.All"})),
    (1002012, Mistake(form={"scope": INCIDENTS_API})),
    (1002012, Mistake(form={"scope": ".default"})),
    (500011, Mistake(form={"scope": "https://unknown.example/.default"})),
    (500011, Mistake(form={"scope": "/.default"})),
    (500011, Mistake(path=V1, form={**WITHOUT_SCOPE, "resource": "https://unknown.example"})),
    *((500011, Mistake(form={"scope": f"{host}/.default"})) for host in HOSTS_THAT_ARE_NO_RESOURCES),
    *(
        (500011, Mistake(path=V1, form={**WITHOUT_SCOPE, "resource": host}))
        for host in HOSTS_THAT_ARE_NO_RESOURCES
    ),
    (901002, Mistake(form={**WITHOUT_SCOPE, "resource": INCIDENTS_API})),
    (901002, Mistake(form={"scope": "", "resource": "https://unknown.example"})),
    (50059, Mistake(path="/common/oauth2/v2.0/token")),
    (50059, Mistake(path="/organizations/oauth2/token")),
    (50059, Mistake(path="/Consumers/oauth2/v2.0/token")),
    (900023, Mistake(path="/nonsense/oauth2/v2.0/token")),
    (900023, Mistake(path="/%2e%2e/oauth2/v2.0/token")),
    (900023, Mistake(path="/{tenant}x/oauth2/v2.0/token")),
    (90002, Mistake(path=f"/{UNKNOWN_GUID}/oauth2/v2.0/token")),
    (90002, Mistake(path="/nobody.example/oauth2/v2.0/token")),
    (700016, Mistake(form={"client_id": UNKNOWN_GUID})),
    (700016, Mistake(form={"client_id": "not even a GUID"})),
    (7000215, Mistake(form={"client_secret": "wrong"})),
    (7000215, Mistake(form={"client_secret": "é\u200b\U0001f6a8"})),
    (7000216, Mistake(form={"client_secret": None})),
    (7000216, Mistake(form={"client_secret": ""})),
]


@pytest.mark.parametrize(("code", "mistake"), MISTAKES)
def test_every_mistake_is_refused_under_its_code(client: Client, code: int, mistake: Mistake) -> None:
    path = mistake.path.replace("{tenant}", client.house.tenant.guid)

    answer = client.asks(path, **mistake.form)

    row = TOKEN_ERRORS[code]
    assert (answer.error_code, answer.status, answer.json["error"]) == (code, row.status, row.error)


def test_an_expired_secret_is_refused_under_its_own_code(client: Client) -> None:
    client.house.running.run(
        client.house.directory.rotate_secret(client.house.tenant, client.application, now())
    )

    answer = client.asks()

    assert (answer.status, answer.error_code) == (401, 7000222)


def test_a_store_that_does_not_answer_is_a_refusal_to_try_again_after(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        house = House(running)
        application, secret = house.add_application(READ_ALL)

        with without_table(running.settings.database, "tenant"):
            answer = Client(house, application, secret).asks()

        assert (answer.status, answer.error_code, answer.header("retry-after")) == (503, 90033, "5")
        assert house.fetch_token(application, secret)


# Where certificates are and people sign in, refusals are seen by their numbers too.
OTHERS = (
    "test_client_assertions.py",
    "test_authorization_code.py",
    "test_refresh_token.py",
    "test_device_code.py",
)


def test_every_refusal_of_the_token_endpoints_has_been_seen() -> None:
    trees = (ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8")) for name in OTHERS)
    numbers = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    seen = {code for code, _ in MISTAKES} | {7000222, 90033} | (numbers & set(TOKEN_ERRORS))

    assert seen == set(TOKEN_ERRORS)


# Credentials


def test_a_secret_may_be_in_the_form(client: Client) -> None:
    assert claims_in(client.asks())["appid"] == client.application.client_id


@pytest.mark.parametrize("encode", [str, percent_encoded])
def test_credentials_may_be_http_basic_raw_or_url_encoded(
    client: Client, encode: Callable[[str], str]
) -> None:
    authorization = basic(encode(client.application.client_id), encode(client.secret))

    assert claims_in(client.asks_with(authorization))["appid"] == client.application.client_id


@pytest.mark.parametrize("scheme", ["basic", "BASIC"])
def test_the_scheme_of_http_basic_may_be_in_any_case(client: Client, scheme: str) -> None:
    authorization = basic(client.application.client_id, client.secret)

    assert client.asks_with(scheme + authorization[5:]).status == 200


def test_what_stands_in_the_form_goes_before_http_basic(client: Client) -> None:
    authorization = basic(client.application.client_id, "wrong")

    answer = client.asks_with(authorization, **client.credentials)

    assert answer.status == 200


def test_a_client_id_in_the_form_goes_with_a_secret_by_http_basic(client: Client) -> None:
    answer = client.asks_with(basic("", client.secret), client_id=client.application.client_id)

    assert answer.status == 200


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer abc", "Basic", "Basic !!!", "Basic YQ==", "Negotiate x"],
)
def test_any_other_authorization_means_nothing_here(client: Client, authorization: str) -> None:
    answer = client.asks_with(authorization, **client.credentials)

    assert answer.status == 200


@pytest.mark.parametrize("authorization", ["Basic !!!", "Basic YQ==", "Basic /w=="])
def test_http_basic_that_cannot_be_read_is_no_secret(client: Client, authorization: str) -> None:
    answer = client.asks_with(authorization, client_id=client.application.client_id)

    assert answer.error_code == 7000216


def test_a_client_id_may_be_in_any_case_but_the_name_of_an_application_is_none(client: Client) -> None:
    assert client.asks(client_id=client.application.client_id.upper()).status == 200
    assert client.asks(client_id=client.application.name).error_code == 700016


def test_an_old_secret_is_good_for_the_stated_time_and_the_new_one_at_once(client: Client) -> None:
    in_an_hour = Instant(now() + 3600 * TICKS_PER_SECOND)

    new_secret = client.house.running.run(
        client.house.directory.rotate_secret(client.house.tenant, client.application, in_an_hour)
    )

    assert client.asks(client_secret=new_secret).status == 200
    assert client.asks().status == 200


def test_a_secret_of_another_application_is_wrong(client: Client) -> None:
    _, secret = client.house.add_application(READ_ALL)

    assert client.asks(client_secret=secret).error_code == 7000215


def test_an_application_of_another_tenant_is_not_known_here(client: Client) -> None:
    other = client.house.add_tenant()

    assert client.asks(f"/{other.guid}/oauth2/v2.0/token").error_code == 700016


def test_an_application_without_a_permission_gets_a_token_without_roles(house: House) -> None:
    client = Client(house, *house.add_application())

    assert "roles" not in claims_in(client.asks())


# Tenants


def test_a_tenant_may_be_named_by_its_id_or_its_domain_in_any_case(house: House) -> None:
    tenant = house.add_tenant(domain=f"{a_name('contoso')}.example")
    application, secret = house.add_application(tenant=tenant)
    client = Client(house, application, secret)

    for name in (tenant.guid, tenant.guid.upper(), str(tenant.domain), str(tenant.domain).upper()):
        assert claims_in(client.asks(f"/{name}/oauth2/v2.0/token"))["tid"] == tenant.guid


def test_a_tenant_is_not_found_by_its_name_even_when_that_looks_like_a_domain(client: Client) -> None:
    house, name = client.house, f"{a_name('contoso')}.example"
    house.running.run(house.directory.add_tenant(name, guid=None, domain=None))

    assert client.asks(f"/{house.tenant.name}/oauth2/v2.0/token").error_code == 900023
    assert client.asks(f"/{name}/oauth2/v2.0/token").error_code == 90002


# Audiences: docs/api/tokens.md, "Resources"

PUBLISHED_NAMES = (
    "https://api.security.microsoft.com",
    *(f"https://api-{region}.security.microsoft.com" for region in ("us", "eu", "uk")),
    *(f"https://api-{region}.security.microsoft.us" for region in ("gcc", "gov")),
    "https://security.microsoft.com/mtp",
    "https://api.securitycenter.microsoft.com",
    *(f"https://api-{region}.securitycenter.microsoft.com" for region in ("us", "eu", "uk")),
    *(f"https://api-{region}.securitycenter.microsoft.us" for region in ("gcc", "gov")),
    "https://api.securitycenter.windows.com",
    "https://api.securitycenter.windows.us",
    "https://securitycenter.onmicrosoft.com/windowsatpservice",
    "https://securitycenter.microsoft.com/mtp",
    "https://securityoperations.microsoft.com",
)
APPLICATION_IDS = ("8ee8fdad-f234-4243-8f3b-15c294843740", "fc780465-2017-40d4-a0c5-307022471b92")

EVERY_AUDIENCE = [
    *APPLICATION_IDS,
    *(name + slash for name in PUBLISHED_NAMES for slash in ("", "/")),
    *sorted(GRAPH.audiences),
    "https://graph.microsoft.com/",
]


def test_the_resources_of_the_incidents_api_are_the_published_names_and_no_others() -> None:
    assert {*PUBLISHED_NAMES, *APPLICATION_IDS} == INCIDENTS.audiences


@pytest.mark.parametrize("audience", EVERY_AUDIENCE)
@pytest.mark.parametrize("form", ["{}/.default", "offline_access {}/.default", "{}/.default openid profile"])
def test_a_scope_gives_a_token_for_its_very_audience(client: Client, audience: str, form: str) -> None:
    assert claims_in(client.asks(scope=form.format(audience)))["aud"] == audience


@pytest.mark.parametrize("audience", EVERY_AUDIENCE)
def test_a_resource_gives_a_token_for_its_very_audience(client: Client, audience: str) -> None:
    answer = client.asks(f"/{client.house.tenant.guid}/oauth2/token", scope=None, resource=audience)

    assert (claims_in(answer)["aud"], answer.json["resource"]) == (audience, audience)


@pytest.mark.parametrize("audience", EVERY_AUDIENCE)
def test_only_tokens_for_the_incidents_api_open_it_and_have_its_roles(client: Client, audience: str) -> None:
    number = client.house.takes(an_incident())
    answer = client.asks(scope=f"{audience}/.default")

    read = client.house.get(number, answer.json["access_token"])

    is_graph = audience.rstrip("/") in GRAPH.audiences
    assert read.status == (401 if is_graph else 200)
    assert ("roles" in claims_in(answer)) != is_graph


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("with_port", [True, False])
def test_a_scope_may_be_the_houses_own_origin_with_its_port_or_without(
    client: Client, name: str, with_port: bool
) -> None:
    number = client.house.takes(an_incident())
    port = f":{urlsplit(client.house.running.url).port}" if with_port else ""

    answer = client.asks(scope=f"http://{name}{port}/.default")

    assert claims_in(answer)["aud"] == f"http://{name}{port}"
    assert client.house.get(number, answer.json["access_token"]).status == 200


def test_both_scope_and_resource_may_be_sent(client: Client) -> None:
    graph = "https://graph.microsoft.com"
    v1 = f"/{client.house.tenant.guid}/oauth2/token"

    assert claims_in(client.asks(resource=graph))["aud"] == INCIDENTS_API
    assert claims_in(client.asks(v1, resource=graph))["aud"] == graph


def test_a_scope_at_the_older_endpoint_is_good_too(client: Client) -> None:
    answer = client.asks(f"/{client.house.tenant.guid}/oauth2/token")

    assert claims_in(answer)["aud"] == INCIDENTS_API


def test_spaces_around_a_scope_do_not_matter(client: Client) -> None:
    assert client.asks(scope=f"  {INCIDENTS_API}/.default\t").status == 200


# Forms


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/json", "multipart/mixed; boundary=x", "", "x"]
)
def test_the_form_is_read_whatever_other_content_type_it_has(
    client: Client, content_type: str | None
) -> None:
    headers = [] if content_type is None else [("Content-Type", content_type)]

    answer = client.house.ask_for_token(client.credentials, None, headers)

    assert answer.status == 200


def test_a_form_may_come_by_get(client: Client) -> None:
    answer = client.house.ask_for_token(client.credentials, method="GET")

    assert claims_in(answer)["appid"] == client.application.client_id


def test_credentials_in_the_query_are_not_read(client: Client) -> None:
    path = f"/{client.house.tenant.guid}/oauth2/v2.0/token?grant_type=client_credentials"

    answer = client.house.running.request("POST", path)

    assert answer.error_code == 900144


def test_fields_that_are_not_known_are_ignored(client: Client) -> None:
    claims = json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}})

    answer = client.asks(client_info="1", claims=claims, tenant="elsewhere", tid=UNKNOWN_GUID, empty="")

    assert claims_in(answer)["tid"] == client.house.tenant.guid


def test_of_a_field_that_comes_twice_the_first_counts(client: Client) -> None:
    body = (
        f"client_id={client.application.client_id}&client_secret={client.secret}&client_secret=wrong"
        f"&grant_type=client_credentials&grant_type=password&scope={INCIDENTS_API}/.default"
    )

    answer = client.house.running.request(
        "POST", f"/{client.house.tenant.guid}/oauth2/v2.0/token", body=body.encode()
    )

    assert answer.status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"\xff=\xff",
        b"grant_type=%ff",
        b"&".join(b"field%d=1" % number for number in range(101)),
        b'{"grant_type": "client_credentials"}',
        b"\x00" * 1000,
    ],
)
def test_a_body_that_is_no_form_is_refused_as_one_without_a_grant_type(house: House, body: bytes) -> None:
    answer = house.running.request("POST", f"/{house.tenant.guid}/oauth2/v2.0/token", body=body)

    assert (answer.status, answer.error_code) == (400, 900144)


def test_a_form_of_64_kib_is_read_and_a_longer_one_is_refused(client: Client) -> None:
    room = 64 * 1024
    form = f"grant_type=client_credentials&client_id={client.application.client_id}&x="

    def status(length: int) -> int:
        path = f"/{client.house.tenant.guid}/oauth2/v2.0/token"
        body = (form + "a" * (length - len(form))).encode()
        return client.house.running.request("POST", path, body=body).status

    assert (status(room), status(room + 1)) == (401, 413)


def test_double_slashes_are_one(client: Client) -> None:
    assert client.asks(f"//{client.house.tenant.guid}//oauth2///v2.0/token").status == 200
