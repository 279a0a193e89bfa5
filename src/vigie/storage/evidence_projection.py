"""The projection of evidence: a consumer of the change feed that keeps the rows of `evidence.py` up to date.

It can be stopped anywhere, and run by several processes on one database: how far it has come is written in the
transaction of what it has made, and only from where it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import msgspec

from vigie.core.access import WHOLE_TENANT
from vigie.core.errors import ChangesGone
from vigie.core.evidence import Evidence
from vigie.storage.change_feed import ChangeFeed, advance
from vigie.storage.database import LARGE_ROW_BYTES, Database, Session
from vigie.storage.evidence import (
    NO_EVIDENCE,
    EvidenceOfIncident,
    evidence_of_document,
    incidents_with,
    replace_evidence,
)
from vigie.storage.incidents import IncidentStore

CONSUMER = "evidence"
_BUILD_FROM, _BUILT = "evidence: build from", "evidence: built"
"""While all is made from nothing: the number from which the feed is followed then, and the incident reached."""

_READ_COUNT = 500
"""How many changes, or incidents, are read at once."""

VALUES_MAX = 10_000
"""How many values one transaction writes at most: some 50 ms, for which people's changes may wait."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """How far the evidence is behind: changes that are not in it yet, and whether it is made from nothing now."""

    changes: int = 0
    is_building: bool = False

    def __bool__(self) -> bool:
        return self.is_building or self.changes > 0


class _Batch(msgspec.Struct, kw_only=True):
    """Incidents that are written together, each with what it has now, and where the consumer is after them."""

    consumer: str
    before: int
    after: int
    values_max: int
    incidents: dict[int, EvidenceOfIncident] = {}
    values_count: int = 0

    def add(self, incident_id: int, evidence: EvidenceOfIncident) -> None:
        """Add what an incident has."""
        self.incidents[incident_id] = evidence
        self.values_count += len(evidence.values)


