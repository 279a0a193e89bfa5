"""Tasks that run beside the answers: changes noticed, incidents retired, certificates renewed in time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vigie.application.incidents import IncidentService
from vigie.core.audit import AuditContext
from vigie.core.errors import IssuerUnavailable, StoreUnavailable
from vigie.core.instants import Instant
from vigie.files.errors import KeyFileError
from vigie.files.trust import UntrustedFile
from vigie.identity.federation.jwks_cache import FETCH_EVERY_SECONDS
from vigie.identity.federation.tokens import FederatedTokens
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.keys.key_store import LiveKeys
from vigie.observability.access_log import RequestIds
from vigie.observability.event_log import log
from vigie.runtime.container import Components
from vigie.runtime.installation import Installation

if TYPE_CHECKING:
    from vigie.runtime.tls_context import LiveContext
    from vigie.runtime.tls_setup import Secured

_RETENTION_EVERY_SECONDS = 60.0


@asynccontextmanager
async def background_tasks(
    installation: Installation, parts: Components, secured: "Secured | None", clock: Callable[[], Instant]
) -> AsyncIterator[None]:
    """Do them for as long as the block lasts."""
    settings = installation.settings
    tasks = [
        asyncio.create_task(_watch(settings.identity.revocation_seconds / 2, parts)),
        asyncio.create_task(_retire(installation, parts.incident_service, clock)),
    ]
    if parts.lag_monitor:
        tasks.append(asyncio.create_task(parts.lag_monitor.run()))
    if parts.foreign:
        tasks.append(asyncio.create_task(_refresh_issuers(parts.foreign)))
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


async def _watch(every_seconds: float, parts: Components) -> None:
    """Notice what administrators change in the directory and among the keys."""
    outage = _Outage()
    while True:
        await asyncio.sleep(every_seconds)
        try:
            ring = await _reread(parts.keys) if parts.keys else None
            await parts.callers.refresh(ring)
        except StoreUnavailable as error:
            outage.tell(error.detail)
        else:
            outage.tell("")


class _Outage:
    """Says in the log that the database does not answer, once for each reason, and that it does again."""

    def __init__(self) -> None:
        self._told = ""

    def tell(self, reason: str) -> None:
        """Take down why it does not answer now; empty when it does."""
        if reason == self._told:
            return
        self._told = reason
        if reason:
            log.warning("directory_not_read", reason=reason)
        else:
            log.info("directory_read_again")


async def _reread(keys: LiveKeys) -> KeyRing:
    # A damaged key file must not keep a revoked caller in.
    try:
        await keys.reread()
    except (KeyFileError, UntrustedFile, OSError) as error:
        log.warning("keys_not_read", reason=str(error))
    return keys.ring


async def _refresh_issuers(foreign: FederatedTokens) -> None:
    """Notice what other issuers change among their keys, also where nobody comes with a new token."""
    while True:
        await asyncio.sleep(FETCH_EVERY_SECONDS)
        try:
            await foreign.refresh()
        except IssuerUnavailable as error:
            log.warning("issuer_not_reached", reason=error.detail)


async def _retire(
    installation: Installation, incident_service: IncidentService, clock: Callable[[], Instant]
) -> None:
    """Remove what is past its retention."""
    request_ids = RequestIds()
    while (before := incident_service.retained_since(at := clock())) is not None:
        audit_context = AuditContext(actor="vigie retention", request_id=request_ids.next(), at=at)
        try:
            for tenant in await installation.directory.tenants():
                removed = await installation.incidents.remove_incidents_before(
                    tenant.tenant_id, before, audit_context
                )
                if removed:
                    log.info("incidents_retired", tenant=tenant.guid, count=removed)
        except StoreUnavailable as error:
            log.warning("incidents_not_retired", reason=error.detail)
        await asyncio.sleep(_RETENTION_EVERY_SECONDS)


async def _keep_secured(every_seconds: float, live: "LiveContext", clock: Callable[[], Instant]) -> None:
    """Renew the certificate before it ends, and take over what somebody else has put in its place."""
    while True:
        await asyncio.sleep(every_seconds)
        # On a thread: making a key takes longer than a request may wait.
        await asyncio.to_thread(live.refresh, clock())
