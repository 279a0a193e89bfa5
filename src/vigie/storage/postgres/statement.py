"""Named statements in the form that asyncpg takes: numbered values, and text without a NUL."""

import re
from collections.abc import Iterable
from functools import cache

import msgspec

from vigie.storage.database import Row, Values
from vigie.storage.statements import statements

_NAME = re.compile(r"(?<!:):([a-z]\w*)")


class Numbered(msgspec.Struct, frozen=True):
    """A statement whose values are numbered, and which name each number had."""

    text: str
    names: tuple[str, ...]

    def arguments(self, values: Values) -> list[object]:
        """The values in the order of their numbers."""
        return [sent(values[name]) for name in self.names]


@cache
def named(statement: str) -> Numbered:
    """A statement of the `.sql` files by its name."""
    return numbered(statements("postgres")[statement])


def numbered(text: str) -> Numbered:
    """A statement in which `:name` has become `$1`, the same number wherever the same name stands."""
    names: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${names.setdefault(match[1], len(names) + 1)}"

    # The dictionary is filled by the substitution.
    return Numbered(_NAME.sub(number, text), tuple(names))


def received(row: Iterable[object]) -> Row:
    """A row as it was given to the database."""
    return tuple(_restored(value) if isinstance(value, str) else value for value in row)


# PostgreSQL stores no NUL in a text: it goes in as two characters, and so does the first of these two. The order
# of texts stays what it was.


def sent(value: object) -> object:
    """A value as it is given to the database."""
    if type(value) is str and ("\x00" in value or "\x01" in value):
        return value.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return value


def _restored(text: str) -> str:
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text
