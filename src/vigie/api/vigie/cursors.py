"""Sealed cursors: a place in the change feed, for a reader who must not learn how much lies between two of them.

All are of one length. One opens for its reader alone, and says for which exposure it was made.
"""

import binascii
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import Struct

from vigie.core.access import Caller, Exposure
from vigie.core.instants import Instant

KEY_BYTES = 64
CURSOR_LENGTH = 86
"""In letters: two numbers, the digest of an exposure, a nonce and a tag."""

_NUMBER_BYTES = 8
_DIGEST_BYTES = 16
_NONCE_BYTES = 16
_PURPOSE = b"vigie change cursor 1"


class Cursor(Struct, frozen=True, kw_only=True):
    """A place in the feed as of a moment, and for which exposure it was reached."""

    position: int
    at: Instant
    exposure: bytes


class CursorSealer:
    """Seals places for a reader and opens them again, under the key of the installation."""

    def __init__(self, find_key: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._find_key = find_key
        self._cipher: AESSIV | None = None

    async def load(self) -> None:
        """Get the key, once; it is made with the first cursor. To be awaited before the rest is called."""
        if self._cipher is None:
            self._cipher = AESSIV(await self._find_key(os.urandom(KEY_BYTES)))

    def seal(self, caller: Caller, exposure: Exposure, position: int, at: Instant) -> str:
        """The cursor of a place; never twice the same text."""
        plain = b"".join(
            (
                position.to_bytes(_NUMBER_BYTES, "big"),
                at.to_bytes(_NUMBER_BYTES, "big"),
                digest_of(exposure),
            )
        )
        nonce = os.urandom(_NONCE_BYTES)
        return _to_text(nonce + self._known_cipher().encrypt(plain, [_PURPOSE, _reader(caller), nonce]))

    def unseal(self, caller: Caller, text: str) -> Cursor | None:
        """What this installation has sealed for the same reader; None for anything else."""
        try:
            sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
            plain = self._known_cipher().decrypt(
                sealed[_NONCE_BYTES:], [_PURPOSE, _reader(caller), sealed[:_NONCE_BYTES]]
            )
        except (InvalidTag, binascii.Error, ValueError):
            return None
        # The last letter has bits that mean nothing: one place has no second text.
        if _to_text(sealed) != text:
            return None
        return Cursor(
            position=int.from_bytes(plain[:_NUMBER_BYTES], "big"),
            at=Instant(int.from_bytes(plain[_NUMBER_BYTES : 2 * _NUMBER_BYTES], "big")),
            exposure=plain[2 * _NUMBER_BYTES :],
        )

    def _known_cipher(self) -> AESSIV:
        if self._cipher is None:
            raise LookupError("the key of cursors has not been loaded")
        return self._cipher


def digest_of(exposure: Exposure) -> bytes:
    """What tells one exposure from another."""
    groups = sorted((isinstance(each, int), str(each)) for each in exposure.device_groups)
    said = msgspec.json.encode((exposure.whole_tenant, exposure.every_stub, groups))
    return sha256(said).digest()[:_DIGEST_BYTES]


def _to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _reader(caller: Caller) -> bytes:
    return msgspec.json.encode((caller.tenant_guid, caller.kind.value, *caller.principal))
