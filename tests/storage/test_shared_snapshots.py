"""Snapshots shared by the reads of one turn of the loop: no caller notices."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import uvloop

from tests.support.builders import an_audit_context, an_incident, to_json
from vigie.config.settings import DatabaseSettings, Settings
from vigie.core.access import WHOLE_TENANT
from vigie.core.incident import StoredIncident
from vigie.documents.defender.reading import keep_incident
from vigie.runtime.installation import Installation, opened


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=request.param)


@asynccontextmanager
async def a_store(folder: Path) -> AsyncIterator[tuple[Installation, int]]:
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{folder / 'vigie.sqlite3'}"))
    async with opened(settings, create=True) as installation:
        tenant = await installation.directory.add_tenant("Contoso", guid=None, domain=None)
        yield installation, tenant.tenant_id


def named(number: int, name: str) -> StoredIncident:
    return keep_incident(to_json(an_incident(incidentId=number, incidentName=name)))


async def name_of(installation: Installation, tenant_id: int, number: int) -> str:
    document = await installation.incidents.find_incident(tenant_id, number, WHOLE_TENANT)
    return to_name(document)


def to_name(document: bytes | None) -> str:
    return "" if document is None else document.partition(b'"incidentName":"')[2].partition(b'"')[0].decode()


def test_who_has_written_reads_it_while_others_read_in_every_turn(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    async def scene() -> list[str]:
        async with a_store(tmp_path) as (installation, tenant_id):
            is_over = asyncio.Event()

            async def read_for_ever() -> None:
                while not is_over.is_set():
                    await name_of(installation, tenant_id, 1)
                    await asyncio.sleep(0)

            async def write_and_read(number: int) -> list[str]:
                wrong = []
                for turn in range(40):
                    # The read opens the snapshot of this turn; the write must not be looked for in it.
                    await name_of(installation, tenant_id, number)
                    await installation.incidents.put_incidents(
                        tenant_id, [named(number, f"{number} {turn}")], an_audit_context()
                    )
                    at_once = to_name(
                        installation.incidents.try_visible(
                            installation.incidents.lookup(tenant_id, number), WHOLE_TENANT
                        )
                    )
                    found = await name_of(installation, tenant_id, number)
                    wrong += [] if at_once == found == f"{number} {turn}" else [found]
                return wrong

            readers = [asyncio.create_task(read_for_ever()) for _ in range(4)]
            writers = await asyncio.gather(*(write_and_read(number) for number in range(1, 9)))
            is_over.set()
            await asyncio.gather(*readers)
            return [each for wrong in writers for each in wrong]

    with runner:
        assert runner.run(scene()) == []


def test_what_another_process_has_written_is_read_in_the_next_turn(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    async def scene() -> list[str]:
        async with a_store(tmp_path) as (installation, tenant_id):
            await installation.incidents.put_incidents(tenant_id, [named(1, "before")], an_audit_context())
            seen = []
            with closing(sqlite3.connect(installation.settings.database.path)) as other:
                for name in ("first", "second"):
                    seen.append(await name_of(installation, tenant_id, 1))
                    other.execute("UPDATE incident SET document = ?", (named(1, name).document,))
                    other.commit()
                    await asyncio.sleep(0)
            return [*seen, await name_of(installation, tenant_id, 1)]

    with runner:
        assert runner.run(scene()) == ["before", "first", "second"]


def test_a_turn_without_reads_holds_no_snapshot(tmp_path: Path, runner: asyncio.Runner) -> None:
    async def scene() -> tuple[int, int, int]:
        async with a_store(tmp_path) as (installation, tenant_id):
            await installation.incidents.put_incidents(tenant_id, [named(1, "one")], an_audit_context())
            await name_of(installation, tenant_id, 1)
            await asyncio.sleep(0)
            with closing(sqlite3.connect(installation.settings.database.path)) as other:
                # Truncating waits for every reader; nobody reads.
                row: tuple[int, int, int] = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return row

    with runner:
        assert runner.run(scene()) == (0, 0, 0)
