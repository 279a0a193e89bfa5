"""The commands `vigie webhook add`, `list`, `retry` and `remove`."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    emit_rows,
    opened_tenant,
)
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.core.changes import ChangeKind
from vigie.core.enums import Severity
from vigie.core.instants import Instant, format_instant
from vigie.core.letter_case import lowered

if TYPE_CHECKING:
    from enum import StrEnum

    from vigie.core.webhooks import Webhook

WebhookReference = Annotated[str, Parameter(help="Webhook: its name or id.")]

_COLUMNS = ("name", "state", "position", "behind", "last_delivery", "failing_since", "last_error", "url")


_ALLOWS_NOTHING = (
    "--allow-private allows nothing, because [webhooks] private_addresses is empty; set it to the addresses that "
    "webhooks may lead to"
)


async def add_webhook(
    url: Annotated[str, Parameter(help="URL that deliveries are posted to, https://host[:port]/path.")],
    /,
    *,
    tenant: TenantOption,
    kind: Annotated[
        tuple[str, ...], Parameter(metavar="KIND...", help="Only this kind of change; may be repeated.")
    ] = (),
    severity: Annotated[
        tuple[str, ...],
        Parameter(metavar="SEVERITY...", help="Only incidents of this severity; may be repeated."),
    ] = (),
    name: Annotated[str | None, Parameter(metavar="NAME", help="Its name; default: the host.")] = None,
    allow_private: Annotated[
        bool, Parameter(help="Allow the addresses in [webhooks] private_addresses, and http:// to them.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Add a webhook and print its signing secret once."""
    from vigie.application import webhooks
    from vigie.core.webhook_urls import InvalidWebhookUrl
    from vigie.runtime.clock import now

    kinds = [ChangeKind(_member(ChangeKind, "--kind", each)) for each in kind]
    severities = [_member(Severity, "--severity", each) for each in severity]
    async with opened_tenant(common, tenant) as (installation, found):
        private = installation.settings.webhooks.private_networks
        if allow_private and not private:
            raise CommandFailed(_ALLOWS_NOTHING)
        try:
            webhook, secret = await webhooks.add_webhook(
                installation.webhooks,
                found,
                url,
                name=name,
                kinds=kinds,
                severities=severities,
                allows_private=allow_private,
                private=private,
                encrypt=lambda text: installation.webhook_encryption(create=True).encrypt(text),
                at=now(),
            )
        except InvalidWebhookUrl as error:
            raise WrongUsage(str(error)) from error
    print_status(
        "the secret is shown only once: give it to the receiver, which checks the signatures with it"
    )
    emit_fields(common, _shown(common, {**_definition(webhook), "secret": secret}))


async def list_webhooks(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the webhooks of a tenant and how far their deliveries have come."""
    async with opened_tenant(common, tenant) as (installation, found):
        latest = await installation.change_feed.latest(found.tenant_id)
        rows = [_fields(each, latest) for each in await installation.webhooks.webhooks(found)]
    emit_rows(common, _COLUMNS, rows, fold="last_error")


async def retry_webhook(
    webhook: WebhookReference,
    /,
    *,
    tenant: TenantOption,
    from_now: Annotated[
        bool, Parameter(help="Leave out the changes that have not been delivered so far.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Deliver to a webhook again at once, also to one that was given up."""
    async with opened_tenant(common, tenant) as (installation, found):
        chosen = await installation.webhooks.get(found, webhook)
        await installation.webhooks.resume(chosen, from_now=from_now)
        latest = await installation.change_feed.latest(found.tenant_id)
        resumed = await installation.webhooks.get(found, chosen.webhook_id)
    emit_fields(common, _shown(common, _fields(resumed, latest)))


async def remove_webhook(
    webhook: WebhookReference,
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove a webhook; a delivery that is under way is its last."""
    async with opened_tenant(common, tenant) as (installation, found):
        chosen = await installation.webhooks.get(found, webhook)
        confirm(f"Remove webhook {chosen.name} from {found.name}?", yes=yes)
        await installation.webhooks.remove(chosen)
    emit_done(common, f"removed webhook {chosen.name}")


def _member(words: "type[StrEnum]", option: str, text: str) -> str:
    """A word of an option in its usual letter case. Raises WrongUsage."""
    for word in words:
        if lowered(word.value) == lowered(text):
            return word.value
    raise WrongUsage(f"{option}: {text[:60]!r} is not allowed; allowed: {', '.join(words)}")


def _definition(webhook: "Webhook") -> dict[str, object]:
    return {
        "id": webhook.webhook_id,
        "name": webhook.name,
        "url": webhook.url,
        "kinds": sorted(webhook.kinds),
        "severities": sorted(webhook.severities),
        "allow_private": webhook.allows_private,
    }


def _fields(webhook: "Webhook", latest: int) -> dict[str, object]:
    progress = webhook.progress
    is_failing = progress.failing_since is not None and progress.state == "active"
    return {
        **_definition(webhook),
        "state": "failing" if is_failing else progress.state.value,
        "position": progress.position,
        "behind": max(0, latest - progress.position),
        "last_delivery": _time(progress.last_delivery_at),
        "failing_since": _time(progress.failing_since),
        "failures": progress.failures,
        "next_attempt": _time(progress.next_try_at) if is_failing else None,
        "last_error": progress.last_error or None,
        "missed_changes": _time(progress.missed_at),
    }


def _shown(common: Common, fields: dict[str, object]) -> dict[str, object]:
    """The fields for people: what is not limited says so."""
    if common.json:
        return fields
    return {**fields, **{name: fields[name] or "all" for name in ("kinds", "severities")}}


def _time(at: Instant | None) -> str | None:
    return None if at is None else format_instant(at)
