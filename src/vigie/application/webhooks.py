"""The webhooks of a tenant, as administrators add them."""

import secrets
from collections.abc import Callable, Iterable

from vigie.core.changes import ChangeKind
from vigie.core.directory import Tenant
from vigie.core.instants import Instant
from vigie.core.webhook_urls import Networks, check_webhook_url, host_of
from vigie.core.webhooks import Webhook, WebhookProgress
from vigie.storage.webhooks import WebhookStore
from vigie.webhooks.signing import new_secret

_ID_BYTES = 12


async def add_webhook(
    store: WebhookStore,
    tenant: Tenant,
    url: str,
    *,
    name: str | None,
    kinds: Iterable[ChangeKind],
    severities: Iterable[str],
    allows_private: bool,
    private: Networks,
    encrypt: Callable[[str], str],
    at: Instant,
) -> tuple[Webhook, str]:
    """Add a webhook, named after its host unless told otherwise; with the secret, which is not shown again.

    Raises InvalidWebhookUrl, or DirectoryError for a name that is taken.
    """
    check_webhook_url(url, allows_private=allows_private, private=private)
    secret = new_secret()
    webhook = Webhook(
        tenant_id=tenant.tenant_id,
        tenant_guid=tenant.guid,
        webhook_id=f"wh_{secrets.token_hex(_ID_BYTES)}",
        name=name if name is not None else host_of(url),
        url=url,
        kinds=frozenset(kinds),
        severities=frozenset(severities),
        allows_private=allows_private,
        encrypted_secret=encrypt(secret),
        created_at=at,
        progress=WebhookProgress(position=0),
    )
    await store.add(tenant, webhook)
    return webhook, secret
