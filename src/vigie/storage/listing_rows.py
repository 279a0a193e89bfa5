"""The row of each incident that lists read, and the numbers of the label sets that these rows refer to.

A distinct set of labels is stored once and has a number, so that an incident has one row however many device groups
it is visible to, and an update changes that row in place.
"""

from collections.abc import Mapping
from typing import Any

from vigie.core.changes import Labels
from vigie.storage.database import Session, Values
from vigie.storage.visibility import labels_text


async def add_listing(session: Session, incident: Mapping[str, Any], labels: Labels) -> None:
    """Add the row of an incident, given its columns and the labels under which scoped callers find it."""
    values = {**incident, "labels": labels_text(labels)}
    # One statement where the set is known, as nearly all are.
    if not await session.run("add_listing", values):
        await _add_visibility(session, values, labels)
        await session.run("add_listing", values)


async def move_listing(session: Session, incident: Values) -> None:
    """Move the row of an incident to where its new status, assignee and last update are."""
    await session.run("move_listing", incident)


async def remove_listing(session: Session, key: Values) -> None:
    """Remove the row of an incident that is still there."""
    await session.run("remove_listing", key)


async def forget_unused_sets(session: Session, tenant_id: int) -> None:
    """Remove the label sets that no incident has any more, so that scoped lists do not look for them."""
    await session.run("remove_unused_visibility_labels", {"tenant_id": tenant_id})
    await session.run("remove_unused_visibility", {"tenant_id": tenant_id})


async def _add_visibility(session: Session, values: Values, labels: Labels) -> None:
    await session.run("add_visibility", values)
    await session.run_many("add_visibility_label", [{**values, "label": label} for label in labels])
