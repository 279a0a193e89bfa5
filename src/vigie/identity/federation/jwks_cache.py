"""The keys of another issuer as they are known here: fetched when they are needed, kept while it is away."""

import asyncio
from collections.abc import Awaitable, Callable
from math import ceil

import msgspec

from vigie.core.errors import IssuerUnavailable
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.federation.jwk import VerificationKey
from vigie.identity.federation.oidc_discovery import KeySet, NotPublished, read_discovery, read_key_set

FETCH_EVERY_SECONDS = 60
"""How often an issuer is asked at most, whatever tokens come."""

FIRST_FETCH_EVERY_SECONDS = 10
"""The same until it has answered for the first time: nothing of it works before."""

STALE_SECONDS = 600
"""After how long the keys are fetched anew without being asked for."""

WAITING_MAX = 100
"""How many requests may wait for one fetch; the others are told to come again."""


class FetchFailed(Exception):
    """Nothing came, or nothing that may be read; the message says why."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """How a fetch ended: how many keys it brought, or why none."""

    issuer: str
    key_count: int = 0
    failure: str = ""


class JwksCache:
    """The keys of one issuer. Fetches run beside the requests, one at a time; who needs one waits for it."""

    def __init__(
        self,
        issuer: str,
        discovery_url: str,
        *,
        fetch: Callable[[str], Awaitable[bytes]],
        steady_clock: Callable[[], Instant],
        on_fetched: Callable[[Fetched], None],
    ) -> None:
        self._issuer = issuer
        self._discovery_url = discovery_url
        self._fetch = fetch
        self._steady_clock = steady_clock
        self._on_fetched = on_fetched
        self._keys: KeySet = {}
        self._failure = ""
        self._began_at: Instant | None = None
        self._under_way: asyncio.Task[None] | None = None
        self._waiting_count = 0
        self.losses = 0
        """How often a key has gone: what it has signed must not be believed any longer."""

    async def find(self, kid: str) -> tuple[VerificationKey, ...]:
        """The keys of that id. Raises IssuerUnavailable when the issuer cannot be asked for one not known."""
        if kid not in self._keys:
            await self._fetched()
            if kid not in self._keys and self._failure:
                wait = self._hold_seconds() - self._seconds_since_fetch()
                raise IssuerUnavailable(self._failure, retry_after_seconds=max(1, ceil(wait)))
        return self._keys.get(kid, ())

    async def refresh(self) -> None:
        """Fetch the keys anew if they are old. Those of an issuer that was never needed are not fetched."""
        is_known = self._began_at is not None and self._under_way is None
        if is_known and self._seconds_since_fetch() >= STALE_SECONDS:
            await self._fetched()

    async def _fetched(self) -> None:
        """Wait for the fetch that is under way, or begin one if it is time for it."""
        if self._under_way is None:
            if self._seconds_since_fetch() < self._hold_seconds():
                return
            self._began_at = self._steady_clock()
            self._under_way = asyncio.create_task(self._fetch_keys(), name=f"fetch {self._issuer}")
        if self._waiting_count >= WAITING_MAX:
            raise IssuerUnavailable(f"{WAITING_MAX} requests wait for its keys", retry_after_seconds=5)
        self._waiting_count += 1
        try:
            # Shielded: that one caller goes away must not end it for the others.
            await asyncio.shield(self._under_way)
        finally:
            self._waiting_count -= 1

    def _hold_seconds(self) -> int:
        return FETCH_EVERY_SECONDS if self._keys else FIRST_FETCH_EVERY_SECONDS

    def _seconds_since_fetch(self) -> float:
        if self._began_at is None:
            return float("inf")
        return (self._steady_clock() - self._began_at) / TICKS_PER_SECOND

    async def _fetch_keys(self) -> None:
        try:
            url = read_discovery(await self._fetch(self._discovery_url), self._issuer)
            self._take(read_key_set(await self._fetch(url)))
            self._failure = ""
        except (FetchFailed, NotPublished) as error:
            self._failure = str(error)
        finally:
            self._under_way = None
        self._on_fetched(Fetched(issuer=self._issuer, key_count=len(self._keys), failure=self._failure))

    def _take(self, keys: KeySet) -> None:
        if any(key not in keys.get(kid, ()) for kid, known in self._keys.items() for key in known):
            self.losses += 1
        self._keys = keys
