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
    """Follow the change feed of every tenant, some changes of each in turn."""
    put_off: dict[int, float] = {}
    has_more = False
    while True:
        if not has_more:
            await asyncio.sleep(_EVERY_SECONDS)
        try:
            tenants = await installation.directory.tenants()
        except StoreUnavailable as error:
            log.warning("evidence_not_projected", reason=error.detail)
            await asyncio.sleep(_AFTER_FAILURE_SECONDS)
            continue
        has_more = any([await _follow(installation, tenant.tenant_id, put_off) for tenant in tenants])


async def _follow(installation: Installation, tenant_id: int, put_off: dict[int, float]) -> bool:
    """Follow some changes of a tenant; False when there was nothing to do.

    One whose rows cannot be read is put off for a while, and keeps no other from being followed.
    """
    await asyncio.sleep(0)
    if put_off.get(tenant_id, 0) > time.monotonic():
        return False
    try:
        return await _step(installation, tenant_id)
    except StoreUnavailable as error:
        log.warning("evidence_not_projected", reason=error.detail)
        put_off[tenant_id] = time.monotonic() + _AFTER_FAILURE_SECONDS
        return False


async def _step(installation: Installation, tenant_id: int) -> bool:
    """Let a tenant's evidence follow some changes, then leave the machine to others."""
    latest = await installation.change_feed.latest(tenant_id)
    began = time.monotonic()
    has_more = await installation.evidence_projection.step(tenant_id)
    if has_more:
        took = min(time.monotonic() - began, _STEP_SECONDS_MAX)
        is_changed = await installation.change_feed.latest(tenant_id) != latest
        share = _BUSY_SHARE if is_changed else _IDLE_SHARE
        await asyncio.sleep(took * (1 - share) / share)
    return has_more
