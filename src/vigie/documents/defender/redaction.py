"""The part of a Defender incident document that a caller may know about.

Two ways that give the same bytes: `redact` filters the parsed incident and is the definition;
`visible_document` cuts whole alerts out of the stored bytes and parses only those on both sides of the border.
The rules: docs/divergences.md, "Exposure".
"""

from collections.abc import Collection, Iterator, Mapping
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
from vigie.documents.splitting import encode_document, end_of_alerts, split_document

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


def visible_alerts(
    document: bytes, alerts_at: int, spans: bytes, exposure: Exposure
) -> list[tuple[int, bytes]]:
    """The alerts of a stored document that this exposure lets a caller know about, each with its place from 0."""
    known = decode_spans(spans)
    if exposure.whole_tenant:
        return list(enumerate(_texts(document, alerts_at, known)))
    return list(_visible_alerts(document, alerts_at, known, exposure.device_groups))


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
    alerts = [text for _, text in _visible_alerts(document, alerts_at, spans, groups)]
    if spans.alerts and not alerts:
        return None
    if groups.issuperset(spans.outside):
        end = end_of_alerts(alerts_at, spans)
        return b"".join((document[:alerts_at], b",".join(alerts), document[end:]))
    hidden = hidden_device_ids(decode_shape(document), groups)
    head = split_document(document, alerts_at, spans).head
    return encode_document(_without(head, groups, hidden), alerts)[0]


def _visible_alerts(
    document: bytes, alerts_at: int, spans: Spans, groups: _Groups
) -> Iterator[tuple[int, bytes]]:
    hidden: frozenset[str] | None = None
    texts = _texts(document, alerts_at, spans)
    for place, (span, text) in enumerate(zip(spans.alerts, texts, strict=True)):
        if is_whole(span, groups):
            yield place, text
        elif is_in_part(span, groups):
            # Of the whole incident: a device may be out of scope in another alert.
            hidden = hidden_device_ids(decode_shape(document), groups) if hidden is None else hidden
            yield place, lossless.encode(_without(lossless.decode(text), groups, hidden))


def _texts(document: bytes, alerts_at: int, spans: Spans) -> Iterator[bytes]:
    start = alerts_at
    for span in spans.alerts:
        yield document[start : start + span.length]
        start += span.length + 1


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
