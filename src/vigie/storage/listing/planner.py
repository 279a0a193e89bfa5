"""The statements of one page: a few stretches of indexes, merged.

A page is put together from arms. An arm reads what is visible under one label, and of one assignee or status
where the filter says so, from an index that is already in the order of the list, and is cut after as many rows
as the page can reach. Merging the arms costs the page and what is skipped, for each arm, and not the size of
the store. docs/decisions/0006-lists-read-sights-alone.md has the reasons.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import product

from vigie.core.access import Exposure
from vigie.core.conditions import Comparison, Expression, Operator, Property
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.storage.database import Statement
from vigie.storage.listing.dialect import SQLITE, Dialect
from vigie.storage.listing.filter_sql import (
    COLUMNS,
    EVERY_STATUS,
    BindParameters,
    all_of,
    bounds_of,
    conditions_of,
    properties_of,
    values_left,
)
from vigie.storage.visibility import labels_of

# SQLite merges at most 500.
_ARMS_MAX = 400
_NEAR_ROWS = 1_000

_LAST_UPDATE_INDEX = "INDEXED BY sqlite_autoindex_incident_visibility_1"  # the primary key
_CREATION_INDEX = "INDEXED BY visibility_by_creation"
_STATUS_INDEX = "INDEXED BY visibility_by_status"
_ASSIGNEE_INDEX = "INDEXED BY visibility_by_assignee"
_ANY_INDEX = ""

_TIME_INDEXES: Mapping[Property | None, str] = {
    Property.LAST_UPDATE_TIME: _LAST_UPDATE_INDEX,
    Property.CREATED_TIME: _CREATION_INDEX,
}
_OWN_INDEXES: Mapping[Property, str] = {
    Property.STATUS: _STATUS_INDEX,
    Property.ASSIGNED_TO: _ASSIGNEE_INDEX,
}
_OTHER_TIMES = {
    Property.LAST_UPDATE_TIME: Property.CREATED_TIME,
    Property.CREATED_TIME: Property.LAST_UPDATE_TIME,
}

Key = tuple[Comparison, ...]


class AccessPath(Enum):
    """How a page is found when one time is ordered by and the other is filtered."""

    WALK = "along the order, passing over what does not match"
    STRETCH = "the whole stretch of the other time, sorted"


_LOOKS = (
    (AccessPath.WALK, 500),
    (AccessPath.STRETCH, 1_000),
    (AccessPath.WALK, 8_000),
    (AccessPath.STRETCH, 16_000),
    (AccessPath.WALK, 128_000),
    (AccessPath.STRETCH, 256_000),
)
"""How many rows a way may cost, asked of both in turns: no page costs much more than its shorter way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A statement that answers 1 if a way is short, and 0 if it is not."""

    way: AccessPath
    statement: Statement


class Listing:
    """One page of one tenant for one exposure, as statements."""

    def __init__(
        self,
        tenant_id: int,
        exposure: Exposure,
        request: PageRequest,
        retained_since: Instant | None = None,
        *,
        dialect: Dialect = SQLITE,
    ) -> None:
        self._dialect = dialect
        self._tenant_id = tenant_id
        self._labels = labels_of(exposure)
        self._request = request
        self._order = request.whole_order
        self._conditions = tuple(conditions_of(request.filter, retained_since))
        self._size = request.size + (request.top is None)

    def looks(self) -> Iterator[Look]:
        """What to ask, in this order, before choosing a way; nothing where there is no choice.

        The first way that is short is to be taken, and if none is, to walk.
        """
        other = _OTHER_TIMES.get(self._request.order[0].property)
        if other is not None and bounds_of(other, conditions_of(self._request.filter, None)):
            for way, rows in _LOOKS:
                is_short = (
                    self._walk_fits(rows) if way is AccessPath.WALK else self._stretch_fits(other, rows)
                )
                yield Look(way=way, statement=is_short)

    def page(self, way: AccessPath = AccessPath.WALK) -> Statement:
        """The incidents of the page as document, alerts_at and spans.

        When the caller left the size to us there is one more, if there is one, to tell that there is.
        """
        bound = BindParameters()
        tenant = bound.name(self._tenant_id)
        page = self._merged(bound, way)
        arms, _ = self._arms(way)
        # The rows of one arm stand as that arm has them; PostgreSQL would sort them again for another order.
        order = self._order_of("page.", arms[0][1] if len(arms) == 1 else _MERGED)
        return Statement(
            f"SELECT incident.document, incident.alerts_at, incident.spans FROM ({page}) AS page"
            f" {self._dialect.join} incident"
            f" ON incident.tenant_id = {tenant} AND incident.incident_id = page.incident_id"
            f"{self._dialect.page_order(order)}",
            bound.values,
            is_short=way is AccessPath.WALK and self._is_stretch(),
        )

    def count(self) -> Statement:
        """How many incidents match, over all pages."""
        bound = BindParameters()
        # One label names an incident once.
        counted = "count(*)" if len(self._labels) == 1 else "count(DISTINCT incident_id)"
        return Statement(
            f"SELECT {counted} FROM incident_visibility WHERE {self._visible_under(bound, self._labels)}"
            f" AND {all_of(bound, self._conditions)}",
            bound.values,
        )

    def _is_stretch(self) -> bool:
        """Whether the page is, but for a little that is skipped, the first rows of one stretch of one index."""
        time = self._time(AccessPath.WALK)
        is_near = self._request.skip <= _NEAR_ROWS and len(self._request.order) == len(self._labels) == 1
        return is_near and time is not None and bounds_of(time, self._conditions) == self._conditions

    # Looks

    def _walk_fits(self, rows: int) -> Statement:
        """Whether every arm finds as many as the page can reach, or ends, within so many rows in all."""
        bound = BindParameters()
        first = self._request.order[0]
        arms, index = self._arms()
        reach = self._request.skip + self._size
        row_count, reached = bound.name(max(rows, 2 * reach) // len(arms) + 1), bound.name(reach)
        matches = all_of(bound, self._conditions)
        stretch = all_of(bound, bounds_of(first.property, self._conditions))
        fits = [
            f"SELECT CAST(count(*) < {row_count} OR count(*) FILTER (WHERE {matches}) >= {reached} AS integer)"
            f" AS fits FROM"
            f" (SELECT {', '.join(COLUMNS.values())} FROM incident_visibility {index}"
            f" WHERE {self._visible_under(bound, labels)} AND {all_of(bound, key)} AND {stretch}"
            f" ORDER BY {self._dialect.directed(COLUMNS[first.property], first)} LIMIT {row_count}) AS walked"
            for labels, key in arms
        ]
        return Statement(f"SELECT min(fits) FROM ({' UNION ALL '.join(fits)}) AS arms", bound.values)

    def _stretch_fits(self, time: Property, rows: int) -> Statement:
        """Whether the stretch of the time that is not ordered by has at most so many rows."""
        bound = BindParameters()
        return Statement(
            f"SELECT CAST(count(*) <= {bound.name(rows)} AS integer) FROM"
            f" (SELECT 1 FROM incident_visibility {self._dialect.index(_TIME_INDEXES[time])}"
            f" WHERE {self._visible_under(bound, self._labels)}"
            f" AND {self._all_of(bound, bounds_of(time, self._conditions), (time,))}"
            f" LIMIT {bound.name(rows + 1)}) AS stretch",
            bound.values,
        )

    # Arms

    def _merged(self, bound: BindParameters, way: AccessPath) -> str:
        """The numbers of the page's incidents, in order."""
        size, skip = self._size, self._request.skip
        arms, index = self._arms(way)
        matches = self._all_of(bound, self._conditions, self._sought(way))
        rows = [self._rows(bound, labels, key, (way, index), matches) for labels, key in arms]
        if len(rows) == 1:
            return f"{rows[0]} LIMIT {bound.name(size)} OFFSET {bound.name(skip)}"
        reach = bound.name(skip + size)
        # An incident may be visible under several labels.
        union = " UNION " if len(self._labels) > 1 else " UNION ALL "
        merged = union.join(
            f"SELECT incident_id, {self._sorted_by()} FROM ({row} LIMIT {reach}) AS arm" for row in rows
        )
        order = self._order_of("", _MERGED)
        return (
            f"SELECT incident_id, {self._sorted_by()} FROM ({merged}) AS merged ORDER BY {order}"
            f" LIMIT {bound.name(size)} OFFSET {bound.name(skip)}"
        )

    def _rows(
        self,
        bound: BindParameters,
        labels: tuple[str, ...],
        key: Key,
        along: tuple[AccessPath, str],
        matches: str,
    ) -> str:
        """What an arm reads, in the order of the list."""
        way, index = along
        sorted_by = [self._sort_column(term.property, way) for term in self._order]
        columns = [f"{column} AS k{place}" for place, column in enumerate(sorted_by)]
        return (
            f"SELECT {'DISTINCT ' if len(labels) > 1 else ''}incident_id, {', '.join(columns)}"
            f" FROM incident_visibility {index} WHERE {self._visible_under(bound, labels)}"
            f" AND {all_of(bound, key)} AND {matches}"
            f" ORDER BY {', '.join([*self._directed(sorted_by, key), 'incident_id'])}"
        )

    def _sort_column(self, property_: Property, way: AccessPath) -> str:
        """A stretch is to be found first and then sorted: no index shall offer itself for the order."""
        column = COLUMNS[property_]
        return self._dialect.aside(property_, column) if way is AccessPath.STRETCH else column

    def _order_of(self, place_of: str, key: Key) -> str:
        """The order of the rows of an arm, or of all merged, by what an arm calls its columns."""
        columns = [f"{place_of}k{place}" for place in range(len(self._order))]
        return ", ".join([*self._directed(columns, key), f"{place_of}incident_id"])

    def _directed(self, columns: Iterable[str], key: Key) -> Iterator[str]:
        """The terms of the order; what an arm has one value of is none, and PostgreSQL would sort by NULL."""
        fixed = {each.property for each in key if each.operator is Operator.EQ}
        may_be_null = _SOMEBODY not in key and not self._asks_for_somebody()
        for column, term in zip(columns, self._order, strict=True):
            if term.property not in fixed:
                yield self._dialect.directed(column, term, may_be_null=may_be_null)

    def _sorted_by(self) -> str:
        return ", ".join(f"k{place}" for place in range(len(self._order)))

    def _arms(self, way: AccessPath = AccessPath.WALK) -> tuple[list[tuple[tuple[str, ...], Key]], str]:
        """The labels and the key of each arm, and the index that all of them read."""
        keys, index = self._keys(way)
        if len(keys) * len(self._labels) > _ARMS_MAX:
            keys, index = [()], _TIME_INDEXES.get(self._time(way), _ANY_INDEX)
        index = self._dialect.index(index)
        if len(self._labels) > _ARMS_MAX:
            return [(self._labels, key) for key in keys], index
        return [((label,), key) for label, key in product(self._labels, keys)], index

    def _keys(self, way: AccessPath) -> tuple[list[Key], str]:
        """The pairs of assignee and status, or the statuses, that the filter leaves; else one key for all."""
        first = self._request.order[0].property
        if way is AccessPath.WALK and first is Property.LAST_UPDATE_TIME:
            assignees = values_left(Property.ASSIGNED_TO, self._conditions)
            statuses = values_left(Property.STATUS, self._conditions)
            if assignees is not None:
                both = product(_equal(Property.ASSIGNED_TO, assignees), _equal(Property.STATUS, statuses))
                return list(both) or [_NEVER], _ASSIGNEE_INDEX
            if statuses is not None:
                return [(status,) for status in _equal(Property.STATUS, statuses)] or [_NEVER], _STATUS_INDEX
        if self._has_own_index():
            return self._keys_in_order(first), _OWN_INDEXES[first]
        return [()], _TIME_INDEXES.get(self._time(way), _ANY_INDEX)

    def _keys_in_order(self, first: Property) -> list[Key]:
        """The values that the filter leaves of the order's own property, or as few keys as there can be.

        Nobody has a key of its own, where somebody may come behind: an index of PostgreSQL is without nobody.
        """
        values = values_left(first, self._conditions)
        if values is not None:
            return [(value,) for value in _equal(first, values)] or [_NEVER]
        is_split = first is Property.ASSIGNED_TO and not self._asks_for_somebody()
        return [(_NOBODY,), (_SOMEBODY,)] if is_split else [()]

    def _asks_for_somebody(self) -> bool:
        """Whether an assignee must be more or less than another: nobody is neither."""
        return bool(bounds_of(Property.ASSIGNED_TO, self._conditions))

    def _has_own_index(self) -> bool:
        """Whether the order is a status's or an assignee's, and nothing else cuts a shorter stretch."""
        first = self._request.order[0].property
        asked = properties_of(conditions_of(self._request.filter, None))
        return first in _OWN_INDEXES and asked <= {first}

    def _sought(self, way: AccessPath) -> tuple[Property, ...]:
        """By what rows may be looked up; the order's own index must not be left for another."""
        if self._has_own_index():
            return (self._request.order[0].property,)
        time = self._time(way)
        return tuple(Property) if time is None else (time,)

    def _time(self, way: AccessPath) -> Property | None:
        """The time along which rows are read, if they are."""
        first = self._request.order[0].property
        return (
            _OTHER_TIMES.get(first)
            if way is AccessPath.STRETCH
            else first
            if first in _TIME_INDEXES
            else None
        )

    def _all_of(
        self, bound: BindParameters, conditions: Iterable[Expression], sought: Collection[Property]
    ) -> str:
        return all_of(bound, conditions, sought, dialect=self._dialect)

    def _visible_under(self, bound: BindParameters, labels: tuple[str, ...]) -> str:
        names = ", ".join(bound.name(label) for label in labels)
        is_one = f"label = {names}" if len(labels) == 1 else f"label IN ({names})"
        return f"tenant_id = {bound.name(self._tenant_id)} AND {is_one}"


_NOBODY = Comparison(Property.ASSIGNED_TO, Operator.EQ, None)
_SOMEBODY = Comparison(Property.ASSIGNED_TO, Operator.NE, None)
_MERGED: Key = ()
_NEVER: Key = (Comparison(Property.STATUS, Operator.EQ, None),)


def _equal(property_: Property, values: frozenset[str | None] | None) -> list[Comparison]:
    wanted = EVERY_STATUS if values is None else values
    in_order = sorted(wanted, key=lambda value: (value is not None, value or ""))
    return [Comparison(property_, Operator.EQ, value) for value in in_order]
