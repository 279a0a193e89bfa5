"""An issuer for tests that belongs to somebody else: its keys, its tokens, and all that can be wrong with it."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from tests.support.house import Answer, Clock, House, RunningHouse, to_base64
from vigie.config.issuer_settings import ApplicationMarkSettings, IssuerSettings, RoleSettings
from vigie.config.settings import IdentitySettings, QuotaSettings
from vigie.core.directory import Tenant, User

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/jwks"
AUDIENCE = "api://vigie"
DOMAIN = "contoso.example"
OTHER_DOMAIN = "fabrikam.example"

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_HASHES: Mapping[str, HashAlgorithm] = {"256": SHA256(), "384": SHA384(), "512": SHA512()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A key pair of an issuer under an id."""

    kid: str
    private: Private

    @property
    def algorithm(self) -> str:
        """What it signs by unless told otherwise."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return "RS256"
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return "EdDSA"
        return f"ES{self.private.curve.key_size}"

    def jwk(self, **changes: object) -> dict[str, object]:
        """The public half, as it is published; `...` leaves a member out."""
        jwk = {"kid": self.kid, "use": "sig", **_numbers_of(self.private), **changes}
        return {name: value for name, value in jwk.items() if value is not ...}

    def sign(self, signed: bytes, algorithm: str) -> bytes:
        """A signature, whether or not the algorithm is one for this kind of key."""
        hashed = _HASHES.get(algorithm[-3:], SHA256())
        match self.private:
            case rsa.RSAPrivateKey() if algorithm.startswith("PS"):
                return self.private.sign(signed, PSS(MGF1(hashed), hashed.digest_size), hashed)
            case rsa.RSAPrivateKey():
                return self.private.sign(signed, PKCS1v15(), hashed)
            case ec.EllipticCurvePrivateKey():
                size = self.private.curve.key_size // 8
                numbers = decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashed)))
                return b"".join(number.to_bytes(size) for number in numbers)
            case ed25519.Ed25519PrivateKey():
                return self.private.sign(signed)


@cache
def rsa_pair(kid: str = "rsa-1", bits: int = 2048) -> Pair:
    return Pair(kid=kid, private=rsa.generate_private_key(65537, bits))


@cache
def ec_pair(kid: str = "ec-1", bits: int = 256) -> Pair:
    curve = {256: ec.SECP256R1(), 384: ec.SECP384R1()}[bits]
    return Pair(kid=kid, private=ec.generate_private_key(curve))


@cache
def ed_pair(kid: str = "ed-1") -> Pair:
    return Pair(kid=kid, private=ed25519.Ed25519PrivateKey.generate())


def _numbers_of(private: Private) -> dict[str, object]:
    match private:
        case rsa.RSAPrivateKey():
            public = private.public_key().public_numbers()
            return {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
        case ec.EllipticCurvePrivateKey():
            point = private.public_key().public_numbers()
            size = private.curve.key_size // 8
            x, y = (to_base64(each.to_bytes(size)) for each in (point.x, point.y))
            return {"kty": "EC", "crv": f"P-{private.curve.key_size}", "x": x, "y": y}
        case ed25519.Ed25519PrivateKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": to_base64(private.public_key().public_bytes_raw())}


def _number(value: int) -> str:
    return to_base64(value.to_bytes((value.bit_length() + 7) // 8))


Respond = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class ForeignIssuer:
    """What it answers is looked up when it is asked, so that a test may change it at any time."""

    pairs: list[Pair] = field(default_factory=lambda: [rsa_pair()])
    path: str = ""
    instead: dict[str, Respond] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    origin: str = ""

    @property
    def url(self) -> str:
        """What its tokens have as `iss`."""
        return f"{self.origin}{self.path}"

    def document(self, **changes: object) -> dict[str, object]:
        """Its discovery document."""
        return {"issuer": self.url, "jwks_uri": f"{self.url}{JWKS}", **changes}

    def answers(self, place: str, value: object, *, status: int = 200, **headers: str) -> None:
        """Answer this from now on: bytes as they are, anything else as JSON."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.instead[place] = partial(_answer, body=body, status=status, headers=headers)

    def is_away(self) -> None:
        """Answer nothing any more."""
        self.answers(DISCOVERY, b"", status=503)

    def is_back(self) -> None:
        """Answer as if nothing had been."""
        self.instead.clear()

    def claims(self, **changes: object) -> dict[str, object]:
        """Those of a good token of an application that may read; `...` leaves one out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "poller",
            "client_id": "poller",
            "iat": now,
            "exp": now + 3600,
            "jti": "4b1e",
            "roles": ["Incident.Read.All"],
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def user_claims(self, **changes: object) -> dict[str, object]:
        """Those of a good token of a user who may read; `...` leaves one out."""
        user = {"sub": "a1b2", "roles": ..., "scope": "Incident.Read", "name": "ines@contoso.example"}
        return self.claims(**{**user, **changes})

    def token(
        self,
        claims: Mapping[str, object] | bytes | None = None,
        *,
        pair: Pair | None = None,
        signature: bytes | None = None,
        **header: Any,
    ) -> str:
        """A token that says anything at all, signed with its first key unless another is named."""
        pair = pair or self.pairs[0]
        head = {"typ": "at+jwt", "alg": pair.algorithm, "kid": pair.kid, **header}
        head = {name: value for name, value in head.items() if value is not ...}
        payload = claims if isinstance(claims, bytes) else json.dumps(claims or self.claims()).encode()
        signed = f"{to_base64(json.dumps(head).encode())}.{to_base64(payload)}"
        if signature is None:
            signature = pair.sign(signed.encode(), str(head.get("alg")))
        return f"{signed}.{to_base64(signature)}"


def _answer(
    handler: BaseHTTPRequestHandler, *, body: bytes, status: int = 200, headers: Mapping[str, str]
) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def foreign_issuer(*pairs: Pair, path: str = "") -> Iterator[ForeignIssuer]:
    """An issuer on a free port of the loopback, for as long as the block lasts."""
    issuer = ForeignIssuer(pairs=list(pairs or (rsa_pair(),)), path=path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place = self.path.removeprefix(issuer.path)
            issuer.asked[place] += 1
            usual = {DISCOVERY: issuer.document(), JWKS: {"keys": [pair.jwk() for pair in issuer.pairs]}}
            if place in issuer.instead:
                issuer.instead[place](self)
            else:
                body = json.dumps(usual.get(place)).encode()
                _answer(self, body=body, status=200 if place in usual else 404, headers={})

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that go away are what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    issuer.origin = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def trusting(issuer: ForeignIssuer, /, **changes: Any) -> IssuerSettings:
    """What a house believes of it: RFC 9068, for one tenant, and all that its tokens may ever be granted."""
    usual: dict[str, Any] = {
        "issuer": issuer.url,
        "audiences": (AUDIENCE,),
        "tenants": (DOMAIN,),
        "application_when": ApplicationMarkSettings(same=("sub", "client_id")),
        "user_name_from": ("name",),
        "may_grant": ("Incident.Read.All", "Incident.ReadWrite.All", "Incident.Read", "Incident.ReadWrite"),
    }
    return IssuerSettings(**{**usual, **changes})


SOC_ROLES: dict[str, Any] = {
    "roles_from": ("groups",),
    "roles": (
        RoleSettings(value="soc", role="security-operator", whole_tenant=True),
        RoleSettings(value="readers", role="security-reader", whole_tenant=True),
        RoleSettings(value="it-laptops", role="security-reader", device_groups=("laptops",)),
        RoleSettings(value="it-servers", role="security-operator", device_groups=("servers",)),
        RoleSettings(value="gone", role="no-such-role", whole_tenant=True),
    ),
}
"""Roles that groups give, for `trusting`."""


class TrustingHouse:
    """A house that trusts some issuers, with a tenant that they may speak for and one that they may not."""

    def __init__(
        self,
        folder: Path,
        *issuers: IssuerSettings,
        clock: Clock | None = None,
        calls_per_minute: int = 1_000_000,
        **identity: Any,
    ) -> None:
        settings = IdentitySettings(issuers=issuers, **{"revocation_seconds": 0.1, **identity})
        quotas = QuotaSettings(get_per_minute=calls_per_minute, get_per_hour=1_000_000)
        self.running = RunningHouse(folder, clock=clock, identity=settings, quotas=quotas)
        self.house: House
        self.tenant: Tenant
        self.other: Tenant

    def __enter__(self) -> Self:
        self.running.__enter__()
        self.house = House(self.running)
        self.tenant = self.house.add_tenant(domain=DOMAIN)
        self.other = self.house.add_tenant(domain=OTHER_DOMAIN)
        return self

    def __exit__(self, *_: object) -> None:
        self.running.__exit__()

    def add_user(self, upn: str) -> User:
        """A user of the tenant, without any role."""
        return self.running.run(self.house.directory.add_user(self.tenant, upn))

    def get(self, incident: int | str, token: str | None) -> Answer:
        """Ask for an incident."""
        return self.house.get(incident, token)

    def status(self, token: str | None) -> int:
        """How a call for an incident that is not there is answered: 404 for a caller that may read."""
        return self.get(404_404, token).status
