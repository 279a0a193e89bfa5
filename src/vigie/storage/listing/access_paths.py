"""The choice of an index for a page, and of the branches in which it is read along that index.

A branch is one range of the index, already in the order of the list. There is one for each label and, where the
filter leaves few values of a property that the index begins with, for each of those: a page of two statuses is two
ranges, while a test of the status on every row of the tenant would read rows in vain.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import product

import msgspec

from vigie.core.conditions import Comparison, Expression, Operator, Property
from vigie.core.queries import PageRequest
from vigie.storage.listing.filter_sql import (
    EVERY_STATUS,
    bounds_of,
    conditions_of,
    properties_of,
    values_left,
)

# SQLite takes no more than 500 terms in a compound SELECT.
_BRANCHES_MAX = 400

_LAST_UPDATE_INDEX = "INDEXED BY sqlite_autoindex_incident_visibility_1"  # the primary key
_CREATION_INDEX = "INDEXED BY visibility_by_creation"
_STATUS_INDEX = "INDEXED BY visibility_by_status"
_ASSIGNEE_INDEX = "INDEXED BY visibility_by_assignee"
_ANY_INDEX = ""

_TIME_INDEXES: Mapping[Property | None, str] = {
    Property.LAST_UPDATE_TIME: _LAST_UPDATE_INDEX,
    Property.CREATED_TIME: _CREATION_INDEX,
}
_VALUE_INDEXES: Mapping[Property, str] = {
    Property.STATUS: _STATUS_INDEX,
    Property.ASSIGNED_TO: _ASSIGNEE_INDEX,
}
_OTHER_TIMES: Mapping[Property, Property] = {
    Property.LAST_UPDATE_TIME: Property.CREATED_TIME,
    Property.CREATED_TIME: Property.LAST_UPDATE_TIME,
}

Labels = tuple[str, ...]
Key = tuple[Comparison, ...]
"""What is the same in all rows of a branch, beside its label."""

UNASSIGNED = Comparison(Property.ASSIGNED_TO, Operator.EQ, None)
ASSIGNED = Comparison(Property.ASSIGNED_TO, Operator.NE, None)
WITHOUT_KEY: Key = ()
_NO_ROWS: Key = (Comparison(Property.STATUS, Operator.EQ, None),)
"""A key that no row has, for a filter that contradicts itself: a page needs at least one branch."""


class AccessPath(Enum):
    """How a page is found when one time is ordered by and the other is filtered."""

    IN_ORDER = "along the order, skipping what does not match"
    SORTED_RANGE = "the whole range of the other time, sorted"


class Branches(msgspec.Struct, frozen=True, kw_only=True):
    """The labels and the key of each branch, and the index that all of them read.

    `searched` are the properties by which rows may be looked up; by the others they are only tested.
    """

    keys: tuple[tuple[Labels, Key], ...]
    index: str
    searched: tuple[Property, ...]


def index_on(time: Property) -> str:
    """The index that has the incidents in the order of a time."""
    return _TIME_INDEXES[time]


def other_time(request: PageRequest) -> Property | None:
    """The time that the filter bounds although the list is in the order of the other one, if there is one."""
    other = _OTHER_TIMES.get(request.order[0].property)
    is_bounded = other is not None and bounds_of(other, conditions_of(request.filter, None))
    return other if is_bounded else None


def time_of(request: PageRequest, path: AccessPath) -> Property | None:
    """The time along which rows are read, if they are read along one."""
    first = request.order[0].property
    if path is AccessPath.SORTED_RANGE:
        return _OTHER_TIMES.get(first)
    return first if first in _TIME_INDEXES else None


def compares_assignees(conditions: tuple[Expression, ...]) -> bool:
    """Whether an assignee must be more or less than another: an unassigned incident is neither."""
    return bool(bounds_of(Property.ASSIGNED_TO, conditions))


def branches_of(
    request: PageRequest, conditions: tuple[Expression, ...], labels: Labels, path: AccessPath
) -> Branches:
    """The branches of a page along a path; `conditions` are those of the filter and of the retention."""
    time = time_of(request, path)
    keys, index = _keys(request, conditions, path)
    if len(keys) * len(labels) > _BRANCHES_MAX:
        keys, index = [WITHOUT_KEY], _TIME_INDEXES.get(time, _ANY_INDEX)
    # A scope of more groups than that is one range for all its labels, which has to be sorted.
    groups = [labels] if len(labels) > _BRANCHES_MAX else [(label,) for label in labels]
    return Branches(
        keys=tuple((group, key) for group, key in product(groups, keys)),
        index=index,
        searched=_searched(request, time),
    )


def _keys(
    request: PageRequest, conditions: tuple[Expression, ...], path: AccessPath
) -> tuple[list[Key], str]:
    """The pairs of assignee and status, or the statuses, that the filter leaves; else one key for all."""
    first = request.order[0].property
    # Within one status, or one assignee and status, those indexes are in the order of the last update.
    if path is AccessPath.IN_ORDER and first is Property.LAST_UPDATE_TIME:
        assignees = values_left(Property.ASSIGNED_TO, conditions)
        statuses = values_left(Property.STATUS, conditions)
        if assignees is not None:
            pairs = product(
                _equal_to_each(Property.ASSIGNED_TO, assignees),
                _equal_to_each(Property.STATUS, EVERY_STATUS if statuses is None else statuses),
            )
            return list(pairs) or [_NO_ROWS], _ASSIGNEE_INDEX
        if statuses is not None:
            return _single_keys(Property.STATUS, statuses), _STATUS_INDEX
    if _is_served_by_value_index(request):
        return _keys_in_order(first, conditions), _VALUE_INDEXES[first]
    return [WITHOUT_KEY], _TIME_INDEXES.get(time_of(request, path), _ANY_INDEX)


def _keys_in_order(first: Property, conditions: tuple[Expression, ...]) -> list[Key]:
    """The values that the filter leaves of the order's own property, or as few keys as there can be.

    Unassigned incidents have a key of their own where assigned ones may follow: PostgreSQL has an index for each.
    """
    values = values_left(first, conditions)
    if values is not None:
        return _single_keys(first, values)
    is_split = first is Property.ASSIGNED_TO and not compares_assignees(conditions)
    return [(UNASSIGNED,), (ASSIGNED,)] if is_split else [WITHOUT_KEY]


def _searched(request: PageRequest, time: Property | None) -> tuple[Property, ...]:
    # The index of the order must not be left for another one: then the page would have to be sorted.
    if _is_served_by_value_index(request):
        return (request.order[0].property,)
    return tuple(Property) if time is None else (time,)


def _is_served_by_value_index(request: PageRequest) -> bool:
    """Whether the order is a status's or an assignee's, and nothing else in the filter makes a shorter range."""
    first = request.order[0].property
    filtered = properties_of(conditions_of(request.filter, None))
    return first in _VALUE_INDEXES and filtered <= {first}


def _single_keys(property_: Property, values: frozenset[str | None]) -> list[Key]:
    return [(value,) for value in _equal_to_each(property_, values)] or [_NO_ROWS]


def _equal_to_each(property_: Property, values: frozenset[str | None]) -> Iterator[Comparison]:
    for value in sorted(values, key=lambda value: (value is not None, value or "")):
        yield Comparison(property_, Operator.EQ, value)
