"""The generator of synthetic incidents: any number of them, the same for the same seed."""

from collections.abc import Iterator
from typing import Any

import msgspec

from vigie.documents.lossless import encode
from vigie.synthetic import word_lists as vocabulary
from vigie.synthetic.alerts import Story, tell_alert
from vigie.synthetic.organisation import Fields, Organisation, invent_organisation
from vigie.synthetic.plans import Plan, make_plans
from vigie.synthetic.scenarios import SCENARIOS
from vigie.synthetic.seeded_random import SeededRandom
from vigie.synthetic.timestamps import DAY, SECOND, database_rounded, written

_REACHES = ("involving one user", "on one endpoint", "on multiple endpoints")
_CAST_MAX = 100


def generate_lines(
    count: int, seed: int, alerts_per_incident: int | None = None, *, tenant_id: str | None = None
) -> Iterator[bytes]:
    """The incidents of `generate` as compact JSON, without line ends."""
    return map(encode, generate(count, seed, alerts_per_incident, tenant_id=tenant_id))


def generate(
    count: int, seed: int, alerts_per_incident: int | None = None, *, tenant_id: str | None = None
) -> Iterator[dict[str, Any]]:
    """Incidents 1 to `count`, as the API answers them but without `@odata.context`.

    With `alerts_per_incident` each has exactly so many alerts: none is redirected, and none is large.
    `tenant_id` is the tenant's that they name in their addresses; without it, a made-up one.
    """
    rng = SeededRandom(seed)
    organisation, made_up_id = invent_organisation(rng), rng.guid()
    world = _World(rng=rng, organisation=organisation, tenant_id=tenant_id or made_up_id)
    for plan in make_plans(rng, count, alerts_per_incident):
        yield _incident(world, plan) if plan.redirects_to is None else _redirected(world, plan)


class _World(msgspec.Struct, frozen=True, kw_only=True):
    rng: SeededRandom
    organisation: Organisation
    tenant_id: str


def _incident(world: _World, plan: Plan) -> Fields:
    story = _story(world, plan)
    alerts = _alerts(story, plan)
    return {
        "incidentId": plan.incident_id,
        "incidentUri": _uri(world, plan),
        "redirectIncidentId": None,
        "incidentName": _name(story, alerts),
        "createdTime": written(plan.created_at),
        "lastUpdateTime": written(story.ends_at),
        "assignedTo": story.assigned_to,
        "classification": story.grading.classification,
        "determination": story.grading.determination,
        "status": story.course.status,
        "severity": _severity(story, alerts),
        "tags": list(world.rng.pick(vocabulary.TAG_SETS)),
        "comments": _comments(story, plan.created_at),
        "alerts": alerts,
    }


def _redirected(world: _World, plan: Plan) -> Fields:
    """What is left of an incident whose alerts have gone to another one.

    Source: docs/api/incident-document.md, "Merged incidents".
    """
    return {
        "incidentId": plan.incident_id,
        "incidentUri": _uri(world, plan),
        "redirectIncidentId": plan.redirects_to,
        "incidentName": f"{world.rng.pick(SCENARIOS).title} {world.rng.pick(_REACHES)}",
        "createdTime": written(plan.created_at),
        "lastUpdateTime": written(database_rounded(plan.updated_from)),
        "assignedTo": None,
        "classification": vocabulary.UNGRADED.classification,
        "determination": vocabulary.UNGRADED.determination,
        "status": "Redirected",
        "severity": "UnSpecified",
        "tags": [],
        "comments": [],
        "alerts": [],
    }


def _uri(world: _World, plan: Plan) -> str:
    return f"https://security.microsoft.com/incidents/{plan.incident_id}?tid={world.tenant_id}"


def _story(world: _World, plan: Plan) -> Story:
    rng = world.rng
    course = rng.pick(vocabulary.COURSES)
    is_of_2020 = rng.chance(0.03)
    gradings = vocabulary.GRADINGS_OF_2020 if is_of_2020 else vocabulary.GRADINGS
    cast_size = min(3 + plan.alert_count // 8, _CAST_MAX)
    return Story(
        rng=rng,
        organisation=world.organisation,
        incident_id=plan.incident_id,
        people=rng.neighbours(world.organisation.people, cast_size),
        devices=rng.neighbours(world.organisation.devices, cast_size),
        course=course,
        grading=rng.pick(gradings) if rng.chance(course.share_graded) else vocabulary.UNGRADED,
        assigned_to=rng.pick(vocabulary.ASSIGNEES) if rng.chance(course.share_assigned) else None,
        is_of_2020=is_of_2020,
        ends_at=database_rounded(plan.updated_from + rng.mostly_short(4 * DAY)),
    )


def _alerts(story: Story, plan: Plan) -> list[Fields]:
    """Oldest first. The first alert opened the incident; the last comes before half of its time is over."""
    if not plan.alert_count:
        return []
    rng, opener = story.rng, story.rng.pick(SCENARIOS)
    alerts = [tell_alert(story, opener, plan.created_at - SECOND // 4 - rng.below(SECOND))]
    share_ticks = (story.ends_at - plan.created_at) // (2 * plan.alert_count)
    for number in range(1, plan.alert_count):
        scenario = opener if rng.chance(0.5) else rng.pick(SCENARIOS)
        created_at = plan.created_at + number * share_ticks + rng.below(share_ticks)
        alerts.append(tell_alert(story, scenario, created_at))
    return alerts


def _name(story: Story, alerts: list[Fields]) -> str:
    rng = story.rng
    if rng.chance(0.01):
        return rng.pick(vocabulary.ODD_INCIDENT_NAMES)
    reach = _REACHES[min(len(set(story.device_ids_so_far)), 2)]
    if len({alert["serviceSource"] for alert in alerts}) > 1:
        return f"Multi-stage incident involving {rng.pick(vocabulary.STAGES)} {reach}"
    title = alerts[0]["title"] if alerts else rng.pick(SCENARIOS).title
    return f"{title} {reach}"


def _severity(story: Story, alerts: list[Fields]) -> str:
    """That of the worst alert; any, where there is none."""
    severities: list[str] = [alert["severity"] for alert in alerts]
    return max(severities or [story.rng.pick(vocabulary.SEVERITIES)], key=vocabulary.SEVERITIES.index)


def _comments(story: Story, created_at: int) -> list[Fields]:
    """Oldest first."""
    rng = story.rng
    count = rng.below(story.course.comments_max + 1)
    share_ticks = (story.ends_at - created_at) // max(count, 1)
    return [
        {
            "comment": rng.pick(vocabulary.COMMENTS),
            "createdBy": rng.pick(vocabulary.ASSIGNEES),
            "createdTime": written(created_at + number * share_ticks + rng.below(share_ticks)),
        }
        for number in range(count)
    ]
