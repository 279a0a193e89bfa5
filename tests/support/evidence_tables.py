"""The tables of evidence as they are, and as they would be if they were made from nothing at once."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from tests.support.builders import Document, an_audit_context, to_json
from tests.support.database_access import below
from tests.support.house import House
from tests.support.store_changes import updating
from vigie.application.alerts import AlertService
from vigie.config.settings import DatabaseSettings
from vigie.core.access import WHOLE_TENANT, Caller, CallerKind
from vigie.core.errors import Refusal
from vigie.core.update import Update
from vigie.documents.defender.evidence import evidence_in
from vigie.documents.defender.reading import keep_incident, keep_single_alert
from vigie.runtime.installation import Installation
from vigie.storage.evidence import evidence_id_of
from vigie.storage.evidence_projection import Backlog

Tables = dict[str, list[tuple[Any, ...]]]
CONSUMERS = "name LIKE 'evidence%'"


def tables_of(settings: DatabaseSettings, tenant_id: int) -> Tables:
    """What is in them, in the order of their keys."""
    look = below(settings)
    where = f"WHERE tenant_id = {tenant_id} ORDER BY 1, 2"
    return {
        "evidence": look.rows(f"SELECT evidence_id, kind, value FROM evidence {where}"),
        "evidence_incident": look.rows(f"SELECT evidence_id, incident_id FROM evidence_incident {where}"),
        "evidence_of_incident": [
            (incident_id, msgspec.msgpack.decode(bytes(evidence)))
            for incident_id, evidence in look.rows(
                f"SELECT incident_id, evidence FROM evidence_of_incident {where}"
            )
        ],
    }


def tables_from(documents: Iterable[bytes]) -> Tables:
    """What has to be in them for these incidents."""
    evidence, pairs, incidents = set(), set(), []
    for document in documents:
        incident_id = msgspec.json.decode(document)["incidentId"]
        places: dict[int, list[int | None]] = {}
        for each, place, _ in evidence_in(document):
            evidence_id = evidence_id_of(each)
            places.setdefault(evidence_id, []).append(place)
            evidence.add((evidence_id, each.kind.value, each.value))
            pairs.add((evidence_id, incident_id))
        if places:
            incidents.append((incident_id, dict(sorted(places.items()))))
    return {
        "evidence": sorted(evidence),
        "evidence_incident": sorted(pairs),
        "evidence_of_incident": sorted(incidents, key=lambda row: row[0]),
    }


async def documents_of(installation: Installation, tenant_id: int) -> list[bytes]:
    """All incidents of a tenant."""
    return [each async for each in installation.incidents.all_documents(tenant_id)]


class ProjectedTenant:
    """A tenant of a house, its incidents changed through the store, and its evidence."""

    def __init__(self, house: House) -> None:
        self.tenant_id = house.tenant.tenant_id
        self.run = house.running.run
        self.settings = house.running.settings.database
        self.installation = house.running.installation
        self.projection = self.installation.evidence_projection
        self._alerts = AlertService(self.installation.incidents, self.installation.incident_service())
        self._everybody = Caller(
            tenant_id=self.tenant_id,
            tenant_guid=house.tenant.guid,
            kind=CallerKind.APPLICATION,
            application_id="",
            name="tests",
            granted=(),
            exposure=WHOLE_TENANT,
            manages=WHOLE_TENANT,
        )

    def put(self, *incidents: object) -> None:
        """Import these."""
        kept = [keep_incident(to_json(each)) for each in incidents]
        self.run(self.installation.incidents.put_incidents(self.tenant_id, kept, an_audit_context()))

    def update(self, number: int, update: Update) -> None:
        """Update one, if it is there."""
        context = an_audit_context()
        change = updating(number, update, context.at)
        self.run(self.installation.incidents.change(self.tenant_id, context, change))

    def remove(self, number: int) -> None:
        """Remove one, if it is there."""
        self.run(self.installation.incidents.remove_incident(self.tenant_id, number, an_audit_context()))

    def add(self, number: int, alert: Document) -> None:
        """Add an alert, if that can be."""
        kept = keep_single_alert(to_json({**alert, "incidentId": number}))
        with suppress(Refusal):
            self.run(self._alerts.add_alert(self.tenant_id, number, kept, an_audit_context()))

    def move(self, alert_ids: list[str], target: int) -> None:
        """Move alerts, if that can be."""
        with suppress(Refusal):
            self.run(
                self._alerts.move_alerts(self._everybody, WHOLE_TENANT, alert_ids, target, an_audit_context())
            )

    def merge(self, *numbers: int) -> None:
        """Merge incidents, if that can be."""
        with suppress(Refusal):
            self.run(self._alerts.merge_incidents(self._everybody, WHOLE_TENANT, numbers, an_audit_context()))

    def catch_up(self) -> Backlog:
        """Follow the feed to its end."""
        return self.run(self.projection.catch_up(self.tenant_id, seconds_max=15))

    def tables(self) -> Tables:
        """What is in the tables now."""
        return tables_of(self.settings, self.tenant_id)

    def from_nothing(self) -> Tables:
        """What has to be in them now."""
        return tables_from(self.run(documents_of(self.installation, self.tenant_id)))

    def forget_positions(self) -> None:
        """Let the projection begin from nothing, beside what is there."""
        below(self.settings).run(f"DELETE FROM consumer WHERE tenant_id = {self.tenant_id} AND {CONSUMERS}")

    def assert_whole(self) -> None:
        """Once it has come to the end of the feed, it is what it has to be."""
        assert self.catch_up() == Backlog()
        assert self.tables() == self.from_nothing()
