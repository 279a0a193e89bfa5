"""Access tokens: their claims, their signature, and the caller that a checked one proves.

Tokens have Microsoft's version 1 form, whichever endpoint they come from: the resource decides the version, and
these resources ask for version 1. Source: docs/api/tokens.md, "Access token claims".
"""

import json
import secrets
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from vigie.core.access import CallerKind
from vigie.core.errors import InvalidToken
from vigie.core.instants import Instant, instant_from_unix
from vigie.core.letter_case import lowered
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.keys.key_ring import KeyRing, SigningKey
from vigie.identity.tokens.jws import ParsedJwt, encoded, refuse_critical

USER_CLIENT_ID = "0f1e9c5b-7a34-4d0b-9d4e-56a1e0c7b2d8"
"""The client id in tokens that `vigie token --user` prints: Vigie itself, the same in every installation."""

_ALGORITHM = "RS256"
_ACCESS_TOKEN_TYPES = ("app", "user")


class ClientAuthMethod(Enum):
    """The way in which an application authenticated, in Microsoft's numbers."""

    NONE = "0"
    SECRET = "1"  # noqa: S105  a number of Microsoft's
    CERTIFICATE = "2"


class SignedClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says, its signature and its times checked: made by `check_token`, or by `federated_tokens`.

    `expires_at` is when it is refused from: the clock skew behind `valid_until`, which it says itself.
    """

    issuer: str
    audience: str
    tenant_guid: str
    kind: CallerKind
    application_id: str
    object_id: str
    granted: tuple[str, ...]
    valid_from: Instant | None
    valid_until: Instant
    expires_at: Instant
    kid: str
    family_id: str | None = None


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a token is to say. With the family that `family_id` names, it ends before its time."""

    issuer: str
    audience: str
    tenant_guid: str
    kind: CallerKind
    application_id: str
    application_name: str
    object_id: str
    upn: str | None = None
    granted: tuple[str, ...] = ()
    auth_method: ClientAuthMethod = ClientAuthMethod.NONE
    family_id: str | None = None


class IdTokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an application is to learn about who signed in."""

    issuer: str
    tenant_guid: str
    client_id: str
    object_id: str
    upn: str
    nonce: str | None
    version: EndpointVersion


def issuer_of(base: str, tenant_guid: str) -> str:
    """The issuer of a tenant's tokens: fixed for an installation and tenant, whatever host is called."""
    return f"{base}/{tenant_guid}/"


def issue_token(request: TokenRequest, key: SigningKey, *, now_seconds: int, lifetime_seconds: int) -> str:
    """Sign an access token."""
    claims: dict[str, object] = {
        "aud": request.audience,
        "iss": request.issuer,
        "iat": now_seconds,
        # A token that is already dead, made for a test of an expired one, must not also be from the future.
        "nbf": now_seconds + min(0, lifetime_seconds),
        "exp": now_seconds + lifetime_seconds,
        "appid": request.application_id,
        "app_displayname": request.application_name,
        "appidacr": request.auth_method.value,
        "idp": request.issuer,
        "oid": request.object_id,
        "sub": request.object_id,
        "tid": request.tenant_guid,
        "uti": secrets.token_urlsafe(16),
        "ver": "1.0",
        **_grant(request),
    }
    return _signed(claims, key)


def issue_id_token(
    request: IdTokenRequest, key: SigningKey, *, now_seconds: int, lifetime_seconds: int
) -> str:
    """Sign an id token. It opens no API: its audience is the application."""
    claims: dict[str, object] = {
        "aud": request.client_id,
        "iss": request.issuer,
        "iat": now_seconds,
        "nbf": now_seconds,
        "exp": now_seconds + lifetime_seconds,
        "name": request.upn,
        "oid": request.object_id,
        "sub": request.object_id,
        "tid": request.tenant_guid,
        "uti": secrets.token_urlsafe(16),
        "ver": request.version.value,
        **dict.fromkeys(request.version.user_name_claims, request.upn),
        **({} if request.nonce is None else {"nonce": request.nonce}),
    }
    return _signed(claims, key)


