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


class _Known(msgspec.Struct):
    """The keys of an alert of which there are columns."""

    alertId: str | None = None  # noqa: N815  the API's own words
    creationTime: str | None = None  # noqa: N815
    lastUpdatedTime: str | None = None  # noqa: N815
    firstActivity: str | None = None  # noqa: N815
    lastActivity: str | None = None  # noqa: N815
    resolvedTime: str | None = None  # noqa: N815
    status: str | None = None
    severity: str | None = None
    classification: str | None = None
    determination: str | None = None
    serviceSource: str | None = None  # noqa: N815
    assignedTo: str | None = None  # noqa: N815
    providerAlertId: str | None = None  # noqa: N815


def keep_alert(
    alert: Mapping[str, Any],
    native: bytes,
    *,
    own_groups: tuple[DeviceGroupLabel, ...],
    named_groups: tuple[DeviceGroupLabel, ...],
) -> StoredAlert:
    """What is kept of an alert and its text. A key that is missing, or of another type, is None."""
    known = _known(alert)
    return StoredAlert(
        alert_id=known.alertId,
        created_at=_instant(known.creationTime),
        last_update_at=_instant(known.lastUpdatedTime),
        first_activity_at=_instant(known.firstActivity),
        last_activity_at=_instant(known.lastActivity),
        resolved_at=_instant(known.resolvedTime),
        status=known.status,
        severity=known.severity,
        classification=known.classification,
        determination=known.determination,
        service_source=known.serviceSource,
        assigned_to=known.assignedTo,
        provider_alert_id=known.providerAlertId,
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


def _known(alert: Mapping[str, Any]) -> _Known:
    try:
        return msgspec.convert(alert, _Known)
    except msgspec.ValidationError:
        texts = {key: value for key, value in alert.items() if isinstance(value, str)}
        return msgspec.convert(texts, _Known)


def _instant(text: str | None) -> Instant | None:
    if text is None:
        return None
    try:
        return parse_instant(text)
    except ValueError:
        return None
