"""The login libraries that clients use, unmodified, and people who sign in with a real browser; then the API.

The server is the program itself, over HTTPS with a certificate of its own making.
"""

import asyncio
import gc
import json
import ssl
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from azure.identity import AuthorizationCodeCredential, DeviceCodeCredential, InteractiveBrowserCredential
from azure.identity.aio import AuthorizationCodeCredential as AsyncAuthorizationCodeCredential
from playwright.sync_api import Page

from tests.support.builders import an_incident, to_json
from tests.support.chromium import Chromium, needs_chromium
from tests.support.commands import done, served
from tests.support.house import INCIDENTS_API, PASSWORD
from tests.support.redirect_listener import Listening, listening

pytestmark = [
    needs_chromium,
    # MSAL's advice about the other way, which is tried too.
    pytest.mark.filterwarnings("ignore:response_mode='form_post' is recommended"),
]

READ = f"{INCIDENTS_API}/Incident.Read"
DEFAULT = f"{INCIDENTS_API}/.default"
ANA = "ana@contoso.example"
NUMBER = 4711


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The running program, and who and what it knows."""

    origin: str
    ca: Path
    tenant: str
    public_client: str
    site: str
    site_secret: str

    @property
    def authority(self) -> str:
        """The server with the tenant behind it."""
        return f"{self.origin}/{self.tenant}"

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

    def reads(self, token: str) -> int:
        """Which incident comes for a token."""
        request = urllib.request.Request(
            f"{self.origin}/api/incidents/{NUMBER}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, context=self.tls()) as answer:
            return int(json.load(answer)["incidentId"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`vigie serve --tls auto`, with all that an administrator does before."""
    folder = tmp_path_factory.mktemp("served")
    store = ("--database", f"sqlite:///{folder / 'vigie.sqlite3'}")
    tenant = done("tenant", "add", "contoso", *store)["id"]
    of_contoso = ("--tenant", "contoso", *store)
    redirect = ("--redirect-uri", "http://localhost", "--redirect-uri", "http://localhost/back")
    reads = ("--permission", "Incident.Read", *redirect, *of_contoso)
    public = done("app", "add", "night watch", "--public-client", *reads)
    site = done("app", "add", "site", *reads)
    done("user", "add", ANA, *of_contoso)
    done("user", "set-password", ANA, *of_contoso, stdin=f"{PASSWORD}\n")
    done("user", "grant", ANA, "--role", "security-reader", *of_contoso)
    incident = to_json(an_incident(incidentId=NUMBER)).decode()
    done("import", "-", *of_contoso, stdin=incident)
    with served("--port", "0", "--tls", "auto", *store) as (_, said):
        yield Served(
            origin=said["url"],
            ca=folder / "ca.pem",
            tenant=tenant,
            public_client=public["client_id"],
            site=site["client_id"],
            site_secret=site["client_secret"],
        )


