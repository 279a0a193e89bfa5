"""Webhooks: what a receiver is told of, when a delivery is tried again, and when it is given up. No I/O."""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from vigie.core.changes import Change, ChangeKind, NewChange
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.letter_case import lowered

RETRY_SECONDS = (5, 30, 120, 600, 1_800, 3_600)
"""How long after each failure in a row the next attempt is; the last one counts for all that follow."""

RETRY_AFTER_SECONDS_MAX = 86_400
"""The longest that a receiver may ask to be left alone."""

NEVER_TRIED = Instant(0)

_JITTER = 0.2
_REASON_LENGTH_MAX = 200


class WebhookState(StrEnum):
    """Whether changes are delivered."""

    ACTIVE = "active"
    GIVEN_UP = "given_up"


class Outcome(StrEnum):
    """How an attempt at a delivery ended. Not sent: its address is forbidden, or its secret cannot be read."""

    DELIVERED = "delivered"
    REJECTED = "rejected"
    UNREACHABLE = "unreachable"
    NOT_SENT = "not_sent"


class DeliveryResult(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, and why it failed, in words that name neither the URL nor what was answered.

    `is_gone`: the receiver wants no more. `retry_after_seconds` is how long it asked to be left alone.
    """

    outcome: Outcome
    reason: str = ""
    retry_after_seconds: int = 0
    is_gone: bool = False


class WebhookProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the deliveries have come. `failing_since` is None when the last attempt succeeded.

    `missed_at` is when the receiver was last told that changes it had not heard of are not kept any more.
    """

    position: int
    state: WebhookState = WebhookState.ACTIVE
    failures: int = 0
    failing_since: Instant | None = None
    next_try_at: Instant = NEVER_TRIED
    last_delivery_at: Instant | None = None
    last_error: str = ""
    missed_at: Instant | None = None

    def after_delivery(self, position: int, at: Instant) -> "WebhookProgress":
        """The progress once everything up to a change has been delivered."""
        return replace(
            self,
            position=position,
            failures=0,
            failing_since=None,
            next_try_at=at,
            last_delivery_at=at,
            last_error="",
        )

    def after_failure(
        self, result: DeliveryResult, at: Instant, *, give_up_after_ticks: int, jitter: float
    ) -> "WebhookProgress":
        """The progress after an attempt that failed. `jitter` is chance, from 0 to 1.

        Given up at once when the receiver wants no more, else when no attempt has succeeded for the stated time.
        """
        since = at if self.failing_since is None else self.failing_since
        is_over = result.is_gone or at - since >= give_up_after_ticks
        return replace(
            self,
            state=WebhookState.GIVEN_UP if is_over else WebhookState.ACTIVE,
            failures=self.failures + 1,
            failing_since=since,
            next_try_at=Instant(at + retry_ticks(self.failures, result.retry_after_seconds, jitter)),
            last_error=result.reason[:_REASON_LENGTH_MAX],
        )


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver of a tenant's changes. No kinds, or no severities, stand for all of them.

    `encrypted_secret` is what signs the deliveries, as it is stored.
    """

    tenant_id: int
    tenant_guid: str
    webhook_id: str
    name: str
    url: str
    kinds: frozenset[ChangeKind] = frozenset()
    severities: frozenset[str] = frozenset()
    allows_private: bool = False
    encrypted_secret: str
    created_at: Instant
    progress: WebhookProgress

    def wants_kind(self, kind: ChangeKind) -> bool:
        """Whether the receiver hears of changes of this kind."""
        return not self.kinds or kind in self.kinds

    def wants_severity(self, change: NewChange, severity: str | None) -> bool:
        """Whether the receiver hears of a change of an incident that has this severity now; None: it is gone.

        The removal of an incident is always told: afterwards nobody can say what its severity was.
        """
        is_removal = change.kind is ChangeKind.REMOVED and change.alert_id is None
        if not self.severities or is_removal:
            return True
        return severity is not None and lowered(severity) in map(lowered, self.severities)


def retry_ticks(failures_before: int, retry_after_seconds: int, jitter: float) -> int:
    """How long to wait after a failure: longer after each, by chance, and no less than the receiver asks for."""
    usual = RETRY_SECONDS[min(failures_before, len(RETRY_SECONDS) - 1)] * (1 + _JITTER * jitter)
    return round(max(usual, min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX)) * TICKS_PER_SECOND)


def delivery_id(webhook_id: str, change: Change) -> str:
    """The id of the delivery of a change: the same at every attempt.

    The time is in it, because a database that was restored from a backup gives numbers again.
    """
    return f"{webhook_id}_{change.number}_{change.at}"


def missed_delivery_id(webhook_id: str, position: int) -> str:
    """The id of the delivery that says that changes behind a position are not kept any more."""
    return f"{webhook_id}_{position}_gone"


def event_type(change: NewChange) -> str:
    """The type of an event, which says what its data means."""
    is_of_alert = change.kind is ChangeKind.REMOVED and change.alert_id is not None
    return "incident.alertRemoved" if is_of_alert else f"incident.{change.kind}"
