"""Evidence: what an incident names, and where else it was seen, within what an exposure may know.

The projection only says where to look. What is answered is read from the document that the exposure may see, so
that a hidden alert's, or a hidden device's, evidence is never there.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import suppress

import msgspec

from vigie.application.incidents import IncidentService
from vigie.core.access import Exposure
from vigie.core.errors import IncidentNotFound
from vigie.core.evidence import Evidence, EvidenceKind, spellings_of
from vigie.core.instants import Instant
from vigie.documents.defender.evidence import evidence_in
from vigie.storage.database import LARGE_ROW_BYTES
from vigie.storage.evidence_projection import EvidenceProjection


class SeenEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence in an alert; without one, in the keys of the incident itself."""

    evidence: Evidence
    incident_id: int
    alert_id: str | None


class EvidenceService:
    """Answers questions about evidence."""

    def __init__(self, incidents: IncidentService, projection: EvidenceProjection) -> None:
        self._incidents = incidents
        self._projection = projection

    async def evidence_of(
        self, tenant_id: int, exposure: Exposure, incident_id: int, now: Instant
    ) -> list[SeenEvidence]:
        """All evidence of an incident, alert by alert. Raises IncidentNotFound as reading it does."""
        document = await self._incidents.get_incident(tenant_id, exposure, incident_id, now)
        if len(document) >= LARGE_ROW_BYTES:
            return await asyncio.to_thread(_seen_in, document, incident_id)
        return _seen_in(document, incident_id)

    async def find_evidence(
        self, tenant_id: int, exposure: Exposure, kind: EvidenceKind | None, value: str, now: Instant
    ) -> AsyncIterator[SeenEvidence]:
        """Where a value was seen, as far as the projection has come: the greatest incident numbers first.

        `value` is what a person wrote, in any spelling; without a `kind` it may be of each.
        """
        meant = spellings_of(value, kind)
        asked: set[int] = set()
        for evidence in meant:
            async for incident_id in self._projection.incidents_with(tenant_id, evidence):
                if incident_id not in asked:
                    asked.add(incident_id)
                    for seen in await self._seen(tenant_id, exposure, incident_id, meant, now):
                        yield seen

    async def _seen(
        self,
        tenant_id: int,
        exposure: Exposure,
        incident_id: int,
        meant: Collection[Evidence],
        now: Instant,
    ) -> list[SeenEvidence]:
        found: list[SeenEvidence] = []
        # Hidden, or removed since: there is nothing then.
        with suppress(IncidentNotFound):
            found = await self.evidence_of(tenant_id, exposure, incident_id, now)
        await asyncio.sleep(0)
        return [seen for seen in found if seen.evidence in meant]


def _seen_in(document: bytes, incident_id: int) -> list[SeenEvidence]:
    return [
        SeenEvidence(evidence=evidence, incident_id=incident_id, alert_id=alert_id)
        for evidence, _, alert_id in evidence_in(document)
    ]
