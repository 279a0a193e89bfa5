"""The count of all incidents that match a filter: over the shortest range of an index that has them all."""

from collections.abc import Iterator

import msgspec

from vigie.core.conditions import Expression, Property
from vigie.core.instants import Instant
from vigie.storage.database import Statement
from vigie.storage.listing.access_paths import ASSIGNEE_INDEX, CREATION_INDEX, SCOPE_INDEX, STATUS_INDEX
from vigie.storage.listing.dialect import SQLITE, Dialect
from vigie.storage.listing.filter_sql import (
    EVERY_STATUS,
    BindParameters,
    all_of,
    bounds_of,
    conditions_of,
    narrowed,
    values_left,
)
from vigie.storage.listing.scope import Scope

_PROBED_ROWS = (1_000, 16_000, 256_000)

_BY_UPDATE = (Property.STATUS, Property.LAST_UPDATE_TIME)
_BY_ASSIGNEE = (Property.ASSIGNED_TO, *_BY_UPDATE)


class _Range(msgspec.Struct, frozen=True, kw_only=True):
    """A range of an index: what it is searched by, beside the visible label sets where it `is_scope`."""

    index: str
    searched: tuple[Property, ...]
    is_scope: bool = False


class CountProbe(msgspec.Struct, frozen=True, kw_only=True):
    """A statement that answers 1 if a range is short, and the count over that range."""

    statement: Statement
    count: Statement


class Count:
    """The count of what matches in one tenant for one scope, as statements."""

    def __init__(
        self,
        tenant_id: int,
        scope: Scope,
        filter_: Expression | None,
        retained_since: Instant | None = None,
        *,
        dialect: Dialect = SQLITE,
    ) -> None:
        self._tenant_id = tenant_id
        self._scope = scope
        self._dialect = dialect
        self._conditions = tuple(conditions_of(*narrowed(filter_, retained_since)))
        self._ranges = tuple(self._find_ranges())

    def probes(self) -> Iterator[CountProbe]:
        """What to run, in this order, before a range is chosen; nothing where there is one only."""
        if len(self._ranges) == 1:
            return
        for rows in _PROBED_ROWS:
            for range_ in self._ranges:
                yield CountProbe(statement=self._is_short(range_, rows), count=self._over(range_))

    def statement(self) -> Statement:
        """The count if no range is short."""
        return self._over(self._ranges[0])

    def _find_ranges(self) -> Iterator[_Range]:
        """The ranges that have all that match, the visible label sets first."""
        is_found = False
        if self._scope.set_ids is not None and not self._scope.is_whole_tenant:
            is_found = True
            yield _Range(index=SCOPE_INDEX, searched=(Property.LAST_UPDATE_TIME,), is_scope=True)
        if values_left(Property.ASSIGNED_TO, self._conditions) is not None:
            is_found = True
            yield _Range(index=ASSIGNEE_INDEX, searched=_BY_ASSIGNEE)
        if bounds_of(Property.CREATED_TIME, self._conditions):
            is_found = True
            yield _Range(index=CREATION_INDEX, searched=(Property.CREATED_TIME,))
        is_bounded = bool(bounds_of(Property.LAST_UPDATE_TIME, self._conditions))
        if is_bounded or values_left(Property.STATUS, self._conditions) is not None or not is_found:
            yield _Range(index=STATUS_INDEX, searched=_BY_UPDATE)

    def _over(self, range_: _Range) -> Statement:
        bound = BindParameters()
        tenant = bound.name(self._tenant_id)
        conditions = all_of(bound, self._conditions, range_.searched, dialect=self._dialect)
        visible = [] if range_.is_scope else self._visible(bound, tenant, is_searched=False)
        wanted = [self._searched(bound, tenant, range_), conditions, *visible]
        return Statement(f"SELECT count(*) {self._from(range_)} WHERE {' AND '.join(wanted)}", bound.values)

    def _is_short(self, range_: _Range, rows: int) -> Statement:
        bound = BindParameters()
        tenant = bound.name(self._tenant_id)
        bounds = [
            each
            for each in self._conditions
            if any(bounds_of(property_, [each]) for property_ in range_.searched)
        ]
        wanted = [self._searched(bound, tenant, range_), all_of(bound, bounds)]
        return Statement(
            f"SELECT CAST(count(*) <= {bound.name(rows)} AS integer) FROM (SELECT 1 {self._from(range_)}"
            f" WHERE {' AND '.join(wanted)} LIMIT {bound.name(rows + 1)}) AS ranged",
            bound.values,
        )

    def _from(self, range_: _Range) -> str:
        return f"FROM incident_listing {self._dialect.index(range_.index)}"

    def _searched(self, bound: BindParameters, tenant: str, range_: _Range) -> str:
        """What every row of a range has, written so that the index is searched by it."""
        wanted = [f"tenant_id = {tenant}"]
        if range_.is_scope:
            wanted += self._visible(bound, tenant, is_searched=True)
        if Property.STATUS in range_.searched:
            left = values_left(Property.STATUS, self._conditions)
            names = [bound.name(each) for each in sorted(EVERY_STATUS if left is None else left, key=str)]
            wanted.append(f"status IN ({', '.join(names)})" if names else "1 = 0")
        return " AND ".join(wanted)

    def _visible(self, bound: BindParameters, tenant: str, *, is_searched: bool) -> list[str]:
        return self._scope.conditions(
            bound, self._dialect, tenant, "incident_listing", is_searched=is_searched
        )
