"""A page of a list: which incidents, in which order, how many."""

from collections.abc import Mapping
from dataclasses import dataclass

from vigie.core.errors import InvalidQuery
from vigie.core.filters import Expression, Property

PAGE_SIZE_MAX = 100
SKIP_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Order:
    """One term of an order."""

    property: Property
    is_descending: bool = False


DEFAULT_ORDER = (Order(Property.LAST_UPDATE_TIME, is_descending=True),)
"""Newest first. Source: clients.md, section 3: captured answers prove it."""


_BEHIND: Mapping[Property, tuple[Order, ...]] = {
    Property.STATUS: (Order(Property.LAST_UPDATE_TIME, is_descending=True),),
    Property.ASSIGNED_TO: (Order(Property.STATUS), Order(Property.LAST_UPDATE_TIME, is_descending=True)),
}
"""What is behind an order by one of these alone, so that an index has it. docs/divergences.md, "Order"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a caller asked for. Incidents that are equal in the `whole_order` come by ascending number.

    `top` is None when the caller left the size to us.
    """

    filter: Expression | None = None
    order: tuple[Order, ...] = DEFAULT_ORDER
    top: int | None = None
    skip: int = 0
    count: bool = False

    @property
    def whole_order(self) -> tuple[Order, ...]:
        """The order, and behind it what is ours to choose; `desc` turns all of that round."""
        first = self.order[0]
        if len(self.order) > 1 or first.property not in _BEHIND:
            return self.order
        behind = _BEHIND[first.property]
        turned = (Order(each.property, is_descending=not each.is_descending) for each in behind)
        return (first, *(turned if first.is_descending else behind))

    @property
    def size(self) -> int:
        """How many incidents the page has at most."""
        return PAGE_SIZE_MAX if self.top is None else self.top


def parse_order(text: str) -> tuple[Order, ...]:
    """The terms of a `$orderby`. Raises InvalidQuery, naming what is allowed."""
    terms = tuple(_order(term.split()) for term in text.split(","))
    if len({term.property for term in terms}) < len(terms):
        raise _refusal("a property stands twice")
    return terms


def _order(words: list[str]) -> Order:
    if not 1 <= len(words) <= 2 or [word.lower() for word in words[1:]] not in ([], ["asc"], ["desc"]):
        raise _refusal("it is a list of properties, each with 'asc' or 'desc' behind it or nothing")
    found = next((each for each in Property if each.value == words[0]), None)
    if found is None:
        allowed = ", ".join(each.value for each in Property)
        raise _refusal(f"the property '{words[0][:60]}' cannot be used; allowed: {allowed}")
    return Order(found, is_descending=words[-1].lower() == "desc")


def _refusal(reason: str) -> InvalidQuery:
    return InvalidQuery(f"Invalid OData URI query: $orderby: {reason}.")
