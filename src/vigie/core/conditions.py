"""Conditions on incidents: comparisons of properties with values, joined by and, or, not."""

from enum import Enum

import msgspec

from vigie.core.instants import Instant


class Property(Enum):
    """The properties that incidents can be filtered and ordered by. Their names in an API are that API's."""

    LAST_UPDATE_TIME = "last_update_time"
    CREATED_TIME = "created_time"
    STATUS = "status"
    ASSIGNED_TO = "assigned_to"


class Operator(Enum):
    """The ways to compare a property with a value."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


Value = Instant | str | None


class Comparison(msgspec.Struct, frozen=True):
    """A property against a value: an instant for times, a member of an enumeration, a text or None."""

    property: Property
    operator: Operator
    value: Value


class And(msgspec.Struct, frozen=True):
    """True when every part is."""

    parts: tuple["Expression", ...]


class Or(msgspec.Struct, frozen=True):
    """True when any part is; without parts, never."""

    parts: tuple["Expression", ...]


class Not(msgspec.Struct, frozen=True):
    """True when its part is not: there is no third answer, nulls compare as OData has it."""

    part: "Expression"


Expression = Comparison | And | Or | Not
