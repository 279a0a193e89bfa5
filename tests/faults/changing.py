"""A program that moves, merges and adds alerts until it is killed, and says of each request how it ended."""

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path

from tests.faults.cluster import TENANT
from tests.support.builders import an_alert, to_json
from vigie.application.alerts import AlertService
from vigie.config.sources import load_settings
from vigie.core.access import WHOLE_TENANT, Caller, CallerKind
from vigie.core.audit import AuditContext
from vigie.core.errors import Refusal, StoreUnavailable
from vigie.documents.defender.reading import keep_incident, keep_single_alert
from vigie.runtime.clock import now
from vigie.runtime.installation import Installation, opened

DONE, UNAVAILABLE = "done", "unavailable"
DEVICE_GROUPS = ("laptops", "servers", "kiosks", None)


class Changing:
    """Changes of one tenant through the application, chosen by chance."""

    def __init__(self, installation: Installation, tenant_id: int, name: str) -> None:
        self._incidents = installation.incidents
        self._service = AlertService(installation.incidents, installation.incident_service())
        self._tenant_id = tenant_id
        self._chance = random.Random(name)
        self._name = name
        self._caller = Caller(
            tenant_id=tenant_id,
            tenant_guid="",
            kind=CallerKind.USER,
            application_id="",
            name=name,
            granted=(),
            exposure=WHOLE_TENANT,
            manages=WHOLE_TENANT,
        )

    async def work(self, numbers: Sequence[int]) -> None:
        """Change these incidents for ever."""
        for request in count(1):
            one, other = self._chance.sample(numbers, 2)
            change = self._chance.choice((self._move, self._move, self._add, self._add, self._merge))
            await self._told(f"{self._name}-{request}", change, one, other)

    async def _told(
        self,
        request_id: str,
        change: Callable[[AuditContext, int, int], Awaitable[bool]],
        one: int,
        other: int,
    ) -> None:
        context = AuditContext(actor=self._name, request_id=request_id, at=now())
        try:
            if await change(context, one, other):
                _say(DONE, request_id)
        except StoreUnavailable:
            _say(UNAVAILABLE, request_id)
            await asyncio.sleep(0.02)
        except Refusal:
            # Of one that has been merged, or of an alert that another process has moved meanwhile.
            pass

    async def _add(self, context: AuditContext, one: int, _other: int) -> bool:
        groups = self._chance.sample(DEVICE_GROUPS, self._chance.randint(1, 2))
        alert = an_alert(*groups, alertId=context.request_id, incidentId=one)
        await self._service.add_alert(self._tenant_id, one, keep_single_alert(to_json(alert)), context)
        return True

    async def _move(self, context: AuditContext, one: int, other: int) -> bool:
        document = await self._incidents.find_incident(self._tenant_id, one, WHOLE_TENANT)
        ids = [alert.alert_id for alert in keep_incident(document).alerts] if document else []
        chosen = {each for each in ids[: self._chance.randint(1, 3)] if each}
        await self._service.move_alerts(self._caller, WHOLE_TENANT, chosen, other, context)
        # Nothing, if all of them have come there meanwhile.
        return False

    async def _merge(self, context: AuditContext, one: int, other: int) -> bool:
        if self._chance.random() > 0.3:
            return False
        await self._service.merge_incidents(self._caller, WHOLE_TENANT, (one, other), context)
        return True


def _say(outcome: str, request_id: str) -> None:
    sys.stdout.write(f"{outcome} {request_id}\n")
    sys.stdout.flush()


async def main(settings_file: Path, name: str, numbers: Sequence[int]) -> None:
    """Open the store and work."""
    settings = load_settings(file=settings_file, environ={}, overrides={})
    async with opened(settings, create=False) as installation:
        tenant = await installation.directory.get_tenant(TENANT)
        await Changing(installation, tenant.tenant_id, name).work(numbers)


if __name__ == "__main__":
    first, last = map(int, sys.argv[3:5])
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], range(first, last + 1)))
