"""Webhooks, from a change of an incident to a receiver over HTTP, on the real server and every store."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook as Verifier

from tests.support.builders import an_alert, an_incident
from tests.support.commands import done
from tests.support.house import Clock, House, RunningHouse
from tests.support.stores import current_kind
from tests.support.webhook_receiver import WebhookReceiver, a_webhook_receiver, until
from vigie.application.webhooks import add_webhook
from vigie.config.settings import RetentionSettings, WebhookSettings
from vigie.core.changes import ChangeKind
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.webhooks import Webhook, WebhookProgress, WebhookState
from vigie.observability.event_log import logging_to_stderr
from vigie.storage.webhooks import Lease, WebhookStore

LOOPBACK = ("127.0.0.0/8",)
QUICK = WebhookSettings(private_addresses=LOOPBACK, timeout_seconds=5, poll_seconds=0.05)
HOUR = 3_600

T = TypeVar("T")


@dataclass
class Watched:
    """A house, a receiver, and the webhook between them."""

    house: House
    receiver: WebhookReceiver
    webhook: Webhook
    secret: str

    @property
    def progress(self) -> WebhookProgress:
        """How far it has come."""
        return self._found().progress

    def is_failing(self, times: int = 1) -> bool:
        """Whether so many attempts in a row have failed."""
        return self.progress.failures >= times

    def has_heard_all(self) -> bool:
        """Whether every change has been delivered or left out."""
        feed = self.house.running.installation.change_feed
        return self.progress.position == self._run(feed.latest(self.webhook.tenant_id))

    def changes(self, count: int = 1, **incident: Any) -> list[int]:
        """Put in some incidents, and say their numbers."""
        return [self.house.takes(an_incident(**incident)) for _ in range(count)]

    def resume(self, *, from_now: bool = False) -> None:
        """Deliver again."""
        self._run(self._store.resume(self._found(), from_now=from_now))

    def remove(self) -> None:
        """Remove the webhook."""
        self._run(self._store.remove(self.webhook))

    @property
    def events(self) -> list[tuple[str, int]]:
        """What was told of which incident."""
        return [(each.event["type"], each.event["data"].get("incidentId", 0)) for each in self.receiver.got]

    def _found(self) -> Webhook:
        return self._run(self._store.get(self.house.tenant, self.webhook.webhook_id))

    @property
    def _store(self) -> WebhookStore:
        return self.house.running.installation.webhooks

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.house.running.run(work)


def hooked(house: House, receiver: WebhookReceiver, **options: Any) -> Watched:
    """Add a webhook to a house."""
    chosen = {"name": None, "kinds": (), "severities": (), "allows_private": True, **options}
    installation = house.running.installation
    webhook, secret = house.running.run(
        add_webhook(
            installation.webhooks,
            house.tenant,
            receiver.url,
            private=(ip_network(LOOPBACK[0]),),
            encrypt=installation.webhook_encryption(create=True).encrypt,
            at=house.now(),
            **chosen,
        )
    )
    return Watched(house, receiver, webhook, secret)


def served(folder: Path, **options: Any) -> RunningHouse:
    """A house that removes no changes by itself: those of tests are from 1970."""
    return RunningHouse(folder, retention=RetentionSettings(change_days=0), **options)


@contextmanager
def watched(
    folder: Path, *, clock: Clock | None = None, settings: WebhookSettings = QUICK, **options: Any
) -> Iterator[Watched]:
    """A running house with one webhook to a receiver of its own."""
    with (
        a_webhook_receiver() as receiver,
        served(folder, clock=clock, webhooks=settings) as running,
    ):
        yield hooked(House(running), receiver, **options)


# What is delivered


def test_a_change_is_delivered_signed_and_without_content(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        (incident,) = it.changes()
        (got,) = it.receiver.waits_for(1)

    # A reference implementation of the specification.
    event = Verifier(it.secret).verify(got.body, got.headers)
    at = event["timestamp"]
    assert event == {
        "type": "incident.created",
        "timestamp": at,
        "data": {
            "tenantId": it.house.tenant.guid,
            "incidentId": incident,
            "alertId": None,
            "kind": "created",
            "number": 1,
            "at": at,
        },
    }
    assert got.headers["content-type"] == "application/json"
    assert got.headers["host"] == it.receiver.url.split("/")[2]
    assert got.id.startswith(f"{it.webhook.webhook_id}_1_")
    assert "." not in got.id


def test_changes_come_in_order_each_once_and_only_those_after_the_webhook_was_added(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        first = it.changes(30)
        it.receiver.waits_for(30)
        later = hooked(it.house, it.receiver, name="later")
        it.changes()
        it.receiver.waits_for(32)

    assert it.receiver.numbers[:30] == list(range(1, 31))
    assert [each.event["data"]["incidentId"] for each in it.receiver.got[:30]] == first
    assert {each.id for each in it.receiver.got[30:]} == {
        f"{it.webhook.webhook_id}_31_0",
        f"{later.webhook.webhook_id}_31_0",
    }


def test_only_the_kinds_and_severities_that_were_chosen_are_delivered(tmp_path: Path) -> None:
    with watched(tmp_path, kinds=(ChangeKind.CREATED,), severities=("High",)) as it:
        low, high = it.changes(severity="Low"), it.changes(severity="High")
        it.house.takes(an_incident(incidentId=high[0], severity="High", incidentName="another"))
        last = it.changes(severity="High")
        it.receiver.waits_for(2)
        until(it.has_heard_all)

    assert it.events == [("incident.created", high[0]), ("incident.created", last[0])]
    assert low[0] not in {number for _, number in it.events}


def test_the_removal_of_an_incident_is_told_whatever_its_severity_was(tmp_path: Path) -> None:
    with watched(tmp_path, severities=("High",)) as it:
        (low,) = it.changes(severity="Low")
        until(lambda: it.progress.position == 1)
        remove(it.house, low)
        it.receiver.waits_for(1)

    assert it.events == [("incident.removed", low)]


def remove(house: House, incident: int) -> None:
    database = ("--database", house.running.settings.database.url)
    done("incident", "remove", incident, "--tenant", house.tenant.name, *database, "--yes")


def test_a_change_of_a_single_alert_names_it(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        first, second = an_alert(), an_alert()
        incident = it.house.takes(an_incident(first, incidentId=17))
        it.house.takes(an_incident(first, second, incidentId=17))
        it.house.takes(an_incident(second, incidentId=17))
        until(it.has_heard_all)

    told = [(each.event["type"], each.event["data"]["alertId"]) for each in it.receiver.got]
    assert ("incident.alertAdded", second["alertId"]) in told
    assert ("incident.alertRemoved", first["alertId"]) in told
    assert "incident.removed" not in {kind for kind, _ in told}
    assert {each.event["data"]["incidentId"] for each in it.receiver.got} == {incident}


def test_changes_of_another_tenant_are_not_told(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        it.house.takes(an_incident(), tenant=it.house.add_tenant())
        (mine,) = it.changes()
        it.receiver.waits_for(1)
        until(lambda: it.progress.position == 1)

    assert it.events == [("incident.created", mine)]


# Failures


@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_what_is_not_answered_2xx_is_sent_again_under_the_same_id(tmp_path: Path, status: int) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock) as it:
        it.receiver.answers(status, Location=f"{it.receiver.url}/elsewhere")
        it.changes(2)
        until(it.is_failing)
        failed = it.progress
        clock.forward(seconds=7)
        until(lambda: it.is_failing(2))
        it.receiver.answers(200)
        clock.forward(seconds=40)
        until(lambda: it.progress.position == 2)

    assert f"answered {status}" in failed.last_error
    assert it.receiver.numbers == [1, 1, 1, 2]
    assert len({each.id for each in it.receiver.got}) == 2
    assert {each.path for each in it.receiver.got} == {"/hook"}


def test_nothing_is_sent_before_its_time_and_each_time_waits_longer(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock) as it:
        it.receiver.answers(500)
        it.changes()
        waits = []
        for failures in (1, 2, 3):
            until(partial(it.is_failing, failures))
            waits.append((it.progress.next_try_at - clock.now()) / TICKS_PER_SECOND)
            clock.show(Instant(it.progress.next_try_at - 1))
            time.sleep(0.2)
            assert len(it.receiver.got) == failures
            clock.forward(ticks=1)
        until(lambda: it.is_failing(4))

    assert [5 <= waits[0] <= 6, 30 <= waits[1] <= 36, 120 <= waits[2] <= 144] == [True] * 3


def test_a_receiver_may_say_when_to_come_again(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock) as it:
        it.receiver.answers(503, Retry_After="900")
        it.changes()
        until(it.is_failing)

        assert it.progress.next_try_at - clock.now() == 900 * TICKS_PER_SECOND


def test_after_the_stated_time_it_is_given_up_and_resumed_from_where_it_stopped(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock, settings=replaced(QUICK, give_up_hours=2)) as it:
        it.receiver.answers(500)
        it.changes()
        until(it.is_failing)
        clock.forward(seconds=1 * HOUR)
        until(lambda: it.is_failing(2))
        assert it.progress.state is WebhookState.ACTIVE
        clock.forward(seconds=1 * HOUR)
        until(lambda: it.progress.state is WebhookState.GIVEN_UP)
        clock.forward(seconds=100 * HOUR)
        it.receiver.answers(204)
        it.changes()
        time.sleep(0.2)
        assert it.receiver.numbers == [1, 1, 1]

        it.resume()
        until(lambda: it.progress.position == 2)

        assert it.receiver.numbers == [1, 1, 1, 1, 2]
        assert (it.progress.failures, it.progress.failing_since) == (0, None)


def test_one_that_is_gone_is_given_up_at_once_and_may_go_on_from_now(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        it.receiver.answers(410)
        it.changes(2)
        until(lambda: it.progress.state is WebhookState.GIVEN_UP)
        it.receiver.answers(204)

        it.resume(from_now=True)
        it.changes()
        it.receiver.waits_for(2)

    assert it.receiver.numbers == [1, 3]


def test_one_that_comes_too_late_is_told_so_and_goes_on_from_the_oldest(tmp_path: Path) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock) as it:
        it.receiver.answers(500)
        it.changes(3)
        until(it.is_failing)
        prune(it.house, clock)
        it.receiver.answers(204)
        (kept,) = it.changes()
        clock.forward(seconds=10)
        until(lambda: it.progress.position == 4)
        missed_at = it.progress.missed_at

    *_, gone, last = it.receiver.got
    assert gone.event["type"] == "changes.gone"
    assert gone.event["data"] == {"tenantId": it.house.tenant.guid, "after": 0, "oldest": 4}
    assert gone.id == f"{it.webhook.webhook_id}_0_gone"
    assert (last.number, last.event["data"]["incidentId"]) == (4, kept)
    assert missed_at == clock.now()


def prune(house: House, clock: Clock) -> None:
    feed = house.running.installation.change_feed
    house.running.run(feed.prune(house.tenant.tenant_id, Instant(clock.now() + 1)))


def test_a_slow_receiver_is_not_waited_for_longer_than_allowed_and_holds_up_no_other(tmp_path: Path) -> None:
    def sleep(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(3)
        handler.close_connection = True

    quick = replaced(QUICK, timeout_seconds=1)
    with watched(tmp_path, settings=quick, name="slow") as it, a_webhook_receiver() as other_receiver:
        it.receiver.respond = sleep
        other = hooked(it.house, other_receiver, name="other")
        it.changes(3)
        other_receiver.waits_for(3)
        assert not it.is_failing()
        until(it.is_failing)
        reason = it.progress.last_error

    assert other_receiver.numbers == [1, 2, 3]
    assert other.webhook.webhook_id != it.webhook.webhook_id
    assert reason == "no answer within 1 s"


def test_a_removed_webhook_hears_of_nothing_after_the_delivery_under_way(tmp_path: Path) -> None:
    with watched(tmp_path) as it:

        def remove_first(handler: BaseHTTPRequestHandler) -> None:
            it.remove()
            handler.send_response(204)
            handler.end_headers()

        it.receiver.respond = remove_first
        it.changes(3)
        it.receiver.waits_for(1)
        time.sleep(0.3)

    assert it.receiver.numbers == [1]


def test_an_address_that_is_not_allowed_gets_nothing(tmp_path: Path) -> None:
    nothing_private = replaced(QUICK, private_addresses=())
    with watched(tmp_path, settings=nothing_private) as it:
        it.changes()
        until(it.is_failing)
        reason = it.progress.last_error

    assert reason == "127.0.0.1 is a private or reserved address"
    assert it.receiver.got == []


def test_a_secret_that_does_not_open_is_said_and_nothing_goes_out_unsigned(tmp_path: Path) -> None:
    with watched(tmp_path) as it:
        key = it.house.running.installation.webhook_key_file
        if current_kind() == "sqlite":
            key.write_text("x" * 64)
        else:
            Path(it.house.running.settings.keys.secret_file).write_text("x" * 64)
        it.changes()
        until(it.is_failing)
        reason = it.progress.last_error

    assert reason.startswith("its signing secret was encrypted with another key")
    assert it.receiver.got == []


# What is logged and counted


def test_failures_are_logged_once_and_all_attempts_are_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock, settings=replaced(QUICK, give_up_hours=1)) as it, logged():
        it.receiver.answers(500)
        it.changes()
        until(it.is_failing)
        clock.forward(seconds=10)
        until(lambda: it.is_failing(2))
        it.receiver.answers(204)
        clock.forward(seconds=60)
        until(lambda: it.progress.position == 1)
        it.receiver.answers(410)
        it.changes()
        until(lambda: it.progress.state is WebhookState.GIVEN_UP)
        metrics = it.house.running.request("GET", "/metrics").body.decode()

    counted = dict(re.findall(r'vigie_webhook_deliveries_total{outcome="(\w+)"} (\d+)', metrics))
    assert counted == {"delivered": "1", "rejected": "3", "unreachable": "0", "not_sent": "0", "other": "0"}
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines() if '"webhook_' in line]
    told = [(each["event"], each.get("failures"), each.get("reason")) for each in events]
    assert told == [
        ("webhook_failing", None, "answered 500"),
        ("webhook_recovered", 2, None),
        ("webhook_given_up", 1, "answered 410: it wants no deliveries any more"),
    ]
    assert {each["webhook"] for each in events} == {it.webhook.webhook_id}
    assert it.receiver.url.split("/")[2] not in str(events)


@contextmanager
def logged() -> Iterator[None]:
    """Let the events of the server come out on stderr."""
    with logging_to_stderr("info", "json"):
        yield


def test_a_database_that_is_away_delays_deliveries_and_ends_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path) as it:
        fails, due = [StoreUnavailable("away")] * 3, WebhookStore.due

        async def sometimes_away(store: WebhookStore, now: Instant, count: int) -> list[tuple[int, str]]:
            if fails:
                raise fails.pop()
            return await due(store, now, count)

        monkeypatch.setattr(WebhookStore, "due", sometimes_away)
        it.changes()
        it.receiver.waits_for(1)

    assert fails == []


def test_an_error_in_the_turn_of_one_is_logged_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    with watched(tmp_path, clock=clock, name="broken") as it, logged(), a_webhook_receiver() as receiver:
        take = WebhookStore.take

        async def broken(store: WebhookStore, lease: Lease, now: Instant, until: Instant) -> Webhook | None:
            if lease.webhook_id == it.webhook.webhook_id:
                raise RuntimeError("broken")
            return await take(store, lease, now, until)

        monkeypatch.setattr(WebhookStore, "take", broken)
        hooked(it.house, receiver, name="other")
        it.changes(3)
        receiver.waits_for(3)
        monkeypatch.setattr(WebhookStore, "take", take)
        clock.forward(seconds=31)
        it.receiver.waits_for(3)

    logged_errors = capfd.readouterr().err.count("webhook_turn_failed")
    assert receiver.numbers == it.receiver.numbers == [1, 2, 3]
    assert logged_errors == 1


def test_a_server_without_webhooks_loads_no_http_client(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from contextlib import suppress
from pathlib import Path
from vigie.config.settings import DatabaseSettings, Settings, WebhookSettings
from vigie.runtime.clock import now
from vigie.runtime.installation import opened
from vigie.runtime.webhooks import deliver_webhooks

async def run():
    database = DatabaseSettings(url="sqlite:///{tmp_path}/vigie.sqlite3")
    settings = Settings(database=database, webhooks=WebhookSettings(poll_seconds=0.05))
    async with opened(settings, create=True) as installation:
        with suppress(TimeoutError):
            await asyncio.wait_for(deliver_webhooks(installation, print, now), 0.3)

asyncio.run(run())
print(*sorted({{"httpx2", "vigie.webhooks", "vigie.application.webhook_delivery"}} & set(sys.modules)))
"""
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert completed.stdout == "\n"


