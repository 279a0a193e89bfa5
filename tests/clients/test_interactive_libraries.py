"""The login libraries that clients use, unmodified, where people sign in, and then the incidents API."""

import asyncio
import gc
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msal  # type: ignore[import-untyped]
import pytest
import requests
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import AuthorizationCodeCredential, DeviceCodeCredential
from azure.identity.aio import AuthorizationCodeCredential as AsyncAuthorizationCodeCredential

from tests.support.builders import an_alert, an_incident
from tests.support.client_certificates import a_key, certified
from tests.support.house import INCIDENTS_API, House, RunningHouse, a_name, eventually
from tests.support.name_resolution import leads_here
from tests.support.sign_in_client import BACK, Program, claims_of
from vigie.config.settings import TlsSettings
from vigie.core.directory import User
from vigie.identity.clients.certificates import read_certificate
from vigie.identity.endpoint_version import EndpointVersion
from vigie.runtime.clock import now

READ = f"{INCIDENTS_API}/Incident.Read"
DEFAULT = f"{INCIDENTS_API}/.default"
OFFLINE = f"{READ} offline_access openid"
VENDOR = "login.microsoftonline.com"
PAST_THE_CACHE = '{"access_token": {}}'
"""Claims with which libraries ask for a token though they have one."""


@pytest.fixture(scope="module")
def served(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server with a certificate of its own making."""
    tls = TlsSettings(mode="auto", names=(VENDOR,))
    with RunningHouse(tmp_path_factory.mktemp("served"), tls=tls) as running:
        yield running


class Desk:
    """A program, somebody who signs in to it, and an incident that they may see."""

    def __init__(self, house: House, http: requests.Session, *, credential: Any, program: Program) -> None:
        self.house = house
        self.http = http
        self.credential = credential
        self.program = program
        self.user: User = house.add_person()
        self.number = house.takes(an_incident(an_alert("servers")))

    @property
    def authority(self) -> str:
        """The server with the tenant behind it."""
        return f"{self.house.running.url}/{self.house.tenant.guid}"

    def msal(self, **changes: Any) -> Any:
        """MSAL for this server."""
        usual = {"authority": self.authority, "instance_discovery": False, "http_client": self.http}
        options = {**usual, **changes}
        client_id = self.program.application.client_id
        if self.credential is None:
            return msal.PublicClientApplication(client_id, **options)
        return msal.ConfidentialClientApplication(client_id, client_credential=self.credential, **options)

    def signs_in_at(self, url: str) -> dict[str, str]:
        """Go where a library sends a browser, sign in and agree; what the browser comes back with."""
        place = urlsplit(url)
        assert place.path == f"/{self.house.tenant.guid}/oauth2/v2.0/authorize"
        fields = dict(parse_qsl(place.query))
        running, program = self.house.running, self.program
        request = running.run(program.sign_in.request_of(self.house.tenant.guid, fields, EndpointVersion.V2))
        who = program.signed_in(self.user)
        code = running.run(program.sign_in.issue_code(request, who, now=self.house.now()))
        back = request.redirection
        assert back.state is not None
        assert back.issuer is not None
        return {"code": code, "state": back.state, "iss": back.issuer}

    def reads(self, token: str) -> bool:
        """Whether a token opens the incident."""
        url = f"{self.house.running.url}/api/incidents/{self.number}"
        answer = self.http.get(url, headers={"Authorization": f"Bearer {token}"})
        return answer.status_code == 200 and answer.json()["incidentId"] == self.number


def public(house: House, _: Path) -> tuple[Program, Any]:
    return Program(house, house.add_public_application(redirect_uris=(BACK,))), None


def with_a_secret(house: House, _: Path) -> tuple[Program, Any]:
    application, secret = house.running.run(
        house.directory.add_application(house.tenant, a_name("site"), ["Incident.Read"], redirect_uris=[BACK])
    )
    return Program(house, application, secret), secret


def with_a_certificate(house: House, folder: Path) -> tuple[Program, Any]:
    own = certified(a_key())
    kept = read_certificate(own.written_to(folder), now())
    application = house.running.run(
        house.directory.add_application_without_secret(
            house.tenant, a_name("site"), ["Incident.Read"], [kept], redirect_uris=[BACK]
        )
    )
    credential = {"private_key": own.private_pem.decode(), "thumbprint": own.sha1.hex()}
    return Program(house, application), credential


KINDS = {"public": public, "secret": with_a_secret, "certificate": with_a_certificate}


@pytest.fixture(params=KINDS)
def desk(
    request: pytest.FixtureRequest, served: RunningHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    yield from _desk(request.param, served, tmp_path, monkeypatch)


@pytest.fixture
def public_desk(served: RunningHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield from _desk("public", served, tmp_path, monkeypatch)


@pytest.fixture
def secret_desk(served: RunningHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield from _desk("secret", served, tmp_path, monkeypatch)


def _desk(kind: str, served: RunningHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(served.folder / "ca.pem"))
    house = House(served)
    program, credential = KINDS[kind](house, tmp_path)
    with requests.Session() as http:
        yield Desk(house, http, credential=credential, program=program)
    gc.collect()


# MSAL


@pytest.mark.parametrize("scope", [READ, DEFAULT])
def test_msal_signs_somebody_in_by_code_and_refreshes_silently(desk: Desk, scope: str) -> None:
    application = desk.msal()
    flow = application.initiate_auth_code_flow([scope], redirect_uri=BACK, response_mode="form_post")

    first = application.acquire_token_by_auth_code_flow(flow, desk.signs_in_at(flow["auth_uri"]))
    assert "access_token" in first, first
    (account,) = application.get_accounts()
    cached = application.acquire_token_silent([scope], account)
    refreshed = application.acquire_token_silent([scope], account, force_refresh=True)
    again = application.acquire_token_silent([scope], account, force_refresh=True)

    assert account["username"] == desk.user.upn
    assert first["id_token_claims"]["preferred_username"] == desk.user.upn
    assert cached["access_token"] == first["access_token"]
    assert len({each["access_token"] for each in (first, refreshed, again)}) == 3
    assert desk.reads(again["access_token"])


def test_msal_signs_somebody_in_on_a_device(public_desk: Desk) -> None:
    application = public_desk.msal()
    flow = application.initiate_device_flow([READ])
    assert flow["verification_uri"] == f"{public_desk.house.running.url}/devicelogin"

    public_desk.program.approve(flow["user_code"], public_desk.user)
    result = application.acquire_token_by_device_flow(flow)
    (account,) = application.get_accounts()
    refreshed = application.acquire_token_silent([READ], account, force_refresh=True)

    assert public_desk.reads(result["access_token"])
    assert public_desk.reads(refreshed["access_token"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda url: url.replace("&nonce=", "&nonce=0"), "nonce"),
        (lambda url: re.sub("&nonce=[^&]*", "", url), "nonce"),
        (lambda url: url.replace("&state=", "&state=0"), "state"),
    ],
    ids=["another nonce", "no nonce", "another state"],
)
def test_msal_notices_what_was_changed_on_the_way(
    public_desk: Desk, change: Callable[[str], str], said: str
) -> None:
    application = public_desk.msal()
    flow = application.initiate_auth_code_flow([READ], redirect_uri=BACK, response_mode="form_post")

    came_back = public_desk.signs_in_at(change(flow["auth_uri"]))

    with pytest.raises((ValueError, RuntimeError), match=said):
        application.acquire_token_by_auth_code_flow(flow, came_back)


def test_msal_signs_somebody_in_under_microsofts_name(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    leads_here(monkeypatch, desk.house.running.url, VENDOR)
    authority = f"https://{VENDOR}/{desk.house.tenant.guid}"
    application = desk.msal(authority=authority, instance_discovery=None)
    nobody = application.get_accounts()
    flow = application.initiate_auth_code_flow([READ], redirect_uri=BACK, response_mode="form_post")

    first = application.acquire_token_by_auth_code_flow(flow, desk.signs_in_at(flow["auth_uri"]))
    (account,) = application.get_accounts()
    refreshed = application.acquire_token_silent([READ], account, force_refresh=True)

    assert nobody == []
    assert refreshed["access_token"] != first["access_token"]
    assert desk.reads(refreshed["access_token"])


def test_msal_signs_somebody_in_on_a_device_under_microsofts_name(
    public_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_here(monkeypatch, public_desk.house.running.url, VENDOR)
    authority = f"https://{VENDOR}/{public_desk.house.tenant.guid}"
    application = public_desk.msal(authority=authority, instance_discovery=None)
    flow = application.initiate_device_flow([READ])
    public_desk.program.approve(flow["user_code"], public_desk.user)

    result = application.acquire_token_by_device_flow(flow)
    (account,) = application.get_accounts()
    refreshed = application.acquire_token_silent([READ], account, force_refresh=True)

    assert flow["verification_uri"] == f"https://{VENDOR}/devicelogin"
    assert public_desk.reads(result["access_token"])
    assert public_desk.reads(refreshed["access_token"])


def test_msal_waits_for_a_device_under_organizations(public_desk: Desk) -> None:
    application = public_desk.msal(authority=f"{public_desk.house.running.url}/organizations")
    flow = application.initiate_device_flow([READ])

    # One question and no more, and then another without the seconds that MSAL would wait.
    waiting = application.acquire_token_by_device_flow(flow, exit_condition=lambda _: True)
    del flow["latest_attempt_at"]
    public_desk.program.approve(flow["user_code"], public_desk.user)
    result = application.acquire_token_by_device_flow(flow)

    assert (waiting["error"], waiting["error_codes"]) == ("authorization_pending", [70016])
    assert public_desk.reads(result["access_token"])


def test_msal_hears_that_a_device_was_refused(public_desk: Desk) -> None:
    application = public_desk.msal()
    flow = application.initiate_device_flow([READ])
    house, sign_in = public_desk.house, public_desk.program.sign_in
    house.running.run(sign_in.refuse_device(flow["user_code"], now=house.now()))

    result = application.acquire_token_by_device_flow(flow)

    assert (result["error"], result["error_codes"]) == ("authorization_declined", [65004])


def test_msal_hears_that_somebody_has_to_sign_in_again(public_desk: Desk) -> None:
    application = public_desk.msal()
    flow = application.initiate_device_flow([READ])
    public_desk.program.approve(flow["user_code"], public_desk.user)
    token = application.acquire_token_by_device_flow(flow)["access_token"]
    (account,) = application.get_accounts()

    public_desk.house.set_password(public_desk.user, "another quiet harbour")

    result = application.acquire_token_silent_with_error([READ], account, force_refresh=True)
    assert (result["error"], result["error_codes"]) == ("invalid_grant", [50173])
    assert eventually(lambda: not public_desk.reads(token))


# azure-identity


def test_azure_identity_signs_somebody_in_on_a_device(public_desk: Desk) -> None:
    def show(_address: str, user_code: str, _until: object) -> None:
        public_desk.program.approve(user_code, public_desk.user)

    credential = DeviceCodeCredential(
        public_desk.program.application.client_id,
        tenant_id=public_desk.house.tenant.guid,
        prompt_callback=show,
        authority=public_desk.house.running.url,
        disable_instance_discovery=True,
        connection_verify=str(public_desk.house.running.folder / "ca.pem"),
    )
    with credential:
        token = credential.get_token(READ).token
        assert credential.get_token(READ).token == token
        refreshed = credential.get_token(READ, claims=PAST_THE_CACHE).token

    assert refreshed != token
    assert public_desk.reads(token)
    assert public_desk.reads(refreshed)


def with_a_code(desk: Desk, code: str | None = None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """What both of azure-identity's credentials for codes are made of."""
    without: dict[str, Any] = {"code_challenge": None, "code_challenge_method": None, "scope": OFFLINE}
    code = code or desk.program.code(desk.user, **without)
    options = {
        "client_secret": desk.program.secret,
        "authority": desk.house.running.url,
        "connection_verify": str(desk.house.running.folder / "ca.pem"),
    }
    return (desk.house.tenant.guid, desk.program.application.client_id, code, BACK), options


def test_azure_identity_brings_a_code_and_refreshes(secret_desk: Desk) -> None:
    of, options = with_a_code(secret_desk)

    with AuthorizationCodeCredential(*of, **options) as credential:
        token = credential.get_token(READ).token
        refreshed = [credential.get_token(READ, claims=PAST_THE_CACHE).token for _ in range(2)]

    assert len({token, *refreshed}) == 3
    assert secret_desk.reads(refreshed[-1])


def test_azure_identity_does_so_asynchronously(secret_desk: Desk) -> None:
    of, options = with_a_code(secret_desk)

    async def tokens() -> list[str]:
        async with AsyncAuthorizationCodeCredential(*of, **options) as credential:
            first = await credential.get_token(READ)
            refreshed = [await credential.get_token(READ, claims=PAST_THE_CACHE) for _ in range(2)]
            return [first.token, *(each.token for each in refreshed)]

    found = asyncio.run(tokens())

    assert len(set(found)) == 3
    assert secret_desk.reads(found[-1])


def test_azure_identity_says_that_a_code_is_wrong(secret_desk: Desk) -> None:
    of, options = with_a_code(secret_desk, "no code")

    with (
        AuthorizationCodeCredential(*of, **options) as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS70000"),
    ):
        credential.get_token(READ)


# Authlib


def test_authlib_signs_somebody_in_by_code_and_refreshes(secret_desk: Desk) -> None:
    program = secret_desk.program
    options = {"scope": OFFLINE, "redirect_uri": BACK, "code_challenge_method": "S256"}
    token_url = f"{secret_desk.authority}/oauth2/v2.0/token"

    with OAuth2Session(program.application.client_id, program.secret, **options) as session:
        url, state = session.create_authorization_url(
            f"{secret_desk.authority}/oauth2/v2.0/authorize", code_verifier=program.verifier
        )
        came_back = secret_desk.signs_in_at(url)
        first = session.fetch_token(token_url, code=came_back["code"], code_verifier=program.verifier)
        second = session.refresh_token(token_url, refresh_token=first["refresh_token"])

    assert came_back["state"] == state
    assert second["refresh_token"] == first["refresh_token"]
    assert secret_desk.reads(second["access_token"])
    assert claims_of(second["access_token"])["upn"] == secret_desk.user.upn


def test_authlib_does_so_asynchronously(public_desk: Desk) -> None:
    program = public_desk.program
    trust = ssl.create_default_context(cafile=public_desk.house.running.folder / "ca.pem")
    token_url = f"{public_desk.authority}/oauth2/v2.0/token"
    code = program.code(public_desk.user)

    async def fetch() -> Any:
        options: dict[str, Any] = {
            "scope": OFFLINE,
            "redirect_uri": BACK,
            "code_challenge_method": "S256",
            "token_endpoint_auth_method": "none",
            "verify": trust,
        }
        async with AsyncOAuth2Client(program.application.client_id, **options) as session:
            first = await session.fetch_token(token_url, code=code, code_verifier=program.verifier)
            return await session.refresh_token(token_url, refresh_token=first["refresh_token"])

    assert public_desk.reads(asyncio.run(fetch())["access_token"])
