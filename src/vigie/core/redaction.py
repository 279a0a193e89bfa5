"""Redaction by spans: what a caller sees of an incident, decided without parsing its document."""

import sys
from collections.abc import Collection, Sequence
from functools import lru_cache

from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.incident import AlertSpan, Spans, decode_spans, inheriting

_Groups = frozenset[DeviceGroupLabel]


def is_visible(spans: Spans, exposure: Exposure) -> bool:
    """Whether an exposure knows about the incident at all."""
    if exposure.whole_tenant:
        return True
    if spans.inherited is not None:
        return exposure.every_stub or makes_visible(spans.inherited, exposure.device_groups)
    return not spans.alerts or any(is_in_part(alert, exposure.device_groups) for alert in spans.alerts)


def remaining_slices(spans: bytes, alerts_at: int, exposure: Exposure) -> tuple[slice, ...] | None:
    """The bytes of a document that stay where whole alerts go: none of a hidden incident.

    None if an alert, or the incident, is visible in part: then it has to be parsed.
    """
    if exposure.every_stub:
        spans = _open_if_stub(spans)
    slices = cached_slices if len(spans) <= _CACHED_SPANS_BYTES_MAX else _slices
    return slices(spans, alerts_at, exposure.device_groups)


def makes_visible(visibility: Collection[DeviceGroupLabel | None], groups: _Groups) -> bool:
    """Whether a caller of these device groups sees what is visible by these; None is visible to every reader."""
    return None in visibility or not groups.isdisjoint(visibility)


def is_whole(span: AlertSpan, groups: _Groups) -> bool:
    """Whether nothing of an alert is hidden."""
    return groups.issuperset(span.own) and groups.issuperset(span.named)


def is_in_part(span: AlertSpan, groups: _Groups) -> bool:
    """Whether anything of an alert is visible, for having no devices or a device in one of the groups."""
    return not span.own or not groups.isdisjoint(span.own)


def _open_if_stub(spans: bytes) -> bytes:
    return spans if decode_spans(spans).inherited is None else inheriting(spans, [None])


def _slices(spans: bytes, alerts_at: int, groups: _Groups) -> tuple[slice, ...] | None:
    kept = decode_spans(spans)
    if kept.inherited is not None and not makes_visible(kept.inherited, groups):
        return ()
    if not groups.issuperset(kept.outside):
        return None
    are_whole = [is_whole(span, groups) for span in kept.alerts]
    if all(are_whole):
        return (slice(None),)
    if any(is_in_part(span, groups) for span in kept.alerts if not is_whole(span, groups)):
        return None
    return _around(kept.alerts, are_whole, alerts_at) if any(are_whole) else ()


# The same incidents are asked for again and again, by callers of few scopes. Those of very many alerts would fill
# the memory; so many bytes are of some 80.
cached_slices = lru_cache(maxsize=1024)(_slices)
_CACHED_SPANS_BYTES_MAX = 512


def _around(alerts: Sequence[AlertSpan], are_whole: Sequence[bool], alerts_at: int) -> tuple[slice, ...]:
    """The bytes around the alerts that go, in as few slices as can be; all alerts but the first keep a comma."""
    stays = [(0, alerts_at)]
    at, comma = alerts_at, 0
    for span, stays_whole in zip(alerts, are_whole, strict=True):
        if stays_whole:
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