# Several servers, and restarts


def test_of_two_servers_one_delivers_each_change(tmp_path: Path) -> None:
    with (
        watched(tmp_path) as it,
        served(tmp_path, webhooks=QUICK) as _second,
    ):
        it.changes(60)
        until(lambda: it.progress.position == 60, lambda: f"{it.progress} {it.receiver.numbers}")

    assert it.receiver.numbers == list(range(1, 61))


def test_a_turn_is_of_one_server_until_it_ends_or_is_over(tmp_path: Path) -> None:
    quiet = replaced(QUICK, poll_seconds=60)
    with watched(tmp_path, settings=quiet) as it:
        it.changes()
        store, run = it.house.running.installation.webhooks, it.house.running.run
        one, other = (
            Lease(tenant_id=it.webhook.tenant_id, webhook_id=it.webhook.webhook_id, name=name)
            for name in ("one", "other")
        )

        assert run(store.take(one, Instant(100), Instant(200))) is not None
        assert run(store.take(other, Instant(150), Instant(250))) is None
        assert run(store.take(other, Instant(200), Instant(300))) is not None
        # The first has lost its turn: what it has done since does not count.
        assert not run(store.save(one, replace(it.progress, position=1), Instant(400)))
        run(store.release(one))
        assert run(store.due(Instant(250), 10)) == []
        run(store.release(other))
        assert run(store.due(Instant(250), 10)) == [(it.webhook.tenant_id, it.webhook.webhook_id)]


