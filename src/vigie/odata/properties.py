"""The properties of an API: the names under which a query may use them, and the literals they take."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from vigie.core.conditions import Property


class LiteralKind(Enum):
    """The kinds of literals."""

    TIME = "time"
    TEXT = "text"
    WORD = "word of an enumeration"


@dataclass(frozen=True, slots=True)
class QueryProperty:
    """A property that can be filtered and ordered by. `words` are those of an enumeration, with their values."""

    property: Property
    kind: LiteralKind
    words: Mapping[str, str] = field(default_factory=dict)


Properties = Mapping[str, QueryProperty]
"""An API's properties by their names, in the order in which its messages name them."""


def allowed(properties: Properties) -> str:
    """The end of a message that names what can be used."""
    return "allowed: " + ", ".join(properties)
