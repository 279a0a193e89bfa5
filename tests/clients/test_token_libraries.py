"""The login libraries that clients use, unmodified, against a real server over HTTPS; then the incidents API."""

import asyncio
import gc
import json
import re
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests
from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # type: ignore[import-untyped]
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential
from azure.identity.aio import CertificateCredential as AsyncCertificateCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential

from tests.support.builders import an_incident
from tests.support.client_certificates import Certified, a_key, certified, padded
from tests.support.house import INCIDENTS_API, House, RunningHouse, a_name
from tests.support.name_resolution import leads_here
from vigie.config.settings import IdentitySettings, TlsSettings
from vigie.core.directory import Application
from vigie.identity.clients.certificates import read_certificate
from vigie.runtime.clock import now

SCOPE = f"{INCIDENTS_API}/.default"
GRAPH_SCOPE = "https://graph.microsoft.com/.default"
MTP_SCOPE = "https://security.microsoft.com/mtp/.default"
VENDOR = "login.microsoftonline.com"
READ_WRITE_ALL = "Incident.ReadWrite.All"


@dataclass(frozen=True, slots=True)
class Client:
    """A program with a secret and a certificate, and the server it talks to over HTTPS."""

    house: House
    ca: Path
    application: Application
    secret: str
    own: Certified
    http: requests.Session

    @property
    def origin(self) -> str:
        """Where the server is."""
        return self.house.running.url

    @property
    def authority(self) -> str:
        """The server with the tenant behind it."""
        return f"{self.origin}/{self.house.tenant.guid}"

    @property
    def token_url(self) -> str:
        """The token endpoint, for those who do not discover it."""
        return f"{self.authority}/oauth2/v2.0/token"

    @property
    def key_and_certificate(self) -> bytes:
        """Both in one PEM, as azure-identity wants them."""
        return self.own.private_pem + self.own.pem

    def msal(self, credential: object, **options: Any) -> Any:
        """MSAL for this server."""
        usual = {"authority": self.authority, "instance_discovery": False, "http_client": self.http}
        return msal.ConfidentialClientApplication(
            self.application.client_id, client_credential=credential, **{**usual, **options}
        )

    def azure(self) -> dict[str, Any]:
        """The options of azure-identity for this server."""
        return {
            "authority": self.origin,
            "disable_instance_discovery": True,
            "connection_verify": str(self.ca),
        }

    def tls(self) -> ssl.SSLContext:
        """Trust in this server alone."""
        return ssl.create_default_context(cafile=self.ca)

    def tokens_issued(self) -> int:
        """How many tokens the server has given out."""
        with urllib.request.urlopen(f"{self.origin}/metrics", context=self.tls()) as answer:
            found = re.search(rb'^vigie_token_requests_total\{outcome="issued"\} (\d+)', answer.read(), re.M)
        assert found
        return int(found[1])

    def call(self, token: str, path: str, method: str = "GET", body: object = None) -> Any:
        """Call the incidents API."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.origin}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, context=self.tls()) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def served(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server with a certificate of its own making."""
    tls = TlsSettings(mode="auto", names=(VENDOR, "login.windows.net"))
    with RunningHouse(tmp_path_factory.mktemp("served"), tls=tls) as running:
        yield running


