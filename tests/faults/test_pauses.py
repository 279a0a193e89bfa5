"""Consumers of the change feed that stop for a day go on where they were; after too long they begin anew."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.builders import an_alert, an_audit_context, an_incident, to_json
from tests.support.evidence_tables import documents_of, tables_from, tables_of
from tests.support.house import Clock, House, RunningHouse, eventually
from vigie.core.directory import Tenant
from vigie.core.instants import Instant
from vigie.documents.defender.reading import keep_incident
from vigie.runtime.installation import Installation, opened

DAY_SECONDS = 86_400
WITHIN_SECONDS = 20
PATH = "/api/vigie/changes"


class Consumers:
    """A reader of the API and the projection, on servers that come one after the other."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self._folder = folder
        self.tenant: Tenant
        self.place: object = 0

    @contextmanager
    def running(self) -> Iterator[House]:
        """A server, with the first one's tenant."""
        with RunningHouse(self._folder, clock=self.clock) as served:
            house = House(served)
            if hasattr(self, "tenant"):
                house.tenant = self.tenant
            self.tenant = house.tenant
            yield house

    def status(self, house: House) -> int:
        """How the reader is answered at its place."""
        return house.get(f"{PATH}?after={self.place}", house.a_token()).status

    def heard(self, house: House) -> list[tuple[str, int]]:
        """What the reader is told, which then keeps its place."""
        answer = house.get(f"{PATH}?after={self.place}", house.a_token())
        assert answer.status == 200, answer.body
        self.place = answer.json["next"]
        return [(each["kind"], each["incidentId"]) for each in answer.json["value"]]

    async def put(self, installation: Installation, *numbers: int) -> None:
        """Import incidents, now."""
        kept = [keep_incident(to_json(an_incident(an_alert("laptops"), incidentId=each))) for each in numbers]
        context = an_audit_context(at=self.clock.now())
        await installation.incidents.put_incidents(self.tenant.tenant_id, kept, context)

    def evidence_is_whole(self, house: House) -> bool:
        """Whether the projection has come to the end, and is as made from nothing."""
        running, tenant_id = house.running, self.tenant.tenant_id
        documents = running.run(documents_of(running.installation, tenant_id))
        return tables_of(running.settings.database, tenant_id) == tables_from(documents)

    def change_without_a_server(self, house: House) -> None:
        """Import and remove, as commands do while no server runs."""

        async def change() -> None:
            async with opened(house.running.settings, create=False) as installation:
                await self.put(installation, 2)
                context = an_audit_context(at=Instant(self.clock.now() + 1))
                await installation.incidents.remove_incident(self.tenant.tenant_id, 1, context)

        asyncio.run(change())


@pytest.fixture
def consumers(store: str, tmp_path: Path) -> Consumers:
    made = Consumers(tmp_path)
    with made.running() as house:
        house.running.run(made.put(house.running.installation, 1))
        assert made.heard(house) == [("created", 1)]
        assert eventually(lambda: made.evidence_is_whole(house), within_seconds=WITHIN_SECONDS)
    made.change_without_a_server(house)
    return made


def test_consumers_that_stop_for_a_day_go_on_where_they_were(consumers: Consumers) -> None:
    consumers.clock.forward(seconds=DAY_SECONDS)

    with consumers.running() as house:
        assert consumers.heard(house) == [("created", 2), ("removed", 1)]
        assert eventually(lambda: consumers.evidence_is_whole(house), within_seconds=WITHIN_SECONDS)
        assert consumers.heard(house) == []


def test_consumers_that_stop_for_longer_than_changes_are_kept_begin_anew(consumers: Consumers) -> None:
    consumers.clock.forward(seconds=31 * DAY_SECONDS)

    with consumers.running() as house:
        assert eventually(lambda: consumers.status(house) == 410, within_seconds=WITHIN_SECONDS)
        consumers.place = 0
        assert consumers.heard(house) == []
        house.running.run(consumers.put(house.running.installation, 3))
        assert consumers.heard(house) == [("created", 3)]
        assert eventually(lambda: consumers.evidence_is_whole(house), within_seconds=WITHIN_SECONDS)
