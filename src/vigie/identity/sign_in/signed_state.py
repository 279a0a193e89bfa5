"""Signed state: texts that a browser brings back unchanged, under keys that all servers of a cluster share."""

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vigie.core.instants import Instant
from vigie.identity.keys.key_ring import KeyRing, SigningKey

_KEY_BYTES = 32
_TIME_BYTES = 8


class StateSigner:
    """Signs texts and verifies them. The holder of one can read what is inside, but not make or change it.

    The keys are derived from the signing keys, one for each purpose: what is signed for one is not accepted for
    another. A key that has been rotated away is accepted for as long as its tokens are.
    """

    def __init__(self, ring: Callable[[], KeyRing]) -> None:
        self._ring = ring

    def sign(self, purpose: str, bound_to: str, content: bytes, *, expires_at: Instant) -> str:
        """A text of letters, digits, `-`, `_` and one `.` that `verify` takes back together with `bound_to`."""
        timed = expires_at.to_bytes(_TIME_BYTES, "big") + content
        mac = _mac(self._ring().current, purpose, bound_to, timed)
        return f"{_to_text(timed)}.{_to_text(mac)}"

    def verify(self, purpose: str, bound_to: str, text: str, now: Instant) -> bytes | None:
        """What was signed; None for what this installation did not sign so, or what has expired."""
        content, _, signature = text.partition(".")
        timed, mac = _from_text(content), _from_text(signature)
        if timed is None or mac is None:
            return None
        keys = self._ring().accepted(now)
        if not any(hmac.compare_digest(mac, _mac(key, purpose, bound_to, timed)) for key in keys):
            return None
        if int.from_bytes(timed[:_TIME_BYTES], "big") <= now:
            return None
        return timed[_TIME_BYTES:]


def _mac(key: SigningKey, purpose: str, bound_to: str, timed: bytes) -> bytes:
    binding = bound_to.encode()
    # Its length goes in front, so that nothing can move from the binding into the content.
    message = len(binding).to_bytes(_TIME_BYTES, "big") + binding + timed
    return hmac.digest(_derived(key, purpose), message, sha256)


def _derived(key: SigningKey, purpose: str) -> bytes:
    # A label of the key derivation, not a name: another one would void the forms that browsers hold.
    info = f"vigie seal: {purpose}".encode()
    return HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(key.pair.private_der())


def _to_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_text(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
