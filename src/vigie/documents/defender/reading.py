"""A Defender incident document read: what it must have, and the form in which it is stored."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from vigie.core.access import UNGROUPED_DEVICES, DeviceGroupLabel
from vigie.core.alert import StoredAlert, deciding_groups
from vigie.core.directory import DeviceGroup, name_after
from vigie.core.incident import (
    INCIDENT_ID_MAX,
    LATEST_TIME,
    AlertSpan,
    Spans,
    StoredIncident,
    encode_spans,
    sorted_labels,
)
from vigie.core.instants import Instant, parse_instant
from vigie.documents import lossless
from vigie.documents.decode_errors import in_words_of_json
from vigie.documents.defender.alerts import keep_alert
from vigie.documents.defender.enum_spellings import STATUSES
from vigie.documents.defender.shapes import (
    AlertShape,
    DeviceShape,
    EntityShape,
    IncidentShape,
    decode_alert_shape,
    decode_shape,
    devices_of,
    entities_of,
    is_stub,
    label_of,
)
from vigie.documents.splitting import encode_document


class NotAnIncident(ValueError):
    """A document that cannot be taken; `path` is the JSON path of what is wrong, inside the incident."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


def keep_incident(text: bytes) -> StoredIncident:
    """Take one incident from its JSON text. Raises NotAnIncident with the place and the reason."""
    try:
        kept = keep_document(lossless.decode_unchecked(text))
        if kept.document != text:
            lossless.check_keys(text)
    except lossless.NotJson as error:
        raise NotAnIncident(str(error)) from error
    except RecursionError as error:
        raise NotAnIncident("objects or arrays nested too deeply") from error
    return kept


def keep_document(incident: Any) -> StoredIncident:
    """Encode an incident and all that is kept beside it. Raises NotAnIncident for what is not one."""
    shape = _shape_of(incident)
    alerts = [lossless.encode(alert) for alert in incident["alerts"]]
    document, alerts_at = encode_document(incident, alerts)
    severity = incident.get("severity")
    stub = is_stub(incident)
    spans = _spans(shape, [len(alert) for alert in alerts], inherited=() if stub else None)
    return StoredIncident(
        incident_id=shape.incidentId,
        status=STATUSES.members[shape.status],
        severity=severity if isinstance(severity, str) else None,
        assigned_to=shape.assignedTo,
        created_at=_instant(shape.createdTime, "$.createdTime"),
        last_update_at=_before_the_end(_instant(shape.lastUpdateTime, "$.lastUpdateTime")),
        document=document,
        alerts_at=alerts_at,
        spans=encode_spans(spans),
        alerts=tuple(map(_kept_alert, incident["alerts"], alerts, spans.alerts)),
        device_groups=frozenset(_group(device) for device in devices_of(shape)),
        redirect_incident_id=_target_of(incident) if stub else None,
    )


def keep_single_alert(text: bytes) -> StoredAlert:
    """Take an alert by itself from its JSON text. Raises NotAnIncident with the place and the reason."""
    try:
        alert = lossless.decode(text)
    except lossless.NotJson as error:
        raise NotAnIncident(str(error)) from error
    native = lossless.encode(alert)
    try:
        shape = decode_alert_shape(native)
    except msgspec.ValidationError as error:
        complaint = in_words_of_json(str(error))
        raise NotAnIncident(complaint.reason, _with_places(complaint.path or "$", alert)) from error
    groups_by_device = _groups_by_device(shape.devices or ())
    span = AlertSpan(len(native), _labels(shape.devices), _named(shape, groups_by_device))
    return _kept_alert(alert, native, span)


