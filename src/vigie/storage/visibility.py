"""The labels that make incidents visible: those written with each incident, and those that an exposure has."""

from functools import lru_cache

import msgspec

from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.changes import Labels
from vigie.core.incident import AlertSpan, Spans, visibility_of

OPEN_TO_EVERY_READER = ""
EVERY_STUB = ">"
"""The label of every stub, for exposures that see each one, wherever it leads: a setting, which may change."""


def visibility_label(group: DeviceGroupLabel | None) -> str:
    """The label of a device group; None is open to every reader. A number can never be taken for a name."""
    if group is None:
        return OPEN_TO_EVERY_READER
    return f"#{group}" if isinstance(group, int) else f"={group}"


def labels_of(exposure: Exposure) -> tuple[str, ...]:
    """The labels under which an exposure of device groups finds incidents."""
    stubs = (EVERY_STUB,) if exposure.every_stub else ()
    return (
        OPEN_TO_EVERY_READER,
        *stubs,
        *sorted(visibility_label(group) for group in exposure.device_groups),
    )


def label_set(spans: Spans) -> Labels:
    """The labels under which scoped callers find an incident; any one of them is enough."""
    labels = frozenset(map(visibility_label, visibility_of(spans)))
    return labels if spans.inherited is None else labels | {EVERY_STUB}


def labels_of_alert(span: AlertSpan) -> Labels:
    """The labels under which an alert is visible to scoped callers."""
    return frozenset(map(visibility_label, span.own or (None,)))


@lru_cache(maxsize=1024)
def labels_text(labels: Labels) -> str:
    """A set of labels as one text, sorted, a line each: the migration `incident_listing` makes the same in SQL."""
    return "\n".join([label.replace("\\", "\\\\").replace("\n", "\\n") for label in sorted(labels)])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(frozenset[str]).decode


@lru_cache(maxsize=1024)
def encode_labels(labels: Labels | None) -> bytes | None:
    """A set of labels as it is stored: equal sets are equal bytes."""
    return None if labels is None else _encode(sorted(labels))


@lru_cache(maxsize=1024)
def decode_labels(stored: bytes | None) -> Labels | None:
    """The set of labels that was stored; None where there was none."""
    return None if stored is None else _decode(stored)
