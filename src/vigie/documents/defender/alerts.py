"""A Defender alert document read: the columns that are kept beside it, and its place in an incident."""

from collections.abc import Mapping
from typing import Any

import msgspec

from vigie.core.access import DeviceGroupLabel
from vigie.core.alert import StoredAlert
from vigie.core.instants import Instant, parse_instant
from vigie.documents import lossless

_INCIDENT_ID = "incidentId"


class _AlertId(msgspec.Struct):
    alertId: object = None  # noqa: N815  a key of the document


_decode_id = msgspec.json.Decoder(_AlertId).decode


def keep_alert(
    alert: Mapping[str, Any],
    native: bytes,
    *,
    own_groups: tuple[DeviceGroupLabel, ...],
    named_groups: tuple[DeviceGroupLabel, ...],
) -> StoredAlert:
    """What is kept of an alert and its text. A key that is missing, or of another type, is None."""
    return StoredAlert(
        alert_id=_text(alert, "alertId"),
        created_at=_instant(alert, "creationTime"),
        last_update_at=_instant(alert, "lastUpdatedTime"),
        first_activity_at=_instant(alert, "firstActivity"),
        last_activity_at=_instant(alert, "lastActivity"),
        resolved_at=_instant(alert, "resolvedTime"),
        status=_text(alert, "status"),
        severity=_text(alert, "severity"),
        classification=_text(alert, "classification"),
        determination=_text(alert, "determination"),
        service_source=_text(alert, "serviceSource"),
        assigned_to=_text(alert, "assignedTo"),
        provider_alert_id=_text(alert, "providerAlertId"),
        own_groups=own_groups,
        named_groups=named_groups,
        native=native,
    )


def in_incident(native: bytes, incident_id: int) -> bytes:
    """The text of an alert that says in which incident it is, as those do that came with an incident."""
    alert = lossless.decode_unchecked(native)
    return lossless.encode({**alert, _INCIDENT_ID: incident_id})


def alert_id_of(native: bytes) -> str | None:
    """The id in the text of an alert; None where there is none, or it is no text."""
    alert_id = _decode_id(native).alertId
    return alert_id if isinstance(alert_id, str) else None


def _text(alert: Mapping[str, Any], key: str) -> str | None:
    value = alert.get(key)
    return value if isinstance(value, str) else None


def _instant(alert: Mapping[str, Any], key: str) -> Instant | None:
    text = _text(alert, key)
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        return None
