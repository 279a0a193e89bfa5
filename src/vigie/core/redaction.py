"""What is left of an incident for a caller who may not know about all of it.

Two ways that give the same bytes: `trim` filters the parsed incident and is the definition;
`visible_document` cuts whole alerts out of the kept bytes and parses only those on both sides of the border.

Source: contract 4.3, rules 1 to 5; docs/divergences.md, "Exposure".
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from vigie.core import lossless
from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.incident import (
    AlertSpan,
    DeviceShape,
    IncidentShape,
    Spans,
    decode_shape,
    decode_spans,
    hidden_device_ids,
    inheriting,
    is_stub,
    label_of,
)

_Groups = frozenset[DeviceGroupLabel]


def visible_document(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """The part of a kept document that this exposure lets a caller know about; None when it is nothing.

    An incident without alerts is visible to every reader; but the stub of a merged one only as its target is.
    """
    if exposure.whole_tenant:
        return document
    if exposure.every_stub:
        spans = _open_if_stub(spans)
    known = known_stays if len(spans) <= _KNOWN_SPANS_BYTES_MAX else _stays
    stays = known(spans, alerts_at, exposure.device_groups)
    if stays is None:
        return _parsed(document, alerts_at, decode_spans(spans), exposure)
    return b"".join([document[each] for each in stays]) or None


def trim(
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
    if is_stub(incident) and not (exposure.every_stub or _makes_visible(inherited, groups)):
        return None
    hidden = hidden_device_ids(msgspec.convert(incident, IncidentShape), groups)
    alerts = [alert for alert in incident["alerts"] if _is_visible(alert, groups)]
    if incident["alerts"] and not alerts:
        return None
    left = _without(incident, groups, hidden)
    left["alerts"] = [_without(alert, groups, hidden) for alert in alerts]
    return left


def is_in_sight(spans: Spans, exposure: Exposure) -> bool:
    """Whether an exposure knows about the incident at all."""
    if exposure.whole_tenant:
        return True
    if spans.inherited is not None:
        return exposure.every_stub or _makes_visible(spans.inherited, exposure.device_groups)
    return not spans.alerts or any(_is_in_part(alert, exposure.device_groups) for alert in spans.alerts)


def is_device_visible(device: Mapping[str, Any], groups: _Groups) -> bool:
    """Whether a device stands in one of the groups."""
    return label_of(msgspec.convert(device, DeviceShape)) in groups


def _open_if_stub(spans: bytes) -> bytes:
    return spans if decode_spans(spans).inherited is None else inheriting(spans, [None])


def _makes_visible(visibility: Collection[DeviceGroupLabel | None], groups: _Groups) -> bool:
    return None in visibility or not groups.isdisjoint(visibility)


def _stays(spans: bytes, alerts_at: int, groups: _Groups) -> tuple[slice, ...] | None:
    """What stays of a document's bytes where whole alerts go; None if anything has to be parsed to know."""
    kept = decode_spans(spans)
    if kept.inherited is not None and not _makes_visible(kept.inherited, groups):
        return ()
    if not groups.issuperset(kept.outside):
        return None
    are_whole = [_is_whole(span, groups) for span in kept.alerts]
    if all(are_whole):
        return (slice(None),)
    if any(_is_in_part(span, groups) for span in kept.alerts if not _is_whole(span, groups)):
        return None
    return _around(kept.alerts, are_whole, alerts_at) if any(are_whole) else ()


# The same incidents are asked for again and again, by callers of few scopes. Those of very many alerts would fill
# the memory; so many bytes are of some 80.
known_stays = lru_cache(maxsize=1024)(_stays)
_KNOWN_SPANS_BYTES_MAX = 512


def _around(alerts: Sequence[AlertSpan], are_whole: Sequence[bool], alerts_at: int) -> tuple[slice, ...]:
    """The bytes around the alerts that go, in as few slices as can be; all alerts but the first keep a comma."""
    stays = [(0, alerts_at)]
    at, comma = alerts_at, 0
    for span, is_whole in zip(alerts, are_whole, strict=True):
        if is_whole:
            stays.append((at - comma, at + span.length))
            comma = 1
        at += span.length + 1
    stays.append((at - 1, sys.maxsize))
    joined = stays[:1]
    for begin, end in stays[1:]:
        if joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return tuple(slice(*each) for each in joined)


def _is_whole(span: AlertSpan, groups: _Groups) -> bool:
    return groups.issuperset(span.own) and groups.issuperset(span.named)


def _is_in_part(span: AlertSpan, groups: _Groups) -> bool:
    """Whether anything of an alert is visible, for having no devices or a device in one of the groups."""
    return not span.own or not groups.isdisjoint(span.own)


def _parsed(document: bytes, alerts_at: int, spans: Spans, exposure: Exposure) -> bytes | None:
    groups = exposure.device_groups
    if not groups.issuperset(spans.outside):
        left = trim(lossless.decode(document), exposure, spans.inherited or ())
        return None if left is None else lossless.encode(left)
    hidden = hidden_device_ids(decode_shape(document), groups)
    alerts: list[bytes] = []
    start = alerts_at
    for span in spans.alerts:
        end = start + span.length
        if _is_whole(span, groups):
            alerts.append(document[start:end])
        elif _is_in_part(span, groups):
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