def assemble(
    head: bytes, alerts: Sequence[tuple[bytes, DeviceGroupLabel | None]]
) -> tuple[bytes, int, bytes]:
    """The answer of an incident: its document, where its first alert starts, and its spans.

    `alerts` are the texts of its alerts in their order, each with the group that its source gave it.
    """
    texts = [text for text, _ in alerts]
    document, alerts_at = encode_document(lossless.decode_unchecked(head), texts)
    spans = _spans(decode_shape(document), [len(text) for text in texts], inherited=None)
    decided = tuple(
        msgspec.structs.replace(span, own=sorted_labels(deciding_groups(span.own, source)))
        for span, (_, source) in zip(spans.alerts, alerts, strict=True)
    )
    return document, alerts_at, encode_spans(msgspec.structs.replace(spans, alerts=decided))


def _kept_alert(alert: Mapping[str, Any], native: bytes, span: AlertSpan) -> StoredAlert:
    return keep_alert(alert, native, own_groups=span.own, named_groups=span.named)


def _shape_of(incident: Any) -> IncidentShape:
    try:
        return msgspec.convert(incident, IncidentShape)
    except msgspec.ValidationError as error:
        complaint = in_words_of_json(str(error))
        reason, path = complaint.reason, complaint.path or "$"
        if path == "$.status" and not complaint.is_of_type:
            reason = f"invalid status {incident['status'][:60]!r}; allowed: {', '.join(STATUSES.members)}"
        raise NotAnIncident(reason, _with_places(path, incident)) from error


def _with_places(path: str, incident: Any) -> str:
    """The path with the numbers of the alert, device or entity in it, which msgspec leaves out."""
    for key, shape in (("alerts", AlertShape), ("devices", DeviceShape), ("entities", EntityShape)):
        prefix = f"$.{key}[...]"
        if path.startswith(prefix):
            for place, member in enumerate(incident[key]):
                try:
                    msgspec.convert(member, shape)
                except msgspec.ValidationError as error:
                    inner = _with_places(in_words_of_json(str(error)).path or "$", member)
                    return f"$.{key}[{place}]{inner.removeprefix('$')}"
    return path


def _instant(text: str, path: str) -> Instant:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise NotAnIncident(str(error), path) from error


def _target_of(stub: Mapping[str, Any]) -> int | None:
    target = stub.get("redirectIncidentId")
    is_number = isinstance(target, int) and not isinstance(target, bool) and 1 <= target <= INCIDENT_ID_MAX
    return target if is_number else None


def _before_the_end(last_update_at: Instant) -> Instant:
    if last_update_at >= LATEST_TIME:
        raise NotAnIncident("a time from the year 9999 on leaves none for later updates", "$.lastUpdateTime")
    return last_update_at


def _spans(
    shape: IncidentShape, lengths: list[int], *, inherited: tuple[DeviceGroupLabel, ...] | None
) -> Spans:
    groups_by_device = _groups_by_device(devices_of(shape))
    alerts = tuple(
        AlertSpan(length, _labels(alert.devices), _named(alert, groups_by_device))
        for length, alert in zip(lengths, shape.alerts, strict=True)
    )
    return Spans(
        alerts, sorted_labels({*_labels(shape.devices), *_named(shape, groups_by_device)}), inherited
    )


def _groups_by_device(devices: Iterable[DeviceShape]) -> dict[str, set[DeviceGroupLabel]]:
    groups: dict[str, set[DeviceGroupLabel]] = {}
    for device in devices:
        if device.mdatpDeviceId:
            groups.setdefault(device.mdatpDeviceId.lower(), set()).add(label_of(device))
    return groups


def _labels(devices: list[DeviceShape] | None) -> tuple[DeviceGroupLabel, ...]:
    return sorted_labels({label_of(device) for device in devices or ()})


def _named(
    alert: AlertShape, groups_by_device: dict[str, set[DeviceGroupLabel]]
) -> tuple[DeviceGroupLabel, ...]:
    named: set[DeviceGroupLabel] = set()
    for entity in entities_of(alert):
        if entity.deviceId:
            named |= groups_by_device.get(entity.deviceId.lower(), set())
    return sorted_labels(named)


def _group(device: DeviceShape) -> DeviceGroup:
    number = device.rbacGroupId or None
    return DeviceGroup(
        number=number, name=device.rbacGroupName or (name_after(number) if number else UNGROUPED_DEVICES)
    )