@pytest.fixture
def client(served: RunningHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    ca = served.folder / "ca.pem"
    # How programs are told to trust it whose options nobody can reach; requests puts it before its own.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    house, own = House(served), certified(a_key())
    kept = read_certificate(own.written_to(tmp_path), now())
    application, secret = served.run(
        house.directory.add_application(house.tenant, a_name("app"), [READ_WRITE_ALL], [kept])
    )
    # MSAL would leave its connections open until it is collected, as azure-identity does that of a refusal,
    # and the server waits for them at its end.
    with requests.Session() as http:
        yield Client(house, ca, application, secret, own, http)
    gc.collect()


# How each library gets a token, twice by the same object

Ways = dict[str, Callable[[Client], tuple[str, str]]]


def by_msal(client: Client, credential: Callable[[Client], object]) -> tuple[str, str]:
    application = client.msal(credential(client))
    first, second = (application.acquire_token_for_client([SCOPE]) for _ in range(2))
    assert "access_token" in first, first
    assert (first["token_source"], second["token_source"]) == ("identity_provider", "cache")
    return first["access_token"], second["access_token"]


def thumbprint(client: Client) -> dict[str, str]:
    return {"private_key": client.own.private_pem.decode(), "thumbprint": client.own.sha1.hex()}


def public_certificate(client: Client) -> dict[str, str]:
    return {"private_key": client.own.private_pem.decode(), "public_certificate": client.own.pem.decode()}


def by_azure_secret(client: Client) -> tuple[str, str]:
    tenant, client_id = client.house.tenant.guid, client.application.client_id
    with ClientSecretCredential(tenant, client_id, client.secret, **client.azure()) as credential:
        return credential.get_token(SCOPE).token, credential.get_token(SCOPE).token


def by_azure_certificate(client: Client, **options: Any) -> tuple[str, str]:
    data = {"certificate_data": client.key_and_certificate, **client.azure(), **options}
    tenant, client_id = client.house.tenant.guid, client.application.client_id
    with CertificateCredential(tenant, client_id, **data) as credential:
        return credential.get_token(SCOPE).token, credential.get_token(SCOPE).token


async def by_azure_secret_async(client: Client) -> tuple[str, str]:
    tenant, client_id = client.house.tenant.guid, client.application.client_id
    async with AsyncClientSecretCredential(tenant, client_id, client.secret, **client.azure()) as credential:
        return (await credential.get_token(SCOPE)).token, (await credential.get_token(SCOPE)).token


async def by_azure_certificate_async(client: Client) -> tuple[str, str]:
    data = {"certificate_data": client.key_and_certificate, **client.azure()}
    tenant, client_id = client.house.tenant.guid, client.application.client_id
    async with AsyncCertificateCredential(tenant, client_id, **data) as credential:
        return (await credential.get_token(SCOPE)).token, (await credential.get_token(SCOPE)).token


WAYS: Ways = {
    "msal by secret": partial(by_msal, credential=lambda client: client.secret),
    "msal by certificate and RS256": partial(by_msal, credential=thumbprint),
    "msal by certificate and PS256": partial(by_msal, credential=public_certificate),
    "azure-identity by secret": by_azure_secret,
    "azure-identity by certificate": by_azure_certificate,
    "azure-identity by certificate with its chain": partial(
        by_azure_certificate, send_certificate_chain=True
    ),
    "azure-identity async by secret": lambda client: asyncio.run(by_azure_secret_async(client)),
    "azure-identity async by certificate": lambda client: asyncio.run(by_azure_certificate_async(client)),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_library_gets_one_token_serves_it_again_and_the_api_takes_it(client: Client, way: str) -> None:
    number = client.house.takes(an_incident(status="Active"))
    before = client.tokens_issued()

    first, second = WAYS[way](client)

    assert first == second
    assert client.tokens_issued() == before + 1
    uses_the_api(client, first, number)


def uses_the_api(client: Client, token: str, number: int) -> None:
    """Read, list and update an incident."""
    assert client.call(token, f"/api/incidents/{number}")["incidentId"] == number
    listed = client.call(token, "/api/incidents?$filter=status%20eq%20%27Active%27")
    assert [each["incidentId"] for each in listed["value"]] == [number]
    updated = client.call(token, f"/api/incidents/{number}", "PATCH", {"status": "Resolved"})
    assert (updated["incidentId"], updated["status"]) == (number, "Resolved")


def authlib_credential(client: Client, way: str) -> dict[str, Any]:
    """The options of both of Authlib's clients: by Basic, or by an assertion."""
    if way == "secret":
        return {"client_secret": client.secret}
    return {"client_secret": client.own.private_pem, "token_endpoint_auth_method": "private_key_jwt"}


def assertions_of(client: Client, algorithm: str) -> PrivateKeyJWT:
    header = {"x5t#S256": padded(client.own.sha256).rstrip("=")}
    return PrivateKeyJWT(client.token_url, headers=header, alg=algorithm)


@pytest.mark.parametrize("way", ["secret", "RS256", "PS256"])
def test_authlib_gets_a_token_and_reads_with_it(client: Client, way: str) -> None:
    number = client.house.takes(an_incident(status="Active"))
    options = authlib_credential(client, way)

    with OAuth2Session(client.application.client_id, scope=SCOPE, **options) as session:
        session.register_client_auth_method(assertions_of(client, way))
        token = session.fetch_token(client.token_url, grant_type="client_credentials")
        read = session.get(f"{client.origin}/api/incidents/{number}")

    assert read.json()["incidentId"] == number
    uses_the_api(client, token["access_token"], number)


@pytest.mark.parametrize("way", ["secret", "RS256"])
def test_authlib_does_so_asynchronously(client: Client, way: str) -> None:
    number = client.house.takes(an_incident(status="Active"))

    async def fetch() -> tuple[Any, Any]:
        options = {**authlib_credential(client, way), "verify": client.tls()}
        async with AsyncOAuth2Client(client.application.client_id, scope=SCOPE, **options) as session:
            session.register_client_auth_method(assertions_of(client, way))
            token = await session.fetch_token(client.token_url, grant_type="client_credentials")
            return token, await session.get(f"{client.origin}/api/incidents/{number}")

    token, read = asyncio.run(fetch())

    assert read.json()["incidentId"] == number
    uses_the_api(client, token["access_token"], number)


# What else MSAL does


def test_msal_gets_tokens_for_several_scopes_with_one_assertion(client: Client) -> None:
    application = client.msal(thumbprint(client))

    results = [application.acquire_token_for_client([scope]) for scope in (SCOPE, GRAPH_SCOPE)]

    assert ["access_token" in result for result in results] == [True] * 2, results
    assert "was used before" in application.acquire_token_for_client([MTP_SCOPE])["error_description"]


def test_azure_identity_does_so_too(client: Client) -> None:
    data = {"certificate_data": client.key_and_certificate, **client.azure()}
    tenant, client_id = client.house.tenant.guid, client.application.client_id

    with CertificateCredential(tenant, client_id, **data) as credential:
        tokens = {credential.get_token(scope).token for scope in (SCOPE, GRAPH_SCOPE)}

    assert len(tokens) == 2


def test_msal_that_sends_its_assertion_again_for_the_same_is_told_that_it_was_used(client: Client) -> None:
    application = client.msal(thumbprint(client))
    application.acquire_token_for_client([SCOPE])

    # With a challenge it passes its cache by. Nothing here challenges anybody so.
    again = application.acquire_token_for_client([SCOPE], claims_challenge='{"access_token": {}}')

    assert again["error_codes"] == [700027]
    assert "used before" in again["error_description"]


def test_msal_may_be_told_to_ask_here_about_the_authority(client: Client) -> None:
    discovery = f"{client.origin}/common/discovery/instance"

    application = client.msal(client.secret, instance_discovery=discovery)

    assert "access_token" in application.acquire_token_for_client([SCOPE])


def test_msal_may_be_given_the_authority_as_an_oidc_one(client: Client) -> None:
    application = client.msal(
        client.secret, authority=None, instance_discovery=None, oidc_authority=f"{client.authority}/v2.0"
    )

    assert "access_token" in application.acquire_token_for_client([SCOPE])


def test_msal_refuses_an_oidc_authority_that_is_not_where_the_issuer_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = IdentitySettings(issuer="https://vigie.example")
    with RunningHouse(tmp_path, tls=TlsSettings(mode="auto"), identity=identity) as running:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        authority = f"{running.url}/{House(running).tenant.guid}/v2.0"

        with requests.Session() as http, pytest.raises(ValueError, match="does not match"):
            msal.PublicClientApplication("a program", oidc_authority=authority, http_client=http)


def test_msal_comes_here_under_microsofts_name_where_that_is_resolved_so(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_here(monkeypatch, client.origin, VENDOR)
    authority = client.authority.replace("127.0.0.1", VENDOR)

    # As it is: MSAL knows this name, and asks nobody whether to trust it.
    application = client.msal(thumbprint(client), authority=authority, instance_discovery=None)

    assert application.authority.token_endpoint.startswith(f"https://{VENDOR}:")
    assert "access_token" in application.acquire_token_for_client([SCOPE])


@pytest.mark.parametrize("vendor", [VENDOR, "login.windows.net"])
def test_msal_hears_under_microsofts_name_that_a_secret_is_wrong(
    client: Client, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_here(monkeypatch, client.origin, vendor)
    authority = f"https://{vendor}/{client.house.tenant.guid}"

    # It looks for tokens under the other names of the authority before it gives up: it asks which there are.
    application = client.msal("wrong", authority=authority, instance_discovery=None)

    assert application.acquire_token_for_client([SCOPE])["error_codes"] == [7000215]
    assert application.get_accounts() == []


# How the libraries tell of refusals


def test_msal_says_that_a_secret_is_wrong(client: Client) -> None:
    result = client.msal("wrong").acquire_token_for_client([SCOPE])

    assert (result["error"], result["error_codes"]) == ("invalid_client", [7000215])
    assert result["error_description"].startswith("AADSTS7000215: Invalid client secret provided.")
    assert result["correlation_id"] in result["error_description"]


def test_msal_says_that_a_certificate_is_not_known(client: Client) -> None:
    stranger = certified(a_key(1))
    credential = {"private_key": stranger.private_pem.decode(), "thumbprint": stranger.sha1.hex()}

    result = client.msal(credential).acquire_token_for_client([SCOPE])

    assert (result["error"], result["error_codes"]) == ("invalid_client", [700027])
    assert "the key was not found" in result["error_description"]


def test_msal_says_that_a_tenant_is_not_known(client: Client) -> None:
    with pytest.raises(ValueError, match="double check your tenant name") as caught:
        client.msal(client.secret, authority=f"{client.origin}/nobody.example")

    assert "AADSTS90002" in str(caught.value.__context__)


def test_azure_identity_says_that_a_secret_is_wrong(client: Client) -> None:
    tenant, client_id = client.house.tenant.guid, client.application.client_id
    credential = ClientSecretCredential(tenant, client_id, "wrong", **client.azure())

    with credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        credential.get_token(SCOPE)


def test_azure_identity_says_so_asynchronously(client: Client) -> None:
    async def ask() -> None:
        tenant, client_id = client.house.tenant.guid, client.application.client_id
        async with AsyncClientSecretCredential(tenant, client_id, "wrong", **client.azure()) as credential:
            await credential.get_token(SCOPE)

    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        asyncio.run(ask())


def test_authlib_says_that_a_secret_is_wrong(client: Client) -> None:
    session = OAuth2Session(client.application.client_id, "wrong", scope=SCOPE)

    with session, pytest.raises(OAuthError, match="invalid_client: AADSTS7000215"):
        session.fetch_token(client.token_url, grant_type="client_credentials")
