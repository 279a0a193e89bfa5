"""The delivery of a tenant's changes to a webhook: in order, one at a time, and each of them at least once."""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
from msgspec.structs import replace

from vigie.core.changes import Change
from vigie.core.errors import ChangesGone
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant
from vigie.core.webhooks import (
    DeliveryResult,
    Outcome,
    Webhook,
    WebhookProgress,
    WebhookState,
    delivery_id,
    event_type,
    missed_delivery_id,
)
from vigie.files.errors import KeyFileError
from vigie.files.trust import UntrustedFile
from vigie.storage.change_feed import ChangeFeed
from vigie.storage.webhooks import Lease, WebhookStore
from vigie.webhooks.signing import signed_headers

MISSED = "changes.gone"
"""The type of the event that says that changes in between are not kept any more."""

_CHANGES_AT_ONCE = 200
_TURN_TICKS = 10 * TICKS_PER_SECOND


class Receiver(Protocol):
    """Where deliveries go."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> DeliveryResult:
        """Send one delivery, and say what became of it."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt at a delivery, with the progress before and after it."""

    webhook: Webhook
    result: DeliveryResult
    before: WebhookProgress
    after: WebhookProgress


class DeliveryRules(msgspec.Struct, frozen=True, kw_only=True):
    """How long a turn counts without a sign of life, and after how long without success a webhook is given up."""

    lease_ticks: int
    give_up_after_ticks: int


class DeliveryTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every turn works with. `jitter` gives chance from 0 to 1; `decrypt` raises KeyFileError."""

    store: WebhookStore
    feed: ChangeFeed
    rules: DeliveryRules
    decrypt: Callable[[str], str]
    clock: Callable[[], Instant]
    jitter: Callable[[], float]
    on_attempt: Callable[[Attempt], None]


class DeliveryTurn:
    """The turn of one server with one webhook, from the progress that was found when the turn was taken."""

    def __init__(self, tools: DeliveryTools, lease: Lease, webhook: Webhook, receiver: Receiver) -> None:
        self._tools = tools
        self._lease = lease
        self._webhook = webhook
        self._progress = webhook.progress
        self._receiver = receiver
        self._secret = ""
        self._ends_at = tools.clock() + _TURN_TICKS

    async def run(self) -> None:
        """Deliver until nothing is left, an attempt fails, the turn is lost, or others have waited long enough."""
        while not self._is_over and await self._deliver_some():
            pass

    @property
    def _is_over(self) -> bool:
        return self._tools.clock() >= self._ends_at

    async def _deliver_some(self) -> bool:
        """Deliver the next few changes; False when the turn has to end."""
        try:
            changes = await self._tools.feed.changes_after(
                self._webhook.tenant_id, self._progress.position, _CHANGES_AT_ONCE
            )
        except ChangesGone as gone:
            return await self._tell_missed(gone)
        passed = self._progress.position
        for change in changes:
            if self._is_over:
                break
            if await self._is_wanted(change) and not await self._deliver_change(change):
                return False
            passed = change.number
        return bool(changes) and await self._pass_over(passed)

    async def _is_wanted(self, change: Change) -> bool:
        webhook = self._webhook
        if not webhook.wants_kind(change.kind):
            return False
        if not webhook.severities:
            return True
        severity = await self._tools.store.severity_of(webhook.tenant_id, change.incident_id)
        return webhook.wants_severity(change, severity)

    async def _deliver_change(self, change: Change) -> bool:
        event = change_event(self._webhook.tenant_guid, change)
        return await self._deliver(event, delivery_id(self._webhook.webhook_id, change), change.number)

    async def _tell_missed(self, gone: ChangesGone) -> bool:
        """Say that changes were missed, and go on from the oldest that is kept."""
        position, at = self._progress.position, self._tools.clock()
        event = missed_event(self._webhook.tenant_guid, position, gone.oldest, at)
        name = missed_delivery_id(self._webhook.webhook_id, position)
        if not await self._deliver(event, name, gone.oldest - 1):
            return False
        return await self._save(replace(self._progress, missed_at=at))

    async def _pass_over(self, position: int) -> bool:
        """Leave out the changes up to a position."""
        if position == self._progress.position:
            return True
        return await self._save(replace(self._progress, position=position))

    async def _deliver(self, event: Mapping[str, object], name: str, position: int) -> bool:
        """Attempt one delivery, and keep what became of it; True when it was delivered and the turn goes on."""
        result = await self._attempt(event, name)
        before, at = self._progress, self._tools.clock()
        if result.outcome is Outcome.DELIVERED:
            after = before.after_delivery(position, at)
        else:
            after = before.after_failure(
                result,
                at,
                give_up_after_ticks=self._tools.rules.give_up_after_ticks,
                jitter=self._tools.jitter(),
            )
        has_turn = await self._save(after)
        self._tools.on_attempt(Attempt(webhook=self._webhook, result=result, before=before, after=after))
        return has_turn and result.outcome is Outcome.DELIVERED

    async def _attempt(self, event: Mapping[str, object], name: str) -> DeliveryResult:
        try:
            self._secret = self._secret or self._tools.decrypt(self._webhook.encrypted_secret)
        except (KeyFileError, UntrustedFile, OSError) as error:
            return DeliveryResult(outcome=Outcome.NOT_SENT, reason=str(error))
        body = msgspec.json.encode(event)
        headers = signed_headers(self._secret, name, self._tools.clock() // TICKS_PER_SECOND, body)
        return await self._receiver.post(headers, body)

    async def _save(self, progress: WebhookProgress) -> bool:
        until = Instant(self._tools.clock() + self._tools.rules.lease_ticks)
        self._progress = progress
        return (
            await self._tools.store.save(self._lease, progress, until)
            and progress.state is WebhookState.ACTIVE
        )


def change_event(tenant_guid: str, change: Change) -> dict[str, object]:
    """What a receiver hears of a change: ids, kinds and times, and nothing of its content."""
    at = format_instant(change.at)
    data = {
        "tenantId": tenant_guid,
        "incidentId": change.incident_id,
        "alertId": change.alert_id,
        "kind": change.kind.value,
        "number": change.number,
        "at": at,
    }
    return {"type": event_type(change), "timestamp": at, "data": data}


def missed_event(tenant_guid: str, after: int, oldest: int, at: Instant) -> dict[str, object]:
    """What a receiver hears when changes behind number `after` are not kept any more, up to the `oldest`."""
    data = {"tenantId": tenant_guid, "after": after, "oldest": oldest}
    return {"type": MISSED, "timestamp": format_instant(at), "data": data}
