"""The alert service: read one alert, add one to an incident, move some to another, merge incidents."""

from collections.abc import Collection

from vigie.application.incidents import IncidentService
from vigie.core.access import Caller, Exposure, overlap
from vigie.core.alert import StoredAlert
from vigie.core.audit import AuditContext
from vigie.core.enums import Status
from vigie.core.errors import (
    AlertNotFound,
    DisallowedOperation,
    IncidentNotFound,
    InvalidInput,
    PermissionMissing,
)
from vigie.core.incident import AlertSpan
from vigie.core.instants import Instant
from vigie.core.redaction import is_in_part, is_visible
from vigie.documents.defender.alerts import alert_id_of
from vigie.documents.defender.merging import commented, merged, redirected, touched
from vigie.documents.defender.moving import parts_device_from_group
from vigie.documents.defender.shapes import merged_into, status_of
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.incident_holder import IncidentHolder
from vigie.storage.incident_transaction import Head, IncidentTransaction
from vigie.storage.incidents import IncidentStore

MERGED_COUNT_MAX = 5
"""Incidents in one merge, the one that stays included. Source: Microsoft Graph takes as many."""

MOVED_COUNT_MAX = 100
"""Alerts in one move: they are written in one transaction."""


class AlertService:
    """Answers questions about single alerts, and changes which incident they are in, within an exposure."""

    def __init__(self, incidents: IncidentStore, incident_service: IncidentService) -> None:
        self._incidents = incidents
        self._incident_service = incident_service

    async def get_alert(self, tenant_id: int, exposure: Exposure, alert_id: str, now: Instant) -> bytes:
        """One alert as the exposure may know it, JSON. Raises AlertNotFound for a hidden one as for a missing one.

        Of alerts of one id the first that is visible.
        """
        found = await self._incidents.find_alert(
            tenant_id, alert_id, exposure, retained_since=self._incident_service.retained_since(now)
        )
        if found is None:
            raise AlertNotFound(alert_id)
        return found

    async def add_alert(
        self, tenant_id: int, incident_id: int, alert: StoredAlert, audit_context: AuditContext
    ) -> None:
        """Add an alert to an incident, for a source of alerts. Raises IncidentNotFound, DisallowedOperation."""

        async def change(transaction: IncidentTransaction) -> None:
            holder = await transaction.holder(incident_id)
            if holder is None:
                raise IncidentNotFound(incident_id)
            head = _open_head(holder)
            at = await transaction.moment_after(audit_context.at)
            await transaction.add_alert(holder, alert, touched(head, at=at), at)

        await self._incidents.change(tenant_id, audit_context, change)

    async def move_alerts(
        self,
        caller: Caller,
        exposure: Exposure,
        alert_ids: Collection[str],
        target_id: int,
        audit_context: AuditContext,
    ) -> None:
        """Move alerts to another incident.

        An incident whose last alert is moved is merged into the target: without alerts it would be visible to all.
        Raises AlertNotFound and IncidentNotFound for what is hidden as for what is missing, PermissionMissing for
        what the caller may see but not manage, DisallowedOperation for merged incidents and for alerts that would
        show what others of their incident hide, InvalidInput for too many.
        """
        if not 1 <= len(set(alert_ids)) <= MOVED_COUNT_MAX:
            raise InvalidInput(f"A move takes 1 to {MOVED_COUNT_MAX} alerts.")

        async def change(transaction: IncidentTransaction) -> None:
            work = _Work(transaction, self._incident_service, caller, exposure, audit_context.at)
            await work.holder(target_id)
            for source_id, places in (await work.homes(alert_ids)).items():
                if source_id != target_id:
                    await work.move(source_id, places, target_id)

        await self._incidents.change(caller.tenant_id, audit_context, change)

    async def merge_incidents(
        self,
        caller: Caller,
        exposure: Exposure,
        incident_ids: Collection[int],
        audit_context: AuditContext,
        *,
        comment: str | None = None,
    ) -> int:
        """Merge incidents into the one of them that was created first, and answer its number.

        The others become stubs that lead there. Raises as `move_alerts` does.
        """
        if not 2 <= len(set(incident_ids)) <= MERGED_COUNT_MAX:
            raise InvalidInput(f"A merge takes 2 to {MERGED_COUNT_MAX} incidents.")

        async def change(transaction: IncidentTransaction) -> int:
            work = _Work(transaction, self._incident_service, caller, exposure, audit_context.at)
            holders = [await work.holder(each) for each in dict.fromkeys(incident_ids)]
            target, *sources = sorted(holders, key=lambda each: (each.created_at, each.incident_id))
            for source in sources:
                await work.merge(source.incident_id, target.incident_id, comment)
            return target.incident_id

        return await self._incidents.change(caller.tenant_id, audit_context, change)


