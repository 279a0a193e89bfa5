"""The statements of one page: a few ranges of indexes, merged.

A page is merged from branches (`access_paths.py`). Each reads its range of an index in the order of the list, and
ends after as many rows as the page can reach. So a page costs its rows and those that are skipped, for each branch,
and not the size of the database. docs/decisions/0006-lists-read-sights-alone.md has the reasons.
"""

from collections.abc import Collection, Iterable, Iterator

import msgspec
from msgspec.structs import replace

from vigie.core.access import Exposure
from vigie.core.conditions import Expression, Operator, Property
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.storage.database import Statement
from vigie.storage.listing.access_paths import (
    ASSIGNED,
    WITHOUT_KEY,
    AccessPath,
    Branches,
    Key,
    Labels,
    branches_of,
    compares_assignees,
    index_on,
    other_time,
    time_of,
)
from vigie.storage.listing.dialect import SQLITE, Dialect
from vigie.storage.listing.filter_sql import COLUMNS, BindParameters, all_of, bounds_of, conditions_of
from vigie.storage.visibility import labels_of

_SHORT_SKIP_MAX = 1_000

# How many rows a path may cost, asked of both in turns. Neither is known to be short before it is tried, and a try
# costs what it may cost: as the limits grow sixteenfold, all tries before the one that fits cost little beside it.
_PROBES = (
    (AccessPath.IN_ORDER, 500),
    (AccessPath.SORTED_RANGE, 1_000),
    (AccessPath.IN_ORDER, 8_000),
    (AccessPath.SORTED_RANGE, 16_000),
    (AccessPath.IN_ORDER, 128_000),
    (AccessPath.SORTED_RANGE, 256_000),
)


class PlanProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that answers 1 if a path is short, and 0 if it is not."""

    path: AccessPath
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
        # One more than the page, where the caller left the size to us: it tells that there is another page.
        self._size = request.size + (request.top is None)

    def probes(self) -> Iterator[PlanProbe]:
        """What to run, in this order, before a path is chosen; nothing where there is no choice.

        The first path that is short is to be taken, and if none is, the order.
        """
        time = other_time(self._request)
        if time is None:
            return
        for path, rows in _PROBES:
            is_short = self._order_fits(rows) if path is AccessPath.IN_ORDER else self._range_fits(time, rows)
            yield PlanProbe(path=path, statement=is_short)

    def page(self, path: AccessPath = AccessPath.IN_ORDER) -> Statement:
        """The incidents of the page as document, alerts_at and spans.

        When the caller left the size to us there is one more, if there is one, to tell that there is.
        """
        bound = BindParameters()
        tenant = bound.name(self._tenant_id)
        branches = self._branches(path)
        page = self._merged(bound, path, branches)
        # The rows of one branch stand as that branch has them; PostgreSQL would sort them again for another order.
        order = self._order_of("page.", branches.keys[0][1] if len(branches.keys) == 1 else WITHOUT_KEY)
        # The page is found in `incident_visibility` alone: documents are read for its rows and for no others.
        return Statement(
            f"SELECT incident.document, incident.alerts_at, incident.spans FROM ({page}) AS page"
            f" {self._dialect.join} incident"
            f" ON incident.tenant_id = {tenant} AND incident.incident_id = page.incident_id"
            f"{self._dialect.page_order(order)}",
            bound.values,
            is_short=path is AccessPath.IN_ORDER and self._is_one_range(),
        )

    def count(self) -> Statement:
        """How many incidents match, over all pages."""
        bound = BindParameters()
        # An incident has one row under each of its labels.
        counted = "count(*)" if len(self._labels) == 1 else "count(DISTINCT incident_id)"
        return Statement(
            f"SELECT {counted} FROM incident_visibility WHERE {self._visible_under(bound, self._labels)}"
            f" AND {all_of(bound, self._conditions)}",
            bound.values,
        )

    def _is_one_range(self) -> bool:
        """Whether the page is, but for a little that is skipped, the first rows of one range of one index."""
        time = time_of(self._request, AccessPath.IN_ORDER)
        is_near = self._request.skip <= _SHORT_SKIP_MAX
        is_single = len(self._request.order) == len(self._labels) == 1
        return (
            is_near
            and is_single
            and time is not None
            and bounds_of(time, self._conditions) == self._conditions
        )

    # Probes

    def _order_fits(self, rows: int) -> Statement:
        """Whether every branch finds as many as the page can reach, or ends, within so many rows in all."""
        bound = BindParameters()
        first = self._request.order[0]
        branches = self._branches(AccessPath.IN_ORDER)
        window = self._request.skip + self._size
        # A page that reaches far costs its window on any path: a limit below that would reject them all.
        row_count = bound.name(max(rows, 2 * window) // len(branches.keys) + 1)
        found = bound.name(window)
        matches = all_of(bound, self._conditions)
        range_ = all_of(bound, bounds_of(first.property, self._conditions))
        fits = [
            f"SELECT CAST(count(*) < {row_count} OR count(*) FILTER (WHERE {matches}) >= {found} AS integer)"
            f" AS fits FROM"
            f" (SELECT {', '.join(COLUMNS.values())} FROM incident_visibility {branches.index}"
            f" WHERE {self._visible_under(bound, labels)} AND {all_of(bound, key)} AND {range_}"
            f" ORDER BY {self._dialect.directed(COLUMNS[first.property], first)} LIMIT {row_count}) AS tried"
            for labels, key in branches.keys
        ]
        return Statement(f"SELECT min(fits) FROM ({' UNION ALL '.join(fits)}) AS branches", bound.values)

    def _range_fits(self, time: Property, rows: int) -> Statement:
        """Whether the range of the time that is not ordered by has at most so many rows."""
        bound = BindParameters()
        return Statement(
            f"SELECT CAST(count(*) <= {bound.name(rows)} AS integer) FROM"
            f" (SELECT 1 FROM incident_visibility {self._dialect.index(index_on(time))}"
            f" WHERE {self._visible_under(bound, self._labels)}"
            f" AND {self._all_of(bound, bounds_of(time, self._conditions), (time,))}"
            # Without a limit the count itself would cost the range, however long that is.
            f" LIMIT {bound.name(rows + 1)}) AS ranged",
            bound.values,
        )

    # Branches

    def _branches(self, path: AccessPath) -> Branches:
        branches = branches_of(self._request, self._conditions, self._labels, path)
        return replace(branches, index=self._dialect.index(branches.index))

    def _merged(self, bound: BindParameters, path: AccessPath, branches: Branches) -> str:
        """The ids of the page's incidents, in order."""
        size, skip = self._size, self._request.skip
        matches = self._all_of(bound, self._conditions, branches.searched)
        rows = [
            self._rows(bound, labels, key, (path, branches.index), matches) for labels, key in branches.keys
        ]
        if len(rows) == 1:
            return f"{rows[0]} LIMIT {bound.name(size)} OFFSET {bound.name(skip)}"
        # All rows that are skipped may be of one branch, and so may all of the page.
        window = bound.name(skip + size)
        # An incident may be visible under several labels: UNION keeps it once. Keys exclude each other.
        union = " UNION " if len(self._labels) > 1 else " UNION ALL "
        merged = union.join(
            f"SELECT incident_id, {self._sort_names()} FROM ({row} LIMIT {window}) AS branch" for row in rows
        )
        order = self._order_of("", WITHOUT_KEY)
        return (
            f"SELECT incident_id, {self._sort_names()} FROM ({merged}) AS merged ORDER BY {order}"
            f" LIMIT {bound.name(size)} OFFSET {bound.name(skip)}"
        )

    def _rows(
        self, bound: BindParameters, labels: Labels, key: Key, along: tuple[AccessPath, str], matches: str
    ) -> str:
        """What a branch reads, in the order of the list."""
        path, index = along
        sorted_by = [self._sort_column(term.property, path) for term in self._order]
        columns = [f"{column} AS k{place}" for place, column in enumerate(sorted_by)]
        return (
            f"SELECT {'DISTINCT ' if len(labels) > 1 else ''}incident_id, {', '.join(columns)}"
            f" FROM incident_visibility {index} WHERE {self._visible_under(bound, labels)}"
            f" AND {all_of(bound, key)} AND {matches}"
            f" ORDER BY {', '.join([*self._directed(sorted_by, key), 'incident_id'])}"
        )

    def _sort_column(self, property_: Property, path: AccessPath) -> str:
        """A range is to be found first and then sorted: no index shall offer itself for the order."""
        column = COLUMNS[property_]
        return self._dialect.unindexed(property_, column) if path is AccessPath.SORTED_RANGE else column

    def _order_of(self, table: str, key: Key) -> str:
        """The order of the rows of a branch, or of all merged, by what a branch calls its columns."""
        columns = [f"{table}k{place}" for place in range(len(self._order))]
        return ", ".join([*self._directed(columns, key), f"{table}incident_id"])

    def _directed(self, columns: Iterable[str], key: Key) -> Iterator[str]:
        """The terms of the order, without those that a branch has one value of: PostgreSQL would sort by NULL."""
        fixed = {each.property for each in key if each.operator is Operator.EQ}
        may_be_null = ASSIGNED not in key and not compares_assignees(self._conditions)
        for column, term in zip(columns, self._order, strict=True):
            if term.property not in fixed:
                yield self._dialect.directed(column, term, may_be_null=may_be_null)

    def _sort_names(self) -> str:
        return ", ".join(f"k{place}" for place in range(len(self._order)))

    def _all_of(
        self, bound: BindParameters, conditions: Iterable[Expression], searched: Collection[Property]
    ) -> str:
        return all_of(bound, conditions, searched, dialect=self._dialect)

    def _visible_under(self, bound: BindParameters, labels: Labels) -> str:
        names = ", ".join(bound.name(label) for label in labels)
        is_one = f"label = {names}" if len(labels) == 1 else f"label IN ({names})"
        return f"tenant_id = {bound.name(self._tenant_id)} AND {is_one}"
