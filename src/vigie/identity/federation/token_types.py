"""The types of an issuer's tokens: access tokens are told from ID tokens and from everything else it signs.

Source of the rule: docs/divergences.md, "Access tokens of other issuers".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from vigie.core.errors import InvalidToken
from vigie.core.letter_case import lowered
from vigie.identity.federation.trusted_issuers import TokenType

_KIND_CLAIMS: Mapping[str, tuple[str, ...]] = {"typ": ("Bearer",), "idtyp": ("app", "user")}
"""Claims that say what a token is, with what they are in access tokens: Keycloak's and Entra ID's."""

# Logout tokens have the first; the second binds a token to a key whose possession nobody has proven here.
_CLAIMS_OF_OTHERS = ("events", "cnf")
_CLAIMS_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash", "s_hash")
# The last two are Entra ID's: how the client has proven itself.
_CLAIMS_OF_ACCESS_TOKENS = ("scope", "scp", "permissions", "azpacr", "appidacr")


def type_of(header: Mapping[str, Any]) -> TokenType | None:
    """The type that the header of a token says it has; None for one that is none of ours."""
    said = header.get("typ", TokenType.ANY)
    # RFC 7515, 4.1.9: in any case of the letters, and with application/ in front or without.
    spelled = lowered(said).removeprefix("application/") if isinstance(said, str) else None
    return next((each for each in TokenType if lowered(each) == spelled), None)


def require_access_token(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, application: str, audiences: Sequence[str]
) -> None:
    """Raise InvalidToken unless a token is an access token: it says so, or does not look like an ID token.

    `application` and `audiences` are what its claims say. What it says in its header goes before how it looks.
    """
    for name in _CLAIMS_OF_OTHERS:
        if name in claims:
            raise InvalidToken(f"claim {name} is there, so it is no bearer token for an API")
    said_in_header = type_of(header) is TokenType.ACCESS_TOKEN
    if not _is_said_in_claims(claims) and not said_in_header:
        _refuse_id_token(claims, application, audiences)


def _is_said_in_claims(claims: Mapping[str, Any]) -> bool:
    """Whether a claim says that it is an access token. Raises InvalidToken where one says something else."""
    for name, kinds in _KIND_CLAIMS.items():
        said = claims.get(name)
        if said is not None and said not in kinds:
            raise InvalidToken(f"claim {name} is {str(said)[:20]!r}, so it is no access token")
    return any(claims.get(name) is not None for name in _KIND_CLAIMS)


def _refuse_id_token(claims: Mapping[str, Any], application: str, audiences: Sequence[str]) -> None:
    for name in _CLAIMS_OF_ID_TOKENS:
        if name in claims:
            raise InvalidToken(f"claim {name} is there, so it is an ID token")
    if not claims.keys().isdisjoint(_CLAIMS_OF_ACCESS_TOKENS):
        return
    # OpenID Connect Core, 2: an ID token is for the client. Access tokens of some name it beside the API.
    if set(audiences) == {application}:
        raise InvalidToken(
            "its audience is the application itself and it has no scopes, so it is an ID token"
        )
    if "auth_time" in claims and "roles" not in claims:
        raise InvalidToken("claim auth_time is there without scopes or roles, so it is an ID token")
