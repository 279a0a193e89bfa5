"""The authenticator: the caller that a token proves, checked once and cached until something changes.

The tokens of this installation and those of other issuers go one way, and no further than to their own keys.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from vigie.core.access import (
    WHOLE_TENANT,
    Caller,
    CallerKind,
    Exposure,
    RolePermission,
    effective_permissions,
    exposure_of,
)
from vigie.core.directory import Application, Tenant
from vigie.core.errors import InvalidToken
from vigie.core.instants import Instant
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.tokens.access_tokens import USER_CLIENT_ID, SignedClaims, check_token, issuer_of
from vigie.identity.tokens.jws import parse_jwt

if TYPE_CHECKING:
    from vigie.identity.federation.tokens import FederatedTokens

CacheVersion = tuple[int, str, int]
"""Of the directory, of our own keys, and of those of other issuers."""

_Subject = tuple[object, ...]
"""All that a token of ours says but its times, its key and for whom it is."""


class CachedToken(msgspec.Struct, frozen=True):
    """A checked token: what it says, and the caller it stood for at a `version` of directory and keys.

    `grants_access`: whether another issuer's token is for this API. None: the audience of our own tokens says so.
    """

    claims: SignedClaims
    caller: Caller
    version: CacheVersion
    grants_access: bool | None = None


class Authenticator:
    """Finds the caller of a token. Good ones are remembered by their SHA-256, the oldest forgotten first.

    Refused ones are not remembered: there is no end of them. `refresh` must be called whenever the directory
    or the keys may have changed; until then a revoked caller is still known.

    Without a `ring` there are no tokens of our own. With `every_stub` users see what is left of each merged
    incident.
    """

    def __init__(
        self,
        directory: DirectoryRepository,
        records: SignInRepository,
        ring: KeyRing | None,
        *,
        issuer: str,
        clock_skew_ticks: int,
        size_max: int,
        count_lookup: Callable[[str], None],
        federated: "FederatedTokens | None" = None,
        every_stub: bool = False,
    ) -> None:
        self._directory = directory
        self._records = records
        self._ring = ring
        self._issuer = issuer
        self._clock_skew_ticks = clock_skew_ticks
        self._size_max = size_max
        self._known: OrderedDict[bytes, CachedToken] = OrderedDict()
        self._version: CacheVersion = (0, "", 0)
        self._callers: dict[_Subject, Caller] = {}
        self.count_lookup = count_lookup
        self._federated = federated
        self._every_stub = every_stub

    async def refresh(self, ring: KeyRing | None) -> None:
        """See what has changed in the directory and among the keys."""
        version = await self._directory_version()
        losses = self._federated.losses if self._federated else 0
        self._version = (version, ring.current.kid if ring else "", losses)
        if ring != self._ring:
            self._ring = ring
            self._known.clear()

    async def find_caller(self, token: str, now: Instant) -> CachedToken:
        """The caller that a token proves, and what it says. Raises InvalidToken, IssuerUnavailable."""
        key = key_of(token)
        known = self.recall(key, now)
        if known is not None:
            self.count_lookup("hit")
            return known
        self.count_lookup("miss")
        known = await self._check(token, now)
        self._remember(key, known)
        return known

    def recall(self, key: bytes, now: Instant) -> CachedToken | None:
        """What is remembered of the token of a key, as long as it is good; None leaves it to be checked."""
        known = self._known.get(key)
        if known is None or known.version != self._version or now >= known.claims.expires_at:
            return None
        return known

    async def _check(self, token: str, now: Instant) -> CachedToken:
        read, version = parse_jwt(token), self._version
        if self._federated and (issuer := self._federated.issuer_of(read)):
            proven = await self._federated.prove(issuer, read, now)
            return CachedToken(proven.claims, proven.caller, version, proven.grants_access)
        if self._ring is None:
            raise InvalidToken("issuer is none of those that are trusted")
        claims = check_token(read, self._ring, now=now, clock_skew_ticks=self._clock_skew_ticks)
        # A token that is new here is held against the directory of now, not of the last time somebody looked.
        directory_version = await self._directory_version()
        return CachedToken(claims, await self._caller_of(claims), (directory_version, *version[1:]))

    async def _directory_version(self) -> int:
        """The version of now, or a later one that somebody has met meanwhile."""
        met = self._version[0]
        version = await self._directory.version()
        # An answer that was overtaken by a later one must not bring back what has been revoked between them; one
        # that was not may be lower, where a backup was restored.
        if version > self._version[0] or (version < met and self._version[0] == met):
            self._version = (version, *self._version[1:])
            # Another one, rather than this one emptied: who is being looked up at the moment is of before.
            self._callers = {}
        return self._version[0]

    def _remember(self, key: bytes, known: CachedToken) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        if len(self._known) > self._size_max:
            self._known.popitem(last=False)

    async def _caller_of(self, claims: SignedClaims) -> Caller:
        """Whom claims stand for; it is looked up once for all tokens that differ in their times alone."""
        callers, subject = self._callers, _subject_of(claims)
        caller = callers.get(subject)
        if caller is None:
            caller = await self._look_up(claims)
            if len(callers) < self._size_max:
                callers[subject] = caller
        return caller

    async def _look_up(self, claims: SignedClaims) -> Caller:
        tenant = await self._directory.find_tenant(claims.tenant_guid)
        if tenant is None or tenant.guid != claims.tenant_guid:
            raise InvalidToken("tenant is not known here")
        if claims.issuer != issuer_of(self._issuer, tenant.guid):
            raise InvalidToken("issuer is not the tenant's")
        if claims.kind is CallerKind.USER:
            return await self._user(tenant, claims)
        return await self._application(tenant, claims)

    async def _application(self, tenant: Tenant, claims: SignedClaims) -> Caller:
        application = await self._find_application(tenant, claims)
        return _caller(
            tenant,
            claims,
            name=application.name,
            granted=effective_permissions(claims.granted, application.permissions),
            exposure=WHOLE_TENANT,
            manages=WHOLE_TENANT,
        )

    async def _user(self, tenant: Tenant, claims: SignedClaims) -> Caller:
        user = await self._directory.find_user(tenant, claims.object_id)
        if user is None or user.object_id != claims.object_id:
            raise InvalidToken("user has been removed")
        granted = claims.granted
        if claims.application_id != USER_CLIENT_ID:
            application = await self._find_application(tenant, claims)
            granted = effective_permissions(granted, application.delegated_permissions)
        if claims.family_id is not None and not await self._records.has_family(tenant, claims.family_id):
            raise InvalidToken("what it came of has ended: revoked, or used twice")
        assignments = await self._directory.assignments(tenant, user)
        return _caller(
            tenant,
            claims,
            name=user.upn,
            granted=granted,
            exposure=exposure_of(assignments, every_stub=self._every_stub),
            manages=exposure_of(assignments, RolePermission.MANAGE_INCIDENTS),
        )

    async def _find_application(self, tenant: Tenant, claims: SignedClaims) -> Application:
        application = await self._directory.find_application(tenant, claims.application_id)
        if application is None or application.client_id != claims.application_id:
            raise InvalidToken("application has been removed")
        return application


def _subject_of(claims: SignedClaims) -> _Subject:
    return (
        claims.issuer,
        claims.tenant_guid,
        claims.kind,
        claims.application_id,
        claims.object_id,
        claims.granted,
        claims.family_id,
    )


def key_of(token: str) -> bytes:
    """Under what a token is remembered, so that memory holds none."""
    return hashlib.sha256(token.encode()).digest()


def _caller(
    tenant: Tenant,
    claims: SignedClaims,
    *,
    name: str,
    granted: tuple[str, ...],
    exposure: Exposure | None,
    manages: Exposure | None,
) -> Caller:
    return Caller(
        tenant_id=tenant.tenant_id,
        tenant_guid=tenant.guid,
        kind=claims.kind,
        application_id=claims.application_id,
        name=name,
        granted=granted,
        exposure=exposure,
        manages=manages,
    )
