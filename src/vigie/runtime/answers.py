"""Answers that are absent, because an alert came to a large incident, are put back in the background."""

import asyncio

from vigie.core.errors import StoreUnavailable
from vigie.observability.event_log import log
from vigie.runtime.back_off import BackOff
from vigie.runtime.installation import Installation
from vigie.storage.incidents import IncidentStore

_EVERY_SECONDS = 0.5


async def put_answers_back(installation: Installation) -> None:
    """Put answers back for as long as it runs, one in a transaction, so that others can write between."""
    reached: dict[int, int] = {}
    back_off = BackOff(_EVERY_SECONDS)
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            for tenant in await installation.directory.tenants():
                await _put_back(installation.incidents, tenant.tenant_id, reached)
        except StoreUnavailable as error:
            log.warning("answers_not_put_back", reason=error.detail)
            await asyncio.sleep(back_off.fail())
        else:
            back_off.succeed()


async def _put_back(incidents: IncidentStore, tenant_id: int, reached: dict[int, int]) -> None:
    """Put back those of a tenant behind the incident that was reached; the next time, all."""
    while (number := await incidents.next_without_answer(tenant_id, reached.get(tenant_id, 0))) is not None:
        # Before it is tried: one whose rows are damaged keeps no other from its turn.
        reached[tenant_id] = number
        await incidents.put_answer(tenant_id, number)
    reached.pop(tenant_id, None)
