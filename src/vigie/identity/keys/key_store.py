"""The stores of the signing keys: a file beside the database, or the database, where they are encrypted."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from vigie.core.instants import Instant
from vigie.identity.keys.key_encryption import KeyEncryption
from vigie.identity.keys.key_ring import (
    KeyRing,
    load_keys,
    load_or_create_keys,
    new_ring,
    ring_of,
    rotate_keys,
    rotated,
    text_of,
)


class KeyStore(Protocol):
    """Keeps one ring of keys. Raises KeyFileError when what is kept cannot be used."""

    async def load_or_create(self) -> KeyRing:
        """The keys, made when there are none; of several processes that make them at once, one wins."""

    async def read(self) -> bytes:
        """What is kept, to see whether it has changed. Raises OSError when there is nothing."""

    def ring_of(self, kept: bytes) -> KeyRing:
        """The keys that are kept so."""

    async def rotate(self, now: Instant, clock_skew_seconds: int, *, keeps_old: bool) -> KeyRing:
        """Sign with a new key from now on. Of several rotations at once none is lost.

        Without `keeps_old`, tokens of all earlier keys stop working.
        """


class KeyText(Protocol):
    """The text in the database that holds the keys; storage implements it."""

    async def find(self) -> str | None:
        """The text, None when there is none yet."""

    async def change(self, decide: Callable[[str | None], str]) -> str:
        """Put in its place what is decided from it; nobody else changes it meanwhile."""


class FileKeyStore:
    """In a file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def load_or_create(self) -> KeyRing:
        """The keys, made when there are none."""
        return load_or_create_keys(self.path)

    async def read(self) -> bytes:
        """The bytes of the file."""
        return self.path.read_bytes()

    def ring_of(self, _kept: bytes) -> KeyRing:
        """The keys in the file."""
        return load_keys(self.path)

    async def rotate(self, now: Instant, clock_skew_seconds: int, *, keeps_old: bool) -> KeyRing:
        """Sign with a new key from now on."""
        return rotate_keys(self.path, now, clock_skew_seconds, keeps_old=keeps_old)


class DatabaseKeyStore:
    """In the database, for all servers of a cluster, encrypted with a secret that is not there."""

    def __init__(self, text: KeyText, key_encryption: KeyEncryption) -> None:
        self._text = text
        self._key_encryption = key_encryption

    async def load_or_create(self) -> KeyRing:
        """The keys, made when there are none."""
        found = await self._text.find()
        if found is None:
            # Not while others wait for the turn to write.
            made = self._key_encryption.encrypt(text_of(await asyncio.to_thread(new_ring)))
            found = await self._text.change(lambda kept: kept or made)
        return self._ring_in(found)

    async def read(self) -> bytes:
        """The encrypted text."""
        found = await self._text.find()
        if found is None:
            raise FileNotFoundError("the signing keys are gone from the store")
        return found.encode()

    def ring_of(self, kept: bytes) -> KeyRing:
        """The keys in the text."""
        return self._ring_in(kept.decode())

    async def rotate(self, now: Instant, clock_skew_seconds: int, *, keeps_old: bool) -> KeyRing:
        """Sign with a new key from now on."""
        await self.load_or_create()
        return self._ring_in(
            await self._text.change(partial(self._rotated, now, clock_skew_seconds, keeps_old))
        )

    def _rotated(self, now: Instant, clock_skew_seconds: int, keeps_old: bool, kept: str | None) -> str:  # noqa: FBT001
        ring = rotated(self._ring_in(kept or ""), now, clock_skew_seconds)
        return self._key_encryption.encrypt(text_of(ring if keeps_old else KeyRing(current=ring.current)))

    def _ring_in(self, text: str) -> KeyRing:
        return ring_of(self._key_encryption.decrypt(text), "what the store has for signing keys")


async def find_ring(store: KeyStore) -> KeyRing | None:
    """The keys of a store, None when there are none yet: nothing is made."""
    try:
        return store.ring_of(await store.read())
    except FileNotFoundError:
        return None


class LiveKeys:
    """The ring that was last read from its store; `kept` is what the store held then, or just before."""

    def __init__(self, store: KeyStore, kept: bytes, ring: KeyRing) -> None:
        self._store = store
        self._kept = kept
        self.ring = ring

    async def reread(self) -> None:
        """Take over what has changed. Raises KeyFileError, OSError or StoreUnavailable, and keeps the ring."""
        kept = await self._store.read()
        if kept != self._kept:
            self.ring = self._store.ring_of(kept)
            self._kept = kept


async def live_keys(store: KeyStore) -> LiveKeys:
    """The keys of a store, made when there are none."""
    try:
        # Before the keys are checked, which takes most of a start and happens once: a rotation between the two is
        # noticed at the next reading.
        kept = await store.read()
    except OSError:
        kept = b""
    return LiveKeys(store, kept, await store.load_or_create())
