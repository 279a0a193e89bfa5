"""The visibility of stubs: that of the incident at the end of their redirects, over as many others as there are.

It is written into the stub itself and its listing whenever either end of a redirect is written, so that reading
follows no redirect. Redirects that lead nowhere, or around in a circle, make nothing visible.
"""

from msgspec.structs import replace

from vigie.core.changes import ChangeKind, NewChange
from vigie.core.incident import StoredIncident, decode_spans, inheriting, visibility_of
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session, Values
from vigie.storage.listing_rows import add_listing, remove_listing
from vigie.storage.visibility import label_set


async def with_inherited_visibility(
    session: Session, tenant_id: int, incident: StoredIncident
) -> StoredIncident:
    """An incident about to be written: a stub gets the visibility that its target has now."""
    if incident.redirect_incident_id is None:
        return incident
    key = {"tenant_id": tenant_id, "incident_id": incident.incident_id}
    row = await session.row("end_of_redirects", {**key, "target": incident.redirect_incident_id})
    with unavailable_when_damaged():
        visibility = visibility_of(decode_spans(row[0])) if row else ()
    return replace(incident, spans=inheriting(incident.spans, visibility))


async def propagate_visibility(session: Session, key: Values, spans: bytes | None) -> list[NewChange]:
    """Give the visibility of an incident to all stubs that lead to it; `spans` is None for one that was removed.

    The changes of those that are visible to others now.
    """
    if await session.row("stub_leading_to", key) is None:
        return []
    stubs = await session.rows("stubs_leading_to", key)
    visibility = () if spans is None else visibility_of(decode_spans(spans))
    changes: list[NewChange] = []
    for incident_id, status, assigned_to, created_at, last_update_at, before in stubs:
        stub = {**key, "incident_id": incident_id}
        times = {"created_at": created_at, "last_update_at": last_update_at}
        with unavailable_when_damaged():
            after = inheriting(before, visibility)
            labels_before, labels_after = label_set(decode_spans(before)), label_set(decode_spans(after))
        if labels_before != labels_after:
            changes.append(
                NewChange(
                    kind=ChangeKind.VISIBILITY_CHANGED,
                    incident_id=incident_id,
                    visible_before=labels_before,
                    visible_after=labels_after,
                )
            )
        await session.run("put_spans", {**stub, "spans": after})
        await remove_listing(session, stub)
        columns = {**stub, **times, "status": status, "assigned_to": assigned_to}
        await add_listing(session, columns, labels_after)
    return changes
