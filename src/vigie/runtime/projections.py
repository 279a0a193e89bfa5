"""The projections of a server: what is made from the change feed in the background."""

import asyncio
import time

from vigie.core.errors import StoreUnavailable
from vigie.observability.event_log import log
from vigie.runtime.installation import Installation

_EVERY_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 60.0

_IDLE_SHARE, _BUSY_SHARE = 0.9, 0.1
"""The share of time that a projection takes: less while a tenant is changed, by an import or by people."""
_STEP_SECONDS_MAX = 1.0


async def project_evidence(installation: Installation) -> None:
    """Follow the change feed of every tenant."""
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            behind = [tenant.tenant_id for tenant in await installation.directory.tenants()]
            while behind:
                behind = [tenant_id for tenant_id in behind if await _step(installation, tenant_id)]
        except StoreUnavailable as error:
            log.warning("evidence_not_projected", reason=error.detail)
            await asyncio.sleep(_AFTER_FAILURE_SECONDS)


async def _step(installation: Installation, tenant_id: int) -> bool:
    """Let a tenant's evidence follow some changes, then leave the machine to others; False when none was left."""
    latest = await installation.change_feed.latest(tenant_id)
    began = time.monotonic()
    has_more = await installation.evidence_projection.step(tenant_id)
    if has_more:
        took = min(time.monotonic() - began, _STEP_SECONDS_MAX)
        is_changed = await installation.change_feed.latest(tenant_id) != latest
        share = _BUSY_SHARE if is_changed else _IDLE_SHARE
        await asyncio.sleep(took * (1 - share) / share)
    return has_more
