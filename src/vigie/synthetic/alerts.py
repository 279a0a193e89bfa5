"""Synthetic alerts: a scenario at a time, with some devices and users of the incident."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from vigie.synthetic import word_lists as vocabulary
from vigie.synthetic.alert_ids import make_ids
from vigie.synthetic.evidence import Scene, gather
from vigie.synthetic.inventory import RISK_SCORES
from vigie.synthetic.organisation import Fields, Organisation, Person
from vigie.synthetic.scenarios import Scenario
from vigie.synthetic.seeded_random import SeededRandom
from vigie.synthetic.timestamps import HOUR, SECOND, database_rounded, written
from vigie.synthetic.word_lists import Course, Grading


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What the alerts of one incident share.

    `is_of_2020` has things spelled as the service did then, since archives still hold such incidents.
    `ends_at` is the last update. `device_ids_so_far` grows with the alerts: the devices they happened on.
    """

    rng: SeededRandom
    organisation: Organisation
    incident_id: int
    people: Sequence[Person]
    devices: Sequence[Fields]
    course: Course
    grading: Grading
    assigned_to: str | None
    is_of_2020: bool
    ends_at: int
    device_ids_so_far: list[str] = msgspec.field(default_factory=list)


def tell_alert(story: Story, scenario: Scenario, created_at: int) -> Fields:
    """The alert, with its keys in their order. The story must go on for a few seconds.

    Source: docs/api/incident-document.md, "Alert".
    """
    rng, source, grading = story.rng, scenario.source, story.grading
    moments = _moments(rng, created_at, story.ends_at, source.activity_grain_ticks)
    alert_id, provider_alert_id = make_ids(source.alert_id_prefix, rng, created_at)
    status = rng.pick(story.course.alert_statuses)
    is_investigated = source.investigates and rng.chance(0.6)
    is_graded = grading != vocabulary.UNGRADED
    devices = _devices(story, scenario)
    return {
        "alertId": alert_id,
        "providerAlertId": provider_alert_id,
        "incidentId": story.incident_id,
        "serviceSource": source.name_of_2020 if story.is_of_2020 else source.name,
        "creationTime": written(created_at),
        "lastUpdatedTime": written(moments.updated_at),
        "resolvedTime": written(moments.settled_at) if status == "Resolved" else None,
        "firstActivity": written(moments.began_at),
        "lastActivity": written(moments.last_active_at),
        "title": scenario.title,
        "description": scenario.description,
        "category": scenario.category,
        "status": status,
        "severity": rng.pick(scenario.severities),
        "investigationId": 2000 + story.incident_id if is_investigated else None,
        "investigationState": rng.pick(_investigation_states(status, is_investigated=is_investigated)),
        "classification": grading.classification if is_graded else None,
        "determination": grading.determination if is_graded else None,
        "detectionSource": scenario.detection_source,
        "detectorId": scenario.detector_id,
        "assignedTo": rng.pick((None, "Automation", story.assigned_to)),
        "actorName": rng.pick(vocabulary.ACTORS) if rng.chance(0.03) else None,
        "threatFamilyName": scenario.family,
        "mitreTechniques": list(scenario.techniques),
        "devices": devices,
        "entities": gather(_scene(story, devices, moments), scenario.evidence),
    }


class _Moments(NamedTuple):
    began_at: int
    last_active_at: int
    evidence_at: int
    settled_at: int
    updated_at: int


def _moments(rng: SeededRandom, created_at: int, ends_at: int, grain_ticks: int) -> _Moments:
    last_active_at = (created_at - SECOND - rng.mostly_short(2 * HOUR)) // grain_ticks * grain_ticks
    began_at = (last_active_at - rng.mostly_short(6 * HOUR)) // grain_ticks * grain_ticks
    evidence_at = database_rounded(created_at + SECOND // 5 + rng.below(2 * SECOND))
    settled_at = evidence_at + rng.below(ends_at - evidence_at)
    updated_at = database_rounded(settled_at + rng.below(ends_at - settled_at))
    return _Moments(began_at, last_active_at, evidence_at, settled_at, updated_at)


def _investigation_states(status: str, *, is_investigated: bool) -> Sequence[str]:
    if not is_investigated:
        return vocabulary.NEVER_INVESTIGATED
    return vocabulary.INVESTIGATED if status == "Resolved" else vocabulary.UNDER_INVESTIGATION


def _devices(story: Story, scenario: Scenario) -> list[Fields]:
    """None, one, or two that are seldom of one device group."""
    rng = story.rng
    if not rng.chance(scenario.source.share_with_devices):
        return []
    chosen = rng.neighbours(story.devices, 2 if rng.chance(0.12) else 1)
    return [_snapshot(story, device) for device in chosen]


def _snapshot(story: Story, device: Fields) -> Fields:
    """The device as it was for one alert: its risk has changed, and its name is written as it came."""
    rng = story.rng
    row = device | {"riskScore": rng.pick(RISK_SCORES), "tags": list(device["tags"])}
    if rng.chance(0.1) and row["deviceDnsName"]:
        host, _, domain = row["deviceDnsName"].partition(".")
        row["deviceDnsName"] = rng.pick((f"{host.upper()}.{domain}", host.upper(), host))
    if story.is_of_2020:
        del row["rbacGroupId"]
    return row


def _scene(story: Story, devices: list[Fields], moments: _Moments) -> Scene:
    own_ids: list[str] = [device["mdatpDeviceId"] for device in devices]
    earlier_ids = story.device_ids_so_far
    strays = [story.rng.pick(earlier_ids)] if earlier_ids and story.rng.chance(0.15) else []
    earlier_ids += own_ids
    return Scene(
        rng=story.rng,
        organisation=story.organisation,
        people=story.people,
        device_ids=own_ids + strays,
        began_at=moments.began_at,
        evidence_created_time=written(moments.evidence_at),
    )
