"""Statements of short pages of a whole tenant, planned once for all requests that differ in their moments alone.

To plan a page costs as much as to read ten incidents, and a client that polls asks for the same page each time, of
what is newer than another moment.
"""

import msgspec

from vigie.core.conditions import And, Comparison, Expression, Not, Or, Property
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.storage.database import Statement
from vigie.storage.listing.dialect import Dialect
from vigie.storage.listing.filter_sql import narrowed
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.scope import WHOLE

_PAGES_MAX = 256
_TEXT_LENGTH_MAX = 2_000
_TIMES = (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)

_Key = tuple[int, PageRequest, Instant | None]


class PreparedPages:
    """The statements that have been planned, by tenant and by what is the same in all requests for them."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._planned: dict[_Key, Statement] = {}

    def find(self, tenant_id: int, request: PageRequest, retained_since: Instant | None) -> Statement | None:
        """The statement of a page of the whole tenant, if it is short; None for every other."""
        filter_, retained_since = narrowed(request.filter, retained_since)
        moments: list[Instant] = []
        since = None if retained_since is None else _place_of(retained_since, moments)
        if filter_ is not None:
            filter_ = _with_places(filter_, moments)
        request = msgspec.structs.replace(request, filter=filter_)
        key = (tenant_id, request, since)
        planned = self._planned.get(key) or self._plan(key)
        if planned is None or not moments:
            return planned
        values = {
            name: moments[value] if isinstance(value, _Place) else value
            for name, value in planned.values.items()
        }
        return Statement(planned.text, values, is_short=True)

    def _plan(self, key: _Key) -> Statement | None:
        tenant_id, request, since = key
        listing = Listing(tenant_id, WHOLE, request, since, dialect=self._dialect)
        if not listing.is_short:
            return None
        planned = listing.page()
        if len(planned.text) <= _TEXT_LENGTH_MAX:
            if len(self._planned) >= _PAGES_MAX:
                self._planned.clear()
            self._planned[key] = planned
        return planned


class _Place(int):
    """Stands in a plan for a moment: the one at this place among those of the request."""


def _place_of(moment: Instant, moments: list[Instant]) -> Instant:
    moments.append(moment)
    return Instant(_Place(len(moments) - 1))


def _with_places(expression: Expression, moments: list[Instant]) -> Expression:
    """The expression with places where it has moments, which are added to the list."""
    match expression:
        case Comparison(property_, operator, int() as moment) if property_ in _TIMES:
            return Comparison(property_, operator, _place_of(Instant(moment), moments))
        case And(parts):
            return And(tuple(_with_places(part, moments) for part in parts))
        case Or(parts):
            return Or(tuple(_with_places(part, moments) for part in parts))
        case Not(part):
            return Not(_with_places(part, moments))
    return expression
