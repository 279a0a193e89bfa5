"""The row of alerts that arrive one by one: what they cost must not grow with their incident."""

import json
from itertools import cycle
from random import Random
from typing import Any

from bench.driver import Bench, Turn, take_turns
from bench.in_process import REPEATED_MIN, Databases, on_both
from bench.programs import VIGIE
from bench.stores import SEED
from vigie.application.alerts import AlertService
from vigie.config.settings import Settings
from vigie.core.alert import StoredAlert
from vigie.core.audit import AuditContext
from vigie.core.instants import parse_instant
from vigie.documents.defender.reading import keep_document, keep_single_alert
from vigie.runtime.installation import Installation, opened

APPENDS = "append an alert"
TO_SMALL, TO_LARGE = "to an incident of 3", "to an incident of 150"
TO_LARGE_ABSENT = f"{TO_LARGE} whose answer is absent"

_SMALL, _LARGE = 3, 150
_AUDIT = AuditContext(actor="bench", request_id="", at=parse_instant("2026-12-01T00:00:00Z"))


def appends(bench: Bench) -> None:
    """One alert to an incident of 3 and to one of 150."""
    on_both(bench, APPENDS, measure_appends)


def measure_appends(bench: Bench, databases: Databases) -> None:
    """The row: each slice adds one alert to each of twenty incidents, so that all stay about as large as they are.

    A large incident's answer is absent after an alert was added; it is there again for one contender.
    """
    settings = databases.new()
    databases.runner.run(_create(settings))
    installation = databases.open(settings)
    turns = {
        TO_SMALL: _turn(bench, databases, installation, TO_SMALL, _SMALL, is_absent=False),
        TO_LARGE: _turn(bench, databases, installation, TO_LARGE, _LARGE, is_absent=False),
        TO_LARGE_ABSENT: _turn(bench, databases, installation, TO_LARGE_ABSENT, _LARGE, is_absent=True),
    }
    databases.analyze(settings)
    take_turns(bench, f"{APPENDS}{databases.suffix}", turns)


async def _create(settings: Settings) -> None:
    async with opened(settings, create=True):
        pass


def _turn(
    bench: Bench,
    databases: Databases,
    installation: Installation,
    name: str,
    alert_count: int,
    *,
    is_absent: bool,
) -> Turn:
    incidents = _generated(alert_count)
    tenant_id = databases.runner.run(_new_tenant(installation, name, incidents))
    alerts = iter(_new_alerts(incidents[0], REPEATED_MIN * (bench.rounds + 1)))
    numbers = [incident["incidentId"] for incident in incidents]
    ids = cycle(numbers)
    service = AlertService(installation.incidents, installation.incident_service())

    async def append(_: Random) -> None:
        await service.add_alert(tenant_id, next(ids), next(alerts), _AUDIT)

    async def put_answers(_: Random) -> None:
        if not is_absent:
            for number in numbers:
                await installation.incidents.put_answer(tenant_id, number)

    return databases.turn(APPENDS, name, append, prepare=put_answers)


def _generated(alert_count: int) -> list[dict[str, Any]]:
    """One incident for each append of a slice."""
    counts = ("--incidents", REPEATED_MIN, "--alerts", alert_count, "--seed", SEED)
    return [json.loads(line) for line in VIGIE.run("generate", *counts).splitlines()]


async def _new_tenant(installation: Installation, name: str, incidents: list[dict[str, Any]]) -> int:
    tenant = await installation.directory.add_tenant(name, guid=None, domain=None)
    kept = [keep_document(incident) for incident in incidents]
    await installation.incidents.put_incidents(tenant.tenant_id, kept, _AUDIT)
    return tenant.tenant_id


def _new_alerts(incident: dict[str, Any], count: int) -> list[StoredAlert]:
    """Alerts like one of an incident, read before they are added: to read one costs the same everywhere."""
    alert = incident["alerts"][0]
    return [
        keep_single_alert(json.dumps(alert | {"alertId": f"bench-{number}"}).encode())
        for number in range(count)
    ]
