"""Client secrets: 256 random bits, of which only a hash is kept."""

import hashlib
import secrets


def new_secret() -> str:
    """A secret that nobody has seen before."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret. One round is enough: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
