"""Changes of incidents inside one transaction: rows, visibility, history and feed always together.

What may be changed is decided by the application.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from vigie.core.alert import StoredAlert, deciding_groups
from vigie.core.audit import AuditContext
from vigie.core.changes import ChangeKind, Labels, NewChange
from vigie.core.incident import (
    AlertSpan,
    StoredIncident,
    decode_spans,
    encode_spans,
    sorted_labels,
)
from vigie.core.instants import Instant
from vigie.core.update import IdempotencyKey
from vigie.documents import lossless
from vigie.documents.defender.alert_differences import alert_differences
from vigie.documents.defender.alerts import alert_id_of, in_incident
from vigie.documents.defender.merging import redirected
from vigie.documents.defender.shapes import assignee_of, status_of
from vigie.documents.differences import added, differences, removed, replaced
from vigie.documents.splitting import SplitDocument, join_document
from vigie.storage import change_feed
from vigie.storage.alert_rows import add_alerts
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session, Values
from vigie.storage.incident_holder import IncidentHolder, find_holder
from vigie.storage.incident_row import IncidentRow, find_row, key_of, put_answer
from vigie.storage.listing_rows import add_listing, move_listing, remove_listing
from vigie.storage.stubs import propagate_visibility, with_inherited_visibility
from vigie.storage.visibility import label_set, labels_of_alert

Head = Mapping[str, Any]
"""An incident's own keys in their order, with an empty list of alerts."""

_FORGOTTEN_COUNT = 10


