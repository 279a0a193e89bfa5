"""The callers of a store: their tokens, and what a peer must know to accept them too."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.stores import AUDIENCE, SCOPE, TENANT, Store, settings_of
from vigie.core.access import DeviceGroupLabel
from vigie.core.instants import TICKS_PER_SECOND
from vigie.identity.keys.key_ring import SigningKey
from vigie.identity.tokens.access_tokens import TokenRequest, issue_token, issuer_of
from vigie.identity.tokens.issuance import application_token_request
from vigie.runtime.clock import now
from vigie.runtime.installation import Installation, opened

_LIFETIME_SECONDS = 86_400


def token_file(store: Store, kind: str = "application", *, tenant: str = TENANT) -> Path:
    """A file with a token from the store's program, for the `application`, or the `whole` or `scoped` user."""
    path = store.folder / f"token-{kind}-{tenant}.txt"
    if not path.exists() or path.stat().st_mtime < time.time() - _LIFETIME_SECONDS / 2:
        caller = ("--app", kind) if kind == "application" else ("--user", f"{kind}@{tenant}")
        path.write_text(
            store.run("token", *caller, "--tenant", tenant, "--lifetime", _LIFETIME_SECONDS), encoding="ascii"
        )
    return path


def tokens_file(store: Store, kind: str, count: int) -> Path:
    """A file with many tokens at once: all of the `application`, or one of each of so many `readers`."""
    path = store.folder / f"tokens-{kind}-{count}.txt"
    tokens = asyncio.run(_tokens(store, kind, count))
    path.write_text("\n".join(tokens) + "\n", encoding="ascii")
    return path


def first_token(path: Path) -> str:
    """The first token of a file."""
    return path.read_text(encoding="ascii").partition("\n")[0]


async def _tokens(store: Store, kind: str, count: int) -> list[str]:
    async with opened(settings_of(store), create=False) as installation:
        requests = [await _token_request(installation, kind, number) for number in range(count)]
        key, now_seconds = (await installation.keys().load_or_create()).current, now() // TICKS_PER_SECOND
    return [
        issue_token(request, key, now_seconds=now_seconds, lifetime_seconds=_LIFETIME_SECONDS)
        for request in requests
    ]


async def _token_request(installation: Installation, kind: str, number: int) -> TokenRequest:
    directory = installation.directory
    tenant, issuer = await directory.get_tenant(TENANT), await installation.issuer()
    name = f"reader-{number}" if kind == "readers" else kind
    application = await directory.find_application(tenant, name)
    if application is None:
        application, _ = await directory.add_application(tenant, name, ("Incident.Read.All",))
    return application_token_request(issuer, tenant, application, AUDIENCE, installation.audiences())


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
            public_key=_pem_of((await installation.keys().load_or_create()).current),
            callers={application.client_id: None, whole.object_id: None, scoped.object_id: groups},
        )


def _pem_of(key: SigningKey) -> bytes:
    return key.pair.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
