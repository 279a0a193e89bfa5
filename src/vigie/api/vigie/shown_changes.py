"""The form of a change in an answer."""

from typing import Any

from vigie.api.vigie.places import Reader
from vigie.core.changes import Change
from vigie.core.instants import format_instant


def shown(change: Change, reader: Reader) -> dict[str, Any]:
    """A change as its reader is told it."""
    number = {"number": change.number} if reader.gets_numbers else {}
    return number | {
        "at": format_instant(change.at),
        "kind": change.kind.value,
        "incidentId": change.incident_id,
        "alertId": change.alert_id,
        "actor": change.actor,
    }