def test_a_clock_that_was_set_back_keeps_no_webhook_from_its_turn(tmp_path: Path) -> None:
    with watched(tmp_path, settings=replaced(QUICK, poll_seconds=60)) as it:
        it.changes()
        store, run = it.house.running.installation.webhooks, it.house.running.run
        lease = Lease(tenant_id=it.webhook.tenant_id, webhook_id=it.webhook.webhook_id, name="one")
        hour = 3_600 * TICKS_PER_SECOND
        run(store.take(lease, Instant(hour), Instant(hour + 100)))

        assert run(store.due(Instant(hour), 10)) == []
        assert run(store.due(Instant(500), 10)) != []


def test_a_restarted_server_goes_on_where_it_was(tmp_path: Path) -> None:
    with a_webhook_receiver() as receiver:
        with served(tmp_path, webhooks=QUICK) as running:
            it = hooked(House(running), receiver)
            it.changes(3)
            receiver.waits_for(3)
            until(lambda: it.progress.position == 3)
            tenant = it.house.tenant
        with served(tmp_path, webhooks=QUICK) as running:
            house = House(running)
            house.takes(an_incident(), tenant=tenant)
            receiver.waits_for(4)

    assert receiver.numbers == [1, 2, 3, 4]


def replaced(settings: WebhookSettings, **changes: Any) -> WebhookSettings:
    return WebhookSettings(**{name: getattr(settings, name) for name in settings.__struct_fields__} | changes)
