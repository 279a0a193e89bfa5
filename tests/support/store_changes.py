"""Changes of incidents made through the store, past the application and its rules."""

from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from vigie.core.audit import AuditContext
from vigie.core.update import Update
from vigie.documents.defender.updating import updated
from vigie.storage.incident_transaction import IncidentTransaction


def updating(update: Update, audit_context: AuditContext) -> Callable[[IncidentTransaction], Awaitable[None]]:
    """A change that nobody is too little for."""

    async def change(transaction: IncidentTransaction) -> None:
        row = await transaction.find()
        if row is None:
            return
        split = row.split()
        # As the application does: no update makes an incident of what was merged into another.
        if split.head["status"] == "Redirected":
            return
        at = await transaction.moment_after(audit_context.at)
        after = replace(split, head=updated(split.head, update, at=at, author="tests"))
        await transaction.put_head(row, split, after, audit_context, at)

    return change
