"""The statements of one page: a few ranges of indexes, merged.

A page is merged from branches (`access_paths.py`). Each reads its range of an index in the order of the list, and
the rows are merged as they are read, until the page is full. So a page costs its rows and those that are skipped,
and not the size of the database. docs/decisions/0019-one-listing-row-for-each-incident.md has the reasons.
"""

from collections.abc import Iterator

import msgspec

from vigie.core.conditions import Property
from vigie.core.enums import Status
from vigie.core.instants import Instant
from vigie.core.queries import PageRequest
from vigie.storage.database import Search, Statement
from vigie.storage.listing.access_paths import AccessPath, paths_of
from vigie.storage.listing.dialect import SQLITE, Dialect
from vigie.storage.listing.filter_sql import BindParameters, conditions_of, is_one_range, narrowed
from vigie.storage.listing.page_rows import PageRows, Query
from vigie.storage.listing.scope import Scope
from vigie.storage.listing.skipping import near_page

_SHORT_SKIP_MAX = 1_000

# A status is always searched by one value: conditions that leave none of its rows are found out before any is read.
_SEARCHED = (Property.LAST_UPDATE_TIME, Property.CREATED_TIME, Property.ASSIGNED_TO)

_WHOLE = "incident.document, incident.incident_id"
_VISIBLE = "incident.document, incident.alerts_at, incident.spans, incident.incident_id"

# How many rows a path may cost, asked of all of them in turns; twice as many where they are only counted. None is
# known to be short before it is tried, and a try costs what it may cost: as the limits grow eightfold, all tries
# before the one that fits cost little beside it.
_PROBED_ROWS = (320, 2_560, 20_480, 163_840)


class PlanProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that answers 1 if a path is short, and 0 if it is not."""

    path: AccessPath
    statement: Statement


class Listing:
    """One page of one tenant for one scope, as statements."""

    def __init__(
        self,
        tenant_id: int,
        scope: Scope,
        request: PageRequest,
        retained_since: Instant | None = None,
        *,
        dialect: Dialect = SQLITE,
    ) -> None:
        filter_, retained_since = narrowed(request.filter, retained_since)
        request = msgspec.structs.replace(request, filter=filter_)
        conditions = tuple(conditions_of(filter_, retained_since))
        self._query = Query(
            tenant_id=tenant_id, scope=scope, request=request, conditions=conditions, dialect=dialect
        )
        self.paths = paths_of(request, conditions, scope)
        """The paths that lead to the page. The first is the one to take if none is short."""
        # One more than the page, where the caller left the size to us: it tells that there is another page.
        self._size = request.size + (request.top is None)

    def probes(self) -> Iterator[PlanProbe]:
        """What to run, in this order, before a path is chosen; nothing where there is no choice.

        The first path that is short is to be taken.
        """
        if len(self.paths) == 1:
            return
        for rows in _PROBED_ROWS:
            for path in self.paths:
                yield PlanProbe(path=path, statement=self._fits(path, rows))

    def search(self) -> Search[Statement]:
        """Find the statement of the page: along the shortest path, and past what is skipped."""
        path = self.paths[0]
        for probe in self.probes():
            ((is_short,),) = yield probe.statement
            if is_short:
                path = probe.path
                break
        return self._page((yield from near_page(self._query, path)), path)

    def page(self, path: AccessPath | None = None) -> Statement:
        """The incidents of the page as document, alerts_at, spans and number, along a path, or the first one.

        For the whole tenant as document and number alone. When the caller left the size to us there is one more, if
        there is one, to tell that there is.
        """
        return self._page(self._query, path or self.paths[0])

    def _page(self, query: Query, path: AccessPath) -> Statement:
        bound = BindParameters()
        rows = PageRows(query, path, bound)
        page = rows.page(self._size, query.request.skip)
        # The page is found in `incident_listing` alone: documents are read for its rows and for no others.
        return Statement(
            f"SELECT {_WHOLE if query.scope.is_whole_tenant else _VISIBLE}"
            f" FROM ({page}) AS page {query.dialect.join} incident"
            f" ON incident.tenant_id = {rows.tenant} AND incident.incident_id = page.incident_id"
            f"{rows.page_order()}",
            bound.values,
            is_short=_is_short(query, path),
        )

    @property
    def is_short(self) -> bool:
        """Whether the page is the first rows of one range of an index, and there is no choice of a path."""
        return len(self.paths) == 1 and _is_short(self._query, self.paths[0])

    def _fits(self, path: AccessPath, rows: int) -> Statement:
        bound = BindParameters()
        page_rows = PageRows(self._query, path, bound)
        window = self._query.request.skip + self._size
        text = page_rows.fits(rows, window) if page_rows.in_order else page_rows.range_fits(2 * rows)
        return Statement(text, bound.values)


def _is_short(query: Query, path: AccessPath) -> bool:
    """Whether the page is, but for a little that is skipped, the first rows of what is read along one index."""
    is_near = query.request.skip <= _SHORT_SKIP_MAX and len(query.request.order) == 1
    if not is_near or (path is AccessPath.IN_ORDER) is not query.scope.is_whole_tenant:
        return False
    if not all(is_one_range(each, query.conditions) for each in _SEARCHED):
        return False
    branches_max = len(Status) if query.scope.is_whole_tenant else 1
    return 0 < len(PageRows(query, path, BindParameters()).matching_branches) <= branches_max
