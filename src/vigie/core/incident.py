"""An incident document: what it must have to be one, and the form in which it is kept.

A kept incident is the bytes it will be sent as, and beside them what must be known without parsing them.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import msgspec

from vigie.core import lossless
from vigie.core.access import UNGROUPED_DEVICES, DeviceGroupLabel
from vigie.core.decode_errors import in_words_of_json
from vigie.core.directory import DeviceGroup, name_after
from vigie.core.instants import Instant, parse_instant

INCIDENT_ID_MAX = 2**63 - 1
CONTEXT_KEY = "@odata.context"

LATEST_TIME = parse_instant("9999-01-01T00:00:00Z")
"""Incidents were last updated before this: later updates must find a moment in the calendar."""

Status = Literal["Active", "InProgress", "Resolved", "Redirected"]
REDIRECTED = "Redirected"

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
    status: Status
    alerts: list[AlertShape]
    assignedTo: str | None = None  # noqa: N815


class AlertSpan(msgspec.Struct, frozen=True, array_like=True):
    """One alert's bytes in the document, and the device groups that decide who may see them.

    `own` are the groups of its devices; `named` those of the devices that its entities name, wherever in the
    incident those devices stand.
    """

    length: int
    own: tuple[DeviceGroupLabel, ...] = ()
    named: tuple[DeviceGroupLabel, ...] = ()


class Spans(msgspec.Struct, frozen=True, array_like=True):
    """The alerts' spans in their order, separated by one byte each and counted from the first alert.

    `outside` are the groups of devices that stand, or are named by entities, outside every alert. `inherited` is
    for a stub alone: what its target is visible by (see `visibility_of`), and nothing while there is no target.
    """

    alerts: tuple[AlertSpan, ...]
    outside: tuple[DeviceGroupLabel, ...] = ()
    inherited: tuple[DeviceGroupLabel | None, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIncident:
    """An incident as the store keeps it: what is filtered and ordered on, the document, the spans.

    `document` is JSON without `@odata.context`; its first alert, if any, starts at byte `alerts_at`.
    `device_groups` are those its devices say they are in. `redirect_incident_id` is the target of a stub.
    """

    incident_id: int
    status: str
    severity: str | None
    assigned_to: str | None
    created_at: Instant
    last_update_at: Instant
    document: bytes
    alerts_at: int
    spans: bytes
    device_groups: frozenset[DeviceGroup]
    redirect_incident_id: int | None = None


def is_stub(incident: Mapping[str, Any]) -> bool:
    """Whether an incident was merged into another, and has nothing of its own by which it could be visible."""
    is_redirected = incident["status"] == REDIRECTED or incident.get("redirectIncidentId") is not None
    return is_redirected and not incident["alerts"]


def visibility_of(spans: Spans) -> frozenset[DeviceGroupLabel | None]:
    """The groups of which any one makes the incident visible; None: every reader may see it."""
    if spans.inherited is not None:
        return frozenset(spans.inherited)
    if not spans.alerts:
        return frozenset({None})
    return frozenset(label for alert in spans.alerts for label in (alert.own or (None,)))


class NotAnIncident(ValueError):
    """A document that cannot be taken; `path` is the JSON path of what is wrong, inside the incident."""

    def __init__(self, reason: str, path: str = "$") -> None:
        super().__init__(reason)
        self.reason = reason
        self.path = path


_encode = msgspec.msgpack.Encoder().encode


def encode_spans(spans: Spans) -> bytes:
    """Spans as they are kept: of whatever is no stub in two fields, as they were before there was a third."""
    return _encode((spans.alerts, spans.outside) if spans.inherited is None else spans)


decode_spans = msgspec.msgpack.Decoder(Spans).decode
decode_shape = msgspec.json.Decoder(IncidentShape).decode


def inheriting(spans: bytes, visibility: Collection[DeviceGroupLabel | None]) -> bytes:
    """The spans of a stub whose target is visible by these."""
    labels = _sorted([each for each in visibility if each is not None])
    inherited = (None, *labels) if None in visibility else labels
    return encode_spans(msgspec.structs.replace(decode_spans(spans), inherited=inherited))


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
    document, alerts_at = _document(incident, alerts)
    severity = incident.get("severity")
    stub = is_stub(incident)
    return StoredIncident(
        incident_id=shape.incidentId,
        status=shape.status,
        severity=severity if isinstance(severity, str) else None,
        assigned_to=shape.assignedTo,
        created_at=_instant(shape.createdTime, "$.createdTime"),
        last_update_at=_before_the_end(_instant(shape.lastUpdateTime, "$.lastUpdateTime")),
        document=document,
        alerts_at=alerts_at,
        spans=encode_spans(_spans(shape, [len(alert) for alert in alerts], inherited=() if stub else None)),
        device_groups=frozenset(_group(device) for device in _devices(shape)),
        redirect_incident_id=_target_of(incident) if stub else None,
    )


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A kept document in two: the incident's own keys in their order, with an empty list of alerts, and these."""

    head: dict[str, Any]
    alerts: bytes