class _Work:
    """Moves and merges of one caller in one transaction, and what the caller may do there."""

    def __init__(
        self,
        transaction: IncidentTransaction,
        incident_service: IncidentService,
        caller: Caller,
        exposure: Exposure,
        at: Instant,
    ) -> None:
        self._transaction = transaction
        self._caller = caller
        self._exposure = exposure
        self._manages = overlap(exposure, caller.manages) if caller.manages else None
        self._retained_since = incident_service.retained_since(at)
        self._at = at

    async def holder(self, incident_id: int) -> IncidentHolder:
        """An incident that the caller may manage, and that is not merged."""
        holder = await self._transaction.holder(incident_id)
        if holder is None or not self._may_know(holder):
            raise IncidentNotFound(incident_id, detail="missing, or hidden from the caller")
        if self._manages is None or not is_visible(holder.spans, self._manages):
            raise PermissionMissing("The user may see this incident, but not manage it.")
        _open_head(holder)
        return holder

    async def homes(self, alert_ids: Collection[str]) -> dict[int, set[int]]:
        """The incidents of alerts that the caller may manage, each with the places of those alerts in it."""
        found: dict[int, set[int]] = {}
        for alert_id in dict.fromkeys(alert_ids):
            incident_id, place = await self._home(alert_id)
            found.setdefault(incident_id, set()).add(place)
        return found

    async def move(self, source_id: int, places: set[int], target_id: int) -> None:
        """Move some alerts; all of them: merge."""
        source, target = await self.holder(source_id), await self.holder(target_id)
        if len(places) == len(source.spans.alerts):
            await self.merge(source_id, target_id, None)
            return
        await self._require_separable(source_id, places)
        first = await self._transaction.moment_after(self._at)
        moments = (first, Instant(first + 1))
        heads = (touched(source.own_keys(), at=moments[0]), touched(target.own_keys(), at=moments[1]))
        await self._transaction.move_alerts(places, source, target, heads, moments)

    async def merge(self, source_id: int, target_id: int, comment: str | None) -> None:
        """Merge one incident into another."""
        source, target = await self.holder(source_id), await self.holder(target_id)
        at = await self._transaction.moment_after(self._at)
        head: Head = merged(target.own_keys(), source.own_keys(), at=at)
        if comment:
            head = commented(head, comment, at=at, author=self._caller.name)
        stub = redirected(source.own_keys(), target_id, at=Instant(at + 1))
        await self._transaction.merge(source, target, head, stub, at)

    async def _home(self, alert_id: str) -> tuple[int, int]:
        """The incident and the place in it of the first alert of an id that the caller may see."""
        for incident_id in await self._transaction.homes_of(alert_id):
            row = await self._transaction.find(incident_id)
            if row is None or self._is_past(row.last_update_at):
                continue
            for place, alert in row.alerts_visible_to(self._exposure):
                if alert_id_of(alert) == alert_id:
                    self._require_manageable(row.known_spans().alerts[place])
                    return incident_id, place
        raise AlertNotFound(alert_id)

    async def _require_separable(self, incident_id: int, places: set[int]) -> None:
        # For every caller: a reader of fewer groups would see what is hidden.
        row = await self._transaction.find(incident_id)
        with unavailable_when_damaged():
            if row is not None and parts_device_from_group(row.document, places):
                raise DisallowedOperation(
                    "These alerts cannot be moved by themselves: one names a device whose group only alerts of the "
                    "other part say. Move those too, or merge the incidents."
                )

    def _require_manageable(self, span: AlertSpan) -> None:
        manages = self._manages
        if manages is None or not (manages.whole_tenant or is_in_part(span, manages.device_groups)):
            raise PermissionMissing("The user may see this alert, but not manage it.")

    def _may_know(self, holder: IncidentHolder) -> bool:
        return not self._is_past(holder.last_update_at) and is_visible(holder.spans, self._exposure)

    def _is_past(self, last_update_at: Instant) -> bool:
        return self._retained_since is not None and last_update_at < self._retained_since


def _open_head(holder: IncidentHolder) -> Head:
    """An incident's own keys. Raises DisallowedOperation for one that has been merged away."""
    head = holder.own_keys()
    if status_of(head) is Status.REDIRECTED:
        raise DisallowedOperation(
            f"Incident {holder.incident_id} was merged into incident {merged_into(head)}; change that one."
        )
    return head
