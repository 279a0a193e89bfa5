"""A stored alert: its bytes in the form in which it came, and beside them what lists and exposure need."""

from enum import StrEnum

import msgspec

from vigie.core.access import DeviceGroupLabel
from vigie.core.instants import Instant


class Origin(StrEnum):
    """The form in which an incident or an alert came, and is kept."""

    DEFENDER = "defender"
    GRAPH = "graph"


class StoredAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as the database has it. What its document does not say, or says in another form, is None.

    `own_groups` are the groups of its devices; `named_groups` those of the devices that its entities name, wherever
    in the incident those devices stood when it was written; `source_group` is the one that its source gave it.
    """

    alert_id: str | None
    origin: Origin = Origin.DEFENDER
    created_at: Instant | None
    last_update_at: Instant | None
    first_activity_at: Instant | None
    last_activity_at: Instant | None
    resolved_at: Instant | None
    status: str | None
    severity: str | None
    classification: str | None
    determination: str | None
    service_source: str | None
    assigned_to: str | None
    provider_alert_id: str | None
    own_groups: tuple[DeviceGroupLabel, ...]
    named_groups: tuple[DeviceGroupLabel, ...]
    source_group: DeviceGroupLabel | None = None
    native: bytes


def deciding_groups(
    own: tuple[DeviceGroupLabel, ...], source: DeviceGroupLabel | None
) -> tuple[DeviceGroupLabel, ...]:
    """The groups that decide who sees an alert: those of its devices, and the one that its source gave it."""
    return own if source is None or source in own else (*own, source)
