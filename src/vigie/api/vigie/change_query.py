"""The query of the change feed: where to begin, and how much to answer."""

import re
from typing import Literal
from urllib.parse import parse_qsl

from msgspec import Struct

from vigie.api.vigie.cursors import CURSOR_LENGTH
from vigie.core.errors import InvalidInput, user_text

LIMIT_MAX = 1_000
LIMIT_DEFAULT = 100

_AFTER, _LIMIT = "after", "limit"
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_NUMBER_MAX = 2**63 - 1
_CURSOR = re.compile(rf"[A-Za-z0-9_-]{{{CURSOR_LENGTH}}}", re.ASCII)
_SHOWN_LENGTH = 40

OLDEST: Literal["oldest"] = "oldest"
LATEST: Literal["latest"] = "latest"


class SealedText(Struct, frozen=True, kw_only=True):
    """A cursor as it came: one by its form."""

    text: str


After = int | SealedText | Literal["oldest", "latest"]
"""Behind which change to begin: behind a number, a sealed cursor, before all that is kept, or with the next one."""


class ChangeQuery(Struct, frozen=True, kw_only=True):
    """What a query asks for."""

    after: After
    limit: int


def parse_change_query(query: bytes, last_event_id: str | None = None) -> ChangeQuery:
    """What a query string asks for. The id of the last event, as a stream resumes with it, wins over `after`.

    Raises InvalidInput, naming the parameter.
    """
    values: dict[str, str] = {}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in (_AFTER, _LIMIT):
            raise InvalidInput(
                f"There is no parameter '{user_text(name[:_SHOWN_LENGTH])}'; allowed: after, limit."
            )
        if values.setdefault(name, value) != value:
            raise InvalidInput(f"The parameter '{name}' stands twice with different values.")
    after = _after(_AFTER, values.get(_AFTER, "0"))
    if last_event_id:
        after = _after("Last-Event-ID", last_event_id)
    return ChangeQuery(after=after, limit=_limit(values.get(_LIMIT, str(LIMIT_DEFAULT))))


def _after(name: str, text: str) -> After:
    if text == LATEST:
        return LATEST
    if _NUMBER.fullmatch(text) and int(text) <= _NUMBER_MAX:
        return int(text) or OLDEST
    if _CURSOR.fullmatch(text):
        return SealedText(text=text)
    raise InvalidInput(
        f"{name} must be 0, latest, or the `next` of an earlier answer; it was '{user_text(text[:_SHOWN_LENGTH])}'."
    )


def _limit(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= LIMIT_MAX:
        raise InvalidInput(
            f"limit must be a whole number from 1 to {LIMIT_MAX}; it was '{user_text(text[:_SHOWN_LENGTH])}'."
        )
    return int(text)
