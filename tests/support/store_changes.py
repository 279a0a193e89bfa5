"""Changes of incidents made through the store, past the application and its rules."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from vigie.core.instants import Instant
from vigie.core.update import Update
from vigie.documents.defender.updating import updated
from vigie.storage.incident_transaction import IncidentTransaction


def updating(
    incident_id: int, update: Update, at: Instant
) -> Callable[[IncidentTransaction], Awaitable[None]]:
    """A change that nobody is too little for."""

    async def change(transaction: IncidentTransaction) -> None:
        row = await transaction.find(incident_id)
        if row is None:
            return
        split = row.split()
        # As the application does: no update makes an incident of what was merged into another.
        if split.head["status"] == "Redirected":
            return
        moment = await transaction.moment_after(at)
        after = replace(split, head=updated(split.head, update, at=moment, author="tests"))
        await transaction.put_head(incident_id, row, split, after, moment)

    return change
