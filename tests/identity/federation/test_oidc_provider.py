"""A real issuer that is not ours, npm's `oidc-provider`: its tokens, its rolled keys, and its absence."""

import base64
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.support.builders import an_alert, an_incident
from tests.support.commands import first_line_of
from tests.support.foreign_issuers import DOMAIN, OTHER_DOMAIN, SOC_ROLES, TrustingHouse
from tests.support.house import Clock, eventually
from vigie.config.issuer_settings import ApplicationMarkSettings, IssuerSettings

FOLDER = Path(__file__).parent / "oidc_provider"
AUDIENCE = "https://vigie.contoso.example"
CALLBACK = "http://127.0.0.1/callback"
GOOD, UNKNOWN, FORBIDDEN, AWAY = 404, 401, 403, 503

_GENERATORS: dict[str, Any] = {
    "RS256": lambda options: RSAKey.generate_key(2048, options),
    "PS256": lambda options: RSAKey.generate_key(2048, options),
    "ES256": lambda options: ECKey.generate_key("P-256", options),
    "EdDSA": lambda options: OKPKey.generate_key("Ed25519", options),
}


@pytest.fixture(scope="session")
def node() -> str:
    """Node, with the provider installed exactly as the lock file has it."""
    found = shutil.which("node")
    npm = shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not here; .ci/run installs them")
    lock = FOLDER / "package-lock.json"
    installed = FOLDER / "node_modules" / ".vigie-lock"
    with (FOLDER / ".installing").open("w") as beside:
        # Test processes may come at once.
        fcntl.flock(beside, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=100)
            assert ended.returncode == 0, ended.stderr
            installed.write_bytes(lock.read_bytes())
    return found


