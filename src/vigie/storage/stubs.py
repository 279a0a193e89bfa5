"""The visibility of stubs: that of the incident at the end of their redirects, over as many others as there are.

It is written into the stub itself and into its labels whenever either end of a redirect is written, so that reading
follows no redirect. Redirects that lead nowhere, or around in a circle, make nothing visible.
"""

from msgspec.structs import replace

from vigie.core.changes import ChangeKind, NewChange
from vigie.core.incident import StoredIncident, decode_spans, inheriting, visibility_of
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session, Values
from vigie.storage.visibility import label_set, labels_on


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
    removed: list[Values] = []
    added: list[Values] = []
    changed: list[Values] = []
    changes: list[NewChange] = []
    for incident_id, status, assigned_to, created_at, last_update_at, before in stubs:
        row = {**key, "incident_id": incident_id, "last_update_at": last_update_at}
        more = {"status": status, "assigned_to": assigned_to, "created_at": created_at}
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
        removed += [{**row, "label": label} for label in labels_on(decode_spans(before))]
        added += [{**row, **more, "label": label} for label in labels_on(decode_spans(after))]
        changed.append({**row, "spans": after})
    await session.run_many("remove_visibility", removed)
    await session.run_many("add_visibility", added)
    await session.run_many("put_spans", changed)
    return changes
