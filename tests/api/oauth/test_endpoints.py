"""The token endpoints as clients see them: shapes, headers, discovery, and keys that check the tokens."""

import json
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest

from tests.support.builders import an_incident
from tests.support.house import INCIDENTS_API, READ_ALL, Answer, House, RunningHouse, a_name
from vigie.config.settings import LoggingSettings

DISCOVERY = ("/v2.0/.well-known/openid-configuration", "/.well-known/openid-configuration")
UNKNOWN_GUID = "00000000-0000-4000-8000-000000000000"


def ask(house: House, version: str = "/v2.0", **changes: str | None) -> Answer:
    application, secret = house.add_application(READ_ALL)
    form = {"client_id": application.client_id, "client_secret": secret, **changes}
    return house.ask_for_token(form, f"/{house.tenant.guid}/oauth2{version}/token")


def get(house: House, path: str, *, host: str | None = None) -> Answer:
    return house.running.request("GET", path, host=host)


def path_of(url: str) -> str:
    return urlsplit(url).path


# Shapes


def test_version_2_gives_numbers(house: House) -> None:
    token = ask(house).json

    assert token.pop("access_token").count(".") == 2
    assert token == {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}


def test_version_1_gives_its_numbers_as_texts(house: House) -> None:
    token = ask(house, "", scope=None, resource=INCIDENTS_API).json

    claims = jwt.decode(token.pop("access_token"), options={"verify_signature": False})
    assert token == {
        "token_type": "Bearer",
        "expires_in": "3599",
        "ext_expires_in": "3599",
        "expires_on": str(claims["exp"]),
        "not_before": str(claims["nbf"]),
        "resource": INCIDENTS_API,
    }


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}])
def test_neither_a_token_nor_a_refusal_is_stored_on_the_way(house: House, form: dict[str, str]) -> None:
    answer = ask(house, **form)

    assert answer.header("cache-control") == "no-store, no-cache"
    assert answer.header("pragma") == "no-cache"
    assert answer.header("content-type") == "application/json; charset=utf-8"


def test_a_refusal_has_microsofts_shape(house: House) -> None:
    error = ask(house, client_secret="wrong").json

    assert set(error) == {
        "error",
        "error_description",
        "error_codes",
        "timestamp",
        "trace_id",
        "correlation_id",
        "error_uri",
    }
    assert re.fullmatch(
        rf"AADSTS7000215: Invalid client secret provided\. .+ Trace ID: {re.escape(error['trace_id'])} "
        rf"Correlation ID: {error['correlation_id']} Timestamp: {error['timestamp']}",
        error["error_description"],
    )
    timestamp = datetime.strptime(error["timestamp"], "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(timestamp - datetime.now(UTC)) < timedelta(seconds=60)
    assert error["error_uri"] == f"{house.running.url}/error?code=7000215"


@pytest.mark.parametrize(
    "path", ["oauth2/token", "oauth2/v2.0/token", "oauth2/devicecode", "oauth2/v2.0/devicecode"]
)
def test_the_ids_of_a_refusal_are_guids(house: House, path: str) -> None:
    error = house.running.request("POST", f"/{house.tenant.guid}/{path}", [], body=b"").json

    assert str(uuid.UUID(error["trace_id"])) == error["trace_id"] == error["correlation_id"]


def test_the_trace_id_leads_to_the_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with RunningHouse(tmp_path, logging=LoggingSettings(level="info")) as running:
        error = ask(House(running), client_secret="wrong").json

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["refusal"] for line in lines if line.get("request_id") == error["trace_id"]] == [
        "AADSTS7000215"
    ]


def test_a_refusal_repeats_the_clients_request_id(house: House) -> None:
    sent = str(uuid.uuid4())

    error = house.ask_for_token({}, None, [("client-request-id", sent)]).json

    assert error["correlation_id"] == sent


@pytest.mark.parametrize("sent", ["", "a b", "<script>", "x" * 65, 'a"b', "é", "request-7", "1" * 31])
def test_a_request_id_that_is_none_is_not_repeated(house: House, sent: str) -> None:
    error = house.ask_for_token({}, None, [("client-request-id", sent)]).json

    assert str(uuid.UUID(error["correlation_id"])) == error["correlation_id"] != sent


def test_a_secret_is_never_repeated(house: House) -> None:
    answer = ask(house, client_secret="my-secret-word")

    assert b"my-secret-word" not in answer.body


@pytest.mark.parametrize("version", ["/v2.0", ""])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_token_endpoint_answers_no_other_method(house: House, version: str, method: str) -> None:
    answer = house.running.request(method, f"/{house.tenant.guid}/oauth2{version}/token")

    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert answer.header("allow") == "GET, HEAD, POST"


# Discovery


@pytest.mark.parametrize("path", DISCOVERY)
def test_the_endpoints_that_discovery_names_answer(house: House, path: str) -> None:
    application, secret = house.add_application(READ_ALL)
    document = get(house, f"/{house.tenant.guid}{path}").json

    form = {"client_id": application.client_id, "client_secret": secret}
    token = house.ask_for_token(form, path_of(document["token_endpoint"]))
    keys = get(house, path_of(document["jwks_uri"]))

    assert [token.status, keys.status] == [200, 200]
    assert path_of(document["authorization_endpoint"]).endswith("/authorize")


@pytest.mark.parametrize("path", DISCOVERY)
def test_everything_discovery_names_is_on_the_origin_that_was_called(house: House, path: str) -> None:
    document = get(house, f"/{house.tenant.guid}{path}", host="api-us.vigie.example:8443").json

    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert document[name].startswith(f"http://api-us.vigie.example:8443/{house.tenant.guid}/")


