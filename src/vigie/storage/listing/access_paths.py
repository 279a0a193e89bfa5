"""The choice of an index for a page, and of the branches in which it is read along that index.

A branch is one range of an index, already in the order of the list. There is one for each value that the filter
leaves of a property that the index begins with: a page of two statuses is two ranges, while a test of the status on
every row of the tenant would read rows in vain. The order of the last update alone is merged from all statuses, and
where few label sets are visible, from one branch for each of these.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import product

import msgspec

from vigie.core.conditions import Comparison, Expression, Operator, Property
from vigie.core.queries import PageRequest
from vigie.storage.listing.filter_sql import (
    EVERY_STATUS,
    Texts,
    bounds_of,
    conditions_of,
    properties_of,
    values_left,
)
from vigie.storage.listing.scope import Scope

# SQLite takes no more than 500 terms in a compound SELECT.
_BRANCHES_MAX = 400
# To prepare a statement of many branches costs more than to read a page: 32 take 2 ms, 400 take 80.
_MERGED_SETS_MAX = 32

CREATION_INDEX = "INDEXED BY sqlite_autoindex_incident_listing_1"  # the primary key
STATUS_INDEX = "INDEXED BY listing_by_status"
ASSIGNEE_INDEX = "INDEXED BY listing_by_assignee"
SCOPE_INDEX = "INDEXED BY listing_by_visibility"

_OTHER_TIMES: Mapping[Property, Property] = {
    Property.LAST_UPDATE_TIME: Property.CREATED_TIME,
    Property.CREATED_TIME: Property.LAST_UPDATE_TIME,
}
_VALUE_INDEXES: Mapping[Property, str] = {
    Property.STATUS: STATUS_INDEX,
    Property.ASSIGNED_TO: ASSIGNEE_INDEX,
}

Key = tuple[Comparison, ...]
"""What is the same in all rows of a branch."""

UNASSIGNED = Comparison(Property.ASSIGNED_TO, Operator.EQ, None)
ASSIGNED = Comparison(Property.ASSIGNED_TO, Operator.NE, None)
WITHOUT_KEY: Key = ()
_NO_ROWS: Key = (Comparison(Property.STATUS, Operator.EQ, None),)
"""A key that no row has, for a filter that contradicts itself: a page needs at least one branch."""


class AccessPath(Enum):
    """How a page is found where what is visible, or the time that is filtered, is not what is ordered by."""

    IN_ORDER = "along the order in the whole tenant, skipping what does not match"
    SORTED_RANGE = "the whole range of the other time, sorted"
    BY_SCOPE = "the ranges of the visible label sets, merged where they are few and in order, else sorted"


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """The key of a branch, and its label set where it has one of its own."""

    key: Key = WITHOUT_KEY
    set_id: int | None = None


Walk = tuple[Branch, ...]
"""Branches that are merged as they are read, so that only as much is read of each as the page takes."""

_ONE_BRANCH: Walk = (Branch(),)


class Walks(msgspec.Struct, frozen=True, kw_only=True):
    """How a page is read: the walks whose first rows it is merged from, and the index that all of them read.

    `searched` are the properties by which rows may be looked up; by the others they are only tested. What is not
    `in_order` is one range, which has to be sorted.
    """

    walks: tuple[Walk, ...]
    index: str
    searched: tuple[Property, ...]
    in_order: bool = True


def paths_of(
    request: PageRequest, conditions: tuple[Expression, ...], scope: Scope
) -> tuple[AccessPath, ...]:
    """The paths that lead to a page. Where there are several, each may be the short one."""
    time = request.order[0].property
    if scope.set_ids is not None and not scope.is_whole_tenant:
        is_all_visible = bounds_of(time, conditions) == conditions
        if not scope.set_ids or (is_all_visible and _is_merged(request, scope)):
            return (AccessPath.BY_SCOPE,)
    if is_sorted_anyhow(request):
        return (AccessPath.IN_ORDER,)
    by_range = (AccessPath.SORTED_RANGE,) if other_time(request) else ()
    by_scope = (AccessPath.BY_SCOPE,) if scope.set_ids else ()
    return (AccessPath.IN_ORDER, *by_range, *by_scope)


def other_time(request: PageRequest) -> Property | None:
    """The time that the filter bounds although the list is in the order of the other one, if there is one."""
    other = _OTHER_TIMES.get(request.order[0].property)
    is_bounded = other is not None and bounds_of(other, conditions_of(request.filter, None))
    return other if is_bounded else None


def is_sorted_anyhow(request: PageRequest) -> bool:
    """Whether all that match are sorted, whatever index the database finds them by.

    So it is for the order of a status or an assignee beside a filter on another property.
    """
    first = request.order[0].property
    filtered = properties_of(conditions_of(request.filter, None))
    return first in _VALUE_INDEXES and not filtered <= {first}


def compares_assignees(conditions: tuple[Expression, ...]) -> bool:
    """Whether an assignee must be more or less than another: an unassigned incident is neither."""
    return bool(bounds_of(Property.ASSIGNED_TO, conditions))


def walks_of(
    request: PageRequest, conditions: tuple[Expression, ...], scope: Scope, path: AccessPath
) -> Walks:
    """The walks of a page along a path; `conditions` are those of the filter and of the retention."""
    match path:
        case AccessPath.BY_SCOPE:
            return _of_scope(request, scope)
        case AccessPath.SORTED_RANGE:
            return _of_range(_OTHER_TIMES[request.order[0].property])
    return _in_order(request, conditions)


def _is_merged(request: PageRequest, scope: Scope) -> bool:
    is_in_order = request.order[0].property is Property.LAST_UPDATE_TIME
    return is_in_order and scope.set_ids is not None and len(scope.set_ids) <= _MERGED_SETS_MAX


def _of_scope(request: PageRequest, scope: Scope) -> Walks:
    is_merged = _is_merged(request, scope)
    sets = scope.set_ids if is_merged else None
    return Walks(
        walks=(tuple(Branch(set_id=each) for each in sets or ()) or _ONE_BRANCH,),
        index=SCOPE_INDEX,
        searched=(Property.LAST_UPDATE_TIME,),
        in_order=is_merged,
    )


def _of_range(time: Property) -> Walks:
    index = CREATION_INDEX if time is Property.CREATED_TIME else STATUS_INDEX
    return Walks(walks=(_ONE_BRANCH,), index=index, searched=(time,), in_order=False)


def _in_order(request: PageRequest, conditions: tuple[Expression, ...]) -> Walks:
    first = request.order[0].property
    if is_sorted_anyhow(request):
        return Walks(walks=(_ONE_BRANCH,), index="", searched=tuple(Property), in_order=False)
    if first in _VALUE_INDEXES:
        # One behind the other, and not merged: PostgreSQL would sort what has no value before it merges it.
        walks = tuple((Branch(key=key),) for key in _keys_in_order(first, conditions))
        return Walks(walks=walks, index=_VALUE_INDEXES[first], searched=(first,))
    if first is Property.CREATED_TIME:
        return Walks(walks=(_ONE_BRANCH,), index=CREATION_INDEX, searched=(first,))
    keys, index = _keys_of_updates(conditions)
    return Walks(walks=(tuple(Branch(key=key) for key in keys),), index=index, searched=(first,))


def _keys_of_updates(conditions: tuple[Expression, ...]) -> tuple[list[Key], str]:
    """The pairs of assignee and status, or the statuses: each has an index in the order of the last update."""
    assignees = values_left(Property.ASSIGNED_TO, conditions)
    statuses = values_left(Property.STATUS, conditions)
    of_statuses = list(_equal_to_each(Property.STATUS, EVERY_STATUS if statuses is None else statuses))
    if assignees is not None and len(assignees) * len(of_statuses) <= _BRANCHES_MAX:
        pairs = product(_equal_to_each(Property.ASSIGNED_TO, assignees), of_statuses)
        return list(pairs) or [_NO_ROWS], ASSIGNEE_INDEX
    return [(each,) for each in of_statuses] or [_NO_ROWS], STATUS_INDEX


def _keys_in_order(first: Property, conditions: tuple[Expression, ...]) -> list[Key]:
    """The values that the filter leaves of the order's own property, or as few keys as there can be.

    Unassigned incidents have a key of their own where assigned ones may follow: PostgreSQL has an index for each.
    """
    values = values_left(first, conditions)
    if values is not None and len(values) <= _BRANCHES_MAX:
        return [(value,) for value in _equal_to_each(first, values)] or [_NO_ROWS]
    is_split = first is Property.ASSIGNED_TO and not compares_assignees(conditions)
    return [(UNASSIGNED,), (ASSIGNED,)] if is_split else [WITHOUT_KEY]


def _equal_to_each(property_: Property, values: Texts) -> Iterator[Comparison]:
    for value in sorted(values, key=lambda value: (value is not None, value or "")):
        yield Comparison(property_, Operator.EQ, value)
