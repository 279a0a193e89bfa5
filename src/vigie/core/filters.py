"""`$filter`: from its text to an expression over the properties that can be filtered. Nothing is pasted.

Source: contract section 8; clients.md, rules 14 to 17. The grammar is OData's, as far as clients use it; what
parses but cannot be filtered is refused by name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from vigie.core.errors import InvalidQuery, user_text
from vigie.core.instants import EXAMPLE_TIME, Instant, parse_instant
from vigie.core.letter_case import canonical

LENGTH_MAX = 4000
DEPTH_MAX = 20
TERMS_MAX = 100


class Property(Enum):
    """What an incident can be filtered and ordered by, under the API's own names."""

    LAST_UPDATE_TIME = "lastUpdateTime"
    CREATED_TIME = "createdTime"
    STATUS = "status"
    ASSIGNED_TO = "assignedTo"


class Operator(Enum):
    """How a property is compared with a value."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


STATUSES = ("Active", "InProgress", "Resolved", "Redirected")

Value = Instant | str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A property against a value: an instant for times, a status as it is written, a text or None."""

    property: Property
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class And:
    """True when every part is."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when any part is; without parts, never."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when its part is not: there is no third answer, nulls compare as OData has it."""

    part: "Expression"


Expression = Comparison | And | Or | Not

_TIMES = (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)
_ORDERINGS = (Operator.GT, Operator.GE, Operator.LT, Operator.LE)
_MIRRORED = {
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
}
_NAMES = frozenset(each.value for each in Property)
_ALLOWED = "allowed: " + ", ".join(each.value for each in Property)

_NO_FUNCTIONS = f"no functions are allowed; {_ALLOWED} with {', '.join(each.value for each in Operator)}, in"

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


# OData's dateTimeOffsetValue, and a date alone: its ABNF lets seconds be absent and letters be small.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:(\.\d{1,7})\d*)?)?(Z|[+-]\d\d:\d\d))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Name:
    """A property's name, whether it exists or not, or a function call by its name."""

    text: str
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class _Literal:
    kind: str
    text: str


def parse_filter(text: str) -> Expression:
    """The expression of a `$filter`. Raises InvalidQuery, naming what is wrong and what is allowed."""
    if len(text) > LENGTH_MAX:
        raise _refusal(f"it has {len(text)} characters; at most {LENGTH_MAX} are allowed")
    return _Parser(list(_tokens(text))).whole()


def _refusal(reason: str) -> InvalidQuery:
    return InvalidQuery(f"Invalid OData URI query: $filter: {reason}.")


def _cannot_use(name: _Name) -> InvalidQuery:
    if name.is_call:
        return _refusal(f"the function '{name.text[:60]}' cannot be used; {_NO_FUNCTIONS}")
    return _refusal(f"the property '{name.text[:60]}' cannot be used; {_ALLOWED}")


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    end = len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            rest = text[at:].lstrip()
            hint = "; texts stand in single quotes" if rest[0] in "\"'`" else ""
            raise _refusal(
                f"{user_text(repr(rest[:20]))} at character {len(text) - len(rest) + 1} cannot be read{hint}"
            )
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        at = found.end()
    yield _Token("end", "", end)


