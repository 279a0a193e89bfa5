"""The grammar of `$filter`: from its text to an expression over the properties that an API hands in.

It is OData's, as far as clients use it; what parses but cannot be filtered is refused by name:
docs/api/list-incidents.md.
"""

import msgspec

from vigie.core.conditions import And, Comparison, Expression, Not, Operator, Or
from vigie.core.errors import user_text
from vigie.odata.errors import InvalidOption
from vigie.odata.filter_tokens import Token, refusal, tokens_of
from vigie.odata.filter_values import Literal, value_of
from vigie.odata.properties import Properties, QueryProperty, allowed

LENGTH_MAX = 4000
DEPTH_MAX = 20
TERMS_MAX = 100

_MIRRORED = {
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
}


class _Name(msgspec.Struct, frozen=True):
    """A property's name, whether it exists or not, or a function call by its name."""

    text: str
    is_call: bool = False


def parse_filter(text: str, properties: Properties) -> Expression:
    """The expression of a `$filter`. Raises InvalidOption, naming what is wrong and what is allowed."""
    if len(text) > LENGTH_MAX:
        raise refusal(f"it has {len(text)} characters; at most {LENGTH_MAX} are allowed")
    return _Parser(list(tokens_of(text)), properties).whole()


class _Parser:
    """Reads tokens from left to right: `or` binds less than `and`, `and` less than `not`."""

    def __init__(self, tokens: list[Token], properties: Properties) -> None:
        self._tokens = tokens
        self._properties = properties
        self._allowed = allowed(properties)
        self._next = 0
        self._depth = 0
        self._terms = 0
        # What parses is first parsed to its end: a mistake in the grammar is told before one in a name.
        self._unfilterable: InvalidOption | None = None

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
            raise refusal(f"it has more than {TERMS_MAX} terms")
        left = self._operand()
        if self._take_word("in"):
            return self._membership(left)
        operator = self._operator()
        if operator is None:
            return self._bare(left)
        return self._checked(left, operator, self._operand())

    def _membership(self, left: _Name | Literal) -> Expression:
        self._need_mark("(")
        members = [self._operand()]
        while self._take_mark(","):
            members.append(self._operand())
        self._need_mark(")")
        self._terms += len(members) - 1
        if self._terms > TERMS_MAX:
            raise refusal(f"it has more than {TERMS_MAX} terms")
        return Or(tuple(self._checked(left, Operator.EQ, member) for member in members))

    def _operator(self) -> Operator | None:
        token = self._peek()
        names = {operator.value: operator for operator in Operator}
        found = names.get(token.text.lower()) if token.kind == "word" else None
        if found is not None:
            self._next += 1
        return found

    def _operand(self) -> _Name | Literal:
        token = self._peek()
        if token.kind in ("time", "number", "text", "enum"):
            self._next += 1
            return Literal(token.kind, token.text)
        if token.kind != "word" or token.text.lower() in ("and", "or", "not", "in"):
            raise self._unexpected("a property or a value")
        self._next += 1
        if token.text.lower() in ("null", "true", "false"):
            return Literal("null" if token.text.lower() == "null" else "boolean", token.text)
        if self._take_mark("("):
            if token.text.endswith(("/any", "/all")):
                # What stands in a lambda has names of its own: it is not read.
                self._note(unusable := self._cannot_use(_Name(token.text, is_call=True)))
                raise self._unfilterable or unusable
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

    def _bare(self, left: _Name | Literal) -> Expression:
        """A call alone is an expression in OData; nothing else is."""
        if isinstance(left, _Name) and left.is_call:
            self._note(self._cannot_use(left))
            return Or(())
        raise self._unexpected("an operator: eq, ne, gt, ge, lt, le or in")

    def _checked(self, left: _Name | Literal, operator: Operator, right: _Name | Literal) -> Expression:
        if isinstance(left, Literal) and isinstance(right, _Name):
            left, right, operator = right, left, _MIRRORED.get(operator, operator)
        if isinstance(left, Literal):
            raise refusal(
                f"{user_text(left.text[:40])} is compared with a value; name a property, {self._allowed}"
            )
        described = self._property(left)
        if isinstance(right, _Name) and not right.is_call and right.text not in self._properties:
            # A text, most likely, whose quotes were forgotten.
            right = Literal("word", right.text)
        if isinstance(right, _Name):
            self._property(right)
            self._note(refusal(f"'{left.text}' can be compared with a value only"))
            return Or(())
        if described is None:
            return Or(())
        return self._typed(left.text, described, operator, right)

    def _property(self, name: _Name) -> QueryProperty | None:
        found = None if name.is_call else self._properties.get(name.text)
        if found is None:
            self._note(self._cannot_use(name))
        return found

    def _typed(self, name: str, described: QueryProperty, operator: Operator, literal: Literal) -> Expression:
        try:
            return Comparison(described.property, operator, value_of(name, described, operator, literal))
        except InvalidOption as error:
            self._note(error)
            return Or(())

    def _cannot_use(self, name: _Name) -> InvalidOption:
        if name.is_call:
            operators = ", ".join(each.value for each in Operator)
            return refusal(
                f"the function '{name.text[:60]}' cannot be used; no functions are allowed; "
                f"{self._allowed} with {operators}, in"
            )
        return refusal(f"the property '{name.text[:60]}' cannot be used; {self._allowed}")

    def _note(self, error: InvalidOption) -> None:
        self._unfilterable = self._unfilterable or error

    # Tokens

    def _peek(self) -> Token:
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
            raise refusal(f"it is nested more than {DEPTH_MAX} deep")

    def _unexpected(self, wanted: str) -> InvalidOption:
        token = self._peek()
        found = "it ends" if token.kind == "end" else f"{user_text(repr(token.text[:40]))} stands"
        return refusal(f"{found} at character {token.at + 1}, where {wanted} should be")
