"""A signed token in its compact form, taken apart: RFC 7515, 7.1. Nothing in it is proven yet."""

from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Mapping
from functools import lru_cache
from string import ascii_lowercase, ascii_uppercase, digits
from types import MappingProxyType
from typing import Any

import msgspec

from vigie.core.errors import InvalidToken

_SEGMENTS = 3

_ALPHABET = (ascii_uppercase + ascii_lowercase + digits + "+/").encode()
# What base64 has and base64url has not becomes what neither has.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/???")
# What the last character may be, by how many are behind whole groups of four: the bits it has too many are zero.
_LAST = (
    frozenset(_ALPHABET),
    frozenset(b""),
    frozenset(_ALPHABET[::16]),
    frozenset(_ALPHABET[::4]),
)


class ParsedJwt(msgspec.Struct, frozen=True, gc=False):
    """A token taken apart: what it says of itself and of its bearer, what is signed, and the signature."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def parse_jwt(token: str, *, may_be_padded: bool = False) -> ParsedJwt:
    """Take a token apart. Raises InvalidToken when it is none.

    RFC 7515 has no padding. Some clients put it there all the same, and sign it with the rest.
    """
    segments = token.split(".")
    if len(segments) != _SEGMENTS:
        raise InvalidToken("not a signed token of three parts")
    end = len(token) - len(segments[-1]) - 1
    if may_be_padded:
        segments = [segment.rstrip("=") for segment in segments]
    return ParsedJwt(
        header=_header(segments[0]),
        claims=_json_object(_decoded(segments[1])),
        # ASCII, or the segments would not have been base64.
        signed=token[:end].encode(),
        signature=_decoded(segments[2]),
    )


def encoded(part: bytes) -> bytes:
    """Base64url without padding."""
    return urlsafe_b64encode(part).rstrip(b"=")


def refuse_critical(header: Mapping[str, Any]) -> None:
    """Refuse a header that says what must be understood: RFC 7515, 4.1.11. Raises InvalidToken."""
    if "crit" in header:
        raise InvalidToken("its header has crit, and nothing that may stand there is known here")


# All tokens that one key has signed begin alike.
@lru_cache(maxsize=32)
def _header(segment: str) -> Mapping[str, Any]:
    return MappingProxyType(_json_object(_decoded(segment)))


def _decoded(segment: str) -> bytes:
    """The bytes of base64url without padding, in the one spelling that they have."""
    try:
        text = segment.encode("ascii").translate(_TO_BASE64)
        decoded = a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise InvalidToken("a part of it is not base64url") from error
    if text and text[-1] not in _LAST[len(text) % 4]:
        raise InvalidToken("a part of it ends in bits that belong to nothing")
    return decoded


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        # Stricter than the standard library: no NaN, no half of a surrogate pair that nothing can write.
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidToken("not JSON inside") from error
    if not isinstance(value, dict):
        raise InvalidToken("not a JSON object inside")
    return value
