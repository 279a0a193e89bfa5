"""Trusted issuers: the tenants that each may speak for, and the meaning of its claims here."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from vigie.core.access import (
    APPLICATION_PERMISSIONS,
    DELEGATED_PERMISSIONS,
    CallerKind,
)
from vigie.core.errors import InvalidToken
from vigie.core.letter_case import lowered
from vigie.identity.federation.claim_paths import first_name, name_at, texts_at, value_at

TENANT_IN_URL = "{tenantid}"
"""What stands for the tenant in the issuer of Entra ID's tokens for many tenants."""

PERMISSIONS = (*APPLICATION_PERMISSIONS, *DELEGATED_PERMISSIONS)

_PERMISSIONS_OF = {
    CallerKind.APPLICATION: APPLICATION_PERMISSIONS,
    CallerKind.USER: DELEGATED_PERMISSIONS,
}


class TokenType(StrEnum):
    """What the header of an access token says it is: RFC 9068, or nothing more than that it is a token."""

    ACCESS_TOKEN = "at+jwt"  # noqa: S105  not a password
    ANY = "JWT"


class UserKey(StrEnum):
    """By what a user's claim is looked up in the directory: never by either, for people may choose a name."""

    UPN = "upn"
    OBJECT_ID = "object-id"


class ApplicationMark(msgspec.Struct, frozen=True, kw_only=True):
    """What tells the token of an application from that of a user. Without any, every token is a user's."""

    present: str = ""
    absent: str = ""
    same: tuple[str, ...] = ()

    def is_on(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token is an application's."""
        if self.present:
            return value_at(claims, self.present) is not None
        if self.absent:
            return value_at(claims, self.absent) is None
        if not self.same:
            return False
        first, second = (name_at(claims, path) for path in self.same)
        return first is not None and first == second


class RoleByClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A role for users with a value among their claims, over the whole tenant or over some device groups."""

    value: str
    role: str
    device_groups: tuple[str, ...] = ()
    whole_tenant: bool = False


# Told apart by which one it is: the settings let no two be for the same tokens.
class TrustedIssuer(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An issuer, and all that its tokens can do. What is not said here they cannot.

    `url` is what their `iss` has to be; it may hold `{tenantid}` for the value of `tenant_claim`. `tenants` are
    ids or domains. Paths of claims are those of `claim_paths`.
    """

    url: str
    discovery_url: str
    ca: str = ""
    audiences: frozenset[str]
    tenants: frozenset[str]
    tenant_claim: str = ""
    token_types: frozenset[TokenType] = frozenset({TokenType.ACCESS_TOKEN})
    applications: frozenset[str] = frozenset()
    application_when: ApplicationMark = ApplicationMark()
    application_from: tuple[str, ...]
    user_from: tuple[str, ...]
    user_is: UserKey = UserKey.UPN
    user_name_from: tuple[str, ...] = ()
    application_permissions_from: tuple[str, ...] = ()
    user_permissions_from: tuple[str, ...] = ()
    permissions: Mapping[str, tuple[str, ...]]
    may_grant: frozenset[str]
    roles_from: tuple[str, ...] = ()
    roles: tuple[RoleByClaim, ...] = ()

    def may_have_issued(self, url: str) -> bool:
        """Whether a token with this `iss` can be one of this issuer."""
        before, template, after = self.url.partition(TENANT_IN_URL)
        if not template:
            return url == self.url
        return len(url) > len(before + after) and url.startswith(before) and url.endswith(after)

    def tenant_of(self, claims: Mapping[str, Any]) -> str:
        """The tenant that a token is for, as this issuer may name it. Raises InvalidToken."""
        named = name_at(claims, self.tenant_claim) if self.tenant_claim else next(iter(self.tenants))
        if claims.get("iss") != self.url.replace(TENANT_IN_URL, named or ""):
            raise InvalidToken("issuer is not the tenant's")
        if named is None:
            raise InvalidToken(f"claim {self.tenant_claim} is missing, and names the tenant")
        return lowered(named)

    def kind_of(self, claims: Mapping[str, Any]) -> CallerKind:
        """Whose token it is."""
        return CallerKind.APPLICATION if self.application_when.is_on(claims) else CallerKind.USER

    def application_of(self, claims: Mapping[str, Any]) -> str:
        """The application that the token was issued to. Raises InvalidToken."""
        application = _required(claims, self.application_from)
        if self.applications and application not in self.applications:
            raise InvalidToken(f"application {application!r} is not among those of the issuer")
        return application

    def subject_of(self, claims: Mapping[str, Any]) -> str:
        """Who the user is at the issuer. Raises InvalidToken."""
        return _required(claims, self.user_from)

    def name_of(self, claims: Mapping[str, Any]) -> str:
        """How the user is called in comments and in the history. Raises InvalidToken."""
        return first_name(claims, self.user_name_from) or self.subject_of(claims)

    def granted(self, claims: Mapping[str, Any], kind: CallerKind) -> tuple[str, ...]:
        """The permissions of a token: those of its kind that the issuer may grant, in the order of the API."""
        paths = (
            self.application_permissions_from
            if kind is CallerKind.APPLICATION
            else self.user_permissions_from
        )
        said = texts_at(claims, paths)
        meant = {name for text in said for name in self.permissions.get(text, (text,))}
        return tuple(name for name in _PERMISSIONS_OF[kind] if name in meant & self.may_grant)

    def roles_of(self, claims: Mapping[str, Any]) -> tuple[RoleByClaim, ...]:
        """The roles that the claims of a user give."""
        said = frozenset(texts_at(claims, self.roles_from))
        return tuple(each for each in self.roles if each.value in said)

    def may_use_key_of(self, key_issuer: str | None, claims: Mapping[str, Any]) -> bool:
        """Whether a key that its set keeps for one issuer may sign a token of these claims."""
        return key_issuer is None or TENANT_IN_URL in key_issuer or key_issuer == claims.get("iss")


def _required(claims: Mapping[str, Any], paths: tuple[str, ...]) -> str:
    name = first_name(claims, paths)
    if name is None:
        raise InvalidToken(f"none of the claims {', '.join(paths)} is there")
    return name