def split_document(document: bytes, alerts_at: int, spans: Spans) -> SplitDocument:
    """Take a document apart without decoding its alerts."""
    end = alerts_at + sum(span.length + 1 for span in spans.alerts) - bool(spans.alerts)
    head = lossless.decode_unchecked(document[:alerts_at] + document[end:])
    return SplitDocument(head, document[alerts_at:end])


def join_document(split: SplitDocument) -> tuple[bytes, int]:
    """Put it together again; also where its first alert starts."""
    return _document(split.head, [split.alerts] if split.alerts else [])


def entities_of(holder: AlertShape) -> Iterator[EntityShape]:
    """The entities of an alert or an incident, also those in its devices, where one page of the docs has them."""
    yield from holder.entities or ()
    for device in holder.devices or ():
        yield from device.entities or ()


def label_of(device: DeviceShape) -> DeviceGroupLabel:
    """The group of a device: its number when that is not zero, else its name, else the ungrouped."""
    return device.rbacGroupId or device.rbacGroupName or UNGROUPED_DEVICES


def hidden_device_ids(shape: IncidentShape, device_groups: frozenset[DeviceGroupLabel]) -> frozenset[str]:
    """The devices of an incident, in lower case, of which any snapshot is out of scope.

    One device may stand in several alerts with different groups: the strictest of them counts.
    """
    return frozenset(
        device.mdatpDeviceId.lower()
        for device in _devices(shape)
        if device.mdatpDeviceId and label_of(device) not in device_groups
    )


def _shape_of(incident: Any) -> IncidentShape:
    try:
        return msgspec.convert(incident, IncidentShape)
    except msgspec.ValidationError as error:
        complaint = in_words_of_json(str(error))
        reason, path = complaint.reason, complaint.path or "$"
        if path == "$.status" and not complaint.is_of_type:
            reason = f"{incident['status'][:60]!r} is not a status; there are {', '.join(get_args(Status))}"
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


def _document(incident: dict[str, Any], alerts: list[bytes]) -> tuple[bytes, int]:
    """The document, and where its first alert starts: around the alerts the other keys keep their order."""
    keys = [key for key in incident if key != CONTEXT_KEY]
    split = keys.index("alerts")
    before = lossless.encode({key: incident[key] for key in keys[:split]})[:-1]
    after = lossless.encode({key: incident[key] for key in keys[split + 1 :]})[1:]
    head = before + (b"," if split else b"") + b'"alerts":['
    tail = (b"]," if len(after) > 1 else b"]") + after
    return head + b",".join(alerts) + tail, len(head)


def _spans(
    shape: IncidentShape, lengths: list[int], *, inherited: tuple[DeviceGroupLabel, ...] | None
) -> Spans:
    groups_by_device: dict[str, set[DeviceGroupLabel]] = {}
    for device in _devices(shape):
        if device.mdatpDeviceId:
            groups_by_device.setdefault(device.mdatpDeviceId.lower(), set()).add(label_of(device))
    alerts = tuple(
        AlertSpan(length, _labels(alert.devices), _named(alert, groups_by_device))
        for length, alert in zip(lengths, shape.alerts, strict=True)
    )
    return Spans(alerts, _sorted({*_labels(shape.devices), *_named(shape, groups_by_device)}), inherited)


def _labels(devices: list[DeviceShape] | None) -> tuple[DeviceGroupLabel, ...]:
    return _sorted({label_of(device) for device in devices or ()})


def _named(
    alert: AlertShape, groups_by_device: dict[str, set[DeviceGroupLabel]]
) -> tuple[DeviceGroupLabel, ...]:
    named: set[DeviceGroupLabel] = set()
    for entity in entities_of(alert):
        if entity.deviceId:
            named |= groups_by_device.get(entity.deviceId.lower(), set())
    return _sorted(named)


def _sorted(labels: Collection[DeviceGroupLabel]) -> tuple[DeviceGroupLabel, ...]:
    if len(labels) < 2:
        return tuple(labels)
    return tuple(sorted(labels, key=lambda label: (isinstance(label, str), label)))


def _devices(shape: IncidentShape) -> Iterator[DeviceShape]:
    yield from shape.devices or ()
    for alert in shape.alerts:
        yield from alert.devices or ()


def _group(device: DeviceShape) -> DeviceGroup:
    number = device.rbacGroupId or None
    return DeviceGroup(
        number=number, name=device.rbacGroupName or (name_after(number) if number else UNGROUPED_DEVICES)
    )
