"""JSON in and out without loss: unknown keys, key order, numbers and text all survive.

Documents are decoded and encoded again rather than kept as they came: kept bytes would let invalid UTF-8 and
duplicate keys through.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

# Decimal keeps what a float would lose: `1.10`, `1E+400`, twenty digits.
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

DEPTH_MAX = 100
"""How deep objects and arrays may be nested: what can be kept must also be read on any stack."""

encode = _encoder.encode
"""The JSON text of a value, compact, in UTF-8."""


class NotJson(ValueError):
    """A text that cannot be taken without loss; the message says what is wrong."""


def decode(text: bytes) -> Any:
    """The value of a JSON text. Raises NotJson for what is broken, ambiguous or nested too deeply to keep."""
    try:
        value = _decode(text)
        # Only a text that is not written as we would write it can hold a key twice: encoding drops the first.
        if encode(value) != text:
            _check_keys(text)
    except _BROKEN as error:
        raise _not_json(text, error) from error
    return value


def decode_unchecked(text: bytes) -> Any:
    """As `decode`, for those who encode the value anyway: without the check for keys that stand twice.

    It is owed, by `check_keys`, where the encoded value is not the text again.
    """
    try:
        return _decode(text)
    except _BROKEN as error:
        raise _not_json(text, error) from error


def check_keys(text: bytes) -> None:
    """See that no key stands twice in one object. Raises NotJson."""
    try:
        _check_keys(text)
    except _BROKEN as error:
        raise _not_json(text, error) from error


def _decode(text: bytes) -> Any:
    value = _decoder.decode(text)
    # Most texts have too few brackets to be too deep.
    if text.count(b"{") + text.count(b"[") > DEPTH_MAX:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(DEPTH_MAX):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, dict | list)]
        if not level:
            return
    raise NotJson(f"objects or arrays nested more than {DEPTH_MAX} deep")


def _check_keys(text: bytes) -> None:
    json.loads(text, object_pairs_hook=_distinct, parse_float=str, parse_int=str)


_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)


def _not_json(text: bytes, error: Exception) -> NotJson:
    match error:
        case msgspec.DecodeError():
            return NotJson(_explain(text, error))
        case UnicodeDecodeError():
            return NotJson(f"text that is not UTF-8: {error.reason}")
        case RecursionError():
            return NotJson("objects or arrays nested too deeply")
    return NotJson("a number too large to keep")


def _explain(text: bytes, error: msgspec.DecodeError) -> str:
    if "truncated" not in str(error):
        return str(error)
    # msgspec calls a lone half of a surrogate pair "truncated".
    if _SURROGATE.search(text):
        return "a \\u escape that is half of a surrogate pair, or the end is missing"
    line, column = text.count(b"\n") + 1, len(text) - (text.rfind(b"\n") + 1)
    # Of one line only: the reader may have got it as some line of a file.
    place = f", in line {line} behind column {column}" if line > 1 else ""
    return f"the JSON is truncated: it ends after {len(text)} bytes{place}"


def _distinct(pairs: list[tuple[str, object]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotJson(f"the key {twice[:80]!r} stands twice in one object")
