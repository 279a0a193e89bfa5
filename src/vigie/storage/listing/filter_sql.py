"""A filter as SQL over the columns of `incident_listing`: values are bound, and only names of ours are text."""

from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from vigie.core.conditions import And, Comparison, Expression, Not, Operator, Or, Property
from vigie.core.enums import Status
from vigie.core.instants import Instant
from vigie.storage.listing.dialect import SQLITE, Dialect

COLUMNS = {
    Property.LAST_UPDATE_TIME: "last_update_at",
    Property.CREATED_TIME: "created_at",
    Property.STATUS: "status",
    Property.ASSIGNED_TO: "assigned_to",
}

_SYMBOLS = {
    Operator.EQ: "=",
    Operator.NE: "<>",
    Operator.GT: ">",
    Operator.GE: ">=",
    Operator.LT: "<",
    Operator.LE: "<=",
}

ColumnOf = Callable[[Property], str]
Texts = frozenset[str | None]
"""Values of a status or an assignee; None is unassigned."""

_TIMES = (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)
_LOWER = (Operator.GT, Operator.GE)
_ENDS = (*_LOWER, Operator.LT, Operator.LE)

EVERY_STATUS: Texts = frozenset(each.value for each in Status)


class BindParameters(msgspec.Struct):
    """The values of a statement: each gets a name, and the text of the statement has the name in its place."""

    values: dict[str, object] = msgspec.field(default_factory=dict)

    def name(self, value: object) -> str:
        """How the text of the statement names the value."""
        name = f"v{len(self.values)}"
        self.values[name] = value.value if isinstance(value, Status) else value
        return f":{name}"

    def copy(self) -> "BindParameters":
        """The same values, to which others may be added."""
        return BindParameters(dict(self.values))


def conditions_of(expression: Expression | None, retained_since: Instant | None) -> Iterator[Expression]:
    """What must all be true: the parts of an `and` at the top, and the retention."""
    if retained_since is not None:
        yield Comparison(Property.LAST_UPDATE_TIME, Operator.GE, retained_since)
    if isinstance(expression, And):
        for part in expression.parts:
            yield from conditions_of(part, None)
    elif expression is not None:
        yield expression


def narrowed(
    expression: Expression | None, retained_since: Instant | None
) -> tuple[Expression | None, Instant | None]:
    """A filter and a retention that leave the same, with one bound for each end of a time.

    SQLite searches by one of several, and reads in vain what the others leave out.
    """
    others: list[Expression] = []
    ends: dict[tuple[Property, bool], Comparison] = {}
    for each in conditions_of(expression, None):
        match each:
            case Comparison(property_, operator, int()) if property_ in _TIMES and operator in _ENDS:
                end = (property_, operator in _LOWER)
                ends[end] = min(each, ends.get(end, each), key=_left_by)
            case _:
                others.append(each)
    lower = ends.get((Property.LAST_UPDATE_TIME, True))
    if retained_since is not None and lower is not None:
        retention = Comparison(Property.LAST_UPDATE_TIME, Operator.GE, retained_since)
        if _left_by(lower) <= _left_by(retention):
            retained_since = None
        else:
            del ends[Property.LAST_UPDATE_TIME, True]
    parts = (*others, *ends.values())
    return (And(parts) if len(parts) > 1 else next(iter(parts), None)), retained_since


def is_one_range(property_: Property, conditions: Iterable[Expression]) -> bool:
    """Whether conditions leave one range of a property, or single values, and no row of that is read in vain."""
    about = [each for each in conditions if property_ in properties_of([each])]
    ends = [
        each.operator in _LOWER for each in about if isinstance(each, Comparison) and each.operator in _ENDS
    ]
    is_range = len(ends) == len(set(ends)) == len(about)
    return is_range or (len(about) == 1 and bool(bounds_of(property_, about)))


def bounds_of(property_: Property, conditions: Iterable[Expression]) -> tuple[Expression, ...]:
    """The conditions that leave a range, or single values, of an order by the property."""
    return tuple(each for each in conditions if _is_bound(property_, each))


