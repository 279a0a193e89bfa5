"""Client assertions: JSON web tokens by which applications prove that they hold the key of a certificate.

Source: docs/api/tokens.md, "Client authentication"; RFC 7523, section 3; RFC 7515, sections 4.1.7 and 4.1.8.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, AsymmetricPadding, PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from vigie.core.directory import Application, AssertionUse, ClientCertificate, Tenant
from vigie.core.errors import InvalidToken, user_text
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, instant_from_unix
from vigie.core.letter_case import lowered
from vigie.identity.clients.refusals import InvalidClientAssertion
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.tokens.access_tokens import issuer_of
from vigie.identity.tokens.audiences import Audiences, bare
from vigie.identity.tokens.jws import ParsedJwt, parse_jwt, refuse_critical

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_BYTES_MAX = 16 * 1024
ASSERTION_LIFETIME_MAX_SECONDS = 86_400

_PADDINGS: Mapping[str, AsymmetricPadding] = {
    "RS256": PKCS1v15(),
    "PS256": PSS(mgf=MGF1(SHA256()), salt_length=PSS.DIGEST_LENGTH),
}
ASSERTION_ALGORITHMS = tuple(_PADDINGS)
_TOKEN_PATHS = ("oauth2/v2.0/token", "oauth2/token")


class SentAssertion(msgspec.Struct, frozen=True, kw_only=True):
    """An assertion as it came. Nothing in it is proven, and `client_id` is only whose it says it is."""

    read: ParsedJwt
    client_id: str


class ProvenAssertion(msgspec.Struct, frozen=True, kw_only=True):
    """Its signature, its times and its audience were checked: made by `ClientAssertions.check` alone.

    From `expires_at` on it would be refused anyway; the clock skew is in it.
    """

    client_id: str
    jti: str
    expires_at: Instant


def read_assertion(text: str) -> SentAssertion:
    """Take an assertion apart. Raises OAuthRefusal when it is none."""
    if len(text) > ASSERTION_BYTES_MAX:
        raise InvalidClientAssertion(f"it is longer than {ASSERTION_BYTES_MAX} bytes")
    try:
        # azure-identity pads.
        read = parse_jwt(text, may_be_padded=True)
    except InvalidToken as error:
        raise InvalidClientAssertion(f"it is not a signed JSON web token: {error.detail}") from error
    client_id = read.claims.get("iss")
    if not isinstance(client_id, str) or client_id != read.claims.get("sub"):
        raise InvalidClientAssertion("iss and sub must both be the client id of the application")
    return SentAssertion(read=read, client_id=client_id)


class ClientAssertions:
    """Says what assertions prove, and lets none be used twice."""

    def __init__(
        self, directory: DirectoryRepository, audiences: Audiences, *, issuer: str, clock_skew_ticks: int
    ) -> None:
        self._directory = directory
        self._audiences = audiences
        self._issuer = issuer
        self._clock_skew_ticks = clock_skew_ticks

    async def check(
        self, tenant: Tenant, application: Application, sent: SentAssertion, now: Instant
    ) -> ProvenAssertion:
        """What an assertion proves. Raises OAuthRefusal when that is not the application.

        The key is one that is kept for the application, never one that the assertion brings along: of its
        header only `alg` and the names of the certificate are looked at, not `jwk`, `jku`, `x5c` or `x5u`.
        """
        certificates = await self._directory.client_certificates(tenant, application)
        certificate = _named(sent.read.header, certificates)
        _check_signature(sent, certificate)
        self._check_certificate_dates(certificate, now)
        self._check_audience(sent.read.claims, tenant)
        return ProvenAssertion(
            client_id=application.client_id,
            jti=_jti(sent.read.claims),
            expires_at=self._checked_expiry(sent.read.claims, now),
        )

    async def use(
        self, tenant: Tenant, proven: ProvenAssertion, resource: str, *, address: str, now: Instant
    ) -> None:
        """Use an assertion up for an API. Raises OAuthRefusal if it was before, or is somebody else's.

        Once for each API, by whatever name, because MSAL sends one assertion for all that it asks for within nine
        minutes; and somebody else who has got hold of it must not use it for the API that was not asked for: it
        stays with the address that it first came from. docs/divergences.md, "Assertions are good once".
        """
        use = AssertionUse(
            assertion=_fingerprint(proven, "of"),
            from_address=_fingerprint(proven, "from", address),
            for_resource=_fingerprint(proven, "for", self._audiences.api_of(resource)),
        )
        if not await self._directory.use_assertion(tenant, use, proven.expires_at, now):
            raise InvalidClientAssertion(
                f"its jti {_quoted(proven.jti)} was used before; make a new one for each request"
            )

    def _check_certificate_dates(self, certificate: ClientCertificate, now: Instant) -> None:
        if now >= certificate.expires_at + self._clock_skew_ticks:
            raise InvalidClientAssertion(
                f"{_shown(certificate)} expired at {format_instant(certificate.expires_at)}"
            )
        if now < certificate.valid_from - self._clock_skew_ticks:
            raise InvalidClientAssertion(
                f"{_shown(certificate)} is valid from {format_instant(certificate.valid_from)} on"
            )

    def _check_audience(self, claims: Mapping[str, Any], tenant: Tenant) -> None:
        audience = claims.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            audience = audience[0]
        if not isinstance(audience, str) or bare(audience) not in self._audiences_of(tenant):
            raise InvalidClientAssertion(
                f"aud {_quoted(audience)} is no token endpoint of the tenant under a name of this installation: "
                "its public URL, an audience alias, or a name of its certificate"
            )

    def _audiences_of(self, tenant: Tenant) -> frozenset[str]:
        """The token endpoints under every name that is this installation's own, and the issuer.

        Not the host that was called: an assertion made for another server would be good here when we
        are called by that server's name.
        """
        places = [name for name in (tenant.guid, tenant.domain) if name]
        endpoints = (
            f"{origin}/{place}/{path}"
            for origin in self._audiences.origins
            for place in places
            for path in _TOKEN_PATHS
        )
        return frozenset({bare(issuer_of(self._issuer, tenant.guid)), *endpoints})

    def _checked_expiry(self, claims: Mapping[str, Any], now: Instant) -> Instant:
        expires_at = _moment(claims, "exp")
        clock = f"the clock here says {format_instant(now)}"
        if now >= expires_at + self._clock_skew_ticks:
            raise InvalidClientAssertion(f"it expired at {format_instant(expires_at)}; {clock}")
        if expires_at > now + ASSERTION_LIFETIME_MAX_SECONDS * TICKS_PER_SECOND + self._clock_skew_ticks:
            raise InvalidClientAssertion(
                f"exp is more than {ASSERTION_LIFETIME_MAX_SECONDS // 3600} hours ahead; {clock}"
            )
        if "nbf" in claims and now < _moment(claims, "nbf") - self._clock_skew_ticks:
            raise InvalidClientAssertion(f"nbf has not come yet; {clock}")
        return Instant(expires_at + self._clock_skew_ticks)


def _fingerprint(proven: ProvenAssertion, *rest: str) -> bytes:
    return hashlib.sha256(msgspec.json.encode((proven.client_id, proven.jti, *rest))).digest()


def _named(header: Mapping[str, Any], certificates: Iterable[ClientCertificate]) -> ClientCertificate:
    """The certificate that a header names, by its thumbprints before its key id, which may be anything."""
    thumbprints = {name: header[name] for name in ("x5t#S256", "x5t") if name in header}
    names = thumbprints or {name: header[name] for name in ("kid",) if name in header}
    if not names:
        raise InvalidClientAssertion("its header names no certificate: x5t, x5t#S256 or kid is needed")
    for certificate in certificates:
        if all(isinstance(said, str) and _NAMES[name](certificate, said) for name, said in names.items()):
            return certificate
    said = ", ".join(f"{name} {_quoted(value)}" for name, value in names.items())
    raise InvalidClientAssertion(f"the key was not found: {said} names no certificate of the application")


def _is_base64_of(thumbprint: bytes, said: str) -> bool:
    return said.rstrip("=") == base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()


def _is_key_id_of(certificate: ClientCertificate, said: str) -> bool:
    """A thumbprint too, as it is in a header or in hexadecimal digits."""
    digits = lowered(said.replace(":", ""))
    thumbprints = (certificate.sha256, certificate.sha1)
    return any(_is_base64_of(each, said) or each.hex() == digits for each in thumbprints)


_NAMES: Mapping[str, Callable[[ClientCertificate, str], bool]] = {
    "x5t#S256": lambda certificate, said: _is_base64_of(certificate.sha256, said),
    "x5t": lambda certificate, said: _is_base64_of(certificate.sha1, said),
    "kid": _is_key_id_of,
}


def _check_signature(sent: SentAssertion, certificate: ClientCertificate) -> None:
    # Here, because X.509 takes 40 ms to load, and few applications have a certificate.
    from vigie.identity.clients.certificates import key_of

    algorithm = sent.read.header.get("alg")
    padding = _PADDINGS.get(algorithm) if isinstance(algorithm, str) else None
    if padding is None:
        raise InvalidClientAssertion(f"its alg is {_quoted(algorithm)}; there are {' and '.join(_PADDINGS)}")
    try:
        refuse_critical(sent.read.header)
        key_of(certificate).verify(sent.read.signature, sent.read.signed, padding, SHA256())
    except InvalidToken as error:
        raise InvalidClientAssertion(error.detail) from error
    except InvalidSignature as error:
        raise InvalidClientAssertion(f"it was not signed with the key of {_shown(certificate)}") from error


def _jti(claims: Mapping[str, Any]) -> str:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti:
        raise InvalidClientAssertion("jti is missing or not a text; it must be new in each assertion")
    return jti


def _moment(claims: Mapping[str, Any], name: str) -> Instant:
    """A numeric date, whole or not: MSAL's have fractions."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise InvalidClientAssertion(f"{name} is missing or not a number of seconds since 1970")
    return instant_from_unix(value)


def _shown(certificate: ClientCertificate) -> str:
    return f"the certificate {certificate.thumbprint}"


def _quoted(value: object) -> str:
    """What came, if it is a text; anything else may be as deep as it likes."""
    return user_text(repr(value[:200])) if isinstance(value, str) else "that is not a text"
