"""The background tasks of a server: changes noticed and followed, old incidents removed, certificates renewed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vigie.core.errors import IssuerUnavailable, StoreUnavailable
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import UntrustedFile
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.keys.key_store import LiveKeys
from vigie.observability.event_log import log
from vigie.runtime.answers import put_answers_back
from vigie.runtime.container import Components
from vigie.runtime.installation import Installation
from vigie.runtime.projections import project_evidence
from vigie.runtime.retention import remove_expired, remove_old_changes
from vigie.runtime.webhooks import deliver_webhooks

if TYPE_CHECKING:
    from vigie.identity.federation.tokens import FederatedTokens
    from vigie.runtime.tls_context import LiveContext
    from vigie.runtime.tls_setup import Secured


@asynccontextmanager
async def background_tasks(
    installation: Installation,
    components: Components,
    secured: "Secured | None",
    clock: Callable[[], Instant],
) -> AsyncIterator[None]:
    """Run the background tasks for as long as the block lasts."""
    settings = installation.settings
    tasks = [
        asyncio.create_task(_watch(settings.identity.revocation_seconds / 2, components)),
        asyncio.create_task(remove_expired(installation, components.incident_service, clock)),
        asyncio.create_task(remove_old_changes(installation, clock)),
        asyncio.create_task(put_answers_back(installation)),
        asyncio.create_task(project_evidence(installation)),
        asyncio.create_task(
            deliver_webhooks(installation, components.metrics.webhook_deliveries.count, clock)
        ),
    ]
    if components.lag_monitor:
        tasks.append(asyncio.create_task(components.lag_monitor.run()))
    if components.federated:
        tasks.append(asyncio.create_task(_refresh_issuers(components.federated)))
    if secured:
        tasks.append(asyncio.create_task(_keep_secured(settings.tls.check_seconds, secured.live, clock)))
    for task in tasks:
        task.add_done_callback(_log_early_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_early_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background_task_failed", task=task.get_name(), exc_info=error)


async def _watch(every_seconds: float, components: Components) -> None:
    """Notice changes that administrators make to the directory and the keys."""
    outage = _Outage()
    while True:
        await asyncio.sleep(every_seconds)
        try:
            ring = await _reread(components.keys) if components.keys else None
            await components.callers.refresh(ring)
        except StoreUnavailable as error:
            outage.report(error.detail)
        else:
            outage.report("")


class _Outage:
    """Logs an outage of the database, once for each reason, and its end."""

    def __init__(self) -> None:
        self._reported = ""

    def report(self, reason: str) -> None:
        """Log the reason of the outage if it is a new one; an empty reason is the end."""
        if reason == self._reported:
            return
        self._reported = reason
        if reason:
            log.warning("directory_unavailable", reason=reason)
        else:
            log.info("directory_available")


async def _reread(keys: LiveKeys) -> KeyRing:
    # A damaged key file must not keep a revoked caller in.
    try:
        await keys.reread()
    except (KeyFileError, UntrustedFile, OSError) as error:
        log.warning("keys_unreadable", reason=str(error))
    return keys.ring


async def _refresh_issuers(federated: "FederatedTokens") -> None:
    """Fetch the changed keys of other issuers, also without a request that needs them."""
    # Here, because a server that trusts no other issuer does without their keys.
    from vigie.identity.federation.jwks_cache import FETCH_EVERY_SECONDS

    while True:
        await asyncio.sleep(FETCH_EVERY_SECONDS)
        try:
            await federated.refresh()
        except IssuerUnavailable as error:
            log.warning("issuer_unreachable", reason=error.detail)


async def _keep_secured(every_seconds: float, live: "LiveContext", clock: Callable[[], Instant]) -> None:
    """Renew the certificate before it expires, and load one that has been replaced."""
    while True:
        await asyncio.sleep(every_seconds)
        # On a thread: generating a key takes longer than a request may wait.
        await asyncio.to_thread(live.refresh, clock())
