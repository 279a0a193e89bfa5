"""The projections of a server: what is made from the change feed in the background."""

import asyncio
import time

from vigie.core.errors import StoreUnavailable
from vigie.observability.event_log import log
from vigie.runtime.back_off import BackOff
from vigie.runtime.installation import Installation

_EVERY_SECONDS = 1.0
_AFTER_FAILURE_SECONDS = 2.0

_IDLE_SHARE, _BUSY_SHARE = 0.9, 0.1
"""The share of time that a projection takes: less while a tenant is changed, by an import or by people."""
_IDLE_VALUES_MAX, _BUSY_VALUES_MAX = 10_000, 2_000
"""What one transaction writes: some 50 ms, which saves half of what is written to disk, or 10 ms."""
_STEP_SECONDS_MAX = 0.2
"""More than that is spent waiting for others, an import for example, and not work."""


async def project_evidence(installation: Installation) -> None:
    """Follow the change feed of every tenant, some changes of each in turn."""
    followers: dict[int, _Follower] = {}
    has_more = False
    back_off = BackOff(_AFTER_FAILURE_SECONDS)
    while True:
        if not has_more:
            await asyncio.sleep(_EVERY_SECONDS)
        try:
            tenants = await installation.directory.tenants()
        except StoreUnavailable as error:
            log.warning("evidence_not_projected", reason=error.detail)
            await asyncio.sleep(back_off.fail())
            continue
        back_off.succeed()
        followers = {
            each.tenant_id: followers.get(each.tenant_id) or _Follower(installation, each.tenant_id)
            for each in tenants
        }
        has_more = any([await follower.follow() for follower in followers.values()])


class _Follower:
    """One tenant's evidence. When its rows cannot be read it is put off, and keeps no other from being followed."""

    def __init__(self, installation: Installation, tenant_id: int) -> None:
        self._feed = installation.change_feed
        self._projection = installation.evidence_projection
        self._tenant_id = tenant_id
        self._latest: int | None = None
        self._put_off_until = 0.0
        self._back_off = BackOff(_AFTER_FAILURE_SECONDS)

    async def follow(self) -> bool:
        """Follow some changes; False when there was nothing to do."""
        await asyncio.sleep(0)
        if self._put_off_until > time.monotonic():
            return False
        try:
            has_more = await self._step()
        except StoreUnavailable as error:
            log.warning("evidence_not_projected", reason=error.detail)
            self._put_off_until = time.monotonic() + self._back_off.fail()
            return False
        self._back_off.succeed()
        return has_more

    async def _step(self) -> bool:
        """Follow some changes, then leave the machine to others."""
        before, self._latest = self._latest, await self._feed.latest(self._tenant_id)
        is_busy = before not in (None, self._latest)
        values_max, share = (_BUSY_VALUES_MAX, _BUSY_SHARE) if is_busy else (_IDLE_VALUES_MAX, _IDLE_SHARE)
        began = time.monotonic()
        has_more = await self._projection.step(self._tenant_id, values_max=values_max)
        if has_more:
            took = min(time.monotonic() - began, _STEP_SECONDS_MAX)
            await asyncio.sleep(took * (1 - share) / share)
        return has_more
