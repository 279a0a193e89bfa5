"""The way to a page far down a merged order: to count what is skipped in each branch costs less than to merge it.

Each branch is asked for the row behind its share of what is to be skipped. The shares are no more than that in all,
so what comes before the first of these rows is skipped. It is counted, and the rest is looked for from there on.
"""

from collections.abc import Sequence
from math import isqrt

import msgspec

from vigie.core.conditions import Comparison, Expression, Operator, Or, Property
from vigie.core.instants import Instant
from vigie.storage.database import Search, Statement
from vigie.storage.listing.access_paths import AccessPath
from vigie.storage.listing.filter_sql import COLUMNS, BindParameters, all_of
from vigie.storage.listing.page_rows import PageRows, Query

_SAMPLED_ROWS = 1_000
_ROUNDS_MAX = 4

_TIME = Property.LAST_UPDATE_TIME
_AT = COLUMNS[_TIME]
_NO_ROWS: tuple[Expression, ...] = (Or(()),)


def near_page(query: Query, path: AccessPath) -> Search[Query]:
    """The same page, asked for from a moment on that is shortly before it."""
    skip, merged_rows_max = query.request.skip, query.dialect.merged_rows_max
    if skip <= merged_rows_max or not (branches := _Branches(query, path)):
        return query
    # The first rows tell how the branches meet: the next shares are as what the round before has passed.
    rows, passed = min(skip, _SAMPLED_ROWS), [0] * len(branches)
    for _ in range(_ROUNDS_MAX):
        counted = yield branches.count(_shares(rows, passed))
        _, moment, _ = counted[0]
        if moment is None:
            # No branch is longer than its share, so all there is would be skipped.
            return msgspec.structs.replace(query, conditions=_NO_ROWS)
        passed = [number for _, _, number in sorted(counted)]
        branches.begin_at(Instant(moment))
        rows = skip = skip - sum(passed)
        if skip <= merged_rows_max:
            break
    return branches.rest(skip)


def _shares(rows: int, passed: Sequence[int]) -> list[int]:
    """So many rows at most, shared as those that were passed, and as many more as chance may have kept back."""
    widened = [each + isqrt(each) + 2 for each in passed]
    return [rows * each // sum(widened) for each in widened]


class _Branches:
    """The branches of a page from a moment on; none if its order is not merged, or rows in it do not match."""

    def __init__(self, query: Query, path: AccessPath) -> None:
        self._query = query
        self._bound = BindParameters()
        rows = PageRows(query, path, self._bound)
        upper, lower = {Operator.LT, Operator.LE}, {Operator.GT, Operator.GE}
        self._is_descending = query.request.order[0].is_descending
        near, far = (upper, lower) if self._is_descending else (lower, upper)
        # SQLite searches by one bound of each side, so that a nearer one has to stand instead of another.
        self._near = tuple(each for each in query.conditions if _is_of(each, near))
        self._far = tuple(each for each in query.conditions if _is_of(each, far))
        self._others = tuple(each for each in query.conditions if not _is_of(each, near | far))
        branches = rows.matching_branches
        # One alone is skipped along as it is.
        merged = branches if len(branches) > 1 else ()
        self._ranges = [rows.range_of(branch, self._others) for branch in merged]

    def __len__(self) -> int:
        return len(self._ranges)

    def count(self, shares: Sequence[int]) -> Statement:
        """For each branch: its place, the moment of the first row behind a share, and how many come before it.

        What the share of a branch has behind that moment is counted and taken off, as it is less. A branch that is
        not longer than its share is counted as a whole. The moment is None if none is longer.
        """
        bound = self._bound.copy()
        near, far = all_of(bound, self._near), all_of(bound, self._far)
        # Incidents of one moment in the direction of the index, whatever that of the list.
        order, first, before, since, until, smaller = (
            (f"{_AT} DESC, incident_id", "max", ">", "<=", ">=", "<")
            if self._is_descending
            else (f"{_AT}, incident_id DESC", "min", "<", ">=", "<=", ">")
        )
        # SQLite would make an index of these few rows for each branch.
        place = self._query.dialect.unindexed_number("behind.branch")
        ends, counts = [], []
        for branch, (range_, share) in enumerate(zip(self._ranges, map(bound.name, shares), strict=True)):
            ends.append(
                f"SELECT * FROM (SELECT {branch} AS branch, {_AT} AS moment, incident_id AS number {range_}"
                f" AND {near} AND {far} ORDER BY {order} LIMIT 1 OFFSET {share}) AS longer"
            )
            counts.append(
                f"SELECT {branch}, nearest.moment, CASE WHEN behind.branch IS NULL"
                f" THEN (SELECT count(*) {range_} AND {near} AND {_AT} {before} nearest.moment)"
                f" ELSE {share} - (SELECT count(*) {range_} AND {_AT} {since} nearest.moment"
                f" AND {_AT} {until} behind.moment"
                f" AND ({_AT} {before} behind.moment OR incident_id {smaller} behind.number)) END"
                f" FROM nearest LEFT JOIN behind ON {place} = {branch}"
            )
        return Statement(
            f"WITH behind AS MATERIALIZED ({' UNION ALL '.join(ends)}),"
            f" nearest AS MATERIALIZED (SELECT {first}(moment) AS moment FROM behind) {' UNION ALL '.join(counts)}",
            bound.values,
        )

    def begin_at(self, moment: Instant) -> None:
        """Leave out what comes before a moment."""
        self._near = (Comparison(_TIME, Operator.LE if self._is_descending else Operator.GE, moment),)

    def rest(self, skip: int) -> Query:
        """The page as it is asked for from here on, with so much still to skip."""
        return msgspec.structs.replace(
            self._query,
            request=msgspec.structs.replace(self._query.request, skip=skip),
            conditions=(*self._others, *self._near, *self._far),
        )


def _is_of(condition: Expression, operators: set[Operator]) -> bool:
    match condition:
        case Comparison(property_, operator):
            return property_ is _TIME and operator in operators
    return False
