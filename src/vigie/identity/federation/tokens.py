"""Tokens of other issuers: which of them one is from, whether it is good, and the caller it proves.

What is taken is an access token, signed by an asymmetric algorithm with a key that its issuer publishes: RFC 9068,
and the older forms of Entra ID and Keycloak. ID tokens, refresh tokens, tokens bound to a key and whatever else an
issuer signs are refused by what they say of themselves.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from vigie.core.access import (
    WHOLE_TENANT,
    Assignment,
    Caller,
    CallerKind,
    RolePermission,
    exposure_of,
)
from vigie.core.directory import DeviceGroup, Role, Tenant
from vigie.core.errors import InvalidToken
from vigie.core.instants import Instant
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.federation.jwk import ALGORITHMS
from vigie.identity.federation.jwks_cache import JwksCache
from vigie.identity.federation.token_types import require_access_token, type_of
from vigie.identity.federation.trusted_issuers import RoleByClaim, TrustedIssuer, UserKey
from vigie.identity.tokens.access_tokens import SignedClaims, checked_validity
from vigie.identity.tokens.jws import ParsedJwt, refuse_critical

_KID_LENGTH_MAX = 256


class ProvenCaller(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of a token, what it says, and whether it grants access to this API."""

    claims: SignedClaims
    caller: Caller
    grants_access: bool


class FederatedTokens:
    """The issuers that are trusted, with their keys, and what their tokens prove."""

    def __init__(
        self,
        issuers: Mapping[TrustedIssuer, JwksCache],
        directory: DirectoryRepository,
        *,
        clock_skew_ticks: int,
        every_stub: bool = False,
    ) -> None:
        self._issuers = issuers
        self._directory = directory
        self._every_stub = every_stub
        self._clock_skew_ticks = clock_skew_ticks

    @property
    def losses(self) -> int:
        """A number that grows whenever a key of an issuer has gone."""
        return sum(keys.losses for keys in self._issuers.values())

    async def refresh(self) -> None:
        """Fetch keys anew that are old."""
        for keys in self._issuers.values():
            await keys.refresh()

    def issuer_of(self, token: ParsedJwt) -> TrustedIssuer | None:
        """Whose token it says it is; None for nobody's that is trusted."""
        url = token.claims.get("iss")
        if not isinstance(url, str):
            return None
        return next((issuer for issuer in self._issuers if issuer.may_have_issued(url)), None)

    async def prove(self, issuer: TrustedIssuer, token: ParsedJwt, now: Instant) -> ProvenCaller:
        """The caller of a token of an issuer. Raises InvalidToken, IssuerUnavailable."""
        kid = await self._check_signature(issuer, token)
        application, audiences = issuer.application_of(token.claims), _audiences(token.claims)
        require_access_token(token.header, token.claims, application=application, audiences=audiences)
        valid_from, valid_until = checked_validity(token.claims, now, self._clock_skew_ticks)
        tenant = await self._tenant(issuer, token.claims)
        kind = issuer.kind_of(token.claims)
        claims = SignedClaims(
            issuer=str(token.claims["iss"]),
            audience=" ".join(audiences),
            tenant_guid=tenant.guid,
            kind=kind,
            application_id=application,
            object_id="" if kind is CallerKind.APPLICATION else issuer.subject_of(token.claims),
            granted=issuer.granted(token.claims, kind),
            valid_from=valid_from,
            valid_until=valid_until,
            expires_at=Instant(valid_until + self._clock_skew_ticks),
            kid=kid,
        )
        caller = await self._caller(issuer, tenant, claims, token.claims)
        return ProvenCaller(
            claims=claims, caller=caller, grants_access=not issuer.audiences.isdisjoint(audiences)
        )

    async def _check_signature(self, issuer: TrustedIssuer, token: ParsedJwt) -> str:
        """Check who signed, and say with which key: one of that issuer's, never one that the token brings."""
        algorithm, kid = _algorithm(token.header), _kid(token.header)
        _require_type(token.header, issuer)
        for key in await self._issuers[issuer].find(kid):
            if key.has_signed(algorithm, token.signature, token.signed):
                if not issuer.may_use_key_of(key.issuer, token.claims):
                    raise InvalidToken("signed with a key that its set keeps for another issuer")
                return kid
        raise InvalidToken(f"not signed with a key of {issuer.url} by {algorithm}")

    async def _tenant(self, issuer: TrustedIssuer, claims: Mapping[str, Any]) -> Tenant:
        reference = issuer.tenant_of(claims)
        tenant = await self._directory.find_tenant(reference)
        names = {tenant.guid, tenant.domain} if tenant else set()
        # Both: that the value means the tenant, and that the issuer may speak for it.
        if tenant is None or reference not in names or issuer.tenants.isdisjoint(names):
            raise InvalidToken(f"tenant {reference!r} is not known here, or not the issuer's to speak for")
        return tenant

    async def _caller(
        self, issuer: TrustedIssuer, tenant: Tenant, claims: SignedClaims, all_claims: Mapping[str, Any]
    ) -> Caller:
        if claims.kind is CallerKind.APPLICATION:
            return Caller(
                tenant_id=tenant.tenant_id,
                tenant_guid=tenant.guid,
                kind=claims.kind,
                application_id=claims.application_id,
                name=claims.application_id,
                granted=claims.granted,
                exposure=WHOLE_TENANT,
                manages=WHOLE_TENANT,
                issuer=claims.issuer,
            )
        name, assignments = await self._user(issuer, tenant, claims.object_id, all_claims)
        return Caller(
            tenant_id=tenant.tenant_id,
            tenant_guid=tenant.guid,
            kind=claims.kind,
            application_id=claims.application_id,
            name=name,
            granted=claims.granted,
            exposure=exposure_of(assignments, every_stub=self._every_stub),
            manages=exposure_of(assignments, RolePermission.MANAGE_INCIDENTS),
            issuer=claims.issuer,
            subject=claims.object_id,
        )

    async def _user(
        self, issuer: TrustedIssuer, tenant: Tenant, subject: str, claims: Mapping[str, Any]
    ) -> tuple[str, list[Assignment]]:
        """The name of a user and what the user may see: by the claims where the issuer's give roles.

        Otherwise by the directory, and then a user has to be there. Raises InvalidToken.
        """
        by_id = issuer.user_is is UserKey.OBJECT_ID
        find = self._directory.find_user if by_id else self._directory.find_user_by_upn
        user = await find(tenant, subject)
        if issuer.roles:
            given = issuer.roles_of(claims)
            known = {role.name: role for role in await self._directory.roles(tenant)}
            groups = await self._directory.device_groups(tenant) if given else []
            assignments = [_assignment(each, known, groups) for each in given]
            return user.upn if user else issuer.name_of(claims), assignments
        if user is None:
            raise InvalidToken("user is not known here, and the claims of the issuer give no roles")
        return user.upn, await self._directory.assignments(tenant, user)


