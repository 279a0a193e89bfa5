"""Consumers that follow the change feed while servers are killed, stopped and started under load."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.faults.cluster import NUMBERS, Node, installed, settings_file_in
from tests.faults.load import Load, ask, loaded
from tests.support.commands import done
from tests.support.event_streams import EventStream
from tests.support.house import eventually
from tests.support.stores import database_in

PATH = "/api/vigie/changes"
UPN = "ada@contoso.example"
ENOUGH = 25
SOON_SECONDS = 30.0

Heard = list[tuple[str, str, int]]


@dataclass(kw_only=True)
class Consumer:
    """A client that connects again whenever it must, with the last id that came."""

    node: Node
    token: str
    heard: Heard = field(default_factory=list)
    numbers: list[int | None] = field(default_factory=list)
    connected_count: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)

    def follow(self) -> None:
        """Follow until it is over."""
        last_id = ""
        while not self.is_over.is_set():
            with suppress(OSError):
                last_id = self._follow_once(last_id)
            time.sleep(0.1)

    def _follow_once(self, last_id: str) -> str:
        url = f"http://127.0.0.1:{self.node.port}"
        with EventStream(url, f"{PATH}?after=0", self.token, last_id) as opened:
            assert opened.status == 200
            self.connected_count += 1
            opened.wait_no_longer_than(3)
            with suppress(OSError):
                for event in opened.events():
                    self.heard.append((event.data["at"], event.kind, event.data["incidentId"]))
                    self.numbers.append(event.data.get("number"))
                    if self.is_over.is_set():
                        break
            return opened.last_id


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A server with incidents in it, and who calls it."""

    node: Node
    token: str
    user_token: str

    def changes(self) -> Heard:
        """The whole feed, as a reader of the whole tenant gets it."""
        found: Heard = []
        place: Any = 0
        while True:
            status, page = ask(self.node.port, self.token, f"{PATH}?after={place}&limit=1000")
            assert status == 200
            if not page["value"]:
                return found
            found += [(each["at"], each["kind"], each["incidentId"]) for each in page["value"]]
            place = page["next"]


@pytest.fixture
def scene(store: str, tmp_path: Path) -> Iterator[Scene]:
    settings_file = settings_file_in(tmp_path, database_in(tmp_path).url)
    token = installed(tmp_path, settings_file)
    of_contoso = ("--tenant", "Contoso", "--config", settings_file)
    done("user", "add", UPN, *of_contoso)
    done("user", "grant", UPN, *of_contoso, "--role", "security-reader", "--device-group", "laptops")
    user_token = done("token", "--user", UPN, *of_contoso)["access_token"]
    node = Node(settings_file=settings_file)
    with ExitStack() as stack:
        stack.callback(node.kill)
        node.start()
        yield Scene(node=node, token=token, user_token=user_token)


def test_consumers_hear_every_change_once_though_the_server_is_killed_and_stopped(scene: Scene) -> None:
    node = scene.node
    consumers = [Consumer(node=node, token=token) for token in (scene.token, scene.user_token)]
    threads = [threading.Thread(target=each.follow) for each in consumers]
    for thread in threads:
        thread.start()
    try:
        with loaded([node.port], scene.token) as load:
            for end in (node.kill, lambda: stop(node), node.kill):
                known = len(load.acknowledged)
                enough = partial(has_acknowledged, load, known + ENOUGH)
                assert eventually(enough, within_seconds=SOON_SECONDS)
                end()
                node.start()
        changes = scene.changes()
        assert eventually(
            lambda: all(len(each.heard) >= len(changes) for each in consumers), within_seconds=SOON_SECONDS
        )
    finally:
        for consumer in consumers:
            consumer.is_over.set()
        for thread in threads:
            thread.join()

    assert len(changes) >= len(NUMBERS) + len(load.acknowledged)
    whole, scoped = consumers
    assert whole.numbers == list(range(1, len(changes) + 1))
    assert whole.heard == changes
    assert scoped.heard == changes
    assert all(each.connected_count > 3 for each in consumers)


def has_acknowledged(load: Load, count: int) -> bool:
    return len(load.acknowledged) > count


def stop(node: Node) -> None:
    """End a server as a supervisor does; its streams must not keep it."""
    assert node.process is not None
    node.process.terminate()
    node.process.communicate(timeout=5)
    node.process = None


@pytest.mark.programs("curl")
def test_the_sample_of_the_documents_works_with_curl(scene: Scene) -> None:
    command = [
        "curl",
        "-sN",
        "-H",
        f"Authorization: Bearer {scene.token}",
        "-H",
        "Accept: text/event-stream",
        f"http://127.0.0.1:{scene.node.port}{PATH}?after=latest",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        assert curl.stdout is not None
        lines = iter(curl.stdout.readline, "")
        assert next(lines) == "retry: 2000\n"
        status, _ = ask(scene.node.port, scene.token, f"/api/incidents/{NUMBERS[0]}", "a comment")
        assert status == 200
        event = dict(line.rstrip("\n").split(": ", 1) for line in until_data(lines))
        curl.kill()

    number = len(NUMBERS) + 1
    assert (event["id"], event["event"]) == (str(number), "updated")
    assert json.loads(event["data"])["number"] == number


def until_data(lines: Iterator[str]) -> Iterator[str]:
    """The lines with fields, up to the first data."""
    for line in lines:
        if line != "\n":
            yield line
        if line.startswith("data: "):
            return
