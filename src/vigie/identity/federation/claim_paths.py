"""Paths of claims: values of a token read where a path leads, as texts or nothing.

A path is the names of objects inside each other with dots between them, as in `realm_access.roles`; a dot that
belongs to a name has a backslash in front of it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from vigie.core.errors import InvalidToken

NAME_LENGTH_MAX = 256

_SEPARATOR = re.compile(r"(?<!\\)\.")


def is_path(text: str) -> bool:
    """Whether a text can be a path."""
    return all(_SEPARATOR.split(text)) and text.isprintable()


def value_at(claims: Mapping[str, Any], path: str) -> object:
    """What stands at a path; None where nothing does."""
    value: object = claims
    for segment in _SEPARATOR.split(path):
        if not isinstance(value, Mapping):
            return None
        value = value.get(segment.replace("\\.", "."))
    return value


def name_at(claims: Mapping[str, Any], path: str) -> str | None:
    """A name at a path. Raises InvalidToken for what is there and can be none."""
    value = value_at(claims, path)
    if value is None:
        return None
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > NAME_LENGTH_MAX:
        raise InvalidToken(f"claim {path} is not a printable text of one to {NAME_LENGTH_MAX} characters")
    return value


def first_name(claims: Mapping[str, Any], paths: Iterable[str]) -> str | None:
    """The name at the first of some paths where there is one."""
    return next((name for path in paths if (name := name_at(claims, path)) is not None), None)


def texts_at(claims: Mapping[str, Any], paths: Iterable[str]) -> list[str]:
    """All texts at some paths: those of a list as they are, those of one text with spaces between them.

    Raises InvalidToken for what is there and neither.
    """
    found: list[str] = []
    for path in paths:
        value = value_at(claims, path)
        if isinstance(value, str):
            found += value.split()
        elif isinstance(value, list) and all(isinstance(each, str) for each in value):
            found += value
        elif value is not None:
            raise InvalidToken(f"claim {path} is neither a text nor a list of texts")
    return found
