"""The plan of generated incidents: the scenario, time and size of each, decided before any is written.

The mix follows captured answers: three in ten were redirected, up to five of them to the same one, most of the
others hold one alert, and a few hold up to 22. docs/api/incident-document.md, "Merged incidents".
"""

from collections.abc import Iterator
from typing import NamedTuple

from vigie.synthetic.seeded_random import SeededRandom
from vigie.synthetic.timestamps import FIRST_DAY, INCIDENTS_OPEN_FOR, MINUTE, SECOND, database_rounded

LARGE_INCIDENT_ALERTS = 500
LARGE_INCIDENT_FROM = 1_000
"""So many incidents must be asked for before the one in their middle is large."""

_CLUSTER_SIZES = (*(1,) * 41, *(2,) * 5, 3, 4, 5, 6)
_MERGED_WITHIN = MINUTE


class Plan(NamedTuple):
    """What is settled about an incident. `redirects_to` is None for one that stays.

    `updated_from` is the moment of the redirection, or the earliest last update of one that stays.
    """

    incident_id: int
    redirects_to: int | None
    alert_count: int
    created_at: int
    updated_from: int


def make_plans(rng: SeededRandom, count: int, alerts_per_incident: int | None) -> Iterator[Plan]:
    """Plans of incidents 1 to `count`; the memory they take does not grow with the count."""
    spacing_ticks = INCIDENTS_OPEN_FOR // max(count, 1)
    clusters = _mixed(rng, count) if alerts_per_incident is None else _even(count, alerts_per_incident)
    for ids, alert_count in clusters:
        yield from _cluster(rng, ids, alert_count, spacing_ticks)


def _even(count: int, alert_count: int) -> Iterator[tuple[range, int]]:
    for incident_id in range(1, count + 1):
        yield range(incident_id, incident_id + 1), alert_count


def _mixed(rng: SeededRandom, count: int) -> Iterator[tuple[range, int]]:
    """Neighbours of which one stays, and how many alerts it has. The large incident stands alone."""
    if count < LARGE_INCIDENT_FROM:
        yield from _mixed_stretch(rng, 1, count + 1)
        return
    large_id = count // 2
    yield from _mixed_stretch(rng, 1, large_id)
    yield range(large_id, large_id + 1), LARGE_INCIDENT_ALERTS
    yield from _mixed_stretch(rng, large_id + 1, count + 1)


def _mixed_stretch(rng: SeededRandom, first_id: int, end_id: int) -> Iterator[tuple[range, int]]:
    while first_id < end_id:
        next_id = min(first_id + rng.pick(_CLUSTER_SIZES), end_id)
        alert_count = 1 if rng.chance(0.8) else 2 + rng.mostly_short(21)
        yield range(first_id, next_id), alert_count
        first_id = next_id


def _cluster(rng: SeededRandom, ids: range, alert_count: int, spacing_ticks: int) -> Iterator[Plan]:
    """Incidents that open within seconds of each other; all but one are then redirected to that one."""
    gap_ticks = min(spacing_ticks, 10 * SECOND)
    starts_at = FIRST_DAY + (ids[0] - 1) * spacing_ticks + rng.below(spacing_ticks - gap_ticks)
    ends_at = starts_at + len(ids) * gap_ticks
    stays = rng.pick(ids)
    for number, incident_id in enumerate(ids):
        merged_at = ends_at + SECOND + rng.mostly_short(_MERGED_WITHIN)
        yield Plan(
            incident_id=incident_id,
            redirects_to=None if incident_id == stays else stays,
            alert_count=alert_count if incident_id == stays else 0,
            created_at=database_rounded(starts_at + number * gap_ticks + rng.below(gap_ticks)),
            updated_from=ends_at + 2 * _MERGED_WITHIN if incident_id == stays else merged_at,
        )
