"""What is left of an incident for a caller who may not know about all of it.

Two ways that give the same bytes: `trim` filters the parsed incident and is the definition;
`visible_document` cuts whole alerts out of the kept bytes and parses only those on both sides of the border.

Source: contract 4.3, rules 1 to 5; docs/divergences.md, "Exposure".
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from vigie.core import lossless
from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.incident import (
    DeviceShape,
    IncidentShape,
    Spans,
    decode_shape,
    decode_spans,
    hidden_device_ids,
    label_of,
)

_Groups = frozenset[DeviceGroupLabel]


def visible_document(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """The part of a kept document that this exposure lets a caller know about; None when it is nothing.

    An incident without alerts (a redirected stub) is visible to every reader.
    """
    if exposure.whole_tenant:
        return document
    kept = decode_spans(spans)
    if not exposure.device_groups.issuperset(kept.outside):
        return _parsed(document, exposure)
    if not kept.alerts:
        return document
    return _spliced(document, alerts_at, kept, exposure.device_groups)


def trim(incident: Mapping[str, Any], exposure: Exposure) -> dict[str, Any] | None:
    """The incident without the alerts, devices and entities that are out of scope; None when it is hidden."""
    if exposure.whole_tenant:
        return dict(incident)
    groups = exposure.device_groups
    hidden = hidden_device_ids(msgspec.convert(incident, IncidentShape), groups)
    alerts = [alert for alert in incident["alerts"] if _is_visible(alert, groups)]
    if incident["alerts"] and not alerts:
        return None
    left = _without(incident, groups, hidden)
    left["alerts"] = [_without(alert, groups, hidden) for alert in alerts]
    return left


def is_in_sight(spans: Spans, exposure: Exposure) -> bool:
    """Whether an exposure knows about the incident at all."""
    if exposure.whole_tenant or not spans.alerts:
        return True
    return any(not alert.own or not exposure.device_groups.isdisjoint(alert.own) for alert in spans.alerts)


def is_device_visible(device: Mapping[str, Any], groups: _Groups) -> bool:
    """Whether a device stands in one of the groups."""
    return label_of(msgspec.convert(device, DeviceShape)) in groups


def _spliced(document: bytes, alerts_at: int, spans: Spans, groups: _Groups) -> bytes | None:
    is_within = groups.issuperset
    for span in spans.alerts:
        if not (is_within(span.own) and is_within(span.named)):
            break
    else:
        return document
    view = memoryview(document)
    left: list[bytes | memoryview] = []
    start = alerts_at
    hidden: frozenset[str] | None = None
    for span in spans.alerts:
        end = start + span.length
        if is_within(span.own) and is_within(span.named):
            left.append(view[start:end])
        elif not groups.isdisjoint(span.own) or not span.own:
            hidden = hidden if hidden is not None else hidden_device_ids(decode_shape(document), groups)
            alert = lossless.decode(document[start:end])
            left.append(lossless.encode(_without(alert, groups, hidden)))
        start = end + 1
    return b"".join((view[:alerts_at], b",".join(left), view[start - 1 :])) if left else None


def _parsed(document: bytes, exposure: Exposure) -> bytes | None:
    left = trim(lossless.decode(document), exposure)
    return None if left is None else lossless.encode(left)


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
