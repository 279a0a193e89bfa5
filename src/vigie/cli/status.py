"""The command `vigie status`: the state of the database, the keys, the server and the tenants."""

import asyncio
import http.client
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vigie import __version__
from vigie.cli.common import PLAIN, Common, counted, emit, opened
from vigie.cli.output import one_line
from vigie.config.settings import Settings, SettingsError
from vigie.core.access import WHOLE_TENANT
from vigie.core.errors import QueryTooSlow
from vigie.core.queries import PageRequest

if TYPE_CHECKING:
    from vigie.application.incidents import IncidentService
    from vigie.core.directory import Tenant
    from vigie.runtime.installation import Installation

_ANSWER_SECONDS = 5


async def status(*, common: Common = PLAIN) -> None:
    """Show the state of the installation; the server is queried at the public URL of the settings."""
    from vigie.storage.statements import schema_version

    async with opened(common, create=False) as installation:
        settings = installation.settings
        value: dict[str, Any] = {
            "version": __version__,
            "database": {
                "place": settings.database.place,
                "schema": schema_version("postgres" if settings.database.is_shared else "sqlite"),
            },
            "issuer": await _issuer(installation),
            "keys": await _keys(installation),
            "server": await asyncio.to_thread(_server, settings),
            "tenants": await _tenants(installation),
        }
    emit(common, value, lines=map(one_line, _lines(value)))


async def _issuer(installation: "Installation") -> str | None:
    """The issuer in effect; None where no tokens are issued, or none is set yet."""
    identity = installation.settings.identity
    if not identity.issues_tokens:
        return None
    return identity.issuer or await installation.directory.find_issuer()


async def _keys(installation: "Installation") -> dict[str, object] | None:
    """The place of the keys and the signing key, or the problem; None where no keys are used."""
    from vigie.files.errors import KeyFileError
    from vigie.files.trust import UntrustedFile
    from vigie.identity.keys.key_store import find_ring
    from vigie.runtime.clock import now

    settings = installation.settings
    if not settings.identity.issues_tokens:
        return None
    place = "the database" if settings.keys.secret_file else str(installation.key_file)
    try:
        ring = await find_ring(installation.keys())
    except (KeyFileError, UntrustedFile, SettingsError) as error:
        return {"place": place, "signs": None, "accepted": 0, "problem": str(error)}
    accepted = 0 if ring is None else len(ring.accepted(now()))
    return {"place": place, "signs": ring and ring.current.kid, "accepted": accepted, "problem": None}


def _server(settings: Settings) -> dict[str, object]:
    """Whether a server answers at the public URL, and is ready."""
    from vigie.runtime.installation import public_url_of

    url = public_url_of(settings)
    try:
        with closing(_connection(url, settings)) as connection:
            connection.request("GET", "/readyz")
            ready = connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return {"url": url, "reachable": False, "ready": False, "problem": reason}
    return {"url": url, "reachable": True, "ready": ready, "problem": None}


def _connection(url: str, settings: Settings) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.netloc, timeout=_ANSWER_SECONDS)
    context = ssl.create_default_context()
    authority = settings.certificates_folder / "ca.pem"
    if settings.tls.makes_its_own and authority.exists():
        context.load_verify_locations(authority)
    return http.client.HTTPSConnection(parts.netloc, timeout=_ANSWER_SECONDS, context=context)


async def _tenants(installation: "Installation") -> list[dict[str, object]]:
    directory = installation.directory
    incident_service = installation.incident_service()
    return [
        {
            "id": tenant.guid,
            "name": tenant.name,
            "incidents": await _count(incident_service, tenant),
            "applications": len(await directory.applications(tenant)),
            "users": len(await directory.users(tenant)),
        }
        for tenant in await directory.tenants()
    ]


async def _count(incident_service: "IncidentService", tenant: "Tenant") -> int | None:
    """The number of incidents; None where counting them takes too long."""
    from vigie.runtime.clock import now

    request = PageRequest(top=1, count=True)
    try:
        async with incident_service.list_incidents(tenant.tenant_id, WHOLE_TENANT, request, now()) as page:
            return page.count
    except QueryTooSlow:
        return None


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    database, keys, server = value["database"], value["keys"], value["server"]
    yield f"version   {value['version']}"
    yield f"database  {database['place']}, schema {database['schema']}"
    yield f"issuer    {value['issuer'] or 'none'}"
    yield f"keys      {_keys_text(keys) if keys else 'not used'}"
    yield f"server    {server['url']} {_server_text(server)}"
    for tenant in value["tenants"]:
        incidents = "too many incidents to count"
        if tenant["incidents"] is not None:
            incidents = counted(tenant["incidents"], "incident")
        yield (
            f"tenant    {tenant['name']}: {incidents}, {counted(tenant['applications'], 'application')}, "
            f"{counted(tenant['users'], 'user')}"
        )


def _keys_text(keys: Mapping[str, Any]) -> str:
    if keys["problem"]:
        return str(keys["problem"])
    if not keys["signs"]:
        return f"none yet in {keys['place']}"
    return f"{keys['signs']} signs; {keys['accepted']} accepted; stored in {keys['place']}"


def _server_text(server: Mapping[str, Any]) -> str:
    if not server["reachable"]:
        return f"is not reachable: {server['problem']}"
    return "is ready" if server["ready"] else "is reachable but not ready"