class IncidentTransaction:
    """The incidents of a tenant in the transaction of a change. `finish` ends it."""

    def __init__(self, session: Session, tenant_id: int, audit_context: AuditContext) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self._audit_context = audit_context
        self._changes: list[NewChange] = []
        self._latest = Instant(0)

    # Reading

    async def find(self, incident_id: int) -> IncidentRow | None:
        """An incident as it is now, whatever its visibility; None for none."""
        return await find_row(self._session, key_of(self._tenant_id, incident_id))

    async def homes_of(self, alert_id: str) -> list[int]:
        """The incidents in which the alerts of an id are, that of the first copy first."""
        rows = await self._session.rows(
            "homes_of_alert", {"tenant_id": self._tenant_id, "alert_id": alert_id}
        )
        return list(dict.fromkeys(incident_id for (incident_id,) in rows))

    async def note_request(self, idempotency_key: IdempotencyKey, at: Instant, *, since: Instant) -> bool:
        """Note that a request of this key is done; False when one was, at `since` or later."""
        values = {"tenant_id": self._tenant_id, "fingerprint": idempotency_key}
        if await self._session.row("request_is_done", {**values, "since": since}):
            return False
        forgotten = {"tenant_id": self._tenant_id, "since": since, "count": _FORGOTTEN_COUNT}
        await self._session.run("forget_requests_done", forgotten)
        await self._session.run("add_request_done", {**values, "at": at})
        return True

    async def moment_after(self, at: Instant) -> Instant:
        """The moment of an update: `at`, or later, so that it is after all that a reader can have seen."""
        return max(
            await change_feed.moment_after(self._session, self._tenant_id, at), Instant(self._latest + 1)
        )

    # Whole incidents

    async def put(self, incident: StoredIncident) -> bool:
        """Add an incident, or put it in the place of another; True when there was another.

        It keeps the time that it came with.
        """
        self._latest = max(self._latest, incident.last_update_at)
        before = await self.find(incident.incident_id)
        incident = await with_inherited_visibility(self._session, self._tenant_id, incident)
        after = IncidentRow(incident.document, incident.alerts_at, incident.spans, incident.last_update_at)
        if before == after:
            return True
        labels = await self._write(before, incident)
        if before is None:
            changes = added(incident.document)
            self._note(ChangeKind.CREATED, incident.incident_id, None, labels)
        else:
            split_before, split_after = before.split(), after.split()
            changes = replaced(split_before, split_after)
            is_head_new = split_before.head != split_after.head
            self._note_replaced(incident.incident_id, before, after, is_head_new=is_head_new)
        await self._record(incident.incident_id, "import", changes)
        await self.finish()
        return before is not None

    async def remove(self, incident_id: int) -> bool:
        """Remove an incident; its history stays. False when there was none."""
        key = key_of(self._tenant_id, incident_id)
        before = await self.find(incident_id)
        if before is None:
            return False
        await remove_listing(self._session, key)
        await self._session.run("remove_incident", key)
        await self._session.run("remove_alerts", key)
        self._changes += await propagate_visibility(self._session, key, None)
        with unavailable_when_damaged():
            changes = removed(before.document)
        await self._record(incident_id, "remove", changes)
        self._note(ChangeKind.REMOVED, incident_id, before.labels(), None)
        return True

    async def put_head(
        self, incident_id: int, before: IncidentRow, split: SplitDocument, after: SplitDocument, at: Instant
    ) -> IncidentRow:
        """Change an incident's own keys. `split` is what is `before`; `at` comes of `moment_after`.

        The caller has refused a merged incident: spans and redirect stay as they are.
        """
        document, alerts_at = join_document(after)
        columns = {
            **key_of(self._tenant_id, incident_id),
            "status": status_of(after.head),
            "assigned_to": assignee_of(after.head),
            "last_update_at": at,
            "alerts_at": alerts_at,
            "spans": before.spans,
            "document": document,
        }
        await self._session.run("update_incident", columns)
        await move_listing(self._session, columns)
        await self._record(incident_id, "update", differences(split.head, after.head))
        self._latest = max(self._latest, at)
        labels = before.labels()
        self._note(ChangeKind.UPDATED, incident_id, labels, labels, is_of_head=True)
        return IncidentRow(document, alerts_at, before.spans, at)

    async def finish(self) -> None:
        """Hand the changes to the feed, and note the last update that readers may see because of them."""
        await change_feed.record(
            self._session, self._tenant_id, self._changes, self._audit_context, last_update_at=self._latest
        )
        self._changes = []

    async def _write(self, before: IncidentRow | None, incident: StoredIncident) -> Labels:
        """Write an incident in the place of what was there: the labels under which it is visible now."""
        key = key_of(self._tenant_id, incident.incident_id)
        values = {
            "origin": incident.origin,
            "status": incident.status,
            "severity": incident.severity,
            "assigned_to": incident.assigned_to,
            "created_at": incident.created_at,
            "last_update_at": incident.last_update_at,
            "alerts_at": incident.alerts_at,
            "spans": incident.spans,
            "document": incident.document,
            "redirect_incident_id": incident.redirect_incident_id,
        }
        if before is not None:
            await remove_listing(self._session, key)
            await self._session.run("remove_alerts", key)
        await self._session.run("put_incident", {**key, **values})
        await add_alerts(self._session, key, incident.alerts)
        labels = label_set(decode_spans(incident.spans))
        await add_listing(self._session, {**key, **values}, labels)
        if before is None or before.spans != incident.spans:
            self._changes += await propagate_visibility(self._session, key, incident.spans)
        return labels

    # Alerts

    async def holder(self, incident_id: int) -> IncidentHolder | None:
        """An incident as the holder of its alerts, whatever its visibility; None for none."""
        return await find_holder(self._session, key_of(self._tenant_id, incident_id))

    async def add_alert(self, holder: IncidentHolder, alert: StoredAlert, head: Head, at: Instant) -> None:
        """Add an alert behind the others of an incident, whose own keys become `head`.

        Its text says from then on that it is in this one, as that of a moved alert does.
        """
        key = key_of(self._tenant_id, holder.incident_id)
        alert = msgspec.structs.replace(alert, native=in_incident(alert.native, holder.incident_id))
        own = sorted_labels(deciding_groups(alert.own_groups, alert.source_group))
        spans = (*holder.spans.alerts, AlertSpan(len(alert.native), own, alert.named_groups))
        await add_alerts(self._session, key, [alert], first_place=await self._next_place(key))
        labels = await self._put_alerts(holder, head, spans, at)
        await self._record(holder.incident_id, "add alert", {"alerts": {"added": [alert.alert_id]}})
        self._note(
            ChangeKind.ALERT_ADDED,
            holder.incident_id,
            holder.labels,
            labels,
            alert=(alert.alert_id, labels_of_alert(spans[-1])),
        )

    async def move_alerts(
        self,
        places: Collection[int],
        source: IncidentHolder,
        target: IncidentHolder,
        heads: tuple[Head, Head],
        moments: tuple[Instant, Instant],
    ) -> None:
        """Move some of an incident's alerts, by their places from 0, behind those of another.

        `heads` are what the own keys of source and target become, and `moments` when each of them is updated.
        """
        taken = await self._take(places, source, target.incident_id)
        stay = [span for place, span in enumerate(source.spans.alerts) if place not in places]
        source_labels = await self._put_alerts(source, heads[0], stay, moments[0])
        self._note(ChangeKind.UPDATED, source.incident_id, source.labels, source_labels)
        ids = [alert_id_of(native) for native, _ in taken]
        await self._record(source.incident_id, "move alerts", {"alerts": {"removed": ids}})
        await self._receive(taken, target, heads[1], moments[1], action="move alerts")

    async def merge(
        self,
        source: IncidentHolder,
        target: IncidentHolder,
        target_head: Head,
        stub: StoredIncident,
        at: Instant,
    ) -> None:
        """Move all alerts of an incident to another, and put a stub in its place that leads there.

        `at` is when the target is updated; the stub says when it is.
        """
        every = range(len(source.spans.alerts))
        before = await self.find(source.incident_id)
        taken = await self._take(every, source, target.incident_id)
        await self._receive(taken, target, target_head, at, action="merge")
        await self._put_stub(before, stub)
        await self._flatten(source.incident_id, target.incident_id)

    async def _take(
        self, places: Collection[int], source: IncidentHolder, target_id: int
    ) -> list[tuple[bytes, AlertSpan]]:
        """Move the rows of alerts; their texts as they are now, each with its groups."""
        key, target = key_of(self._tenant_id, source.incident_id), key_of(self._tenant_id, target_id)
        spans = source.spans.alerts
        rows = (await self._session.rows("parts_of_incident", key))[1:]
        next_place = await self._next_place(target)
        taken: list[tuple[bytes, AlertSpan]] = []
        moves: list[Values] = []
        for place in sorted(places):
            native = in_incident(rows[place][1], target_id)
            moves.append(
                {
                    **key,
                    "place": rows[place][0],
                    "target": target_id,
                    "target_place": next_place + len(moves),
                    "native": native,
                }
            )
            taken.append((native, msgspec.structs.replace(spans[place], length=len(native))))
        await self._session.run_many("move_alert", moves)
        return taken

    async def _receive(
        self,
        taken: Sequence[tuple[bytes, AlertSpan]],
        target: IncidentHolder,
        head: Head,
        at: Instant,
        *,
        action: str,
    ) -> None:
        """Write an incident whose alerts have become more, with the history and the feed of that."""
        spans = (*target.spans.alerts, *(span for _, span in taken))
        before, after = target.labels, await self._put_alerts(target, head, spans, at)
        changes = differences(target.own_keys(), head)
        ids = [alert_id_of(native) for native, _ in taken]
        await self._record(target.incident_id, action, {**changes, "alerts": {"added": ids}})
        self._note(ChangeKind.UPDATED, target.incident_id, before, after)
        for alert_id, (_, span) in zip(ids, taken, strict=True):
            alert = (alert_id, labels_of_alert(span))
            self._note(ChangeKind.ALERT_MOVED, target.incident_id, after, after, alert=alert)

    async def _put_alerts(
        self, holder: IncidentHolder, head: Head, alerts: Iterable[AlertSpan], at: Instant
    ) -> Labels:
        """Write an incident whose alerts have changed: the labels under which it is visible now.

        A small answer is put back at once, a large one in the background.
        """
        key = key_of(self._tenant_id, holder.incident_id)
        spans = msgspec.structs.replace(holder.spans, alerts=tuple(alerts))
        stored_spans, labels = encode_spans(spans), label_set(spans)
        severity = head.get("severity")
        values = {
            "severity": severity if isinstance(severity, str) else None,
            "last_update_at": at,
            "spans": stored_spans,
            "document": b"",
            "head": lossless.encode(head),
        }
        await self._session.run("leave_answer_absent", {**key, **values})
        await self._move_listing(holder, stored_spans, labels, at)
        self._latest = max(self._latest, at)
        if holder.is_small:
            await put_answer(self._session, key)
        return labels

    async def _move_listing(self, holder: IncidentHolder, spans: bytes, labels: Labels, at: Instant) -> None:
        key = key_of(self._tenant_id, holder.incident_id)
        columns = {
            **key,
            "created_at": holder.created_at,
            "last_update_at": at,
            "status": holder.status,
            "assigned_to": holder.assigned_to,
        }
        if labels == holder.labels:
            await move_listing(self._session, columns)
        else:
            await remove_listing(self._session, key)
            await add_listing(self._session, columns, labels)
            self._changes += await propagate_visibility(self._session, key, spans)

    async def _put_stub(self, before: IncidentRow | None, stub: StoredIncident) -> None:
        """Put a stub in the place of an incident that has been merged."""
        if before is None:
            raise RuntimeError("an incident that is not there cannot be merged")
        self._latest = max(self._latest, stub.last_update_at)
        stub = await with_inherited_visibility(self._session, self._tenant_id, stub)
        after = IncidentRow(stub.document, stub.alerts_at, stub.spans, stub.last_update_at)
        labels = await self._write(before, stub)
        await self._record(stub.incident_id, "merge", replaced(before.split(), after.split()))
        self._note(ChangeKind.MERGED, stub.incident_id, before.labels(), labels)

    async def _flatten(self, source_id: int, target_id: int) -> None:
        """Let the stubs that earlier merges have made of others lead where this one leads."""
        for (incident_id,) in await self._session.rows("stubs_of_merges", key_of(self._tenant_id, source_id)):
            before = await self.find(incident_id)
            if before is not None:
                at = await self.moment_after(self._latest)
                await self._put_stub(before, redirected(before.split().head, target_id, at=at))

    async def _next_place(self, key: Values) -> int:
        row = await self._session.row("last_place", key)
        return 0 if row is None or row[0] is None else row[0] + 1

    # What is written beside

    def _note_replaced(
        self, incident_id: int, before: IncidentRow, after: IncidentRow, *, is_head_new: bool
    ) -> None:
        """Note an incident that was put in the place of another: its own keys, then each alert that differs."""
        labels_before, labels = before.labels(), after.labels()
        found = alert_differences(before.alerts(), after.alerts())
        has_differences = bool(found.added or found.changed or found.removed)
        if is_head_new or not has_differences:
            self._note(ChangeKind.UPDATED, incident_id, labels_before, labels)
        elif labels_before != labels:
            # Not updated: those who see it before and after would hear of an alert that is hidden from them.
            self._note(ChangeKind.VISIBILITY_CHANGED, incident_id, labels_before, labels)
        if not has_differences:
            return
        earlier, now = before.labels_of_alerts(), after.labels_of_alerts()
        # A changed one also where it was visible: it may have left the view of those who still see the incident.
        told = (
            *((ChangeKind.ALERT_ADDED, each, now[each]) for each in found.added),
            *((ChangeKind.ALERT_CHANGED, each, now[each] | earlier[each]) for each in found.changed),
            *((ChangeKind.REMOVED, each, earlier[each]) for each in found.removed),
        )
        # Behind the change of the incident it is visible as it is now.
        for kind, alert_id, visible in told:
            self._note(kind, incident_id, labels, labels, alert=(alert_id, visible))

    def _note(
        self,
        kind: ChangeKind,
        incident_id: int,
        before: Labels | None,
        after: Labels | None,
        *,
        alert: tuple[str | None, Labels] | None = None,
        is_of_head: bool = False,
    ) -> None:
        alert_id, alert_visible = alert or (None, None)
        self._changes.append(
            NewChange(
                kind=kind,
                incident_id=incident_id,
                alert_id=alert_id,
                visible_before=before,
                visible_after=after,
                alert_visible=alert_visible,
                is_of_head=is_of_head,
            )
        )

    async def _record(self, incident_id: int, action: str, changes: Mapping[str, Any]) -> None:
        context = self._audit_context
        await self._session.run(
            "add_history",
            {
                **key_of(self._tenant_id, incident_id),
                "actor": context.actor,
                "request_id": context.request_id,
                "at": context.at,
                "action": action,
                "changes": lossless.encode(changes).decode(),
            },
        )