class _Parser:
    """Reads tokens from left to right: `or` binds less than `and`, `and` less than `not`."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._terms = 0
        # What parses is first parsed to its end: a mistake in the grammar is told before one in a name.
        self._unfilterable: InvalidQuery | None = None

    def whole(self) -> Expression:
        expression = self._or()
        if self._peek().kind != "end":
            raise self._unexpected("'and', 'or' or the end")
        if self._unfilterable is not None:
            raise self._unfilterable
        return expression

    def _or(self) -> Expression:
        parts = [self._and()]
        while self._take_word("or"):
            parts.append(self._and())
        return Or(tuple(parts)) if len(parts) > 1 else parts[0]

    def _and(self) -> Expression:
        parts = [self._not()]
        while self._take_word("and"):
            parts.append(self._not())
        return And(tuple(parts)) if len(parts) > 1 else parts[0]

    def _not(self) -> Expression:
        if self._take_word("not"):
            self._deeper()
            part = self._not()
            self._depth -= 1
            return Not(part)
        if self._take_mark("("):
            self._deeper()
            inner = self._or()
            self._depth -= 1
            self._need_mark(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Expression:
        self._terms += 1
        if self._terms > TERMS_MAX:
            raise _refusal(f"it has more than {TERMS_MAX} terms")
        left = self._operand()
        if self._take_word("in"):
            return self._membership(left)
        operator = self._operator()
        if operator is None:
            return self._bare(left)
        return self._checked(left, operator, self._operand())

    def _membership(self, left: _Name | _Literal) -> Expression:
        self._need_mark("(")
        members = [self._operand()]
        while self._take_mark(","):
            members.append(self._operand())
        self._need_mark(")")
        self._terms += len(members) - 1
        if self._terms > TERMS_MAX:
            raise _refusal(f"it has more than {TERMS_MAX} terms")
        return Or(tuple(self._checked(left, Operator.EQ, member) for member in members))

    def _operator(self) -> Operator | None:
        token = self._peek()
        names = {operator.value: operator for operator in Operator}
        found = names.get(token.text.lower()) if token.kind == "word" else None
        if found is not None:
            self._next += 1
        return found

    def _operand(self) -> _Name | _Literal:
        token = self._peek()
        if token.kind in ("time", "number", "text", "enum"):
            self._next += 1
            return _Literal(token.kind, token.text)
        if token.kind != "word" or token.text.lower() in ("and", "or", "not", "in"):
            raise self._unexpected("a property or a value")
        self._next += 1
        if token.text.lower() in ("null", "true", "false"):
            return _Literal("null" if token.text.lower() == "null" else "boolean", token.text)
        if self._take_mark("("):
            if token.text.endswith(("/any", "/all")):
                # What stands in a lambda has names of its own: it is not read.
                self._note(refusal := _cannot_use(_Name(token.text, is_call=True)))
                raise self._unfilterable or refusal
            self._skip_arguments()
            return _Name(token.text, is_call=True)
        return _Name(token.text)

    def _skip_arguments(self) -> None:
        """Read a call to its end: it is refused whatever stands in it."""
        self._deeper()
        if not self._take_mark(")"):
            self._operand()
            while self._take_mark(","):
                self._operand()
            self._need_mark(")")
        self._depth -= 1

    def _bare(self, left: _Name | _Literal) -> Expression:
        """A call alone is an expression in OData; nothing else is."""
        if isinstance(left, _Name) and left.is_call:
            self._note(_cannot_use(left))
            return Or(())
        raise self._unexpected("an operator: eq, ne, gt, ge, lt, le or in")

    def _checked(self, left: _Name | _Literal, operator: Operator, right: _Name | _Literal) -> Expression:
        if isinstance(left, _Literal) and isinstance(right, _Name):
            left, right, operator = right, left, _MIRRORED.get(operator, operator)
        if isinstance(left, _Literal):
            raise _refusal(
                f"{user_text(left.text[:40])} is compared with a value; name a property, {_ALLOWED}"
            )
        property_ = self._property(left)
        if isinstance(right, _Name) and not right.is_call and right.text not in _NAMES:
            # A text, most likely, whose quotes were forgotten.
            right = _Literal("word", right.text)
        if isinstance(right, _Name):
            self._property(right)
            self._note(_refusal(f"'{left.text}' can be compared with a value only"))
            return Or(())
        if property_ is None:
            return Or(())
        return self._typed(property_, operator, right)

    def _property(self, name: _Name) -> Property | None:
        found = None if name.is_call else next((each for each in Property if each.value == name.text), None)
        if found is None:
            self._note(_cannot_use(name))
        return found

    def _typed(self, property_: Property, operator: Operator, literal: _Literal) -> Expression:
        try:
            return Comparison(property_, operator, _value(property_, operator, literal))
        except InvalidQuery as refusal:
            self._note(refusal)
            return Or(())

    def _note(self, refusal: InvalidQuery) -> None:
        self._unfilterable = self._unfilterable or refusal

    # Tokens

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take_word(self, word: str) -> bool:
        token = self._peek()
        if token.kind != "word" or token.text.lower() != word:
            return False
        self._next += 1
        return True

    def _take_mark(self, mark: str) -> bool:
        if self._peek().text != mark or self._peek().kind != "mark":
            return False
        self._next += 1
        return True

    def _need_mark(self, mark: str) -> None:
        if not self._take_mark(mark):
            raise self._unexpected(f"'{mark}'")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise _refusal(f"it is nested more than {DEPTH_MAX} deep")

    def _unexpected(self, wanted: str) -> InvalidQuery:
        token = self._peek()
        found = "it ends" if token.kind == "end" else f"{user_text(repr(token.text[:40]))} stands"
        return _refusal(f"{found} at character {token.at + 1}, where {wanted} should be")


def _value(property_: Property, operator: Operator, literal: _Literal) -> Value:
    """The literal as a value of the property's type. Raises InvalidQuery when it is of another."""
    if property_ in _TIMES:
        return _time(property_, operator, literal)
    if property_ is Property.STATUS:
        return _status(operator, literal)
    return _text(operator, literal)


