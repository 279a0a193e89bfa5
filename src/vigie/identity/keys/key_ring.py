"""The signing keys of an installation, in a file that only its owner can read."""

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import read_private
from vigie.files.writing import new_file, sweep
from vigie.identity.keys.rsa_pair import RsaPair, new_pair, read_pair

TOKEN_LIFETIME_MAX_SECONDS = 86_400
"""No token is issued for longer, so that a retired key has an end."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key pair. `accepted_until` is None while it signs, then the end of its last token."""

    kid: str
    pair: RsaPair
    accepted_until: Instant | None = None

    def sign(self, text: bytes) -> bytes:
        """Its signature of a text, by RS256."""
        return self.pair.sign(text)

    def has_signed(self, signature: bytes, signed: bytes) -> bool:
        """Whether this is the signature of it, by RS256."""
        return self.pair.has_signed(signature, signed)

    def public(self) -> dict[str, object]:
        """The public half, as a JSON Web Key."""
        return {
            **self.pair.public_jwk(),
            "kid": self.kid,
            # As in the head of the tokens: Microsoft's have one text for both.
            "x5t": self.kid,
            "use": "sig",
            "alg": "RS256",
        }


class KeyRing(msgspec.Struct, frozen=True, kw_only=True):
    """The key that signs now, and those whose tokens may still live."""

    current: SigningKey
    retired: tuple[SigningKey, ...] = ()

    def accepted(self, now: Instant) -> tuple[SigningKey, ...]:
        """The keys whose tokens are accepted at a moment."""
        return (
            self.current,
            *(key for key in self.retired if key.accepted_until is not None and now < key.accepted_until),
        )

    def find(self, kid: str, now: Instant) -> SigningKey | None:
        """The accepted key of that id."""
        if kid == self.current.kid:
            return self.current
        return next((key for key in self.accepted(now) if key.kid == kid), None)


def new_key() -> SigningKey:
    """A fresh key pair under a fresh id."""
    return SigningKey(kid=secrets.token_urlsafe(16), pair=new_pair())


def new_ring() -> KeyRing:
    """A fresh key alone."""
    return KeyRing(current=new_key())


def rotate_keys(path: Path, now: Instant, clock_skew_seconds: int, *, keeps_old: bool = True) -> KeyRing:
    """Sign with a new key from now on. Of several rotations at once none is lost.

    Without `keeps_old`, tokens of all earlier keys stop working.
    """
    load_or_create_keys(path)
    beside = path.with_name(f"{path.name}.lock")
    # For nobody else to open: a process that can open it can hold it.
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ring = rotated(load_keys(path), now, clock_skew_seconds)
        if not keeps_old:
            ring = KeyRing(current=ring.current)
        save_keys(path, ring)
    return ring


def rotated(ring: KeyRing, now: Instant, clock_skew_seconds: int) -> KeyRing:
    """A ring with a new signing key; the old one is accepted until its last token has expired."""
    until = Instant(now + (TOKEN_LIFETIME_MAX_SECONDS + clock_skew_seconds) * TICKS_PER_SECOND)
    retiring = SigningKey(kid=ring.current.kid, pair=ring.current.pair, accepted_until=until)
    return KeyRing(current=new_key(), retired=(retiring, *(key for key in ring.accepted(now)[1:])))


def load_keys(path: Path) -> KeyRing:
    """The keys of a file. Raises KeyFileError or UntrustedFile, FileNotFoundError when there is none yet."""
    return ring_of(read_private(path), str(path))


def ring_of(text: str | bytes, source: str) -> KeyRing:
    """The keys in a text; `source` says where it was found. Raises KeyFileError."""
    try:
        keys = [_from_entry(entry) for entry in json.loads(text)["keys"]]
        return KeyRing(current=keys[0], retired=tuple(keys[1:]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise KeyFileError(
            f"{source} is not a Vigie key file; restore it, or remove it to start with a new key "
            "(tokens signed until now stop working)"
        ) from error


def load_or_create_keys(path: Path) -> KeyRing:
    """The keys of a file, made when there is none; of several processes that make it at once, one wins.

    Keys that a process which was killed had not yet put in place are removed.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(path.parent)
    try:
        return load_keys(path)
    except FileNotFoundError:
        ring = new_ring()
        try:
            _write(path, ring, replaces=False)
        except FileExistsError:
            return _load_what_is_there(path)
        return ring


def _load_what_is_there(path: Path) -> KeyRing:
    try:
        return load_keys(path)
    except FileNotFoundError as error:
        raise KeyFileError(
            f"{path} is a link to {path.resolve()}, which is not there; put the keys there, or remove the link "
            "to start with a new key (tokens signed until now stop working)"
        ) from error


def save_keys(path: Path, ring: KeyRing) -> None:
    """Put a ring in the place of the file, whole or not at all."""
    _write(path, ring, replaces=True)


def _write(path: Path, ring: KeyRing, *, replaces: bool) -> None:
    with new_file(path, replaces=replaces) as part:
        part.write_text(text_of(ring), encoding="utf-8")


def text_of(ring: KeyRing) -> str:
    """A ring as it is kept, private halves included."""
    return json.dumps({"keys": [_to_entry(key) for key in _all(ring)]}, indent=1)


def _all(ring: KeyRing) -> Iterable[SigningKey]:
    return (ring.current, *ring.retired)


def _to_entry(key: SigningKey) -> dict[str, object]:
    until = key.accepted_until
    return {
        "kid": key.kid,
        "accepted_until": None if until is None else format_instant(until),
        "key": key.pair.private_jwk(),
    }


def _from_entry(entry: dict[str, Any]) -> SigningKey:
    until = entry["accepted_until"]
    return SigningKey(
        kid=str(entry["kid"]),
        pair=read_pair(entry["key"]),
        accepted_until=None if until is None else parse_instant(str(until)),
    )
