"""Pages of a list: which incidents, in which order, how many."""

from collections.abc import Mapping

import msgspec

from vigie.core.conditions import Expression, Property

PAGE_SIZE_MAX = 100
SKIP_MAX = 2**31 - 1


class Order(msgspec.Struct, frozen=True):
    """One term of an order."""

    property: Property
    is_descending: bool = False


DEFAULT_ORDER = (Order(Property.LAST_UPDATE_TIME, is_descending=True),)
"""The last updated first, as captured answers have it."""


_BEHIND: Mapping[Property, tuple[Order, ...]] = {
    Property.STATUS: (Order(Property.LAST_UPDATE_TIME, is_descending=True),),
    Property.ASSIGNED_TO: (Order(Property.STATUS), Order(Property.LAST_UPDATE_TIME, is_descending=True)),
}
"""What is behind an order by one of these alone, so that an index has it. docs/divergences.md, "Order"."""


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The page that a caller asked for. Incidents that are equal in the `whole_order` come by ascending number.

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
