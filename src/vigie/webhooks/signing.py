"""Signatures of Standard Webhooks 1.0.0, symmetric: https://www.standardwebhooks.com (read on 2026-12-01)."""

import binascii
import hmac
import secrets
from base64 import b64decode, b64encode

PREFIX = "whsec_"

_SECRET_BYTES = 32


def new_secret() -> str:
    """A secret as the specification writes it, which the receiver checks deliveries with."""
    return PREFIX + b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(secret: str, delivery_id: str, unix_seconds: int, body: bytes) -> dict[str, str]:
    """The headers of one attempt at a delivery. Raises ValueError for a text that is no secret."""
    signed = f"{delivery_id}.{unix_seconds}.".encode() + body
    signature = b64encode(hmac.digest(_key(secret), signed, "sha256")).decode()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(unix_seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _key(secret: str) -> bytes:
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret of a webhook begins with {PREFIX}")
    try:
        return b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret of a webhook is Base64") from error
