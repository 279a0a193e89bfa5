"""The way to a page far down a merged order: to count what is skipped in each branch costs less than to merge it.

Each branch is asked for the row behind its share of what is to be skipped. The shares are no more than that in all,
so what comes before the first of these rows is skipped. It is counted, and the rest is looked for from there on.
"""

from collections.abc import Iterable, Mapping, Sequence
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
        shares = _shares(rows, passed)
        longer = yield branches.behind(shares)
        if not longer:
            # No branch is longer than its share, so all there is would be skipped.
            return msgspec.structs.replace(query, conditions=_NO_ROWS)
        behind = {place: (Instant(moment), number) for place, moment, number in longer}
        moment = branches.first(moment for moment, _ in behind.values())
        counted = yield branches.count(behind, moment)
        passed = [shares[place] - number if place in behind else number for place, number in sorted(counted)]
        branches.begin_at(moment)
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

    def first(self, moments: Iterable[Instant]) -> Instant:
        """The moment that comes first in the order of the list."""
        return max(moments) if self._is_descending else min(moments)

    def behind(self, shares: Sequence[int]) -> Statement:
        """For each branch that is longer than its share: its place, and what the first row behind that has."""
        bound = self._bound.copy()
        near, far = all_of(bound, self._near), all_of(bound, self._far)
        # Incidents of one moment in the direction of the index, whatever that of the list.
        order = f"{_AT} DESC, incident_id" if self._is_descending else f"{_AT}, incident_id DESC"
        rows = [
            f"SELECT * FROM (SELECT {place} AS place, {_AT}, incident_id {range_}"
            f" AND {near} AND {far} ORDER BY {order} LIMIT 1 OFFSET {bound.name(share)}) AS longer"
            for place, (range_, share) in enumerate(zip(self._ranges, shares, strict=True))
        ]
        return Statement(" UNION ALL ".join(rows), bound.values)

    def count(self, behind: Mapping[int, tuple[Instant, int]], moment: Instant) -> Statement:
        """For each branch: its place, and how many come before the moment.

        Where there is a row behind its share, it is how many of the share do not: these are less.
        """
        bound = self._bound.copy()
        near = all_of(bound, self._near)
        nearest = bound.name(moment)
        before, since, until, smaller = (
            (">", "<=", ">=", "<") if self._is_descending else ("<", ">=", "<=", ">")
        )
        counts = []
        for place, range_ in enumerate(self._ranges):
            if place in behind:
                at, number = map(bound.name, behind[place])
                condition = (
                    f"{_AT} {since} {nearest} AND {_AT} {until} {at}"
                    f" AND ({_AT} {before} {at} OR incident_id {smaller} {number})"
                )
            else:
                condition = f"{near} AND {_AT} {before} {nearest}"
            counts.append(f"SELECT {place}, (SELECT count(*) {range_} AND {condition})")
        return Statement(" UNION ALL ".join(counts), bound.values)

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
