"""A delivery is tried again, later and later, and given up in the end; a receiver is told what it wants."""

from typing import Any

import pytest
from msgspec.structs import replace

from vigie.core.changes import Change, ChangeKind, NewChange
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.webhooks import (
    DeliveryResult,
    Outcome,
    Webhook,
    WebhookProgress,
    WebhookState,
    delivery_id,
    event_type,
    retry_ticks,
)

HOUR = 3_600 * TICKS_PER_SECOND
FAILED = DeliveryResult(outcome=Outcome.REJECTED, reason="answered 500")


def a_webhook(**changes: Any) -> Webhook:
    usual: dict[str, Any] = {
        "tenant_id": 1,
        "tenant_guid": "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88",
        "webhook_id": "wh_1",
        "name": "soar",
        "url": "https://soar.example/",
        "encrypted_secret": "",
        "created_at": Instant(0),
        "progress": WebhookProgress(position=0),
    }
    return Webhook(**{**usual, **changes})


def a_change(kind: ChangeKind = ChangeKind.UPDATED, alert_id: str | None = None) -> NewChange:
    return NewChange(kind=kind, incident_id=17, alert_id=alert_id, visible_before=None, visible_after=None)


def failed(
    progress: WebhookProgress, at: int, result: DeliveryResult = FAILED, jitter: float = 0
) -> WebhookProgress:
    return progress.after_failure(result, Instant(at), give_up_after_ticks=72 * HOUR, jitter=jitter)


def test_each_attempt_waits_longer_than_the_one_before_until_an_hour() -> None:
    waits = [retry_ticks(failures, 0, 0.0) // TICKS_PER_SECOND for failures in range(9)]

    assert waits == [5, 30, 120, 600, 1_800, 3_600, 3_600, 3_600, 3_600]


def test_chance_adds_up_to_a_fifth() -> None:
    assert retry_ticks(5, 0, 1.0) == round(1.2 * HOUR)
    assert retry_ticks(0, 0, 0.5) == round(5.5 * TICKS_PER_SECOND)


@pytest.mark.parametrize(("asked", "seconds"), [(0, 5), (3, 5), (900, 900), (10**9, 86_400)])
def test_a_receiver_is_left_alone_for_as_long_as_it_asks_up_to_a_day(asked: int, seconds: int) -> None:
    assert retry_ticks(0, asked, 0.0) == seconds * TICKS_PER_SECOND


def test_it_is_given_up_when_nothing_has_succeeded_for_the_stated_time() -> None:
    first = failed(WebhookProgress(position=4), 1_000)
    later = failed(first, 1_000 + 72 * HOUR - 1)
    last = failed(first, 1_000 + 72 * HOUR)

    assert [each.state for each in (first, later, last)] == ["active", "active", WebhookState.GIVEN_UP]
    assert last.position == 4
    assert last.failing_since == 1_000
    assert last.last_error == "answered 500"


def test_a_success_begins_the_count_anew() -> None:
    once = failed(WebhookProgress(position=4), 1_000)
    delivered = once.after_delivery(5, Instant(2_000))
    again = failed(delivered, 72 * HOUR + 1_000)

    assert (delivered.failures, delivered.failing_since, delivered.last_error) == (0, None, "")
    assert delivered.last_delivery_at == 2_000
    assert again.state is WebhookState.ACTIVE


def test_a_failure_of_the_first_moment_is_one_too() -> None:
    assert failed(WebhookProgress(position=0), 0).failing_since == 0


def test_one_that_wants_no_more_is_given_up_at_once() -> None:
    gone = DeliveryResult(outcome=Outcome.REJECTED, reason="answered 410", is_gone=True)

    assert failed(WebhookProgress(position=0), 0, gone).state is WebhookState.GIVEN_UP


def test_without_a_choice_everything_is_told() -> None:
    webhook = a_webhook()

    assert all(webhook.wants_kind(kind) for kind in ChangeKind)
    assert webhook.wants_severity(a_change(), None)


def test_only_what_was_chosen_is_told() -> None:
    webhook = a_webhook(kinds=frozenset({ChangeKind.CREATED}), severities=frozenset({"High"}))

    assert [kind for kind in ChangeKind if webhook.wants_kind(kind)] == [ChangeKind.CREATED]
    assert webhook.wants_severity(a_change(), "high")
    assert not webhook.wants_severity(a_change(), "Low")
    assert not webhook.wants_severity(a_change(), None)


def test_the_removal_of_an_incident_is_told_and_that_of_an_alert_only_where_it_counts() -> None:
    webhook = a_webhook(severities=frozenset({"High"}))

    assert webhook.wants_severity(a_change(ChangeKind.REMOVED), None)
    assert not webhook.wants_severity(a_change(ChangeKind.REMOVED, "da1"), "Low")


def test_the_removal_of_an_alert_is_never_taken_for_that_of_its_incident() -> None:
    assert event_type(a_change(ChangeKind.REMOVED)) == "incident.removed"
    assert event_type(a_change(ChangeKind.REMOVED, "da1")) == "incident.alertRemoved"
    assert event_type(a_change(ChangeKind.ALERT_ADDED, "da1")) == "incident.alertAdded"


def test_a_number_that_is_given_again_after_a_restore_makes_another_id() -> None:
    change = Change(
        number=41,
        at=Instant(5),
        kind=ChangeKind.UPDATED,
        incident_id=17,
        actor="",
        request_id="",
        visible_before=None,
        visible_after=None,
    )

    ids = {delivery_id("wh_1", change), delivery_id("wh_1", replace(change, at=Instant(6)))}

    assert ids == {"wh_1_41_5", "wh_1_41_6"}
