"""The tokens of a `$filter`."""

import re
from collections.abc import Iterator

import msgspec

from vigie.core.errors import user_text
from vigie.odata.errors import InvalidOption

# A bare `+` of an offset has become a blank on its way through the query string.
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<time>\d{4}-\d\d-\d\d(?:[Tt][\d:]*(?:\.\d*)?(?:[Zz]|[+\- ]\d\d:?\d\d)?)?)
    | (?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<text>'(?:[^']|'')*')
    | (?P<enum>[A-Za-z_]\w*(?:\.\w+)+'(?:[^']|'')*')
    | (?P<word>[A-Za-z_@][\w@./-]*)
    | (?P<mark>[(),:])
    )""",
    re.VERBOSE | re.ASCII,
)


class Token(msgspec.Struct, frozen=True):
    """A piece of the text: its kind, how it is written, and where it starts."""

    kind: str
    text: str
    at: int


def refusal(reason: str) -> InvalidOption:
    """A `$filter` that cannot be used."""
    return InvalidOption(f"$filter: {reason}")


def tokens_of(text: str) -> Iterator[Token]:
    """The tokens from left to right, and one of the kind `end` behind them. Raises InvalidOption."""
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].lstrip()
            hint = "; texts stand in single quotes" if rest[0] in "\"'`" else ""
            raise refusal(
                f"{user_text(repr(rest[:20]))} at character {len(text) - len(rest) + 1} cannot be read{hint}"
            )
        yield Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()
    yield Token("end", "", end)
