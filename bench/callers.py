"""The callers of a store: their tokens, and what a peer must know to accept them too."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from bench.stores import AUDIENCE, SCOPE, TENANT, Store, settings_of
from vigie.core.access import DeviceGroupLabel
from vigie.core.instants import TICKS_PER_SECOND
from vigie.identity.tokens.access_tokens import TokenRequest, issue_token, issuer_of
from vigie.identity.tokens.issuance import application_token_request, user_token_request
from vigie.runtime.clock import now
from vigie.runtime.installation import Installation, opened

_LIFETIME_SECONDS = 86_400


def tokens_file(store: Store, kind: str, *, tenant: str = TENANT, count: int = 1) -> Path:
    """A file with tokens of one kind of caller: `application`, `whole` or `scoped` user, `readers` (one each)."""
    path = store.folder / f"tokens-{kind}-{tenant}-{count}.txt"
    tokens = asyncio.run(_tokens(store, kind, tenant, count))
    path.write_text("\n".join(tokens) + "\n", encoding="ascii")
    return path


def first_token(path: Path) -> str:
    """The first token of a file."""
    return path.read_text(encoding="ascii").partition("\n")[0]


async def _tokens(store: Store, kind: str, tenant: str, count: int) -> list[str]:
    async with opened(settings_of(store), create=False) as installation:
        requests = [await _token_request(installation, kind, tenant, number) for number in range(count)]
        key, now_seconds = (await installation.keys().load_or_create()).current, now() // TICKS_PER_SECOND
    return [
        issue_token(request, key, now_seconds=now_seconds, lifetime_seconds=_LIFETIME_SECONDS)
        for request in requests
    ]


async def _token_request(installation: Installation, kind: str, tenant: str, number: int) -> TokenRequest:
    directory = installation.directory
    owner, issuer = await directory.get_tenant(tenant), await installation.issuer()
    if kind in ("whole", "scoped"):
        user = await directory.get_user(owner, f"{kind}@{tenant}")
        return user_token_request(issuer, owner, user, AUDIENCE, ("Incident.Read",))
    name = f"reader-{number}" if kind == "readers" else "application"
    application = await directory.get_application(owner, name)
    return application_token_request(issuer, owner, application, AUDIENCE, installation.audiences())


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a peer must know to accept the same tokens: issuer, tenant, key, and the callers with their groups."""

    issuer: str
    tenant_guid: str
    public_key: bytes
    callers: dict[str, list[DeviceGroupLabel] | None]


def trust_of(store: Store) -> Trust:
    """The trust of a store's tenant."""
    return asyncio.run(_trust_of(store))


async def _trust_of(store: Store) -> Trust:
    async with opened(settings_of(store), create=False) as installation:
        directory = installation.directory
        tenant = await directory.get_tenant(TENANT)
        application = await directory.get_application(tenant, "application")
        whole, scoped = [await directory.get_user(tenant, f"{kind}@{TENANT}") for kind in ("whole", "scoped")]
        groups = sorted(SCOPE, key=str)
        return Trust(
            issuer=issuer_of(await installation.issuer(), tenant.guid),
            tenant_guid=tenant.guid,
            public_key=(await installation.keys().load_or_create()).current.pair.as_pem(private=False),
            callers={application.client_id: None, whole.object_id: None, scoped.object_id: groups},
        )
