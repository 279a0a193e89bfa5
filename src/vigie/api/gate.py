"""The gate of an API: token, audience, quota, permission. A caller that it admits has an exposure."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from vigie.core.access import Caller, Exposure
from vigie.core.errors import InvalidToken, QuotaExceeded, Refusal, StoreUnavailable, WrongAudience
from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess
from vigie.core.replication import ReplicationPosition
from vigie.http.exchange import ClientGone, Exchange, Scope
from vigie.http.profile import ApiAccess
from vigie.identity.authenticator import Authenticator, CachedToken, key_of
from vigie.identity.tokens.access_tokens import SignedClaims

TOKEN_BYTES_MAX = 16 * 1024


_NO_CHANGE = ""
"""In the place of a change that has ended: the caller has made none."""


class RateLimiter(Protocol):
    """Counts calls by quota and caller."""

    @property
    def is_local(self) -> bool:
        """Whether `spend` answers at once, every time, and never raises. The fast path needs that."""

    def spend(
        self, quota: Quota, caller: tuple[int, str], now: Instant
    ) -> QuotaExcess | Awaitable[QuotaExcess | None] | None:
        """Admit and count a call, or say why it does not fit.

        A limiter in memory answers at once; one that asks another machine gives something to wait for.
        """


class ReadYourWrites(Protocol):
    """Counts calls as a rate limiter does, and keeps the position of the database at each caller's last change."""

    async def spend_on_read(
        self, quota: Quota, caller: tuple[int, str], now: Instant
    ) -> QuotaExcess | ReplicationPosition | None:
        """Admit and count a read, with the position behind all that the caller has changed, None if unknown."""

    async def spend_on_change(
        self, quota: Quota, caller: tuple[int, str], now: Instant, change: str
    ) -> QuotaExcess | None:
        """Admit and count a change, which is under way from now on."""

    async def end(self, caller: tuple[int, str], change: str) -> None:
        """Take note of a change that has been made, before anybody is told."""

    async def call_off(self, caller: tuple[int, str], change: str) -> None:
        """Take note of a change that was refused, or whose caller went away before it was made."""


