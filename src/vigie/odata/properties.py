"""The properties of an API: the names under which a query may use them, and the literals they take."""

from collections.abc import Mapping
from enum import Enum

import msgspec

from vigie.core.conditions import Property


class LiteralKind(Enum):
    """The kinds of literals."""

    TIME = "time"
    TEXT = "text"
    WORD = "word of an enumeration"


class QueryProperty(msgspec.Struct, frozen=True):
    """A property that can be filtered and ordered by. `words` are those of an enumeration, with their values."""

    property: Property
    kind: LiteralKind
    words: Mapping[str, str] = msgspec.field(default_factory=dict)


Properties = Mapping[str, QueryProperty]
"""An API's properties by their names, in the order in which its messages name them."""


def allowed(properties: Properties) -> str:
    """The end of a message that names what can be used."""
    return "allowed: " + ", ".join(properties)
