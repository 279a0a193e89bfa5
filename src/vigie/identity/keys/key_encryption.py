"""The encryption of signing keys that are kept in a database: without the secret they are worth nothing."""

import os
from base64 import b64decode, b64encode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vigie.files.errors import KeyFileError
from vigie.files.trust import read_private

SECRET_BYTES_MIN = 32
HOW_TO_MAKE_A_SECRET = "(umask 077; openssl rand -base64 48 > vigie-keys.secret)"  # noqa: S105  how, not what

_PREFIX = "vigie1."
_NONCE_BYTES = 12
_PURPOSE = b"vigie signing keys 1"


class KeyEncryption:
    """Encrypts and authenticates under a key that is derived from a secret."""

    def __init__(self, secret: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(key)

    def encrypt(self, text: str) -> str:
        """The text as nobody else can read it; never twice the same."""
        nonce = os.urandom(_NONCE_BYTES)
        return _PREFIX + b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), _PURPOSE)).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """The text that was encrypted. Raises KeyFileError for another secret, or when it was changed."""
        try:
            encrypted = b64decode(encrypted_text.removeprefix(_PREFIX), validate=True)
            return self._cipher.decrypt(encrypted[:_NONCE_BYTES], encrypted[_NONCE_BYTES:], _PURPOSE).decode()
        except (InvalidTag, ValueError) as error:
            raise KeyFileError(
                "the signing keys in the store do not open with the secret in [keys] secret_file; "
                "every server on a store needs the same one"
            ) from error


def key_encryption_by(file: Path) -> KeyEncryption:
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
    return KeyEncryption(secret)
