"""The webhooks of every tenant, how far each has come, and which server has the turn to deliver."""

from collections.abc import Iterable
from shlex import quote

import msgspec

from vigie.core.changes import ChangeKind
from vigie.core.directory import DirectoryError, Tenant
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.webhooks import Webhook, WebhookProgress, WebhookState
from vigie.storage.database import Database, Row, Session
from vigie.storage.directory.names import check_name

# Far longer than any turn, and than clocks of servers differ: one that ends later was written by a clock that has
# been set back since.
_LEASE_TICKS_MAX = 600 * TICKS_PER_SECOND

_PROGRESS_AT = 8
"""Where the columns of the progress begin."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The turn of one server with one webhook. `name` is known to no other."""

    tenant_id: int
    webhook_id: str
    name: str

    @property
    def key(self) -> dict[str, object]:
        """How statements name it."""
        return {"tenant_id": self.tenant_id, "webhook_id": self.webhook_id, "lease": self.name}


class WebhookStore:
    """Adds, finds and removes webhooks, and keeps their progress."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tenant: Tenant, webhook: Webhook) -> None:
        """Add a webhook, for what changes from now on. Raises DirectoryError for a name that is taken."""
        check_name("webhook", webhook.name)
        values = {
            "tenant_id": tenant.tenant_id,
            "webhook_id": webhook.webhook_id,
            "name": webhook.name,
            "url": webhook.url,
            "kinds": _words(webhook.kinds),
            "severities": _words(webhook.severities),
            "allows_private": int(webhook.allows_private),
            "secret": webhook.encrypted_secret,
            "created_at": webhook.created_at,
        }

        async def change(session: Session) -> None:
            rows = await session.rows("webhooks", {"tenant_id": tenant.tenant_id})
            if any(webhook.name == name for _, name, *_ in rows):
                raise DirectoryError(
                    f"there is already a webhook {webhook.name!r} in {tenant.name}; choose another with --name"
                )
            position = await _latest_number(session, tenant.tenant_id)
            await session.run("add_webhook", {**values, "position": position})

        await self._database.write(change)

    async def webhooks(self, tenant: Tenant) -> list[Webhook]:
        """The webhooks of a tenant, by name."""
        rows = await self._database.rows("webhooks", {"tenant_id": tenant.tenant_id})
        return [_webhook(tenant.tenant_id, tenant.guid, row) for row in rows]

    async def get(self, tenant: Tenant, reference: str) -> Webhook:
        """A webhook by its id or name. Raises DirectoryError when there is none."""
        for webhook in await self.webhooks(tenant):
            if reference in (webhook.webhook_id, webhook.name):
                return webhook
        raise DirectoryError(
            f"there is no webhook {reference!r} in {tenant.name}; "
            f"`vigie webhook list --tenant {quote(tenant.name)}` shows them"
        )

    async def remove(self, webhook: Webhook) -> None:
        """Remove a webhook; a delivery that is under way is the last."""
        key = {"tenant_id": webhook.tenant_id, "webhook_id": webhook.webhook_id}

        async def change(session: Session) -> None:
            await session.run("remove_webhook", key)

        await self._database.write(change)

    async def resume(self, webhook: Webhook, *, from_now: bool) -> None:
        """Deliver again, without waiting: from where it stopped, or only what changes from now on."""
        key = {"tenant_id": webhook.tenant_id, "webhook_id": webhook.webhook_id}

        async def change(session: Session) -> None:
            latest = await _latest_number(session, webhook.tenant_id)
            position = latest if from_now else webhook.progress.position
            await session.run("resume_webhook", {**key, "position": position})

        await self._database.write(change)

    async def due(self, now: Instant, count: int) -> list[tuple[int, str]]:
        """Tenant and id of webhooks that have changes and no server that delivers them, longest waiting first."""
        values = {"now": now, "latest_until": now + _LEASE_TICKS_MAX, "count": count}
        return [(row[0], row[1]) for row in await self._database.rows("due_webhooks", values)]

    async def take(self, lease: Lease, now: Instant, until: Instant) -> Webhook | None:
        """Take the turn with a webhook until a moment; None when another server was there first."""

        async def change(session: Session) -> Row | None:
            moments = {"now": now, "until": until, "latest_until": now + _LEASE_TICKS_MAX}
            if not await session.run("lease_webhook", {**lease.key, **moments}):
                return None
            return await session.row("leased_webhook", lease.key)

        row = await self._database.write(change)
        return None if row is None else _webhook(lease.tenant_id, row[0], row[1:])

    async def save(self, lease: Lease, progress: WebhookProgress, until: Instant) -> bool:
        """Keep the progress, and the turn until a moment; False when the turn is lost or the webhook removed."""
        values = {
            "position": progress.position,
            "state": progress.state.value,
            "failures": progress.failures,
            "failing_since": progress.failing_since,
            "next_try_at": progress.next_try_at,
            "last_delivery_at": progress.last_delivery_at,
            "last_error": progress.last_error,
            "missed_at": progress.missed_at,
            "until": until,
        }

        async def change(session: Session) -> bool:
            return await session.run("save_webhook_progress", {**lease.key, **values}) == 1

        return await self._database.write(change)

    async def release(self, lease: Lease) -> None:
        """Let other servers have the turn."""

        async def change(session: Session) -> None:
            await session.run("release_webhook", lease.key)

        await self._database.write(change)

    async def severity_of(self, tenant_id: int, incident_id: int) -> str | None:
        """The severity of an incident as it is now; None when it has none, or is gone."""
        key = {"tenant_id": tenant_id, "incident_id": incident_id}
        row = await self._database.row("incident_severity", key)
        return None if row is None else row[0]


async def _latest_number(session: Session, tenant_id: int) -> int:
    row = await session.row("latest_change", {"tenant_id": tenant_id})
    return int(row[0]) if row else 0


def _words(values: Iterable[str]) -> str:
    return " ".join(sorted(values))


def _webhook(tenant_id: int, tenant_guid: str, row: Row) -> Webhook:
    webhook_id, name, url, kinds, severities, allows_private, secret, created_at = row[:_PROGRESS_AT]
    return Webhook(
        tenant_id=tenant_id,
        tenant_guid=tenant_guid,
        webhook_id=webhook_id,
        name=name,
        url=url,
        kinds=frozenset(map(ChangeKind, kinds.split())),
        severities=frozenset(severities.split()),
        allows_private=bool(allows_private),
        encrypted_secret=secret,
        created_at=created_at,
        progress=_progress(row[_PROGRESS_AT:]),
    )


def _progress(row: Row) -> WebhookProgress:
    position, state, failures, failing_since, next_try_at, last_delivery_at, last_error, missed_at = row
    return WebhookProgress(
        position=position,
        state=WebhookState(state),
        failures=failures,
        failing_since=failing_since,
        next_try_at=next_try_at,
        last_delivery_at=last_delivery_at,
        last_error=last_error,
        missed_at=missed_at,
    )
