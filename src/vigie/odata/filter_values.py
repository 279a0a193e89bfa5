"""The literals of a `$filter`, as values of the properties they are compared with."""

import re
from collections.abc import Mapping

import msgspec

from vigie.core.conditions import Operator, Value
from vigie.core.errors import user_text
from vigie.core.instants import EXAMPLE_TIME, parse_instant
from vigie.core.letter_case import canonical
from vigie.odata.filter_tokens import refusal
from vigie.odata.properties import LiteralKind, QueryProperty

_ORDERINGS = (Operator.GT, Operator.GE, Operator.LT, Operator.LE)

# OData's dateTimeOffsetValue, and a date alone: its ABNF lets seconds be absent and letters be small.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:(\.\d{1,7})\d*)?)?(Z|[+-]\d\d:\d\d))?",
    re.ASCII | re.IGNORECASE,
)


class Literal(msgspec.Struct, frozen=True):
    """A value as it is written; its kind is that of its token, `null`, `boolean` or `word`."""

    kind: str
    text: str


def value_of(name: str, described: QueryProperty, operator: Operator, literal: Literal) -> Value:
    """The literal as a value of the property of this name. Raises InvalidOption when it is of another kind."""
    if described.kind is LiteralKind.TIME:
        return _time(name, operator, literal)
    if described.kind is LiteralKind.WORD:
        return _word(name, described.words, operator, literal)
    return _text(name, operator, literal)


def _time(name: str, operator: Operator, literal: Literal) -> Value:
    if literal.kind == "null":
        return _null(operator)
    wanted = f"{name} is compared with a time such as {EXAMPLE_TIME}, without quotes"
    if literal.kind != "time":
        raise refusal(f"{wanted}; it was {user_text(literal.text[:60])}")
    try:
        return parse_instant(_whole_time(literal.text.replace(" ", "+")))
    except ValueError as error:
        why = str(error).removesuffix(f" such as {EXAMPLE_TIME}")
        raise refusal(f"{wanted}; {user_text(why)}") from error


def _whole_time(text: str) -> str:
    """A time as `parse_instant` reads it: a date alone is midnight UTC, and the eighth decimal is cut.

    What is no time is left as it is.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    day, minute, second, fraction, offset = found.groups()
    return f"{day}T{minute or '00:00'}:{second or '00'}{fraction or ''}{offset.upper() if offset else 'Z'}"


def _word(name: str, words: Mapping[str, str], operator: Operator, literal: Literal) -> Value:
    if operator in _ORDERINGS:
        raise refusal(f"{name} can be compared with eq, ne and in only, not with {operator.value}")
    if literal.kind == "null":
        return None
    found = canonical(_unquoted(literal), words) if literal.kind in ("text", "enum") else None
    if found is None:
        quoted = ", ".join(f"'{word}'" for word in words)
        if literal.kind == "word":
            raise refusal(
                f"a {name} stands in single quotes, as in {quoted}; it was {user_text(literal.text[:60])}"
            )
        raise refusal(f"{user_text(literal.text[:60])} is not a {name}; there are {quoted}")
    return words[found]


def _text(name: str, operator: Operator, literal: Literal) -> Value:
    if literal.kind == "null":
        return _null(operator)
    if literal.kind != "text":
        raise refusal(
            f"{name} is compared with a text in single quotes or null; it was {user_text(literal.text[:60])}"
        )
    return _unquoted(literal)


def _null(operator: Operator) -> Value:
    if operator in _ORDERINGS:
        raise refusal(f"null can be compared with eq, ne and in only, not with {operator.value}")
    return None


def _unquoted(literal: Literal) -> str:
    """The text in the quotes, without the name of a type that OData has in front of enumerated words."""
    return literal.text.partition("'")[2][:-1].replace("''", "'")
