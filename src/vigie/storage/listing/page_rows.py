"""The rows of a page along one path, as text: what is read, in which order, and what is tested on the way."""

from collections.abc import Iterable, Iterator

import msgspec

from vigie.core.conditions import Expression, Operator, Or, Property
from vigie.core.queries import PageRequest
from vigie.storage.listing.access_paths import (
    ASSIGNED,
    WITHOUT_KEY,
    AccessPath,
    Branch,
    Key,
    Walk,
    compares_assignees,
    walks_of,
)
from vigie.storage.listing.dialect import Dialect
from vigie.storage.listing.filter_sql import (
    COLUMNS,
    EVERY_STATUS,
    BindParameters,
    all_of,
    bounds_of,
    properties_of,
    values_left,
)
from vigie.storage.listing.scope import Scope


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is asked of: the conditions are those of the filter and of the retention."""

    tenant_id: int
    scope: Scope
    request: PageRequest
    conditions: tuple[Expression, ...]
    dialect: Dialect


class PageRows:
    """The rows of `incident_listing` that a page is found among. Values are bound in `bound`."""

    def __init__(self, query: Query, path: AccessPath, bound: BindParameters) -> None:
        self._query = query
        self._bound = bound
        self._dialect = query.dialect
        self._order = query.request.whole_order
        self._path = path
        self._walks = walks_of(query.request, query.conditions, query.scope, path)
        self._index = self._dialect.index(self._walks.index)
        self.tenant = bound.name(query.tenant_id)

    @property
    def in_order(self) -> bool:
        """Whether they are read in the order of the list, and not sorted."""
        return self._walks.in_order

    @property
    def matching_branches(self) -> Walk:
        """The branches that the order is merged from, if all of their rows match; none if some are read in vain."""
        is_one_walk = self.in_order and len(self._walks.walks) == 1
        walk = self._walks.walks[0]
        return walk if is_one_walk and not self._tests(walk, "merged") else ()

    def range_of(self, branch: Branch, conditions: Iterable[Expression]) -> str:
        """The rows of a branch that meet conditions, in no order."""
        return self._from(branch, conditions)

    def page(self, size: int, skip: int) -> str:
        """The rows of the page, in order."""
        matching = [self._matching(walk) for walk in self._walks.walks]
        end = f" LIMIT {self._bound.name(size)} OFFSET {self._bound.name(skip)}"
        if len(matching) == 1:
            return matching[0] + end
        # All rows that are skipped may be of one walk, and so may all of the page.
        window = self._bound.name(size + skip)
        firsts = [f"SELECT * FROM ({rows} LIMIT {window}) AS walk" for rows in matching]
        return f"SELECT * FROM ({' UNION ALL '.join(firsts)}) AS walks ORDER BY {self._order_of()}{end}"

    def page_order(self) -> str:
        """The order of the page, where it has to be told again."""
        # The rows of one branch are as that has them; PostgreSQL would sort them again for another order.
        walks = self._walks.walks
        key = walks[0][0].key if len(walks) == len(walks[0]) == 1 else WITHOUT_KEY
        return self._dialect.page_order(self._order_of(key, "page."))

    def fits(self, rows: int, window: int) -> str:
        """Whether each walk finds as many as the page can reach, or ends, within so many rows in all."""
        # A page that reaches far costs its window on any path: a limit below that would reject them all.
        row_count = max(rows, 2 * window) // len(self._walks.walks) + 1
        fits = [self._finds(walk, row_count, window) for walk in self._walks.walks]
        return f"SELECT min(fits) FROM ({' UNION ALL '.join(fits)}) AS walks"

    def _finds(self, walk: Walk, row_count: int, count: int) -> str:
        """Whether a walk finds enough within so many rows, which ends the try; if not, whether it has fewer."""
        tried = f"{self._walked(walk)} LIMIT {self._bound.name(row_count)}"
        found = self._bound.name(count)
        matching = (
            f"SELECT 1 FROM ({tried}) AS tried WHERE {self._tests(walk, 'tried') or '1 = 1'} LIMIT {found}"
        )
        last = (
            f"SELECT 1 FROM ({self._walked(walk)} LIMIT 1 OFFSET {self._bound.name(row_count - 1)}) AS tried"
        )
        return (
            f"SELECT CASE WHEN (SELECT count(*) FROM ({matching}) AS matching) = {found} THEN 1"
            f" ELSE CAST(({last}) IS NULL AS integer) END AS fits"
        )

    def range_fits(self, rows: int) -> str:
        """Whether there are at most so many rows to sort."""
        limit = self._bound.name(rows + 1)
        bounds = [each for time in self._walks.searched for each in bounds_of(time, self._query.conditions)]
        is_scope = self._path is AccessPath.BY_SCOPE
        # Without a limit the count itself would cost the range, however long that is.
        return (
            f"SELECT CAST(count(*) <= {self._bound.name(rows)} AS integer) FROM (SELECT 1"
            f" {self._from(Branch(), bounds, is_visible_alone=is_scope)} LIMIT {limit}) AS ranged"
        )

    # Walks

    def _matching(self, walk: Walk) -> str:
        """The rows of a walk that match, in the order of the list."""
        if len(walk) == 1:
            return self._branch(walk[0], self._query.conditions, is_visible_alone=True) + self._sorted(
                walk[0]
            )
        tests = self._tests(walk, "merged")
        if not tests:
            return self._walked(walk)
        order = self._dialect.page_order(self._order_of(WITHOUT_KEY, "merged."))
        # Tested behind the merge: a branch whose next match is far away must not be read up to it.
        return f"{self._select()} FROM ({self._walked(walk)}{self._dialect.fence}) AS merged WHERE {tests}{order}"

    def _walked(self, walk: Walk) -> str:
        """All rows of a walk, in the order of the list; those that match are still to be told apart."""
        inside = self._inside(walk)
        branches = [self._branch(branch, inside) for branch in walk]
        if len(walk) == 1:
            return branches[0] + self._sorted(walk[0])
        return (
            f"{self._select()} FROM ({' UNION ALL '.join(branches)}) AS branches ORDER BY {self._order_of()}"
        )

    def _inside(self, walk: Walk) -> list[Expression]:
        """The conditions that are tested in each branch: they bound it, or are the same for all of its rows."""
        conditions, searched = self._query.conditions, self._walks.searched
        bounds = [each for property_ in searched for each in bounds_of(property_, conditions)]
        fixed = frozenset[Property].intersection(*[_fixed_in(branch.key) for branch in walk])
        return [each for each in conditions if each in bounds or properties_of([each]) <= fixed]

    def _tests(self, walk: Walk, table: str) -> str:
        """The conditions that the rows of a walk have still to be tested for; empty for none."""
        inside = self._inside(walk)
        outside = [each for each in self._query.conditions if each not in inside]
        tests = [all_of(self._bound, outside)] if outside else []
        return " AND ".join([*tests, *self._visible(walk[0], table)])

    # Branches

    def _branch(
        self, branch: Branch, conditions: Iterable[Expression], *, is_visible_alone: bool = False
    ) -> str:
        return f"{self._select()} {self._from(branch, conditions, is_visible_alone=is_visible_alone)}"

    def _from(
        self, branch: Branch, conditions: Iterable[Expression], *, is_visible_alone: bool = False
    ) -> str:
        """The range of a branch and what is tested in it, visibility only where that is asked for."""
        visible = self._visible(branch, "incident_listing") if is_visible_alone else []
        is_set = [] if branch.set_id is None else [f"visibility_id = {self._bound.name(branch.set_id)}"]
        wanted = [
            f"tenant_id = {self.tenant}",
            *is_set,
            *([self._any_status()] if self._is_range_of_updates() else []),
            *([all_of(self._bound, branch.key)] if branch.key else []),
            all_of(
                self._bound,
                [each for each in conditions if not _is_implied(each, branch.key)],
                self._walks.searched,
                dialect=self._dialect,
            ),
            *visible,
        ]
        return f"FROM incident_listing {self._index} WHERE {' AND '.join(wanted)}"

    def _visible(self, branch: Branch, table: str) -> list[str]:
        if branch.set_id is not None:
            return []
        is_searched = self._path is AccessPath.BY_SCOPE or not self._walks.index
        scope = self._query.scope
        return scope.conditions(self._bound, self._dialect, self.tenant, table, is_searched=is_searched)

    def _is_range_of_updates(self) -> bool:
        is_range = self._path is AccessPath.SORTED_RANGE
        return is_range and Property.LAST_UPDATE_TIME in self._walks.searched

    def _any_status(self) -> str:
        """Every status that the filter leaves: the index of the last updates begins with it."""
        left = values_left(Property.STATUS, self._query.conditions)
        names = [self._bound.name(each) for each in sorted(EVERY_STATUS if left is None else left, key=str)]
        return f"status IN ({', '.join(names)})" if names else "1 = 0"

    # Columns and order

    def _select(self) -> str:
        """The columns by which rows are ordered and tested."""
        used = {term.property for term in self._order} | properties_of(self._query.conditions)
        names = [name for property_, name in COLUMNS.items() if property_ in used]
        visible_by = [] if self._query.scope.is_whole_tenant else ["visibility_id"]
        return f"SELECT {', '.join(['incident_id', *names, *visible_by])}"

    def _sorted(self, branch: Branch) -> str:
        """The order of a branch. A range is found first and then sorted: no index shall offer itself for it."""
        is_range = not self.in_order and self._path is not AccessPath.IN_ORDER
        return f" ORDER BY {self._order_of(branch.key, is_unindexed=is_range)}"

    def _order_of(self, key: Key = WITHOUT_KEY, table: str = "", *, is_unindexed: bool = False) -> str:
        return ", ".join([*self._directed(key, table, is_unindexed=is_unindexed), f"{table}incident_id"])

    def _directed(self, key: Key, table: str, *, is_unindexed: bool) -> Iterator[str]:
        """The terms of the order, without those that a branch has one value of: PostgreSQL would sort by NULL."""
        fixed = _fixed_in(key)
        may_be_null = ASSIGNED not in key and not compares_assignees(self._query.conditions)
        for term in self._order:
            if term.property not in fixed:
                column = f"{table}{COLUMNS[term.property]}"
                column = self._dialect.unindexed(term.property, column) if is_unindexed else column
                yield self._dialect.directed(column, term, may_be_null=may_be_null)


def _is_implied(condition: Expression, key: Key) -> bool:
    """Whether the key says as much: a list of a hundred values must not be repeated in the branch of each."""
    return condition in key or (isinstance(condition, Or) and any(part in key for part in condition.parts))


def _fixed_in(key: Key) -> frozenset[Property]:
    return frozenset(each.property for each in key if each.operator is Operator.EQ)
