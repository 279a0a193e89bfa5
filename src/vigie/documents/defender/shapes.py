"""The keys of a Defender incident document that Vigie reads; every other key is kept as it came."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec

from vigie.core.access import UNGROUPED_DEVICES, DeviceGroupLabel
from vigie.core.enums import Status
from vigie.core.incident import INCIDENT_ID_MAX
from vigie.documents.defender.enum_spellings import STATUSES

StatusWord = Literal["Active", "InProgress", "Resolved", "Redirected"]
_REDIRECTED = STATUSES.word(Status.REDIRECTED)

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class EntityShape(msgspec.Struct, frozen=True):
    """What Vigie reads of an entity."""

    deviceId: str | None = None  # noqa: N815


class DeviceShape(msgspec.Struct, frozen=True):
    """What Vigie reads of a device; every other key is kept as it came."""

    mdatpDeviceId: str | None = None  # noqa: N815  the API's own words
    rbacGroupId: _Int64 | None = None  # noqa: N815
    rbacGroupName: str | None = None  # noqa: N815
    entities: list[EntityShape] | None = None


class AlertShape(msgspec.Struct, frozen=True):
    """What Vigie reads of an alert, and of an incident outside its alerts."""

    devices: list[DeviceShape] | None = None
    entities: list[EntityShape] | None = None


class IncidentShape(AlertShape, frozen=True, kw_only=True):
    """What an incident must have to be one, and what Vigie reads of it."""

    incidentId: Annotated[int, msgspec.Meta(ge=1, le=INCIDENT_ID_MAX)]  # noqa: N815
    createdTime: str  # noqa: N815
    lastUpdateTime: str  # noqa: N815
    status: StatusWord
    alerts: list[AlertShape]
    assignedTo: str | None = None  # noqa: N815


decode_shape = msgspec.json.Decoder(IncidentShape).decode
decode_alert_shape = msgspec.json.Decoder(AlertShape).decode


def is_stub(incident: Mapping[str, Any]) -> bool:
    """Whether an incident was merged into another, and has nothing of its own by which it could be visible."""
    is_redirected = incident["status"] == _REDIRECTED or incident.get("redirectIncidentId") is not None
    return is_redirected and not incident["alerts"]


def status_of(head: Mapping[str, Any]) -> Status:
    """The status of an incident, by its own keys."""
    return STATUSES.members[head["status"]]


def assignee_of(head: Mapping[str, Any]) -> str | None:
    """The person or program that an incident is assigned to; None for nobody."""
    assignee: str | None = head.get("assignedTo")
    return assignee


def merged_into(head: Mapping[str, Any]) -> Any:
    """The number of the incident that this one was merged into, as the document has it."""
    return head.get("redirectIncidentId")


def entities_of(holder: AlertShape) -> Iterator[EntityShape]:
    """The entities of an alert or an incident, also those in its devices, where one page of the docs has them."""
    yield from holder.entities or ()
    for device in holder.devices or ():
        yield from device.entities or ()


def label_of(device: DeviceShape) -> DeviceGroupLabel:
    """The group of a device: its number when that is not zero, else its name, else the ungrouped."""
    return device.rbacGroupId or device.rbacGroupName or UNGROUPED_DEVICES


def devices_of(shape: IncidentShape) -> Iterator[DeviceShape]:
    """The devices of an incident, wherever in it they stand."""
    yield from shape.devices or ()
    for alert in shape.alerts:
        yield from alert.devices or ()


def hidden_device_ids(shape: IncidentShape, device_groups: frozenset[DeviceGroupLabel]) -> frozenset[str]:
    """The devices of an incident, in lower case, of which any snapshot is out of scope.

    One device may stand in several alerts with different groups: the strictest of them counts.
    """
    return frozenset(
        device.mdatpDeviceId.lower()
        for device in devices_of(shape)
        if device.mdatpDeviceId and label_of(device) not in device_groups
    )