def _algorithm(header: Mapping[str, Any]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise InvalidToken(f"algorithm {str(algorithm)[:20]!r}")
    refuse_critical(header)
    return algorithm


def _kid(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _KID_LENGTH_MAX:
        raise InvalidToken("its header names no key")
    return kid


def _require_type(header: Mapping[str, Any], issuer: TrustedIssuer) -> None:
    if type_of(header) not in issuer.token_types:
        said = str(header.get("typ"))[:40]
        raise InvalidToken(f"type {said!r} is not that of the issuer's access tokens")


def _audiences(claims: Mapping[str, Any]) -> list[str]:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or not all(isinstance(each, str) for each in audiences):
        raise InvalidToken("claim aud is neither a text nor a list of texts")
    return audiences


def _assignment(given: RoleByClaim, roles: Mapping[str, Role], groups: Iterable[DeviceGroup]) -> Assignment:
    # A role that the tenant does not have, or has no longer, carries nothing.
    role = roles.get(given.role)
    named = [group for group in groups if group.name in given.device_groups]
    return Assignment(
        role=given.role,
        permissions=role.permissions if role else frozenset(),
        # A device may name its group by number or, without one, by name.
        device_groups=frozenset(
            label for group in named for label in (group.number, group.name) if label is not None
        ),
        whole_tenant=given.whole_tenant,
    )
