"""The part of a Defender incident document that a caller may know about.

Two ways that give the same bytes: `redact` filters the parsed incident and is the definition;
`visible_document` cuts whole alerts out of the stored bytes and parses only those on both sides of the border.
The rules: docs/divergences.md, "Exposure".
"""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.incident import Spans, decode_spans
from vigie.core.redaction import is_in_part, is_whole, makes_visible, remaining_slices
from vigie.documents import lossless
from vigie.documents.defender.shapes import (
    DeviceShape,
    IncidentShape,
    decode_shape,
    hidden_device_ids,
    is_stub,
    label_of,
)

_Groups = frozenset[DeviceGroupLabel]


def visible_document(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """The part of a stored document that this exposure lets a caller know about; None when it is nothing.

    An incident without alerts is visible to every reader; but the stub of a merged one only as its target is.
    """
    if exposure.whole_tenant:
        return document
    slices = remaining_slices(spans, alerts_at, exposure)
    if slices is None:
        return _parsed(document, alerts_at, decode_spans(spans), exposure)
    return b"".join([document[each] for each in slices]) or None


def redact(
    incident: Mapping[str, Any],
    exposure: Exposure,
    inherited: Collection[DeviceGroupLabel | None] = (),
) -> dict[str, Any] | None:
    """The incident without the alerts, devices and entities that are out of scope; None when it is hidden.

    `inherited` is what the target of a stub is visible by: nothing, where there is no target.
    """
    if exposure.whole_tenant:
        return dict(incident)
    groups = exposure.device_groups
    if is_stub(incident) and not (exposure.every_stub or makes_visible(inherited, groups)):
        return None
    hidden = hidden_device_ids(msgspec.convert(incident, IncidentShape), groups)
    alerts = [alert for alert in incident["alerts"] if _is_visible(alert, groups)]
    if incident["alerts"] and not alerts:
        return None
    left = _without(incident, groups, hidden)
    left["alerts"] = [_without(alert, groups, hidden) for alert in alerts]
    return left


def is_device_visible(device: Mapping[str, Any], groups: _Groups) -> bool:
    """Whether a device stands in one of the groups."""
    return label_of(msgspec.convert(device, DeviceShape)) in groups


def _parsed(document: bytes, alerts_at: int, spans: Spans, exposure: Exposure) -> bytes | None:
    groups = exposure.device_groups
    if not groups.issuperset(spans.outside):
        left = redact(lossless.decode(document), exposure, spans.inherited or ())
        return None if left is None else lossless.encode(left)
    hidden = hidden_device_ids(decode_shape(document), groups)
    alerts: list[bytes] = []
    start = alerts_at
    for span in spans.alerts:
        end = start + span.length
        if is_whole(span, groups):
            alerts.append(document[start:end])
        elif is_in_part(span, groups):
            alert = lossless.decode(document[start:end])
            alerts.append(lossless.encode(_without(alert, groups, hidden)))
        start = end + 1
    return b"".join((document[:alerts_at], b",".join(alerts), document[start - 1 :]))


def _is_visible(alert: Mapping[str, Any], groups: _Groups) -> bool:
    devices = alert.get("devices")
    return not devices or any(is_device_visible(device, groups) for device in devices)


def _without(holder: Mapping[str, Any], groups: _Groups, hidden: frozenset[str]) -> dict[str, Any]:
    """The alert, or the incident, without devices out of scope and without entities that name one."""
    left = _without_entities(holder, hidden)
    if left.get("devices"):
        left["devices"] = [
            _without_entities(device, hidden)
            for device in left["devices"]
            if is_device_visible(device, groups)
        ]
    return left


def _without_entities(holder: Mapping[str, Any], hidden: frozenset[str]) -> dict[str, Any]:
    left = dict(holder)
    if left.get("entities"):
        left["entities"] = [
            entity for entity in left["entities"] if (entity.get("deviceId") or "").lower() not in hidden
        ]
    return left
