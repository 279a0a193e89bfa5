"""Stores of many small incidents, for what must not cost more where there are more."""

import random
import sqlite3
from collections.abc import Iterator, Mapping
from heapq import nlargest
from itertools import islice
from typing import Any

from tests.support.builders import GROUP_NUMBERS, Document
from vigie.core.audit import AuditContext
from vigie.core.incident import StoredIncident
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.documents.defender.reading import keep_document
from vigie.runtime.installation import Installation

NEWEST = parse_instant("2026-06-30T12:00:00Z")
RARE_COUNT = 150
"""How many incidents of whatever is rare there are, however many there are in all."""

_MINUTE = 60 * TICKS_PER_SECOND
_DAY = 24 * 60 * _MINUTE
# How long incidents are worked on: most for less than an hour, some for half a year.
_AGES = (60 * _MINUTE, 3 * _DAY, 21 * _DAY, 180 * _DAY)
_SHARES_OF_AGES = (0.5, 0.3, 0.15, 0.05)
_PER_COMMIT = 1000
_MOMENTS_COUNT = 1600


UNITS = tuple(f"unit {number}" for number in range(1, 21))
"""Device groups of which incidents of mixed groups have two each: 190 pairs."""


def many_incidents(count: int, *, is_mixed: bool = False) -> Iterator[Document]:
    """One incident a minute up to NEWEST, each of one alert, the oldest first: more of them go further back.

    Among them, RARE_COUNT are of the status InProgress, of one assignee and of the device group kiosks each, and
    one in a hundred is of the device group branch. With `is_mixed`, each is of two UNITS as well.
    """
    rng = random.Random(count)
    rarely = max(count // RARE_COUNT, 3)
    for number in range(1, count + 1):
        created_at = NEWEST - (count - number) * _MINUTE - rng.randrange(_MINUTE)
        turn = number % rarely
        status = rng.choices(("Active", "Resolved", "Redirected"), (0.2, 0.6, 0.2))[0]
        assignee = f"ana{rng.randrange(2)}@contoso.example" if rng.random() < 0.4 else None
        group = rng.choices(("laptops", "servers", "branch", None), (0.5, 0.29, 0.01, 0.2))[0]
        units = rng.sample(UNITS, 2) if is_mixed else []
        yield _small_incident(
            number,
            ["kiosks" if turn == 2 else group, *units],
            createdTime=format_instant(Instant(created_at)),
            lastUpdateTime=format_instant(_updated(created_at, rng)),
            status="InProgress" if turn == 0 else status,
            assignedTo="rare@contoso.example" if turn == 1 else assignee,
        )


def moments_in(store: sqlite3.Connection, tenant_id: int) -> Mapping[str, Mapping[int, str]]:
    """When the newest incidents of a tenant were created and updated, by how many are newer."""
    rows = store.execute(
        "SELECT created_at, last_update_at FROM incident WHERE tenant_id = ?", (tenant_id,)
    ).fetchall()
    created, updated = (nlargest(_MOMENTS_COUNT, column) for column in zip(*rows, strict=True))
    return {
        "created": dict(enumerate(map(format_instant, created))),
        "updated": dict(enumerate(map(format_instant, updated))),
    }


async def fill(installation: Installation, tenant_id: int, count: int, *, is_mixed: bool = False) -> None:
    """Put so many incidents into a tenant."""
    kept: Iterator[StoredIncident] = map(keep_document, many_incidents(count, is_mixed=is_mixed))
    audit_context = AuditContext(actor="tests", request_id="", at=NEWEST)
    while some := list(islice(kept, _PER_COMMIT)):
        await installation.incidents.put_incidents(tenant_id, some, audit_context)


def _updated(created_at: int, rng: random.Random) -> Instant:
    age = rng.randrange(rng.choices(_AGES, _SHARES_OF_AGES)[0])
    # What would still be worked on at the end is somewhere on its way.
    return Instant(
        created_at + (age if created_at + age <= NEWEST else rng.randrange(NEWEST - created_at + 1))
    )


def _small_incident(number: int, device_groups: list[str | None], **changes: Any) -> Document:
    devices = [
        {
            "mdatpDeviceId": f"{number:038x}{place:02x}",
            "rbacGroupName": device_group,
            "rbacGroupId": GROUP_NUMBERS.get(device_group, 0),
        }
        for place, device_group in enumerate(device_groups)
        if device_group is not None
    ]
    alert = {
        "alertId": f"da{number}_1",
        "incidentId": number,
        "title": "Credential dumping tool was prevented",
        "severity": "High",
        "devices": devices,
        "entities": [],
    }
    return {
        "incidentId": number,
        "redirectIncidentId": None,
        "incidentName": "Credential dumping tool on one endpoint",
        "severity": "High",
        "tags": [],
        "comments": [],
        **changes,
        "alerts": [alert],
    }
