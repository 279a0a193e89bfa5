"""`kill -9` of servers, imports, moves and merges: no change without its number, and nothing is half."""

import asyncio
import random
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.faults.changed_tenant import NUMBERS, Changed
from tests.faults.changing import DONE
from tests.faults.cluster import TENANT, Node
from tests.faults.load import ask
from tests.support.commands import done, first_line_of, running_program
from tests.support.database_access import below
from tests.support.whole_store import Whole
from vigie.config.settings import DatabaseSettings
from vigie.core.changes import Change
from vigie.runtime.installation import opened

KILLS_COUNT = 4
WRITERS_COUNT = 3
CHANGES_COUNT = 150
WITHIN_SECONDS = 30


def said(process: "subprocess.Popen[str]") -> list[list[str]]:
    """What a killed process had said, in whole lines."""
    assert process.stdout is not None
    return [line.split() for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    return Changed(tmp_path)


class Patching:
    """Comments on incidents through a server until that is gone, and which of them were acknowledged."""

    def __init__(self, node: Node, token: str) -> None:
        self.acknowledged: list[str] = []
        self._node, self._token = node, token
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        chance = random.Random(self._node.port)
        for turn in range(10_000):
            comment = f"{self._node.port}-{time.monotonic_ns()}-{turn}"
            number = chance.choice(NUMBERS)
            status, _ = ask(self._node.port, self._token, f"/api/incidents/{number}", comment)
            if status == 200:
                self.acknowledged.append(comment)
            elif not status:
                return

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()


def test_what_is_killed_again_and_again_leaves_nothing_half(changed: Changed) -> None:
    chance = random.Random(3)
    comments: list[str] = []
    requests: list[str] = []
    for turn in range(KILLS_COUNT):
        node = Node(settings_file=changed.settings_file)
        with ExitStack() as stack:
            stack.callback(node.kill)
            node.start()
            patching = Patching(node, changed.token)
            stack.callback(patching.join)
            stack.callback(node.kill)
            working = [stack.enter_context(changed.changing(f"{turn}-{place}")) for place in range(2)]
            begun = [first_line_of(process) for process in working]
            with running_program("import", changed.files[turn % 2], *changed.at) as importing:
                time.sleep(chance.random())
                for process in (*working, importing):
                    process.kill()
            node.kill()
            patching.join()
            lines = [line.split() for line in begun] + [line for each in working for line in said(each)]
        requests += [request for outcome, request in lines if outcome == DONE]
        comments += patching.acknowledged

    whole = Whole(changed.settings, TENANT)
    whole.check()

    assert len(comments) > KILLS_COUNT
    assert len(requests) >= 2 * KILLS_COUNT
    assert set(requests) <= {request for (request,) in whole.rows("request_id", "change")}
    history = "".join(changes for (changes,) in whole.rows("changes", "history"))
    assert [each for each in comments if each not in history] == []


def test_numbers_of_several_writers_are_in_the_order_of_their_commits(changed: Changed) -> None:
    seen: list[Change] = []

    async def follow() -> None:
        async with opened(changed.settings, create=False) as installation:
            tenant = await installation.directory.get_tenant(TENANT)
            enough = await installation.change_feed.latest(tenant.tenant_id) + CHANGES_COUNT
            end = time.monotonic() + WITHIN_SECONDS
            while len(seen) < enough:
                assert time.monotonic() < end
                # Of what is committed later nothing may come below what has been seen.
                after = seen[-1].number if seen else 0
                latest = await installation.change_feed.latest(tenant.tenant_id)
                found = await installation.change_feed.changes_after(tenant.tenant_id, after, 1_000)
                assert [each.number for each in found] == list(range(after + 1, after + 1 + len(found)))
                assert after + len(found) >= latest
                seen.extend(found)
                await asyncio.sleep(0.002)

    with ExitStack() as stack:
        writers = [stack.enter_context(changed.changing(f"writer-{place}")) for place in range(WRITERS_COUNT)]
        assert all(first_line_of(writer) for writer in writers)
        asyncio.run(follow())

    rows = below(changed.settings.database).rows(
        "SELECT number, kind, incident_id, request_id FROM change ORDER BY number"
    )
    assert {each.actor for each in seen} >= {f"writer-{place}" for place in range(WRITERS_COUNT)}
    assert rows[: len(seen)] == [
        (each.number, each.kind.value, each.incident_id, each.request_id) for each in seen
    ]
    Whole(changed.settings, TENANT).check()


def test_what_was_changed_is_backed_up_and_copied_whole(changed: Changed) -> None:
    with changed.changing("worker") as process:
        for _ in range(10):
            assert first_line_of(process)
    Whole(changed.settings, TENANT).check()
    file = changed.folder / "copy" / "vigie.sqlite3"
    file.parent.mkdir()
    if changed.settings.database.is_shared:
        done("copy", "--from", changed.settings.database.url, "--to", f"sqlite:///{file}", *changed.at[2:])
    else:
        done("backup", file, *changed.at[2:])

    copied = replace(changed.settings, database=DatabaseSettings(url=f"sqlite:///{file}"))

    Whole(copied, TENANT).check()
    for table in ("change", "latest_change", "consumer", "webhook", "alert", "evidence_incident", "history"):
        one, other = (
            below(settings.database).rows(f"SELECT count(*) FROM {table}")
            for settings in (changed.settings, copied)
        )
        assert one == other != [(0,)]