class EvidenceProjection:
    """Where the evidence of every tenant was seen, as of the changes that it has followed."""

    def __init__(self, database: Database, incidents: IncidentStore, change_feed: ChangeFeed) -> None:
        self._database = database
        self._incidents = incidents
        self._feed = change_feed

    def incidents_with(self, tenant_id: int, evidence: Evidence) -> AsyncIterator[int]:
        """The incidents that may have a value, the greatest numbers first. Their documents decide."""
        return incidents_with(self._database, tenant_id, evidence)

    async def backlog(self, tenant_id: int) -> Backlog:
        """How far the evidence of a tenant is behind its incidents."""
        position = await self._feed.position(tenant_id, CONSUMER)
        if position is None:
            return Backlog(is_building=await self._has_begun(tenant_id))
        return Backlog(changes=await self._feed.latest(tenant_id) - position)

    async def catch_up(self, tenant_id: int, *, seconds_max: float) -> Backlog:
        """Follow the feed to its end, for so long at most; how far behind the evidence is then."""
        end = time.monotonic() + seconds_max
        while time.monotonic() < end and await self.step(tenant_id):
            pass
        return await self.backlog(tenant_id)

    async def step(self, tenant_id: int, *, values_max: int = VALUES_MAX) -> bool:
        """Follow some changes, or build some incidents; False when there was nothing to do.

        One transaction writes `values_max` values at most: the more, the less is written in all, and the longer
        others wait.
        """
        position = await self._feed.position(tenant_id, CONSUMER)
        if position is None:
            return await self._build(tenant_id, values_max)
        if position == await self._feed.latest(tenant_id):
            return False
        try:
            changes = await self._feed.changes_after(tenant_id, position, _READ_COUNT)
        except ChangesGone:
            await self._begin_again(tenant_id, position)
            return True
        batch = _Batch(consumer=CONSUMER, before=position, after=position, values_max=values_max)
        # An update leaves the alerts as they were, and the evidence with them.
        incidents = [(None if each.is_of_head else each.incident_id, each.number) for each in changes]
        await self._project(tenant_id, batch, incidents)
        return bool(changes)

    async def _build(self, tenant_id: int, values_max: int) -> bool:
        """Make some more from nothing, by the incidents' numbers; the feed is followed from where that began."""
        start = await self._feed.position(tenant_id, _BUILD_FROM)
        built = await self._feed.position(tenant_id, _BUILT)
        if start is None or built is None:
            return await self._begin(tenant_id)
        values = {"tenant_id": tenant_id, "after": built, "count": _READ_COUNT}
        rows = await self._database.rows("incidents_to_project", values)
        if rows:
            batch = _Batch(consumer=_BUILT, before=built, after=built, values_max=values_max)
            await self._project(tenant_id, batch, [(number, number) for (number,) in rows])
        else:
            await self._end(tenant_id, start, built)
        return True

    async def _begin(self, tenant_id: int) -> bool:
        key = {"tenant_id": tenant_id}

        async def change(session: Session) -> bool:
            latest = await session.row("latest_change", key)
            if latest is None and await session.row("has_incidents", key) is None:
                return False
            if await session.row("consumer_position", {**key, "name": CONSUMER}) is None:
                await advance(session, tenant_id, _BUILD_FROM, None, latest[0] if latest else 0)
                await advance(session, tenant_id, _BUILT, None, 0)
            return True

        return await self._has_begun(tenant_id) and await self._database.write(change)

    async def _has_begun(self, tenant_id: int) -> bool:
        """Whether a tenant has, or had, an incident: before that there is nothing to build."""
        latest = await self._feed.latest(tenant_id)
        return latest > 0 or await self._database.row("has_incidents", {"tenant_id": tenant_id}) is not None

    async def _end(self, tenant_id: int, start: int, built: int) -> None:
        async def change(session: Session) -> None:
            if await advance(session, tenant_id, _BUILT, built, built):
                await advance(session, tenant_id, CONSUMER, None, start)
                for name in (_BUILD_FROM, _BUILT):
                    await session.run("remove_consumer", {"tenant_id": tenant_id, "name": name})

        await self._database.write(change)

    async def _begin_again(self, tenant_id: int, position: int) -> None:
        async def change(session: Session) -> None:
            if await advance(session, tenant_id, CONSUMER, position, position):
                await session.run("remove_consumer", {"tenant_id": tenant_id, "name": CONSUMER})

        await self._database.write(change)

    async def _project(
        self, tenant_id: int, batch: _Batch, incidents: Iterable[tuple[int | None, int]]
    ) -> None:
        """Write what incidents have now, as many as go together; with each stands where the consumer is then."""
        for incident_id, position in incidents:
            if incident_id is not None and incident_id not in batch.incidents:
                if batch.values_count >= batch.values_max:
                    break
                batch.add(incident_id, await self._read(tenant_id, incident_id))
            batch.after = position
        await self._write(tenant_id, batch)

    async def _read(self, tenant_id: int, incident_id: int) -> EvidenceOfIncident:
        """What an incident has now. Others have their turn on the loop after each."""
        document = await self._incidents.find_incident(tenant_id, incident_id, WHOLE_TENANT)
        if document is None:
            return NO_EVIDENCE
        if len(document) >= LARGE_ROW_BYTES:
            return await asyncio.to_thread(evidence_of_document, document)
        found = evidence_of_document(document)
        await asyncio.sleep(0)
        return found

    async def _write(self, tenant_id: int, batch: _Batch) -> None:
        """Write a batch, in slices where it is large; nothing more once another process was there first."""

        async def change(session: Session) -> bool:
            # Also of a slice: what another process has written from newer documents must stay.
            if not await advance(session, tenant_id, batch.consumer, batch.before, batch.before):
                return True
            incidents = batch.incidents.items()
            if not await replace_evidence(session, tenant_id, incidents, count_max=batch.values_max):
                return False
            return await advance(session, tenant_id, batch.consumer, batch.before, batch.after)

        while not await self._database.write(change):
            pass
