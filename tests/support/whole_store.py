"""A whole tenant checked: rows of alerts, listings, history, feed and consumers all say what its answers say."""

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec import msgpack

from tests.support.database_access import Below, below
from tests.support.evidence_tables import documents_of, tables_from, tables_of
from vigie.config.settings import Settings
from vigie.core.alert import StoredAlert
from vigie.core.incident import StoredIncident, decode_spans, visibility_of
from vigie.documents.defender.reading import keep_incident
from vigie.runtime.installation import opened
from vigie.storage.evidence_projection import Backlog
from vigie.storage.visibility import label_set, labels_text

_INCIDENT = (
    "incident_id, status, severity, assigned_to, created_at, last_update_at, redirect_incident_id,"
    " spans, head"
)
_ALERT = (
    "incident_id, alert_id, created_at, last_update_at, first_activity_at, last_activity_at, resolved_at, status,"
    " severity, classification, determination, service_source, assigned_to, provider_alert_id, own_groups, native"
)
_LISTING = "incident_id, created_at, last_update_at, status, assigned_to, labels"


class Whole:
    """A tenant of a store that nobody changes now."""

    def __init__(self, settings: Settings, tenant: str) -> None:
        self._settings = settings
        self._look: Below = below(settings.database)
        self._name = tenant
        self.tenant_id = 0
        self.incidents: dict[int, StoredIncident] = {}
        """What each answer is when it is read anew."""

    def check(self, *, is_migrated: bool = False) -> None:
        """See that nothing is half: all that is kept agrees, and evidence ends as made from nothing.

        The history of a migrated store is older than its feed.
        """
        backlog, expected = asyncio.run(self._read())
        self._check_incidents()
        self._check_alerts()
        self._check_listings()
        self._check_feed(is_migrated=is_migrated)
        assert backlog == Backlog()
        assert tables_of(self._settings.database, self.tenant_id) == expected

    async def _read(self) -> tuple[Backlog, Any]:
        async with opened(self._settings, create=False) as installation:
            self.tenant_id = (await installation.directory.get_tenant(self._name)).tenant_id
            documents = await documents_of(installation, self.tenant_id)
            backlog = await installation.evidence_projection.catch_up(self.tenant_id, seconds_max=60)
        kept = map(keep_incident, documents)
        self.incidents = {each.incident_id: each for each in kept}
        return backlog, tables_from(documents)

    def rows(self, columns: str, table: str, *, order: str = "1") -> list[tuple[Any, ...]]:
        """The rows of the tenant in a table."""
        return self._look.rows(
            f"SELECT {columns} FROM {table} WHERE tenant_id = {self.tenant_id} ORDER BY {order}"
        )

    def _check_incidents(self) -> None:
        rows = self.rows(_INCIDENT, "incident")
        assert [row[0] for row in rows] == sorted(self.incidents)
        for incident_id, *columns, redirect, spans, head in rows:
            kept = self.incidents[incident_id]
            assert columns == [
                kept.status.value,
                kept.severity,
                kept.assigned_to,
                kept.created_at,
                kept.last_update_at,
            ]
            assert redirect == kept.redirect_incident_id
            known = decode_spans(spans)
            if known.inherited is None:
                assert visibility_of(known) == visibility_of(decode_spans(kept.spans))
                assert head is not None or spans == kept.spans

    def _check_alerts(self) -> None:
        assert self.rows(_ALERT, "alert", order="incident_id, place") == [
            (incident_id, *_columns(alert))
            for incident_id, incident in sorted(self.incidents.items())
            for alert in incident.alerts
        ]

    def _check_listings(self) -> None:
        expected = [
            (
                incident_id,
                created_at,
                updated_at,
                status,
                assigned_to,
                labels_text(label_set(decode_spans(spans))),
            )
            for incident_id, created_at, updated_at, status, assigned_to, spans in self.rows(
                "incident_id, created_at, last_update_at, status, assigned_to, spans", "incident"
            )
        ]
        listed = "incident_listing JOIN visibility USING (tenant_id, visibility_id)"
        assert self.rows(_LISTING, listed) == expected
        labels = self.rows(
            "labels, label", "visibility JOIN visibility_label USING (tenant_id, visibility_id)"
        )
        sets = self.rows("labels", "visibility")
        for (text,) in sets:
            assert labels_text(frozenset(label for each, label in labels if each == text)) == text

    def _check_feed(self, *, is_migrated: bool) -> None:
        changes = self.rows("number, kind, incident_id, request_id", "change")
        ((latest, first, last_update_at),) = self.rows(
            "number, first_number, last_update_at", "latest_change"
        ) or [(0, 1, 0)]
        assert [number for number, *_ in changes] == list(range(first, latest + 1))
        assert all(each.last_update_at <= last_update_at for each in self.incidents.values() if changes)
        # What a stub inherits changes without anybody's doing.
        told = {(number, request) for _, kind, number, request in changes if kind != "visibilityChanged"}
        recorded = set(self.rows("incident_id, request_id", "history"))
        assert told <= recorded if is_migrated else told == recorded
        for (position,) in self.rows("position", "webhook") + self.rows(
            "position", "consumer", order="name = 'evidence' DESC LIMIT 1"
        ):
            assert position <= latest


def _columns(alert: StoredAlert) -> Iterable[object]:
    """A row of an alert, as `_ALERT` names its columns."""
    return (
        alert.alert_id,
        alert.created_at,
        alert.last_update_at,
        alert.first_activity_at,
        alert.last_activity_at,
        alert.resolved_at,
        alert.status,
        alert.severity,
        alert.classification,
        alert.determination,
        alert.service_source,
        alert.assigned_to,
        alert.provider_alert_id,
        msgpack.encode(alert.own_groups) if alert.own_groups else None,
        alert.native,
    )
