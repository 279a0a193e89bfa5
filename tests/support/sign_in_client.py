"""Programs for which people sign in, in tests: what a browser and a client would do, without either."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt

from tests.support.house import INCIDENTS_API, PASSWORD, Answer, House, a_name
from vigie.core.directory import Application, User
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.sign_in.authorization_requests import AuthorizationRequest
from vigie.identity.sign_in.service import SignedInUser, SignIn
from vigie.runtime.authorization_server import AuthorizationServer, build_authorization_server
from vigie.runtime.clock import steady_now

BACK = "http://localhost/back"
SCOPE = f"{INCIDENTS_API}/Incident.Read offline_access openid profile"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


def challenge_of(verifier: str) -> str:
    """The challenge of S256, made without the code that checks it."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def authority_of(house: House) -> AuthorizationServer:
    """The rules of a house's authority, on the same store as the server's; limits are counted apart."""
    running = house.running
    installation = running.installation
    return build_authorization_server(
        installation,
        installation.audiences(running.url),
        issuer=running.run(installation.issuer()),
        steady_clock=running.clock.now if running.clock else steady_now,
    )


def claims_of(token: str) -> dict[str, Any]:
    """What a token says."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@dataclass
class Program:
    """An application that people sign in to: a public one, or one with a secret."""

    house: House
    application: Application
    secret: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def __post_init__(self) -> None:
        self.sign_in: SignIn = authority_of(self.house).sign_in

    # In the browser

    def fields(self, **changes: Any) -> dict[str, str]:
        """What a browser is sent with to sign in; a field that is None is left out."""
        fields = {
            "client_id": self.application.client_id,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": SCOPE,
            "state": "a state",
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def request(
        self, *, tenant: str | None = None, version: EndpointVersion = EndpointVersion.V2, **changes: Any
    ) -> AuthorizationRequest:
        """What the browser brings, as the pages read it."""
        reference = tenant or self.house.tenant.guid
        return self.house.running.run(self.sign_in.request_of(reference, self.fields(**changes), version))

    def signed_in(self, user: User, password: str = PASSWORD) -> SignedInUser:
        """A user who gives a password, from an address of their own."""
        return self.house.running.run(
            self.sign_in.check_password(
                self.house.tenant, user.upn, password, address=a_name("address"), now=self.house.now()
            )
        )

    def code(self, user: User, *, version: EndpointVersion = EndpointVersion.V2, **changes: Any) -> str:
        """The code that comes back when a user signs in and agrees."""
        request = self.request(version=version, **changes)
        who = self.signed_in(user)
        return self.house.running.run(self.sign_in.issue_code(request, who, now=self.house.now()))

    # At the token endpoint

    def asks(
        self,
        form: dict[str, str | None],
        *,
        tenant: str | None = None,
        version: str = "/v2.0",
        query: str = "",
    ) -> Answer:
        """What the token endpoint answers to a form of this application."""
        own = {"client_id": self.application.client_id, "client_secret": self.secret}
        return self.post(f"/{tenant or self.house.tenant.guid}/oauth2{version}/token{query}", {**own, **form})

    def post(self, path: str, form: dict[str, str | None]) -> Answer:
        """Send a form; a field that is None is left out."""
        body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
        return self.house.running.request("POST", path, body=body)

    def redeems(self, code: str, *, version: str = "/v2.0", **changes: Any) -> Answer:
        """Bring a code."""
        form: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": self.verifier,
            **changes,
        }
        return self.asks(form, version=version)

    def refreshes(self, token: str, *, version: str = "/v2.0", **changes: Any) -> Answer:
        """Bring a refresh token."""
        return self.asks({"grant_type": "refresh_token", "refresh_token": token, **changes}, version=version)

    def tokens_of(self, user: User, **changes: Any) -> dict[str, Any]:
        """What a user's signing in comes to."""
        answer = self.redeems(self.code(user, **changes))
        assert answer.status == 200, answer.body
        tokens: dict[str, Any] = answer.json
        return tokens

    # With a device

    def shows_code(self, *, tenant: str | None = None, version: str = "/v2.0", **changes: Any) -> Answer:
        """Ask for a device code."""
        form: dict[str, str | None] = {"client_id": self.application.client_id, "scope": SCOPE, **changes}
        return self.post(f"/{tenant or self.house.tenant.guid}/oauth2{version}/devicecode", form)

    def polls(self, device_code: str, *, tenant: str | None = None, **changes: Any) -> Answer:
        """Ask whether somebody has agreed."""
        return self.asks({"grant_type": DEVICE_GRANT, "device_code": device_code, **changes}, tenant=tenant)

    def approve(self, user_code: str, user: User) -> None:
        """Sign in elsewhere, and agree."""
        who = self.signed_in(user)
        self.house.running.run(self.sign_in.approve_device(user_code, who, now=self.house.now()))


def a_public_program(house: House, *permissions: str, redirect_uris: tuple[str, ...] = (BACK,)) -> Program:
    """A program on somebody's machine, which can keep no secret."""
    return Program(house, house.add_public_application(*permissions, redirect_uris=redirect_uris))


def a_program_with_a_secret(house: House, *permissions: str) -> Program:
    """A program on a server, which proves itself."""
    application, secret = house.running.run(
        house.directory.add_application(
            house.tenant, a_name("site"), permissions or ("Incident.Read",), redirect_uris=[BACK]
        )
    )
    return Program(house, application, secret)
