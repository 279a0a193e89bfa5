"""The change feed's entries: what has changed, and who hears of it."""

from enum import StrEnum

import msgspec

from vigie.core.instants import Instant


class ChangeKind(StrEnum):
    """What happened to an incident, or to one of its alerts."""

    CREATED = "created"
    UPDATED = "updated"
    ALERT_ADDED = "alertAdded"
    ALERT_CHANGED = "alertChanged"
    ALERT_MOVED = "alertMoved"
    MERGED = "merged"
    REMOVED = "removed"
    VISIBILITY_CHANGED = "visibilityChanged"


Labels = frozenset[str]
"""The labels under which an incident or an alert is visible (storage/visibility.py)."""


class NewChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change about to be written; the feed gives it its number.

    `visible_before` and `visible_after` are the labels of the incident; None: it was, or is, not there.
    `alert_visible` are those of the alert; None: the change is of no single alert. A change of kind `removed` with
    an alert is the removal of that alert from the incident.
    `is_of_head` is for a change that leaves the alerts as they were.
    """

    kind: ChangeKind
    incident_id: int
    alert_id: str | None = None
    visible_before: Labels | None
    visible_after: Labels | None
    alert_visible: Labels | None = None
    is_of_head: bool = False


class Change(NewChange, frozen=True, kw_only=True):
    """An entry of the feed. `number` only grows within a tenant; `at` is what the clock showed.

    `actor` and `request_id` say whose change it was, as the history does.
    """

    number: int
    at: Instant
    actor: str
    request_id: str