def check_token(token: ParsedJwt, ring: KeyRing, *, now: Instant, clock_skew_ticks: int) -> SignedClaims:
    """What a token proves. Raises InvalidToken, with the reason for the log, when that is nothing.

    Algorithm and key are ours to choose, never the token's: only RS256, only our keys by their id; headers
    such as `jku`, `x5u` and `jwk` are not looked at.
    """
    header = token.header
    if header.get("alg") != _ALGORITHM:
        raise InvalidToken(f"algorithm {str(header.get('alg'))[:20]!r}")
    refuse_critical(header)
    key = ring.find(str(header.get("kid")), now)
    if key is None:
        raise InvalidToken("signed with a key that is not ours, or not any more")
    if not key.has_signed(token.signature, token.signed):
        raise InvalidToken("signature is not that of the key")
    return _claims(token.claims, key.kid, now, clock_skew_ticks)


def _signed(claims: Mapping[str, object], key: SigningKey) -> str:
    header = {"typ": "JWT", "alg": _ALGORITHM, "kid": key.kid, "x5t": key.kid}
    signed = b".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    return b".".join((signed, encoded(key.sign(signed)))).decode()


def _grant(request: TokenRequest) -> dict[str, object]:
    if request.kind is CallerKind.APPLICATION:
        roles = {"roles": list(request.granted)} if request.granted else {}
        return {"idtyp": "app", **roles}
    return {
        "idtyp": "user",
        "scp": " ".join(request.granted),
        "upn": request.upn,
        "unique_name": request.upn,
        **({} if request.family_id is None else {"sid": request.family_id}),
    }


def _claims(claims: Mapping[str, Any], kid: str, now: Instant, skew: int) -> SignedClaims:
    # Every access token of ours has it, and no id token.
    if claims.get("idtyp") not in _ACCESS_TOKEN_TYPES:
        raise InvalidToken("claim idtyp is missing, so it is no access token")
    valid_from, valid_until = checked_validity(claims, now, skew)
    kind = CallerKind.USER if "scp" in claims else CallerKind.APPLICATION
    return SignedClaims(
        issuer=_text(claims, "iss"),
        audience=_text(claims, "aud"),
        tenant_guid=lowered(_text(claims, "tid")),
        kind=kind,
        application_id=_text(claims, "appid" if "appid" in claims else "azp"),
        object_id=_text(claims, "oid"),
        granted=_granted(claims, kind),
        valid_from=valid_from,
        valid_until=valid_until,
        expires_at=Instant(valid_until + skew),
        kid=kid,
        family_id=_text(claims, "sid") if "sid" in claims else None,
    )


def checked_validity(
    claims: Mapping[str, Any], now: Instant, clock_skew_ticks: int
) -> tuple[Instant | None, Instant]:
    """From when, if it says so, and until when a token is good. Raises InvalidToken unless it is good now."""
    valid_until = _moment(claims, "exp")
    if now >= valid_until + clock_skew_ticks:
        raise InvalidToken("expired")
    valid_from = _moment(claims, "nbf") if "nbf" in claims else None
    if valid_from is not None and now < valid_from - clock_skew_ticks:
        raise InvalidToken("not valid yet")
    return valid_from, valid_until


def _granted(claims: Mapping[str, Any], kind: CallerKind) -> tuple[str, ...]:
    if kind is CallerKind.USER:
        return tuple(_text(claims, "scp").split())
    roles = claims.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidToken("claim roles is not a list of names")
    return tuple(roles)


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        raise InvalidToken(f"claim {name} is missing or not a text")
    return value


def _moment(claims: Mapping[str, Any], name: str) -> Instant:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e11:
        raise InvalidToken(f"claim {name} is missing or not a time")
    return instant_from_unix(value)
