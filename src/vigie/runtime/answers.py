"""Answers that are absent, because an alert came to a large incident, are put back in the background."""

import asyncio

from vigie.core.errors import StoreUnavailable
from vigie.observability.event_log import log
from vigie.runtime.back_off import BackOff
from vigie.runtime.installation import Installation

_EVERY_SECONDS = 0.5


async def put_answers_back(installation: Installation) -> None:
    """Put answers back for as long as it runs, one in a transaction, so that others can write between."""
    back_off = BackOff(_EVERY_SECONDS)
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        try:
            for tenant in await installation.directory.tenants():
                while await installation.incidents.put_next_answer(tenant.tenant_id):
                    pass
        except StoreUnavailable as error:
            log.warning("answers_not_put_back", reason=error.detail)
            await asyncio.sleep(back_off.fail())
        else:
            back_off.succeed()