@pytest.mark.parametrize("path", DISCOVERY)
def test_the_issuer_is_the_same_whatever_host_is_called(house: House, path: str) -> None:
    documents = [
        get(house, f"/{house.tenant.guid}{path}", host=host).json for host in ("a.example", "b.example", None)
    ]

    assert {document["issuer"] for document in documents} == {f"{house.running.url}/{house.tenant.guid}/"}


def test_the_issuer_in_a_token_is_the_same_whatever_host_is_called(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    path = f"/{house.tenant.guid}/oauth2/v2.0/token"
    body = (
        f"grant_type=client_credentials&client_id={application.client_id}&client_secret={secret}"
        f"&scope={INCIDENTS_API}/.default"
    ).encode()

    answer = house.running.request("POST", path, body=body, host="evil.example")

    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert claims["iss"] == f"{house.running.url}/{house.tenant.guid}/"


@pytest.mark.parametrize("path", DISCOVERY)
def test_no_cache_gives_discovery_of_one_host_to_another(house: House, path: str) -> None:
    instance = (
        f"/common/discovery/instance?authorization_endpoint={house.running.url}/common/oauth2/authorize"
    )

    answers = [get(house, f"/{house.tenant.guid}{path}"), get(house, instance)]

    for answer in answers:
        assert (answer.status, answer.header("vary")) == (200, "Host")
        assert answer.header("cache-control") == "private, max-age=300"


@pytest.mark.parametrize("path", ["/discovery/v2.0/keys", "/discovery/keys"])
def test_no_cache_keeps_the_keys_beyond_a_rotation(house: House, path: str) -> None:
    assert get(house, f"/{house.tenant.guid}{path}").header("cache-control") == "no-cache"


@pytest.mark.parametrize("anyone", ["common", "organizations", "consumers", "Common", "ORGANIZATIONS"])
def test_discovery_for_any_tenant_leaves_a_place_for_it_in_the_issuer(house: House, anyone: str) -> None:
    for path in DISCOVERY:
        document = get(house, f"/{anyone}{path}").json
        assert document["issuer"] == f"{house.running.url}/{{tenantid}}/"
        assert get(house, path_of(document["jwks_uri"])).status == 200


def test_discovery_goes_by_the_domain_too_and_names_the_id(house: House) -> None:
    tenant = house.add_tenant(domain=f"{a_name('fabrikam')}.example")

    document = get(house, f"/{tenant.domain}{DISCOVERY[0]}").json

    assert document["issuer"].endswith(f"/{tenant.guid}/")


@pytest.mark.parametrize("path", [*DISCOVERY, "/discovery/v2.0/keys", "/discovery/keys"])
def test_a_tenant_that_is_not_known_has_no_documents(house: House, path: str) -> None:
    answers = [get(house, f"/{tenant}{path}") for tenant in (UNKNOWN_GUID, "nonsense")]

    assert [(answer.status, answer.error_code) for answer in answers] == [(400, 90002), (400, 900023)]


@pytest.mark.parametrize("path", [*DISCOVERY, "/discovery/v2.0/keys", "/discovery/keys"])
def test_head_answers_like_get(house: House, path: str) -> None:
    got = get(house, f"/{house.tenant.guid}{path}")

    head = house.running.request("HEAD", f"/{house.tenant.guid}{path}")

    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(got.body))


@pytest.mark.parametrize("path", DISCOVERY)
def test_what_there_is_not_is_not_named(house: House, path: str) -> None:
    document = get(house, f"/{house.tenant.guid}{path}").json

    named = {name for name, value in document.items() if value}
    assert not named & {
        *("userinfo_endpoint", "end_session_endpoint", "http_logout_supported"),
        *("frontchannel_logout_supported", "cloud_graph_host_name", "msgraph_host", "rbac_url"),
    }


# Keys


def published_key(house: House) -> jwt.PyJWK:
    (key,) = get(house, f"/{house.tenant.guid}/discovery/v2.0/keys").json["keys"]
    return jwt.PyJWK(key)


def test_the_published_key_checks_a_token_that_was_fetched(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    token = house.fetch_token(application, secret)

    claims = jwt.decode(
        token,
        published_key(house),
        algorithms=["RS256"],
        audience=INCIDENTS_API,
        issuer=get(house, f"/{house.tenant.guid}{DISCOVERY[0]}").json["issuer"],
        leeway=2,
    )

    assert (claims["appid"], claims["tid"]) == (application.client_id, house.tenant.guid)
    assert jwt.get_unverified_header(token)["kid"] == published_key(house).key_id
    (published,) = get(house, f"/{house.tenant.guid}/discovery/v2.0/keys").json["keys"]
    assert jwt.get_unverified_header(token)["x5t"] == published["x5t"]


def test_the_published_keys_are_public(house: House) -> None:
    for path in ("discovery/v2.0/keys", "discovery/keys"):
        (key,) = get(house, f"/{house.tenant.guid}/{path}").json["keys"]
        assert set(key) == {"kty", "use", "alg", "kid", "x5t", "n", "e"}


def test_every_tenant_has_the_same_keys(house: House) -> None:
    other = house.add_tenant()

    both = [get(house, f"/{tenant.guid}/discovery/v2.0/keys").json for tenant in (house.tenant, other)]

    assert both[0] == both[1]


def test_a_client_that_discovers_everything_reads_an_incident(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    number = house.takes(an_incident())

    document = get(house, f"/{house.tenant.guid}{DISCOVERY[0]}").json
    form = {"client_id": application.client_id, "client_secret": secret}
    token = house.ask_for_token(form, path_of(document["token_endpoint"])).json["access_token"]

    assert house.get(number, token).json["incidentId"] == number
