"""Retention: the removal of incidents, and of entries of the change feed, that are as old as the settings say."""

import asyncio
from collections.abc import Callable

from vigie.application.incidents import IncidentService
from vigie.core.audit import AuditContext
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import TICKS_PER_DAY, Instant
from vigie.observability.access_log import RequestIds
from vigie.observability.event_log import log
from vigie.runtime.installation import Installation

_EVERY_SECONDS = 60.0


async def remove_expired(
    installation: Installation, incident_service: IncidentService, clock: Callable[[], Instant]
) -> None:
    """Remove the incidents that are past their retention."""
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
        await asyncio.sleep(_EVERY_SECONDS)


async def remove_old_changes(installation: Installation, clock: Callable[[], Instant]) -> None:
    """Remove the entries of the change feed that are past their retention."""
    ticks = installation.settings.retention.change_days * TICKS_PER_DAY
    while ticks:
        try:
            for tenant in await installation.directory.tenants():
                await installation.change_feed.prune(tenant.tenant_id, Instant(clock() - ticks))
        except StoreUnavailable as error:
            log.warning("changes_not_removed", reason=error.detail)
        await asyncio.sleep(_EVERY_SECONDS)
