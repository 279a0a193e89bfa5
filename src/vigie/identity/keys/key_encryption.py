"""The encryption of keys and secrets that are kept in a database: without its own secret they are worth nothing."""

import os
from base64 import b64decode, b64encode
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vigie.files.errors import KeyFileError
from vigie.files.trust import read_private
from vigie.files.writing import new_file

SECRET_BYTES_MIN = 32
HOW_TO_MAKE_A_SECRET = "(umask 077; openssl rand -base64 48 > vigie-keys.secret)"  # noqa: S105  how, not what

_PREFIX = "vigie1."
_NONCE_BYTES = 12
_MADE_BYTES = 48


class Purpose(NamedTuple):
    """What is encrypted: no text of one purpose opens for another. `failure` is said when one does not open."""

    name: bytes
    failure: str


SIGNING_KEYS = Purpose(
    b"vigie signing keys 1",
    "the signing keys in the store do not open with the secret in [keys] secret_file; "
    "every server on a store needs the same one",
)
WEBHOOK_SECRETS = Purpose(
    b"vigie webhook secrets 1",
    "its signing secret was encrypted with another key; remove the webhook and add it again, or restore the key",
)


class KeyEncryption:
    """Encrypts and authenticates under a key that is derived from a secret."""

    def __init__(self, secret: bytes, purpose: Purpose = SIGNING_KEYS) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.name).derive(secret)
        self._cipher = AESGCM(key)
        self._purpose = purpose

    def encrypt(self, text: str) -> str:
        """The text as nobody else can read it; never twice the same."""
        nonce = os.urandom(_NONCE_BYTES)
        return (
            _PREFIX
            + b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), self._purpose.name)).decode()
        )

    def decrypt(self, encrypted_text: str) -> str:
        """The text that was encrypted. Raises KeyFileError for another secret, or when it was changed."""
        try:
            encrypted = b64decode(encrypted_text.removeprefix(_PREFIX), validate=True)
            nonce, rest = encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, self._purpose.name).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyFileError(self._purpose.failure) from error


def key_encryption_by(file: Path, purpose: Purpose = SIGNING_KEYS) -> KeyEncryption:
    """Encryption with the secret in a file. Raises KeyFileError unless it is long enough, or UntrustedFile."""
    try:
        secret = read_private(file).strip()
    except OSError as error:
        raise KeyFileError(f"[keys] secret_file {file} cannot be read: {error.strerror}") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise KeyFileError(
            f"[keys] secret_file {file} has {len(secret)} bytes, and needs {SECRET_BYTES_MIN}; "
            f"make one: {HOW_TO_MAKE_A_SECRET}"
        )
    return KeyEncryption(secret, purpose)


def key_encryption_beside(file: Path, purpose: Purpose, *, create: bool) -> KeyEncryption:
    """Encryption with a key that is the content of a file; with `create`, a missing one is made.

    Raises KeyFileError when there is none or it is too short, or UntrustedFile.
    """
    if create and not file.exists():
        with suppress(FileExistsError), new_file(file, replaces=False) as part:
            part.write_text(token_urlsafe(_MADE_BYTES), encoding="ascii")
    try:
        secret = read_private(file).strip()
    except OSError as error:
        raise KeyFileError(f"{file} cannot be read: {error.strerror}") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise KeyFileError(f"{file} is damaged; restore it")
    return KeyEncryption(secret, purpose)
