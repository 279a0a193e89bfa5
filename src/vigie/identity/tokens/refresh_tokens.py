"""The life of a token family: how it begins, what the use of a refresh token makes of it, and when it ends.

A refresh token is a handle, which names its family, and a secret, of which only the last one counts. By default it
stays the same, for Entra ID's stay good too. Where refresh tokens are single-use each use makes another secret, and
an older one is a sign of theft: one of two parties has copied it, and nobody can tell which, so the family ends
(RFC 9700, 4.14.2). docs/decisions/0008-refresh-tokens-name-their-family.md.
"""

import base64
import hashlib
import hmac
import secrets
import uuid

import msgspec
from msgspec.structs import replace

from vigie.core.client_secrets import hash_secret, new_secret
from vigie.core.instants import Instant
from vigie.core.oauth_records import Consent, TokenFamily

_SALT_BYTES = 32
_TOKEN_LENGTH_MAX = 200


class RefreshToken(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token in its two parts."""

    handle: str
    secret: str

    def __str__(self) -> str:
        return f"{self.handle}.{self.secret}"

    @property
    def handle_sha256(self) -> bytes:
        """What is kept of the handle."""
        return hash_secret(self.handle)


def read_refresh_token(text: str) -> RefreshToken | None:
    """A refresh token as it came; None for what was never one of ours."""
    handle, dot, secret = text.partition(".")
    is_one = len(text) <= _TOKEN_LENGTH_MAX and bool(dot and handle and secret)
    return RefreshToken(handle=handle, secret=secret) if is_one else None


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a family when a refresh token is brought. `family` is None when that ends it.

    `token` is the refresh token to go on with; None when there is none to give.
    """

    family: TokenFamily | None
    token: RefreshToken | None = None
    is_expired: bool = False


class RefreshTokenRotation(msgspec.Struct, frozen=True, kw_only=True):
    """How long tokens live, in ticks. Access tokens are good for `access_ticks`, clock skew included."""

    access_ticks: int
    idle_ticks: int
    absolute_ticks: int
    retry_ticks: int
    is_single_use: bool

    def begin(
        self, *, client_id: str, object_id: str, consent: Consent, signed_in_at: Instant, now: Instant
    ) -> tuple[TokenFamily, RefreshToken | None]:
        """A new family, with its first refresh token if one was asked for."""
        token = RefreshToken(handle=new_secret(), secret=new_secret()) if consent.wants_refresh else None
        ends_at = Instant(now + self.absolute_ticks) if token else now
        idle_until = Instant(min(now + self.idle_ticks, ends_at))
        family = TokenFamily(
            family_id=str(uuid.uuid4()),
            client_id=client_id,
            object_id=object_id,
            consent=consent,
            signed_in_at=signed_in_at,
            ends_at=ends_at,
            idle_until=idle_until,
            kept_until=Instant(max(idle_until, now + self.access_ticks)),
            rotated_at=now,
            handle_sha256=token.handle_sha256 if token else None,
            current_sha256=hash_secret(token.secret) if token else None,
        )
        return family, token

    def rotate(self, family: TokenFamily, sent: RefreshToken, now: Instant) -> Rotation:
        """What becomes of a family, of which `sent` has the handle, when that token is brought."""
        sha256 = hash_secret(sent.secret)
        if _is(family.current_sha256, sha256):
            if now >= family.idle_until:
                return Rotation(family=family, is_expired=True)
            return self._advance(family, sent, now) if self.is_single_use else self._go_on(family, sent, now)
        if not self.is_single_use:
            return Rotation(family=family)
        may_be_retried = now < family.rotated_at + self.retry_ticks
        if _is(family.previous_sha256, sha256) and family.successor_salt and may_be_retried:
            # The answer was lost, or two threads asked at once: they get the same token, not another one.
            successor = _successor(sent, family.successor_salt)
            return Rotation(family=self._kept_longer(family, now), token=successor)
        return Rotation(family=None)

    def _go_on(self, family: TokenFamily, sent: RefreshToken, now: Instant) -> Rotation:
        used = replace(family, idle_until=self._idle_until(family, now))
        return Rotation(family=self._kept_longer(used, now), token=sent)

    def _advance(self, family: TokenFamily, sent: RefreshToken, now: Instant) -> Rotation:
        salt = secrets.token_bytes(_SALT_BYTES)
        successor = _successor(sent, salt)
        advanced = replace(
            family,
            idle_until=self._idle_until(family, now),
            rotated_at=now,
            current_sha256=hash_secret(successor.secret),
            previous_sha256=family.current_sha256,
            successor_salt=salt,
        )
        return Rotation(family=self._kept_longer(advanced, now), token=successor)

    def _idle_until(self, family: TokenFamily, now: Instant) -> Instant:
        return Instant(min(now + self.idle_ticks, family.ends_at))

    def _kept_longer(self, family: TokenFamily, now: Instant) -> TokenFamily:
        """At least until the access token expires that is issued now."""
        until = max(family.kept_until, family.idle_until, now + self.access_ticks)
        return replace(family, kept_until=Instant(until))


def _successor(sent: RefreshToken, salt: bytes) -> RefreshToken:
    """The token after one: from that and the salt, which is kept for one step only, it can be made again."""
    digest = hmac.digest(salt, sent.secret.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return replace(sent, secret=base64.urlsafe_b64encode(digest).rstrip(b"=").decode())


def _is(kept: bytes | None, sha256: bytes) -> bool:
    return kept is not None and hmac.compare_digest(kept, sha256)
