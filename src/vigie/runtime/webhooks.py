"""The delivery of changes to webhooks, in the background: each webhook for itself, so that none waits for another.

A server without webhooks does without the HTTP client and everything else that only deliveries need.
"""

import asyncio
import random
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vigie.core.errors import StoreUnavailable
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.webhooks import Outcome, WebhookState
from vigie.observability.event_log import log
from vigie.runtime.installation import Installation
from vigie.storage.webhooks import Lease

if TYPE_CHECKING:
    from vigie.application.webhook_delivery import Attempt, DeliveryTools
    from vigie.webhooks.http_client import WebhookClient

TURNS_MAX = 32
"""How many webhooks one server delivers to at once."""

_PAUSE_TICKS = 30 * TICKS_PER_SECOND
_TICKS_PER_HOUR = 3_600 * TICKS_PER_SECOND


async def deliver_webhooks(
    installation: Installation, count_attempt: Callable[[str], None], clock: Callable[[], Instant]
) -> None:
    """Deliver the changes of every tenant, one turn for each webhook that is due."""
    dispatcher = WebhookDispatcher(installation, count_attempt, clock)
    try:
        await dispatcher.run()
    finally:
        await dispatcher.close()


class WebhookDispatcher:
    """Takes turns with the webhooks that are due, as long as no other server has them."""

    def __init__(
        self, installation: Installation, count_attempt: Callable[[str], None], clock: Callable[[], Instant]
    ) -> None:
        self._installation = installation
        self._store = installation.webhooks
        self._settings = installation.settings.webhooks
        self._count_attempt = count_attempt
        self._clock = clock
        # A turn ends with this time after the last sign of life; one attempt may take all but the margin of it.
        self._lease_ticks = (2 * self._settings.timeout_seconds + 1) * TICKS_PER_SECOND
        self._turns: dict[tuple[int, str], asyncio.Task[None]] = {}
        # Webhooks whose turn ended in an error, until when they are left alone.
        self._paused: dict[tuple[int, str], Instant] = {}
        self._client: WebhookClient | None = None
        self._tools: DeliveryTools | None = None
        self._outage = ""

    async def run(self) -> None:
        """Look for webhooks that are due, again and again."""
        while True:
            try:
                await self._begin_turns()
                await self._end_turns()
            except StoreUnavailable as error:
                self._report_outage(error.detail)
                await asyncio.sleep(self._settings.poll_seconds)
            else:
                self._report_outage("")

    async def close(self) -> None:
        """End the turns: other servers may go on with what they were about."""
        for turn in self._turns.values():
            turn.cancel()
        await asyncio.gather(*self._turns.values(), return_exceptions=True)
        if self._client is not None:
            self._client.close()

    async def _begin_turns(self) -> None:
        now = self._clock()
        self._paused = {key: until for key, until in self._paused.items() if now < until}
        due = [key for key in await self._store.due(now, TURNS_MAX) if key not in self._paused]
        if due and self._client is None:
            # On a thread: loading the HTTP client takes longer than a request may wait.
            await asyncio.to_thread(self._load)
        for key in due:
            if key not in self._turns and len(self._turns) < TURNS_MAX:
                lease = Lease(tenant_id=key[0], webhook_id=key[1], name=secrets.token_hex(16))
                self._turns[key] = asyncio.create_task(self._take_turn(lease))

    async def _end_turns(self) -> None:
        """Wait until a turn has ended, or some time has passed."""
        seconds = self._settings.poll_seconds
        if not self._turns:
            await asyncio.sleep(seconds)
            return
        await asyncio.wait(self._turns.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for key in [key for key, turn in self._turns.items() if turn.done()]:
            turn = self._turns.pop(key)
            if not turn.cancelled() and (error := turn.exception()) is not None:
                self._paused[key] = Instant(self._clock() + _PAUSE_TICKS)
                self._log_error(key[1], error)

    def _log_error(self, webhook_id: str, error: BaseException) -> None:
        if isinstance(error, StoreUnavailable):
            log.warning("webhooks_delayed", webhook=webhook_id, reason=error.detail)
        else:
            log.error("webhook_turn_failed", webhook=webhook_id, exc_info=error)

    async def _take_turn(self, lease: Lease) -> None:
        from vigie.application.webhook_delivery import DeliveryTurn

        assert self._client is not None  # noqa: S101  loaded before the first turn
        assert self._tools is not None  # noqa: S101
        now = self._clock()
        webhook = await self._store.take(lease, now, Instant(now + self._lease_ticks))
        if webhook is None:
            return
        try:
            async with self._client.receiver(webhook.url, allows_private=webhook.allows_private) as receiver:
                await DeliveryTurn(self._tools, lease, webhook, receiver).run()
        finally:
            await self._store.release(lease)

    def _load(self) -> None:
        from vigie.application.webhook_delivery import DeliveryRules, DeliveryTools
        from vigie.webhooks.http_client import WebhookClient

        settings = self._settings
        self._tools = DeliveryTools(
            store=self._store,
            feed=self._installation.change_feed,
            rules=DeliveryRules(
                lease_ticks=self._lease_ticks, give_up_after_ticks=settings.give_up_hours * _TICKS_PER_HOUR
            ),
            decrypt=self._decrypt,
            clock=self._clock,
            jitter=random.random,
            on_attempt=self._note,
        )
        self._client = WebhookClient(
            private=settings.private_networks,
            ca_file=settings.ca_file,
            seconds_max=settings.timeout_seconds,
        )

    def _decrypt(self, encrypted: str) -> str:
        # Read each time: an administrator may put back a key while the server runs.
        return self._installation.webhook_encryption(create=False).decrypt(encrypted)

    def _note(self, attempt: "Attempt") -> None:
        self._count_attempt(attempt.result.outcome.value)
        webhook, before, after = attempt.webhook, attempt.before, attempt.after
        fields: dict[str, Any] = {"tenant": webhook.tenant_guid, "webhook": webhook.webhook_id}
        if attempt.result.outcome is Outcome.DELIVERED:
            if before.failures:
                log.info("webhook_recovered", failures=before.failures, **fields)
        elif after.state is WebhookState.GIVEN_UP:
            log.error("webhook_given_up", reason=after.last_error, failures=after.failures, **fields)
        elif not before.failures:
            log.warning("webhook_failing", reason=after.last_error, **fields)

    def _report_outage(self, reason: str) -> None:
        if reason and reason != self._outage:
            log.warning("webhooks_delayed", reason=reason)
        self._outage = reason
