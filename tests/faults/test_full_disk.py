"""A disk that is full: changes are answered 503 and nothing is half; with room again everything goes on."""

import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.changed_tenant import NUMBERS, Changed
from tests.faults.changing import DONE, UNAVAILABLE
from tests.faults.cluster import TENANT, Node
from tests.faults.load import ask
from tests.support.commands import done
from tests.support.database_access import below
from tests.support.house import eventually
from tests.support.whole_store import Whole
from vigie.config.settings import Settings

WITHIN_SECONDS = 30
LONG = "x" * 5_000


@pytest.fixture
def changed(tmp_path: Path, store: str) -> Changed:
    return Changed(tmp_path)


@pytest.fixture
def node(changed: Changed) -> Iterator[Node]:
    node = Node(settings_file=changed.settings_file)
    try:
        node.start()
        yield node
    finally:
        node.kill()


@contextmanager
def without_room(
    settings: Settings, *processes: "subprocess.Popen[str]", tables: Sequence[str] = ("change",)
) -> Iterator[None]:
    """For a while no file of these processes grows, or PostgreSQL says that it has no room for rows of tables."""
    if settings.database.is_shared:
        with refused_by_postgres(settings, tables):
            yield
        return
    path = settings.database.path
    sizes = [each.stat().st_size for each in path.parent.glob(f"{path.name}*")]
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (max(sizes), resource.RLIM_INFINITY))
    yield
    for process in processes:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


@contextmanager
def refused_by_postgres(settings: Settings, tables: Sequence[str]) -> Iterator[None]:
    """The error of a full disk, in the middle of the transaction."""
    look = below(settings.database)
    look.run(
        "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$"
    )
    for table in tables:
        look.run(f"CREATE TRIGGER no_room BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION no_room()")
    yield
    look.run("DROP FUNCTION no_room() CASCADE")


def patched(node: Node, changed: Changed, comment: str, number: int = 1) -> int:
    """The status of an update."""
    return ask(node.port, changed.token, f"/api/incidents/{number}", comment)[0]


def test_updates_without_room_are_503_and_leave_nothing(changed: Changed, node: Node) -> None:
    assert node.process is not None
    acknowledged: list[str] = []
    refused: list[str] = []

    with without_room(changed.settings, node.process):
        # What the log had room for is still written.
        for turn in range(200):
            comment = f"{turn}-{LONG}"
            status = patched(node, changed, comment, NUMBERS[turn % len(NUMBERS)])
            (acknowledged if status == 200 else refused).append(comment)
            assert status in (200, 503)
            if len(refused) == 5:
                break
        assert ask(node.port, changed.token, "/api/incidents/1")[0] == 200
    assert len(refused) == 5

    assert eventually(lambda: patched(node, changed, "with room again") == 200, within_seconds=10)
    node.kill()
    whole = Whole(changed.settings, TENANT)
    whole.check()
    history = "".join(changes for (changes,) in whole.rows("changes", "history"))
    assert [each[:20] for each in acknowledged if each not in history] == []
    assert [each[:20] for each in refused if each in history] == []
    assert "with room again" in history


def test_moves_and_merges_without_room_leave_nothing(changed: Changed) -> None:
    outcomes: dict[str, str] = {}
    with changed.changing("worker") as process:
        assert process.stdout is not None
        outcome, request = process.stdout.readline().split()
        with without_room(changed.settings, process):
            while list(outcomes.values()).count(UNAVAILABLE) < 5:
                outcome, request = process.stdout.readline().split()
                outcomes[request] = outcome
        # The pipe may hold some that are older.
        end = time.monotonic() + WITHIN_SECONDS
        for _ in range(10):
            while outcome != DONE:
                assert time.monotonic() < end
                outcome, request = process.stdout.readline().split()
                outcomes[request] = outcome
            outcome = ""

    whole = Whole(changed.settings, TENANT)
    whole.check()
    numbered = {request for (request,) in whole.rows("request_id", "change")}
    assert {request for request, outcome in outcomes.items() if outcome == DONE} <= numbered
    assert {request for request, outcome in outcomes.items() if outcome == UNAVAILABLE}.isdisjoint(numbered)


def test_a_projection_without_room_goes_on_when_there_is_some(changed: Changed, node: Node) -> None:
    assert node.process is not None
    assert eventually(lambda: position(changed) == latest(changed), within_seconds=WITHIN_SECONDS)
    before = position(changed)

    with without_room(changed.settings, node.process, tables=("evidence_incident",)):
        # By a process that has room.
        done("import", changed.files[1], *changed.at)
        assert eventually(lambda: "evidence_not_projected" in node.log, within_seconds=WITHIN_SECONDS)
        assert ask(node.port, changed.token, "/api/incidents/1")[0] == 200
        assert position(changed) < latest(changed)

    assert latest(changed) > before
    assert eventually(lambda: position(changed) == latest(changed), within_seconds=WITHIN_SECONDS)
    node.kill()
    Whole(changed.settings, TENANT).check()


def position(changed: Changed) -> int:
    """How far the evidence has come."""
    rows = below(changed.settings.database).rows("SELECT position FROM consumer WHERE name = 'evidence'")
    return int(rows[0][0]) if rows else -1


def latest(changed: Changed) -> int:
    """The last number of the feed."""
    return int(below(changed.settings.database).rows("SELECT number FROM latest_change")[0][0])