class CachedAdmission(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller was admitted, for the next time. It is good while `Gate.is_valid` says so."""

    key: bytes
    known: CachedToken
    account: tuple[int, str]
    exposure: Exposure


class Gate:
    """Admits the callers of one API. Order of refusals: 401, also for the audience, 429, 403."""

    def __init__(
        self,
        authenticator: Authenticator,
        rate_limiter: RateLimiter,
        access: ApiAccess,
        *,
        steady_clock: Callable[[], Instant],
        positions: ReadYourWrites | None = None,
    ) -> None:
        self._authenticator = authenticator
        self._rate_limiter = rate_limiter
        self._access = access
        self._positions = positions
        self._steady_clock = steady_clock

    async def admit(
        self, exchange: Exchange, quota: Quota
    ) -> tuple[Caller, Exposure, ReplicationPosition | None]:
        """The caller of a read, its call counted, the exposure with which it is allowed, and as of when at least.

        Without a position the read is as of now. Raises InvalidToken, WrongAudience, QuotaExceeded,
        PermissionMissing.
        """
        caller = await self._find_caller(exchange)
        if self._positions is None:
            await self._spend(quota, caller)
            return caller, self._access.read(caller), None
        spent = await self._positions.spend_on_read(quota, caller.account, self._steady_clock())
        if isinstance(spent, QuotaExcess):
            raise QuotaExceeded(quota, spent)
        return caller, self._access.read(caller), spent

    async def recheck(self, exchange: Exchange, now: Instant) -> tuple[Caller, Exposure]:
        """The caller of an admitted request that is still answered, and the exposure of now; nothing is counted.

        Raises as `admit` does, but for the quota.
        """
        token = _token(exchange.scope)
        known = self._authenticator.recall(key_of(token), now)
        known = known or await self._authenticator.find_caller(token, now)
        if not self._is_open_to(known):
            raise _wrong_audience(known.claims)
        return known.caller, self._access.read(known.caller)

    async def note_told(self, caller: Caller) -> None:
        """Let what a caller reads from now on be no older than the changes that it is about to be told of."""
        if self._positions is not None:
            await self._positions.end(caller.account, _NO_CHANGE)

    @asynccontextmanager
    async def admit_change(self, exchange: Exchange, quota: Quota) -> AsyncIterator[tuple[Caller, Exposure]]:
        """The caller of a change, as `admit` finds it. The block makes the change; nobody is told within it."""
        caller = await self._find_caller(exchange)
        if self._positions is None:
            await self._spend(quota, caller)
            yield caller, self._access.write(caller)
            return
        account, change = caller.account, exchange.request_id
        refused = await self._positions.spend_on_change(quota, account, self._steady_clock(), change)
        if refused is not None:
            raise QuotaExceeded(quota, refused)
        try:
            yield caller, self._access.write(caller)
        # It may have been made, or may yet be.
        except StoreUnavailable:
            raise
        # Nobody goes away while it is made, only before.
        except (Refusal, ClientGone):
            await self._positions.call_off(account, change)
            raise
        await self._positions.end(account, change)

    async def _find_caller(self, exchange: Exchange) -> Caller:
        known = await self._authenticator.find_caller(_token(exchange.scope), exchange.at)
        exchange.caller = known.caller
        if not self._is_open_to(known):
            raise _wrong_audience(known.claims)
        return known.caller

    async def _spend(self, quota: Quota, caller: Caller) -> None:
        refused = self._rate_limiter.spend(quota, caller.account, self._steady_clock())
        if refused is not None and not isinstance(refused, QuotaExcess):
            refused = await refused
        if refused is not None:
            raise QuotaExceeded(quota, refused)

    def cached_admission(self, scope: Scope, now: Instant) -> CachedAdmission | None:
        """The admission to a read of the sender of a request, for later ones; nothing is counted.

        None for a caller that is not known, would be refused for more than a quota, or has to wait for the
        rate limiter.
        """
        if not self._rate_limiter.is_local:
            return None
        try:
            key = key_of(_token(scope))
            known = self._authenticator.recall(key, now)
            if known is None or not self._is_open_to(known):
                return None
            caller = known.caller
            return CachedAdmission(
                key=key, known=known, account=caller.account, exposure=self._access.read(caller)
            )
        except Refusal:
            return None

    def is_valid(self, admission: CachedAdmission, now: Instant) -> bool:
        """Whether `admit` would find the same caller by the same token, without checking it anew."""
        return self._authenticator.recall(admission.key, now) is admission.known

    def readmit(self, admission: CachedAdmission, quota: Quota) -> bool:
        """Count a call by a valid admission, as `admit` does; False, and not counted, over a quota."""
        if self._rate_limiter.spend(quota, admission.account, self._steady_clock()) is not None:
            return False
        self._authenticator.count_lookup("hit")
        return True

    def _is_open_to(self, known: CachedToken) -> bool:
        if known.grants_access is None:
            return self._access.is_audience(known.claims.audience)
        return self._access.accepts_other_issuers and known.grants_access


def _wrong_audience(claims: SignedClaims) -> WrongAudience:
    return WrongAudience(
        application=claims.application_id,
        audience=claims.audience,
        issuer=claims.issuer,
        valid_from=claims.valid_from,
        valid_until=claims.valid_until,
    )


def _token(scope: Scope) -> str:
    """The bearer token; OpenCTI sends it without the word. docs/api/clients.md."""
    values: list[bytes] = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(values) != 1:
        raise InvalidToken("no Authorization header" if not values else "several Authorization headers")
    if len(values[0]) > TOKEN_BYTES_MAX:
        raise InvalidToken(f"Authorization header of {len(values[0])} bytes")
    scheme, blank, token = values[0].decode("latin-1").strip().partition(" ")
    if not blank and "." in scheme:
        return scheme
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken("no bearer token in the Authorization header")
    return token.strip()
