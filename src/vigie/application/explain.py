"""Explanations of what a caller sees: why an incident is visible or not, and what is removed from it.

It asks the rules themselves who may read and which devices are hidden, and counts what `core/redaction.py` leaves
out; a test holds the two together.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from vigie.core.access import (
    READ_PERMISSIONS,
    UNGROUPED_DEVICES,
    Assignment,
    Caller,
    CallerKind,
    DeviceGroupLabel,
    Exposure,
    RolePermission,
    require_read,
)
from vigie.core.errors import PermissionMissing
from vigie.core.instants import Instant, format_instant, parse_instant
from vigie.documents.defender.redaction import redact
from vigie.documents.defender.shapes import (
    AlertShape,
    DeviceShape,
    EntityShape,
    IncidentShape,
    hidden_device_ids,
    is_stub,
    label_of,
)


class HiddenAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is left out: its place among the alerts, from 1, its id, the groups of its devices."""

    place: int
    alert_id: str | None
    device_groups: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the caller sees the incident, and why, a sentence at a time.

    Alerts are counted once the caller may read and there is something to read. Devices and entities are
    counted in what is visible: those of a hidden alert go with it.
    """

    sees: bool
    reasons: tuple[str, ...]
    visible_alert_count: int = 0
    hidden_alerts: tuple[HiddenAlert, ...] = ()
    devices_left_out_count: int = 0
    entities_left_out_count: int = 0


def explain(
    caller: Caller,
    assignments: Sequence[Assignment],
    incident: Mapping[str, Any] | None,
    *,
    retained_since: Instant | None,
    inherited: Collection[DeviceGroupLabel | None] = (),
) -> Explanation:
    """Explain what comes of reading an incident, or of reading one that is not there.

    `assignments` are a user's, of which `caller.exposure` was made. An incident last updated before
    `retained_since` is past its retention. `inherited` is what the target of a stub is visible by.
    """
    standing = tuple(_standing(caller, assignments))
    try:
        exposure = require_read(caller)
    except PermissionMissing as refusal:
        told = f"Every read is answered 403, whatever the incident: {refusal.message}"
        return Explanation(sees=False, reasons=(*standing, told))
    if incident is None:
        return Explanation(sees=False, reasons=(*standing, "There is no such incident: it is answered 404."))
    if retained_since is not None and parse_instant(incident["lastUpdateTime"]) < retained_since:
        return Explanation(sees=False, reasons=(*standing, _past_retention(incident, retained_since)))
    if exposure.whole_tenant:
        count = len(incident["alerts"])
        return Explanation(sees=True, reasons=(*standing, "Nothing is left out."), visible_alert_count=count)
    if is_stub(incident):
        return _of_stub(standing, incident, exposure, inherited)
    return _scoped(standing, incident, exposure.device_groups)


def _standing(caller: Caller, assignments: Sequence[Assignment]) -> Iterator[str]:
    """What the caller may do at all."""
    if caller.kind is CallerKind.USER:
        yield from map(_granted, assignments) if assignments else ("The user has no role.",)
        return
    wanted = READ_PERMISSIONS[caller.kind]
    if held := [each for each in wanted if each in caller.granted]:
        yield f"The application has {' and '.join(held)}, and an application sees the whole tenant."
    else:
        yield f"The application may not read incidents; it needs {' or '.join(wanted)}."


def _granted(assignment: Assignment) -> str:
    if RolePermission.VIEW_DATA not in assignment.permissions:
        return f"The role {assignment.role} does not carry view-data: it shows nothing."
    if assignment.whole_tenant:
        return f"The role {assignment.role} carries view-data, over the whole tenant."
    # Every group has a name; its number is a label beside it.
    names = sorted(label for label in assignment.device_groups if isinstance(label, str))
    scope = f"these device groups: {', '.join(names)}" if names else "no device group any more"
    return f"The role {assignment.role} carries view-data, over {scope}."


def _past_retention(incident: Mapping[str, Any], retained_since: Instant) -> str:
    return (
        f"It was last updated {incident['lastUpdateTime']}, and the retention reaches back to "
        f"{format_instant(retained_since)}: it is answered 404, and will be removed."
    )


class _Scope:
    """The device groups that a caller may know about, and the devices of one incident that are outside."""

    def __init__(self, groups: frozenset[DeviceGroupLabel], shape: IncidentShape) -> None:
        self._groups = groups
        devices = [*(shape.devices or ()), *(each for alert in shape.alerts for each in alert.devices or ())]
        hidden = hidden_device_ids(shape, groups)
        self._hidden: dict[str, list[DeviceShape]] = {device_id: [] for device_id in hidden}
        for device in self.outside(devices):
            if device.mdatpDeviceId:
                self._hidden[device.mdatpDeviceId.lower()].append(device)

    def outside(self, devices: Sequence[DeviceShape] | None) -> list[DeviceShape]:
        """Those of the devices that are out of scope."""
        return [device for device in devices or () if label_of(device) not in self._groups]

    def hides(self, alert: AlertShape) -> bool:
        """Whether an alert has devices, and all of them are out of scope."""
        return bool(alert.devices) and len(self.outside(alert.devices)) == len(alert.devices or ())

    def entities(self, part: AlertShape) -> list[EntityShape]:
        """Those of the part itself, and of its devices in scope."""
        seen = [device for device in part.devices or () if label_of(device) in self._groups]
        return [*(part.entities or ()), *(each for device in seen for each in device.entities or ())]

    def hidden_named(self, part: AlertShape) -> list[list[DeviceShape]]:
        """For each entity that names a hidden device, how that device stands out of scope."""
        named = [(entity.deviceId or "").lower() for entity in self.entities(part)]
        return [self._hidden[device_id] for device_id in named if device_id in self._hidden]


def _of_stub(
    standing: tuple[str, ...],
    stub: Mapping[str, Any],
    exposure: Exposure,
    inherited: Collection[DeviceGroupLabel | None],
) -> Explanation:
    what = f"It is a stub, redirected to incident {stub.get('redirectIncidentId')}"
    if redact(stub, exposure, inherited) is None:
        why = "which is hidden or missing, and is hidden with it: it is answered 404 as if missing."
        return Explanation(sees=False, reasons=(*standing, f"{what}, {why}"))
    if exposure.every_stub:
        why = "and without alerts: every reader sees it, by `[incidents] stubs`."
    else:
        why = "and is seen by those who see that one."
    return _scoped(standing, stub, exposure.device_groups, verdict=f"{what}, {why}")


def _scoped(
    standing: tuple[str, ...],
    incident: Mapping[str, Any],
    groups: frozenset[DeviceGroupLabel],
    *,
    verdict: str = "",
) -> Explanation:
    shape = msgspec.convert(incident, IncidentShape)
    scope = _Scope(groups, shape)
    hidden: list[HiddenAlert] = []
    visible: list[tuple[str, AlertShape]] = []
    for place, (alert, raw) in enumerate(zip(shape.alerts, incident["alerts"], strict=True), start=1):
        alert_id = None if raw.get("alertId") is None else str(raw["alertId"])
        if scope.hides(alert):
            device_groups = _names_of_groups(alert.devices or ())
            hidden.append(HiddenAlert(place=place, alert_id=alert_id, device_groups=device_groups))
        else:
            visible.append((_name(place, alert_id), alert))
    sees = not shape.alerts or bool(visible)
    parts = [("Outside its alerts", shape), *visible] if sees else []
    losses = [sentence for name, part in parts for sentence in _losses(name, part, scope)]
    return Explanation(
        sees=sees,
        reasons=(*standing, verdict or _verdict(incident, visible), *map(_why_hidden, hidden), *losses),
        visible_alert_count=len(visible),
        hidden_alerts=tuple(hidden),
        devices_left_out_count=sum(len(scope.outside(part.devices)) for _, part in parts),
        entities_left_out_count=sum(len(scope.hidden_named(part)) for _, part in parts),
    )


def _verdict(incident: Mapping[str, Any], visible: list[tuple[str, AlertShape]]) -> str:
    count = len(incident["alerts"])
    if not count:
        return "It is an incident without alerts: every reader sees it."
    if not visible:
        return f"It is hidden, none of its alerts ({count}) being in scope: it is answered 404 as if missing."
    without_devices = sum(not alert.devices for _, alert in visible)
    return (
        f"Of its alerts ({count}) {len(visible)} can be seen: {without_devices} for having no devices, "
        f"{len(visible) - without_devices} for a device in scope."
    )


def _why_hidden(alert: HiddenAlert) -> str:
    where = ", ".join(alert.device_groups)
    return f"{_name(alert.place, alert.alert_id)} is left out: its devices are in {where}."


def _losses(name: str, part: AlertShape, scope: _Scope) -> Iterator[str]:
    """What is left out of something visible."""
    if devices := scope.outside(part.devices):
        total = len(part.devices or ())
        where = ", ".join(_names_of_groups(devices))
        yield f"{name}: devices left out: {len(devices)} of {total}, being in {where}."
    if named := scope.hidden_named(part):
        total = len(scope.entities(part))
        where = ", ".join(_names_of_groups(device for devices in named for device in devices))
        yield f"{name}: entities left out: {len(named)} of {total}, naming devices in {where}."


def _name(place: int, alert_id: str | None) -> str:
    return f"Alert {place}" if alert_id is None else f"Alert {place} ({alert_id})"


def _names_of_groups(devices: Iterable[DeviceShape]) -> tuple[str, ...]:
    return tuple(sorted({_name_of_group(device) for device in devices}))


def _name_of_group(device: DeviceShape) -> str:
    if not device.rbacGroupId:
        return device.rbacGroupName or UNGROUPED_DEVICES
    return f"{device.rbacGroupName or 'a group'} (number {device.rbacGroupId})"
