"""OpenID discovery of an issuer: the address of its keys, and the keys."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from vigie.core.url_policy import is_loopback, may_be_fetched
from vigie.identity.federation.jwk import UnusableKey, VerificationKey, read_key

KEYS_READ_MAX = 100
KID_LENGTH_MAX = 256

KeySet = Mapping[str, tuple[VerificationKey, ...]]
"""Keys by their id; of one id there may be several of different kinds: RFC 7517, 4.5."""


class NotPublished(Exception):
    """What was fetched is not what an issuer publishes; the message says what is wrong with it."""


def read_discovery(text: bytes, issuer: str) -> str:
    """Where the keys are, by the discovery document of an issuer. Raises NotPublished.

    The document has to name that very issuer, letter by letter: RFC 8414, 3.3.
    """
    document = _object(text)
    if document.get("issuer") != issuer:
        raise NotPublished(f"its discovery document is that of {_shown(document.get('issuer'))}")
    url = document.get("jwks_uri")
    if not isinstance(url, str) or not may_be_fetched(
        url, from_loopback=is_loopback(urlsplit(issuer).hostname or "")
    ):
        raise NotPublished(f"its jwks_uri {_shown(url)} is not an https:// URL")
    return url


def read_key_set(text: bytes) -> KeySet:
    """The keys of a set that we can use. Raises NotPublished when there are none, or far too many."""
    keys = _object(text).get("keys")
    if not isinstance(keys, list) or len(keys) > KEYS_READ_MAX:
        raise NotPublished(f"its key set is not a list of at most {KEYS_READ_MAX} keys")
    found: dict[str, tuple[VerificationKey, ...]] = {}
    why_not = "it is empty"
    for jwk in keys:
        try:
            kid = _kid(jwk)
            found[kid] = (*found.get(kid, ()), read_key(jwk))
        except UnusableKey as error:
            why_not = str(error)
    if not found:
        raise NotPublished(f"its key set has no key that can be used: {why_not}")
    return found


def _kid(jwk: Any) -> str:
    kid = jwk.get("kid") if isinstance(jwk, dict) else None
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_LENGTH_MAX:
        raise UnusableKey("a key has no kid")
    return kid


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise NotPublished("what it answers is not JSON") from error
    if not isinstance(value, dict):
        raise NotPublished("what it answers is not a JSON object")
    return value


def _shown(value: object) -> str:
    return repr(value[:200]) if isinstance(value, str) else "that is not a text"