class Provider:
    """The provider as a process on one port, which can be killed, and come back with other keys."""

    def __init__(self, node: str, folder: Path, *, algorithm: str = "RS256") -> None:
        self._node = node
        self._jwks = folder / "jwks.json"
        self._algorithm = algorithm
        self._keys: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.roll()

    def roll(self, *, keeps_old: bool = True) -> None:
        """Sign with another key from the next start on."""
        options = {"use": "sig", "alg": self._algorithm, "kid": f"key-{time.monotonic_ns()}"}
        key = _GENERATORS[self._algorithm](options).as_dict(private=True)
        self._keys = [key, *(self._keys if keeps_old else [])]
        self._jwks.write_text(json.dumps({"keys": self._keys}), encoding="utf-8")

    def start(self) -> None:
        """Serve until it is killed."""
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self._port),
            "JWKS": str(self._jwks),
            "ALG": self._algorithm,
        }
        self._process = subprocess.Popen(
            [self._node, "issuer.mjs"],
            cwd=FOLDER,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert first_line_of(self._process) == "listening\n"

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=20)
            self._process = None

    def application_token(self, scope: str = "Incident.Read.All", resource: str = AUDIENCE) -> str:
        """By client credentials."""
        answer = requests.post(
            f"{self.url}/token",
            auth=("siem", "a%20secret%20for%20tests"),
            data={"grant_type": "client_credentials", "resource": resource, "scope": scope},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def user_tokens(self, login: str) -> dict[str, str]:
        """By authorization code and PKCE, through the provider's own pages; with an ID token."""
        verifier = "v" * 64
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        wanted = {
            "client_id": "console",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": "openid Incident.Read",
            "resource": AUDIENCE,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        with requests.Session() as browser:
            code = self._code(browser, wanted, login)
            form = {
                "grant_type": "authorization_code",
                "code": code,
                "client_id": "console",
                "redirect_uri": CALLBACK,
                "code_verifier": verifier,
                "resource": AUDIENCE,
            }
            answer = browser.post(f"{self.url}/token", data=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def _code(self, browser: requests.Session, wanted: dict[str, str], login: str) -> str:
        """Log in, consent, and follow the redirects until they lead back."""
        answer = browser.get(f"{self.url}/auth", params=wanted, allow_redirects=False, timeout=20)
        for _ in range(10):
            place = answer.headers.get("location", "")
            if place.startswith(CALLBACK):
                return parse_qs(urlsplit(place).query)["code"][0]
            if place:
                url = place if "://" in place else f"{self.url}{place}"
                answer = browser.get(url, allow_redirects=False, timeout=20)
                continue
            prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
            action = re.search(r'action="([^"]+)"', answer.text)
            assert prompt, answer.text
            assert action, answer.text
            form = {"prompt": prompt[1], "login": login, "password": "any"}
            answer = browser.post(action[1], data=form, allow_redirects=False, timeout=20)
        raise AssertionError("the provider's pages lead nowhere")


@pytest.fixture
def provider(node: str, tmp_path: Path) -> Iterator[Provider]:
    with _running(Provider(node, tmp_path)) as provider:
        yield provider


@contextmanager
def _running(provider: Provider) -> Iterator[Provider]:
    try:
        provider.start()
        yield provider
    finally:
        provider.kill()


def trust_in(provider: Provider, **changes: Any) -> IssuerSettings:
    usual: dict[str, Any] = {
        "issuer": provider.url,
        "audiences": (AUDIENCE,),
        "tenants": (DOMAIN,),
        "application_when": ApplicationMarkSettings(same=("sub", "client_id")),
        "application_permissions_from": ("scope",),
        "may_grant": ("Incident.Read.All", "Incident.Read"),
    }
    return IssuerSettings(**{**usual, **changes})


def test_an_application_and_a_user_of_the_provider_read_incidents(provider: Provider, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trust_in(provider, **SOC_ROLES)) as trusted:
        incident = trusted.house.takes(an_incident(an_alert("laptops")), tenant=trusted.tenant)
        tokens = provider.user_tokens("ines")

        by_application = trusted.get(incident, provider.application_token())
        by_user = trusted.get(incident, tokens["access_token"])

        assert [answer.status for answer in (by_application, by_user)] == [200, 200]
        assert by_application.json["incidentId"] == by_user.json["incidentId"] == incident
        assert trusted.status(provider.application_token(scope="Incident.Read")) == FORBIDDEN
        # An ID token of the same login is none for an API, whatever it is for.
        assert trusted.status(tokens["id_token"]) == UNKNOWN


def test_a_user_of_the_provider_has_the_roles_of_the_directory(provider: Provider, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trust_in(provider)) as trusted:
        trusted.house.tenant = trusted.tenant
        trusted.house.grant(trusted.add_user("ines@contoso.example"), "security-reader", "laptops")
        incident = trusted.house.takes(
            an_incident(an_alert("laptops"), an_alert("servers")), tenant=trusted.tenant
        )

        answer = trusted.get(incident, provider.user_tokens("ines@contoso.example")["access_token"])

        assert (answer.status, len(answer.json["alerts"])) == (200, 1)
        assert trusted.status(provider.user_tokens("stranger")["access_token"]) == UNKNOWN


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_the_provider_may_sign_by_other_algorithms(node: str, tmp_path: Path, algorithm: str) -> None:
    with (
        _running(Provider(node, tmp_path, algorithm=algorithm)) as provider,
        TrustingHouse(tmp_path, trust_in(provider)) as trusted,
    ):
        assert trusted.status(provider.application_token()) == GOOD


def test_a_token_of_the_provider_for_another_api_is_answered_401(provider: Provider, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trust_in(provider)) as trusted:
        token = provider.application_token(resource="https://api.security.microsoft.com")

        answer = trusted.get(1, token)

        assert (answer.status, "Invalid Authorization payload" in answer.json["error"]["message"]) == (
            UNKNOWN,
            True,
        )


def test_an_id_token_of_the_provider_is_refused_even_where_its_type_and_audience_fit(
    provider: Provider, tmp_path: Path
) -> None:
    settings = trust_in(
        provider,
        audiences=(AUDIENCE, "console"),
        token_types=("at+jwt", "JWT"),
        application_from=("client_id", "aud"),
        **SOC_ROLES,
    )
    with TrustingHouse(tmp_path, settings) as trusted:
        tokens = provider.user_tokens("ines")

        assert trusted.status(tokens["access_token"]) == GOOD
        assert trusted.status(tokens["id_token"]) == UNKNOWN


def test_the_provider_speaks_for_its_tenant_alone(provider: Provider, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trust_in(provider)) as trusted:
        ours = trusted.house.takes(an_incident(), tenant=trusted.tenant)
        theirs = trusted.house.takes(an_incident(), tenant=trusted.other)
        token = provider.application_token()

        assert [trusted.get(each, token).status for each in (ours, theirs)] == [200, 404]


def test_a_provider_of_another_tenant_is_of_no_use_for_ours(provider: Provider, tmp_path: Path) -> None:
    with TrustingHouse(tmp_path, trust_in(provider, tenants=(OTHER_DOMAIN,))) as trusted:
        ours = trusted.house.takes(an_incident(), tenant=trusted.tenant)

        assert trusted.get(ours, provider.application_token()).status == GOOD


def test_a_provider_that_nobody_trusts_opens_nothing(provider: Provider, node: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        _running(Provider(node, tmp_path / "other")) as other,
        TrustingHouse(tmp_path, trust_in(provider)) as trusted,
    ):
        assert trusted.status(provider.application_token()) == GOOD
        assert trusted.status(other.application_token()) == UNKNOWN


def test_a_rolled_key_is_found_and_the_old_one_goes_on_as_long_as_it_is_published(
    provider: Provider, tmp_path: Path
) -> None:
    clock = Clock()
    with TrustingHouse(tmp_path, trust_in(provider), clock=clock) as trusted:
        old, unused = provider.application_token(), provider.application_token()
        before = trusted.status(old)
        provider.roll()
        provider.kill()
        provider.start()
        new = provider.application_token()
        too_soon = trusted.status(new)
        clock.forward(seconds=60)

        assert (before, too_soon) == (GOOD, UNKNOWN)
        assert [trusted.status(token) for token in (new, old, unused)] == [GOOD, GOOD, GOOD]


def test_a_key_that_is_withdrawn_ends_what_it_has_signed(provider: Provider, tmp_path: Path) -> None:
    clock = Clock()
    with TrustingHouse(tmp_path, trust_in(provider), clock=clock) as trusted:
        old, unused = provider.application_token(), provider.application_token()
        before = trusted.status(old)
        provider.roll(keeps_old=False)
        provider.kill()
        provider.start()
        clock.forward(seconds=60)
        new = trusted.status(provider.application_token())

        assert (before, new) == (GOOD, GOOD)
        assert trusted.status(unused) == UNKNOWN
        assert eventually(lambda: trusted.status(old) == UNKNOWN)


def test_while_the_provider_is_away_its_tokens_go_on_and_ours_too(provider: Provider, tmp_path: Path) -> None:
    clock = Clock()
    with TrustingHouse(tmp_path, trust_in(provider), clock=clock) as trusted:
        first = provider.application_token()
        trusted.status(first)
        second = provider.application_token()
        provider.roll()
        provider.kill()
        provider.start()
        signed_anew = provider.application_token()
        provider.kill()
        clock.forward(seconds=60)

        away = [trusted.status(token) for token in (signed_anew, first, second, trusted.house.a_token())]
        provider.start()
        clock.forward(seconds=60)
        back = [trusted.status(token) for token in (signed_anew, first, second)]

        assert away == [AWAY, GOOD, GOOD, GOOD]
        assert back == [GOOD, GOOD, GOOD]


def test_a_provider_that_comes_after_the_server_is_found(node: str, tmp_path: Path) -> None:
    clock = Clock()
    provider = Provider(node, tmp_path)
    provider.start()
    token = provider.application_token()
    provider.kill()
    with TrustingHouse(tmp_path, trust_in(provider), clock=clock) as trusted:
        before = trusted.get(1, token)
        with _running(provider):
            clock.forward(seconds=10)

            assert (before.status, before.header("retry-after")) == (AWAY, "10")
            assert trusted.status(token) == GOOD
