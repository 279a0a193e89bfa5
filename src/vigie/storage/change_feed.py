"""The change feed: every change has a number, given in its own transaction; consumers follow the numbers."""

from collections.abc import Iterable

from vigie.core.audit import AuditContext
from vigie.core.changes import Change, ChangeKind, NewChange
from vigie.core.errors import ChangesGone
from vigie.core.instants import Instant
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Database, Row, Session
from vigie.storage.visibility import decode_labels, encode_labels

_PRUNED_COUNT = 1_000
_HELD_COUNT_MAX = 1_000
"""Changes that wait for their numbers: an import of everything in one transaction must not fill the memory."""


class ChangeFeed:
    """The changes of every tenant, in the order in which they were committed: numbers only grow."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self, tenant_id: int) -> int:
        """The number of the last change; 0 when there was none yet."""
        row = await self._database.row("latest_change", {"tenant_id": tenant_id})
        return row[0] if row else 0

    async def first(self, tenant_id: int) -> int:
        """The number of the oldest change that is kept, or of the next one."""
        row = await self._database.row("latest_change", {"tenant_id": tenant_id})
        return row[1] if row else 1

    async def changes_after(self, tenant_id: int, after: int, limit: int) -> list[Change]:
        """At most `limit` changes behind a number, in order.

        Raises ChangesGone when any of them is not kept any more.
        """
        rows = await self._database.rows(
            "changes_after", {"tenant_id": tenant_id, "after": after, "count": limit}
        )
        # After the changes were read: what is removed meanwhile must not go unnoticed.
        if after + 1 < (first := await self.first(tenant_id)):
            raise ChangesGone(first)
        with unavailable_when_damaged():
            return [_change(row) for row in rows]

    async def position(self, tenant_id: int, consumer: str) -> int | None:
        """How far a consumer has come; None for one that has not begun."""
        row = await self._database.row("consumer_position", {"tenant_id": tenant_id, "name": consumer})
        return row[0] if row else None

    async def advance(self, tenant_id: int, consumer: str, before: int | None, after: int) -> bool:
        """Note that a consumer has come so far; False when another process was there first.

        `before` is where it was, None for one that has not begun.
        """

        async def change(session: Session) -> bool:
            return await advance(session, tenant_id, consumer, before, after)

        return await self._database.write(change)

    async def remove_consumer(self, tenant_id: int, consumer: str) -> None:
        """Forget how far a consumer has come."""

        async def change(session: Session) -> None:
            await session.run("remove_consumer", {"tenant_id": tenant_id, "name": consumer})

        await self._database.write(change)

    async def prune(self, tenant_id: int, before: Instant) -> int:
        """Remove the oldest changes from before a moment, a few at a time so that others can write too."""
        values = {"tenant_id": tenant_id, "before": before, "count": _PRUNED_COUNT}

        async def change(session: Session) -> int:
            row = await session.row("some_changes_before", values)
            if row is None or row[0] is None:
                return 0
            key = {"tenant_id": tenant_id, "number": row[0]}
            await session.run("keep_changes_after", key)
            return await session.run("remove_changes", key)

        total = 0
        while removed := await self._database.write(change):
            total += removed
        return total


async def advance(session: Session, tenant_id: int, consumer: str, before: int | None, after: int) -> bool:
    """As `ChangeFeed.advance`, in the transaction of what the consumer has made of the changes."""
    values = {"tenant_id": tenant_id, "name": consumer, "position": after}
    if before is None:
        return await session.run("add_consumer", values) == 1
    return await session.run("advance_consumer", {**values, "before": before}) == 1


async def record(
    session: Session,
    tenant_id: int,
    changes: Iterable[NewChange],
    audit_context: AuditContext,
    *,
    last_update_at: Instant,
) -> None:
    """Add changes to the feed. They get their numbers at the end of the transaction, with all others in it.

    `last_update_at` is the last update that readers may see because of them: those to come are later.
    """
    columns = [_columns(change, audit_context) for change in changes]
    if not columns:
        return
    entries = _entries_of(session, tenant_id)
    entries.columns += columns
    entries.last_update_at = max(entries.last_update_at, last_update_at)
    if len(entries.columns) >= _HELD_COUNT_MAX:
        await entries.write(session)


async def moment_after(session: Session, tenant_id: int, at: Instant) -> Instant:
    """The moment of an update: `at`, or later.

    It is after every moment that a reader can have seen in the tenant, so that a client that asks for what is newer
    misses nothing, even when a clock steps back.
    """
    entries = _entries_of(session, tenant_id)
    if not entries.is_read:
        latest = await session.row("latest_change", {"tenant_id": tenant_id})
        entries.last_update_at = max(entries.last_update_at, latest[2] if latest else Instant(0))
        entries.is_read = True
    return Instant(max(at, entries.last_update_at + 1))


class _Entries:
    """What a transaction adds to a tenant's feed, and the last update: also that of the feed, once `is_read`."""

    def __init__(self, tenant_id: int) -> None:
        self._tenant_id = tenant_id
        self.columns: list[dict[str, object]] = []
        self.last_update_at = Instant(0)
        self.is_read = False

    async def write(self, session: Session) -> None:
        """Number the changes and write them."""
        if not self.columns:
            return
        columns, self.columns = self.columns, []
        key = {"tenant_id": self._tenant_id}
        counted = await session.row(
            "count_changes", {**key, "count": len(columns), "last_update_at": self.last_update_at}
        )
        if counted is None:
            raise RuntimeError("a change was not given a number")
        first = counted[0] - len(columns) + 1
        await session.run_many(
            "add_change",
            [{**key, "number": number, **each} for number, each in enumerate(columns, start=first)],
        )


def _entries_of(session: Session, tenant_id: int) -> _Entries:
    entries = session.deferred.get((_Entries, tenant_id))
    if not isinstance(entries, _Entries):
        entries = session.deferred[_Entries, tenant_id] = _Entries(tenant_id)
    return entries


def _columns(change: NewChange, audit_context: AuditContext) -> dict[str, object]:
    return {
        "actor": audit_context.actor,
        "request_id": audit_context.request_id,
        "at": audit_context.at,
        "kind": change.kind,
        "incident_id": change.incident_id,
        "alert_id": change.alert_id,
        "visible_before": encode_labels(change.visible_before),
        "visible_after": encode_labels(change.visible_after),
        "alert_visible": encode_labels(change.alert_visible),
        "is_of_head": int(change.is_of_head),
    }


def _change(row: Row) -> Change:
    number, at, kind, incident_id, alert_id, actor, request_id, before, after, alert, is_of_head = row
    return Change(
        number=number,
        at=at,
        kind=ChangeKind(kind),
        incident_id=incident_id,
        alert_id=alert_id,
        actor=actor,
        request_id=request_id,
        visible_before=decode_labels(before),
        visible_after=decode_labels(after),
        alert_visible=decode_labels(alert),
        is_of_head=bool(is_of_head),
    )
