"""A stored incident: its document as bytes, and beside them what must be known without parsing them.

The spans say which device groups each alert belongs to. They decide who may see what,
whatever the form of the document.
"""

from collections.abc import Collection

import msgspec
from msgspec.structs import replace

from vigie.core.access import DeviceGroupLabel
from vigie.core.alert import Origin, StoredAlert
from vigie.core.directory import DeviceGroup
from vigie.core.enums import Status
from vigie.core.instants import Instant, parse_instant

INCIDENT_ID_MAX = 2**63 - 1

LATEST_TIME = parse_instant("9999-01-01T00:00:00Z")
"""Incidents were last updated before this: later updates must find a moment in the calendar."""


class AlertSpan(msgspec.Struct, frozen=True, array_like=True):
    """One alert's bytes in the document, and the device groups that decide who may see them.

    `own` are the groups of its devices, and the one that its source gave it; `named` those of the devices that its
    entities name, wherever in the incident those devices stand.
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


class StoredIncident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as the database has it: what is filtered and ordered on, its alerts, the answer, the spans.

    `document` is the answer, JSON; its first alert, if any, starts at byte `alerts_at`.
    `device_groups` are those its devices say they are in. `redirect_incident_id` is the target of a stub.
    """

    incident_id: int
    status: Status
    severity: str | None
    assigned_to: str | None
    created_at: Instant
    last_update_at: Instant
    document: bytes
    alerts_at: int
    spans: bytes
    alerts: tuple[StoredAlert, ...]
    device_groups: frozenset[DeviceGroup]
    redirect_incident_id: int | None = None
    origin: Origin = Origin.DEFENDER


def visibility_of(spans: Spans) -> frozenset[DeviceGroupLabel | None]:
    """The groups of which any one makes the incident visible; None: every reader may see it."""
    if spans.inherited is not None:
        return frozenset(spans.inherited)
    if not spans.alerts:
        return frozenset({None})
    return frozenset(label for alert in spans.alerts for label in (alert.own or (None,)))


_encode = msgspec.msgpack.Encoder().encode


def encode_spans(spans: Spans) -> bytes:
    """Spans as they are stored: of what is no stub in two fields, as they were before there was a third."""
    return _encode((spans.alerts, spans.outside) if spans.inherited is None else spans)


decode_spans = msgspec.msgpack.Decoder(Spans).decode


def inheriting(spans: bytes, visibility: Collection[DeviceGroupLabel | None]) -> bytes:
    """The spans of a stub whose target is visible by these."""
    labels = sorted_labels([each for each in visibility if each is not None])
    inherited = (None, *labels) if None in visibility else labels
    return encode_spans(replace(decode_spans(spans), inherited=inherited))


def sorted_labels(labels: Collection[DeviceGroupLabel]) -> tuple[DeviceGroupLabel, ...]:
    """Labels in the one order in which they are stored: numbers first."""
    if len(labels) < 2:
        return tuple(labels)
    return tuple(sorted(labels, key=lambda label: (isinstance(label, str), label)))