def _time(property_: Property, operator: Operator, literal: _Literal) -> Value:
    if literal.kind == "null":
        return _null(operator)
    wanted = f"{property_.value} is compared with a time such as {EXAMPLE_TIME}, without quotes"
    if literal.kind != "time":
        raise _refusal(f"{wanted}; it was {user_text(literal.text[:60])}")
    try:
        return parse_instant(_whole_time(literal.text.replace(" ", "+")))
    except ValueError as error:
        why = str(error).removesuffix(f" such as {EXAMPLE_TIME}")
        raise _refusal(f"{wanted}; {user_text(why)}") from error


def _whole_time(text: str) -> str:
    """A time in the form the API writes: a date alone is midnight UTC, and the eighth decimal is cut.

    What is no time is left as it is.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    day, minute, second, fraction, offset = found.groups()
    return f"{day}T{minute or '00:00'}:{second or '00'}{fraction or ''}{(offset or 'Z').upper()}"


def _status(operator: Operator, literal: _Literal) -> Value:
    if operator in _ORDERINGS:
        raise _refusal(f"status can be compared with eq, ne and in only, not with {operator.value}")
    if literal.kind == "null":
        return None
    found = canonical(_unquoted(literal), STATUSES) if literal.kind in ("text", "enum") else None
    if found is None:
        quoted = ", ".join(f"'{status}'" for status in STATUSES)
        if literal.kind == "word":
            raise _refusal(
                f"a status stands in single quotes, as in {quoted}; it was {user_text(literal.text[:60])}"
            )
        raise _refusal(f"{user_text(literal.text[:60])} is not a status; there are {quoted}")
    return found


def _text(operator: Operator, literal: _Literal) -> Value:
    if literal.kind == "null":
        return _null(operator)
    if literal.kind != "text":
        raise _refusal(
            f"assignedTo is compared with a text in single quotes or null; it was {user_text(literal.text[:60])}"
        )
    return _unquoted(literal)


def _null(operator: Operator) -> Value:
    if operator in _ORDERINGS:
        raise _refusal(f"null can be compared with eq, ne and in only, not with {operator.value}")
    return None


def _unquoted(literal: _Literal) -> str:
    """The text in the quotes, without the name of a type that OData has in front of enumerated words."""
    return literal.text.partition("'")[2][:-1].replace("''", "'")
