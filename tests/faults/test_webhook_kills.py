"""`kill -9` of servers while they deliver: every change is heard of, in order, a second time under its id."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from tests.faults.cluster import TENANT, Node, settings_file_in
from tests.support.commands import done
from tests.support.house import settings_in
from tests.support.stores import database_in
from tests.support.webhook_receiver import WebhookReceiver, a_webhook_receiver, until
from vigie.config.settings import Settings
from vigie.synthetic.generator import generate_lines

INCIDENTS_COUNT = 150
KILLS_COUNT = 4
WEBHOOKS = '\n[webhooks]\nprivate_addresses = ["127.0.0.1"]\ntimeout_seconds = 1\npoll_seconds = 0.05\n'


class Killed:
    """A tenant on a store of its own, with a webhook and two servers that are killed."""

    def __init__(self, folder: Path, receiver: WebhookReceiver) -> None:
        self.settings: Settings = settings_in(folder)
        self.receiver = receiver
        settings_file = settings_file_in(folder, database_in(folder).url)
        with settings_file.open("a", encoding="utf-8") as file:
            file.write(WEBHOOKS)
        self.at = ("--tenant", TENANT, "--config", settings_file)
        done("tenant", "add", "contoso", "--domain", TENANT, *self.at[2:])
        self.secret = done("webhook", "add", receiver.url, "--allow-private", *self.at)["secret"]
        self.nodes = [Node(settings_file=settings_file) for _ in range(2)]
        self.file = folder / "incidents.jsonl"
        self.file.write_bytes(b"\n".join(generate_lines(INCIDENTS_COUNT, seed=1)))

    def progress(self) -> tuple[int, int]:
        """How far the webhook has come, and how far it has to go."""
        (webhook,) = done("webhook", "list", *self.at)
        return webhook["position"], webhook["behind"]


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    with ExitStack() as stack:
        made = Killed(tmp_path, stack.enter_context(a_webhook_receiver()))
        for node in made.nodes:
            stack.callback(node.kill)
        yield made


def test_servers_that_are_killed_leave_out_no_change_and_mix_up_none(killed: Killed) -> None:
    chance = random.Random(12)
    receiver = killed.receiver
    done("import", killed.file, *killed.at)
    _, changes_count = killed.progress()
    for _ in range(KILLS_COUNT):
        for node in killed.nodes:
            node.begin()
        heard_of = len(receiver.got)
        for node in killed.nodes:
            node.wait()
        receiver.waits_for(heard_of + 1)
        time.sleep(chance.random() / 20)
        for node in killed.nodes:
            node.kill()
    killed_at = len(receiver.got)
    killed.nodes[0].start()
    until(lambda: killed.progress() == (changes_count, 0), lambda: str(killed.progress()))

    assert killed_at < changes_count, "all was delivered before the last server was killed"
    first_heard = list(dict.fromkeys(receiver.numbers))
    assert first_heard == list(range(1, changes_count + 1))
    assert len({got.id for got in receiver.got}) == len({(got.id, got.body) for got in receiver.got})
    assert len({got.id for got in receiver.got}) == changes_count
    # What one server had under way when it was killed, and no more.
    assert len(receiver.got) - changes_count <= KILLS_COUNT
    for got in receiver.got:
        Verifier(killed.secret).verify(got.body, got.headers)