@pytest.fixture
def http(server: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[requests.Session]:
    """What MSAL speaks HTTP with; it would leave its connections open until it is collected."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
    with requests.Session() as session:
        yield session
    gc.collect()


@pytest.fixture
def back() -> Iterator[Listening]:
    with listening() as place:
        yield place


# What people do in the browser


def signs_in(page: Page) -> None:
    """Give the name and the password, and agree."""
    page.fill("#username", ANA)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.click("button[value=allow]")


def goes_to(url: str) -> Callable[[Page], None]:
    """Sign in at an address, until the application has its answer."""

    def work(page: Page) -> None:
        page.goto(url)
        signs_in(page)
        page.wait_for_url("http://localhost:*/**")

    return work


def connects(url: str, user_code: str) -> Callable[[Page], None]:
    """Enter the code that a device shows, and sign in."""

    def work(page: Page) -> None:
        page.goto(url)
        page.fill("#user_code", user_code)
        page.click("button[type=submit]")
        signs_in(page)
        page.wait_for_selector("a[href='/devicelogin']")

    return work


@pytest.fixture
def preferred_browser(chromium: Chromium, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The browser that the system opens addresses with; what was opened comes back."""
    opened: list[str] = []

    class Preferred(webbrowser.BaseBrowser):
        def open(self, url: str, *_: object) -> bool:
            opened.append(url)
            chromium.start(goes_to(url))
            return True

    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr(webbrowser, "_browsers", {})
    webbrowser.register("preferred", None, Preferred("preferred"), preferred=True)
    return opened


# MSAL


def public_msal(server: Served, http: requests.Session, tenant: str | None = None) -> Any:
    return msal.PublicClientApplication(
        server.public_client,
        authority=f"{server.origin}/{tenant or server.tenant}",
        instance_discovery=False,
        http_client=http,
    )


def refreshed_silently(application: Any) -> dict[str, Any]:
    """What MSAL gets for the one account it knows: from its cache, then by its refresh token."""
    (account,) = application.get_accounts()
    assert account["username"] == ANA
    cached = application.acquire_token_silent([READ], account)
    assert cached["token_source"] == "cache"
    result: dict[str, Any] = application.acquire_token_silent([READ], account, force_refresh=True)
    assert result["token_source"] == "identity_provider"
    assert result["access_token"] != cached["access_token"]
    return result


def test_msal_opens_a_browser_gets_a_token_and_refreshes_it_silently(
    server: Served, http: requests.Session, preferred_browser: list[str]
) -> None:
    application = public_msal(server, http)

    result = application.acquire_token_interactive([READ], timeout=60)

    assert "access_token" in result, result
    assert len(preferred_browser) == 1
    assert result["id_token_claims"]["preferred_username"] == ANA
    assert server.reads(result["access_token"]) == NUMBER
    assert server.reads(refreshed_silently(application)["access_token"]) == NUMBER


@pytest.mark.parametrize("tenant", ["common", "organizations"])
def test_msal_does_so_without_knowing_the_tenant(
    server: Served, http: requests.Session, preferred_browser: list[str], tenant: str
) -> None:
    result = public_msal(server, http, tenant).acquire_token_interactive([READ], timeout=60)

    assert "access_token" in result, result
    assert server.reads(result["access_token"]) == NUMBER


def test_msal_connects_a_device_and_refreshes_its_token_silently(
    server: Served, http: requests.Session, chromium: Chromium
) -> None:
    application = public_msal(server, http)

    flow = application.initiate_device_flow([READ])
    chromium.do(connects(flow["verification_uri"], flow["user_code"]))
    result = application.acquire_token_by_device_flow(flow)

    assert "access_token" in result, result
    assert server.reads(result["access_token"]) == NUMBER
    assert server.reads(refreshed_silently(application)["access_token"]) == NUMBER


def test_msal_tells_a_device_that_somebody_said_no(
    server: Served, http: requests.Session, chromium: Chromium
) -> None:
    application = public_msal(server, http)
    flow = application.initiate_device_flow([READ])

    def refuses(page: Page) -> None:
        page.goto(flow["verification_uri"])
        page.fill("#user_code", flow["user_code"])
        page.click("button[type=submit]")
        page.fill("#username", ANA)
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.click("button[value=refuse]")
        page.wait_for_selector("a[href='/devicelogin']")

    chromium.do(refuses)
    result = application.acquire_token_by_device_flow(flow)

    assert result["error"] == "authorization_declined"


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_msal_on_a_site_signs_people_in_with_its_secret(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening, mode: str
) -> None:
    site = msal.ConfidentialClientApplication(
        server.site,
        client_credential=server.site_secret,
        authority=server.authority,
        instance_discovery=False,
        http_client=http,
    )

    flow = site.initiate_auth_code_flow([READ], redirect_uri=back.url, response_mode=mode)
    chromium.do(goes_to(flow["auth_uri"]))
    result = site.acquire_token_by_auth_code_flow(flow, back.answer)

    assert "access_token" in result, result
    assert result["id_token_claims"]["preferred_username"] == ANA
    assert server.reads(result["access_token"]) == NUMBER
    assert server.reads(refreshed_silently(site)["access_token"]) == NUMBER


def test_msal_hears_that_somebody_said_no(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    application = public_msal(server, http)
    flow = application.initiate_auth_code_flow([READ], redirect_uri=back.url)

    def cancels(page: Page) -> None:
        page.goto(flow["auth_uri"])
        page.get_by_role("link", name="Cancel").click()
        page.wait_for_url("http://localhost:*/**")

    chromium.do(cancels)
    result = application.acquire_token_by_auth_code_flow(flow, back.answer)

    assert result["error"] == "access_denied"
    assert result["error_description"].startswith("AADSTS65004")


def test_msal_refuses_a_code_that_comes_with_another_state(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    application = public_msal(server, http)
    flow = application.initiate_auth_code_flow([READ], redirect_uri=back.url)
    chromium.do(goes_to(flow["auth_uri"]))

    with pytest.raises(ValueError, match="state mismatch"):
        application.acquire_token_by_auth_code_flow(flow, {**back.answer, "state": "another"})


# azure-identity


def test_azure_identity_opens_a_browser(
    server: Served, http: requests.Session, preferred_browser: list[str]
) -> None:
    with InteractiveBrowserCredential(
        client_id=server.public_client, tenant_id=server.tenant, timeout=60, **server.azure()
    ) as credential:
        first, second = (credential.get_token(READ).token for _ in range(2))

    assert first == second
    assert len(preferred_browser) == 1
    assert server.reads(first) == NUMBER


@pytest.mark.parametrize("scope", [READ, DEFAULT])
def test_azure_identity_connects_a_device(
    server: Served, http: requests.Session, chromium: Chromium, scope: str
) -> None:
    def prompt(url: str, user_code: str, _: object) -> None:
        chromium.do(connects(url, user_code))

    with DeviceCodeCredential(
        server.public_client, tenant_id=server.tenant, prompt_callback=prompt, **server.azure()
    ) as credential:
        token = credential.get_token(scope).token

    assert server.reads(token) == NUMBER


def code_of(server: Served, chromium: Chromium, back: Listening) -> str:
    """A code for the site, which sends people here without a proof key."""
    query = f"client_id={server.site}&response_type=code&redirect_uri={back.url}&scope={READ}+offline_access"
    chromium.do(goes_to(f"{server.authority}/oauth2/v2.0/authorize?{query}"))
    return back.answer["code"]


def test_azure_identity_redeems_a_code(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    code = code_of(server, chromium, back)

    with AuthorizationCodeCredential(
        server.tenant, server.site, code, back.url, client_secret=server.site_secret, **server.azure()
    ) as credential:
        token = credential.get_token(READ).token

    assert server.reads(token) == NUMBER


def test_azure_identity_redeems_a_code_asynchronously(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    code = code_of(server, chromium, back)

    async def redeem() -> str:
        async with AsyncAuthorizationCodeCredential(
            server.tenant, server.site, code, back.url, client_secret=server.site_secret, **server.azure()
        ) as credential:
            return (await credential.get_token(READ)).token

    assert server.reads(asyncio.run(redeem())) == NUMBER


# Authlib


def authlib_options(back: Listening) -> dict[str, Any]:
    return {
        "scope": f"{READ} offline_access openid",
        "redirect_uri": back.url,
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": "none",
    }


VERIFIER = "a-verifier-of-this-test-and-of-no-other-0123456789"


def test_authlib_gets_a_token_with_a_proof_key_and_refreshes_it(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    authorize, token_url = (f"{server.authority}/oauth2/v2.0/{name}" for name in ("authorize", "token"))
    with OAuth2Session(server.public_client, **authlib_options(back)) as session:
        url, state = session.create_authorization_url(authorize, code_verifier=VERIFIER)
        chromium.do(goes_to(url))
        token = session.fetch_token(token_url, code=back.answer["code"], code_verifier=VERIFIER)
        refreshed = session.refresh_token(token_url, token["refresh_token"])

    assert back.answer["state"] == state
    assert server.reads(token["access_token"]) == NUMBER
    assert server.reads(refreshed["access_token"]) == NUMBER
    assert refreshed["refresh_token"] == token["refresh_token"]


def test_authlib_does_so_asynchronously(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    authorize, token_url = (f"{server.authority}/oauth2/v2.0/{name}" for name in ("authorize", "token"))

    async def fetch() -> tuple[Any, Any]:
        options = {**authlib_options(back), "verify": server.tls()}
        async with AsyncOAuth2Client(server.public_client, **options) as session:
            url, state = session.create_authorization_url(authorize, code_verifier=VERIFIER)
            chromium.do(goes_to(url))
            assert back.answer["state"] == state
            token = await session.fetch_token(token_url, code=back.answer["code"], code_verifier=VERIFIER)
            return token, await session.refresh_token(token_url, token["refresh_token"])

    token, refreshed = asyncio.run(fetch())

    assert server.reads(token["access_token"]) == NUMBER
    assert server.reads(refreshed["access_token"]) == NUMBER


# And nobody else


def test_a_code_is_worth_nothing_without_the_proof_key(
    server: Served, http: requests.Session, chromium: Chromium, back: Listening
) -> None:
    authorize, token_url = (f"{server.authority}/oauth2/v2.0/{name}" for name in ("authorize", "token"))
    with OAuth2Session(server.public_client, **authlib_options(back)) as session:
        url, _ = session.create_authorization_url(authorize, code_verifier=VERIFIER)
        chromium.do(goes_to(url))
        form = {
            "grant_type": "authorization_code",
            "client_id": server.public_client,
            "code": back.answer["code"],
            "redirect_uri": back.url,
            "code_verifier": VERIFIER.replace("this", "that"),
        }
        answer = http.post(token_url, data=form)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