def properties_of(conditions: Iterable[Expression]) -> frozenset[Property]:
    """The properties that conditions are about."""
    found: set[Property] = set()
    for condition in conditions:
        match condition:
            case Comparison(property_):
                found.add(property_)
            case And(parts) | Or(parts):
                found |= properties_of(parts)
            case Not(part):
                found |= properties_of([part])
    return frozenset(found)


def values_left(property_: Property, conditions: Iterable[Expression]) -> Texts | None:
    """The values that the conditions leave a property; None when that is not known, or is all of them."""
    left: Texts | None = None
    for condition in conditions:
        values = _values_of(property_, condition)
        if values is not None:
            left = values if left is None else left & values
    is_all = property_ is Property.STATUS and left == EVERY_STATUS
    return None if is_all else left


def all_of(
    bound: BindParameters,
    conditions: Iterable[Expression],
    searched: Collection[Property] = tuple(Property),
    *,
    dialect: Dialect = SQLITE,
) -> str:
    """The conditions as SQL that is never NULL, so that `not` means what it says.

    Rows are looked up by properties that are `searched`, and only tested by the others.
    """

    def column_of(property_: Property) -> str:
        name = COLUMNS[property_]
        return name if property_ in searched else dialect.unindexed(property_, name)

    return " AND ".join([_text(bound, each, column_of) for each in conditions] or ["1 = 1"])


def _left_by(end: Comparison) -> tuple[int, bool]:
    """How much one end of a time leaves, to be compared with others of the same end."""
    moment = int(end.value or 0)
    return (-moment if end.operator in _LOWER else moment, end.operator in (Operator.GE, Operator.LE))


def _is_bound(property_: Property, condition: Expression) -> bool:
    match condition:
        case Comparison(found, operator):
            return found is property_ and operator is not Operator.NE
        case Or(parts):
            return bool(parts) and all(
                isinstance(part, Comparison) and part.property is property_ and part.operator is Operator.EQ
                for part in parts
            )
    return False


def _values_of(property_: Property, condition: Expression) -> Texts | None:
    match condition:
        case And(parts):
            return values_left(property_, parts)
        case Or(parts):
            alternatives = [_values_of(property_, part) for part in parts]
            known = [values for values in alternatives if values is not None]
            return Texts().union(*known) if len(known) == len(alternatives) else None
        case Comparison(found, Operator.EQ, value) if found is property_:
            return frozenset({None if value is None else str(value)})
        case Comparison(Property.STATUS, Operator.NE, value) | Not(
            Comparison(Property.STATUS, Operator.EQ, value)
        ) if property_ is Property.STATUS:
            return EVERY_STATUS - {str(value)}
    return None


def _text(bound: BindParameters, expression: Expression, column_of: ColumnOf) -> str:
    match expression:
        case And(parts):
            return "(" + " AND ".join([_text(bound, part, column_of) for part in parts] or ["1 = 1"]) + ")"
        case Or(parts):
            return "(" + " OR ".join([_text(bound, part, column_of) for part in parts] or ["1 = 0"]) + ")"
        case Not(part):
            return f"(NOT {_text(bound, part, column_of)})"
        case Comparison():
            return _comparison(bound, expression, column_of(expression.property))


def _comparison(bound: BindParameters, comparison: Comparison, column: str) -> str:
    """As OData compares: null equals null alone, and is neither more nor less than anything."""
    if comparison.value is None:
        return f"({column} IS NULL)" if comparison.operator is Operator.EQ else f"({column} IS NOT NULL)"
    text = f"{column} {_SYMBOLS[comparison.operator]} {bound.name(comparison.value)}"
    if comparison.property is not Property.ASSIGNED_TO:
        return text
    if comparison.operator is Operator.NE:
        return f"({column} IS NULL OR {text})"
    return f"({column} IS NOT NULL AND {text})"
