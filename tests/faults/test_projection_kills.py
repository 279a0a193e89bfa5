"""`kill -9` of servers while they project and of imports beside them: evidence ends as made from nothing."""

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from tests.faults.cluster import TENANT, Node, settings_file_in
from tests.support.commands import done, running_program
from tests.support.database_access import below
from tests.support.evidence_tables import Tables, documents_of, tables_from, tables_of
from tests.support.house import eventually, settings_in
from tests.support.stores import database_in
from vigie.config.settings import Settings
from vigie.runtime.installation import opened
from vigie.storage.evidence_projection import Backlog
from vigie.synthetic.generator import generate_lines

INCIDENTS_COUNT = 800
KILLS_COUNT = 6
WITHIN_SECONDS = 30


class Killed:
    """A tenant on a store of its own, with servers and imports that are killed."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = settings_in(folder)
        settings_file = settings_file_in(folder, database_in(folder).url)
        self.at = ("--tenant", TENANT, "--config", settings_file)
        done("tenant", "add", "contoso", "--domain", TENANT, *self.at[2:])
        self.nodes = [Node(settings_file=settings_file) for _ in range(2)]
        self.files = [self._file(folder, seed) for seed in (1, 2)]

    def _file(self, folder: Path, seed: int) -> Path:
        """Incidents of the same numbers, which are others for each seed."""
        file = folder / f"{seed}.jsonl"
        file.write_bytes(b"\n".join(generate_lines(INCIDENTS_COUNT, seed=seed)))
        return file

    def written(self) -> tuple[int, int]:
        """How far the projection is, by the rows that it has."""
        look = below(self.settings.database)
        reached = look.rows("SELECT coalesce(sum(position), 0) FROM consumer")[0][0]
        return int(reached), look.rows("SELECT count(*) FROM evidence_incident")[0][0]

    def position_moves(self) -> bool:
        """Whether it comes further, as the servers that are up see to."""
        before = self.written()
        return eventually(lambda: self.written() != before, within_seconds=WITHIN_SECONDS)

    def is_built(self) -> bool:
        """Whether everything has been made from nothing once, and the feed is followed now."""
        return bool(below(self.settings.database).rows("SELECT 1 FROM consumer WHERE name = 'evidence'"))

    async def end(self) -> tuple[Backlog, Tables, Tables]:
        """The tables when the feed has been followed to its end, and those made from nothing."""
        async with opened(self.settings, create=False) as installation:
            tenant = await installation.directory.get_tenant(TENANT)
            backlog = await installation.evidence_projection.catch_up(tenant.tenant_id, seconds_max=60)
            expected = tables_from(await documents_of(installation, tenant.tenant_id))
        tables = await asyncio.to_thread(tables_of, self.settings.database, tenant.tenant_id)
        return backlog, tables, expected


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    with ExitStack() as stack:
        made = Killed(tmp_path)
        for node in made.nodes:
            stack.callback(node.kill)
        yield made


def test_a_projection_that_is_killed_again_and_again_ends_as_made_from_nothing(killed: Killed) -> None:
    chance = random.Random(12)
    moved_count = 0
    # How far the imports below come is up to the machine.
    done("import", killed.files[1], *killed.at)
    for turn in range(KILLS_COUNT):
        for node in killed.nodes:
            node.begin()
        with running_program("import", killed.files[turn % 2], *killed.at) as importing:
            for node in killed.nodes:
                node.wait()
            moved_count += killed.position_moves()
            for node in killed.nodes:
                # Some of them in the middle of a transaction, some between two.
                with suppress(TimeoutExpired):
                    importing.wait(chance.random() / 5)
                node.kill()
        done("incident", "remove", 1 + turn, *killed.at, "--yes")

    assert moved_count == KILLS_COUNT
    backlog, tables, expected = asyncio.run(killed.end())
    assert backlog == Backlog()
    assert tables == expected
    assert len(expected["evidence_of_incident"]) > INCIDENTS_COUNT / 2


def test_a_building_that_is_killed_goes_on(killed: Killed) -> None:
    done("import", killed.files[0], *killed.at)
    node = killed.nodes[0]
    starts_count = 0
    while starts_count < KILLS_COUNT and not killed.is_built():
        node.start()
        assert killed.position_moves()
        node.kill()
        starts_count += 1

    backlog, tables, expected = asyncio.run(killed.end())

    assert starts_count > 1
    assert backlog == Backlog()
    assert tables == expected
