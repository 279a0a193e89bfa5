"""The commands about applications and their secrets: `vigie app add`, `set`, `list` and so on."""

from collections.abc import Sequence
from shlex import quote
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.application_options import (
    AS_BY_DEFAULT,
    NO_CHANGE,
    ApplicationChangeOptions,
    NewApplicationOptions,
)
from vigie.cli.certificates import read_certificates
from vigie.cli.common import (
    PLAIN,
    ApplicationReference,
    Common,
    Integer,
    TenantOption,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    emit_rows,
    opened_tenant,
    require_authorization_server,
)
from vigie.cli.output import WrongUsage, print_status
from vigie.cli.secret_files import SecretFileOption, read_secret
from vigie.core.directory import Application, ClientCertificate, Tenant
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant

if TYPE_CHECKING:
    from vigie.storage.directory.store import DirectoryStore

_OVERLAP_SECONDS = 86_400
_OVERLAP_SECONDS_MAX = 366 * 86_400


async def add_application(
    name: Annotated[str, Parameter(help="Application name.")],
    /,
    *,
    tenant: TenantOption,
    options: NewApplicationOptions = AS_BY_DEFAULT,
    common: Common = PLAIN,
) -> None:
    """Add an application and print its client id and, this once, a new secret."""
    options.check()
    chosen = None if options.client_secret_file is None else read_secret(options.client_secret_file)
    certificates = read_certificates(options.certificate)
    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        directory = installation.directory
        application, client_secret = await _add(directory, found, name, options, chosen, certificates)
        kept = await directory.client_certificates(found, application)
        uris = await directory.redirect_uris(found, application)
    emit_fields(
        common,
        {
            "tenant_id": found.guid,
            "client_id": application.client_id,
            "client_secret": None if chosen else client_secret,
            "permissions": application.all_permissions,
            "certificates": [each.thumbprint for each in kept],
            "redirect_uris": uris,
            "public_client": application.is_public,
        },
    )
    _print_secret_note(client_secret, chosen)
    _warn_of_permissions(found, application, uris)


async def _add(
    directory: "DirectoryStore",
    tenant: Tenant,
    name: str,
    options: NewApplicationOptions,
    chosen: str | None,
    certificates: Sequence[ClientCertificate],
) -> tuple[Application, str | None]:
    """Add the application; its secret is None where it has none, and the chosen one where there is one."""
    if options.has_secret:
        return await directory.add_application(
            tenant,
            name,
            options.permission,
            certificates,
            redirect_uris=options.redirect_uri,
            client_id=options.client_id,
            secret=chosen,
        )
    application = await directory.add_application_without_secret(
        tenant,
        name,
        options.permission,
        certificates,
        redirect_uris=options.redirect_uri,
        is_public=options.public_client,
        client_id=options.client_id,
    )
    return application, None


async def set_application(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    options: ApplicationChangeOptions = NO_CHANGE,
    common: Common = PLAIN,
) -> None:
    """Change the permissions, redirect URIs or client type of an application; the rest is kept."""
    permissions, redirect_uris, is_public = options.changes()
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        application = await directory.get_application(found, app)
        changed = await directory.update_application(
            found,
            application,
            permissions=permissions,
            redirect_uris=redirect_uris,
            is_public=is_public,
        )
        uris = await directory.redirect_uris(found, changed)
    emit_fields(common, _fields(changed, uris))
    _warn_of_permissions(found, changed, uris)


async def list_applications(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the applications of a tenant."""
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        applications = await directory.applications(found)
        rows = [_fields(each, await directory.redirect_uris(found, each)) for each in applications]
    emit_rows(common, ("client_id", "name", "permissions", "redirect_uris", "public_client"), rows)


async def remove_application(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove an application; its tokens are no longer accepted."""
    async with opened_tenant(common, tenant) as (installation, found):
        application = await installation.directory.get_application(found, app)
        confirm(f"Remove application {application.name} of {found.name}?", yes=yes)
        await installation.directory.remove_application(found, application)
    emit_done(common, f"removed application {application.name}")


async def rotate_secret(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    overlap: Annotated[
        Integer, Parameter(metavar="SECONDS", help="How long the old secret stays valid.")
    ] = _OVERLAP_SECONDS,
    client_secret_file: SecretFileOption = None,
    common: Common = PLAIN,
) -> None:
    """Give an application a new secret; the old one stays valid for a while."""
    from vigie.runtime.clock import now

    if not 0 <= overlap <= _OVERLAP_SECONDS_MAX:
        raise WrongUsage(f"--overlap must be 0 to {_OVERLAP_SECONDS_MAX} seconds; it was {overlap}")
    chosen = None if client_secret_file is None else read_secret(client_secret_file)
    old_until = Instant(now() + overlap * TICKS_PER_SECOND)
    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        application = await installation.directory.get_application(found, app)
        secret = await installation.directory.rotate_secret(found, application, old_until, secret=chosen)
    emit_fields(
        common,
        {
            "tenant_id": found.guid,
            "client_id": application.client_id,
            "client_secret": None if chosen else secret,
            "old_secret_valid_until": format_instant(old_until),
        },
    )
    _print_secret_note(secret, chosen)


def _fields(application: Application, redirect_uris: Sequence[str]) -> dict[str, object]:
    return {
        "client_id": application.client_id,
        "name": application.name,
        "permissions": application.all_permissions,
        "redirect_uris": redirect_uris,
        "public_client": application.is_public,
    }


def _print_secret_note(secret: str | None, chosen: str | None) -> None:
    if chosen is not None:
        print_status("the given secret is now valid; only its hash is stored")
    elif secret is not None:
        print_status("store the secret now: only its hash is kept, and it cannot be shown again")


def _warn_of_permissions(tenant: Tenant, application: Application, redirect_uris: Sequence[str]) -> None:
    """Warn of delegated permissions alone for an application that no user can sign in to."""
    delegated = application.delegated_permissions
    if application.is_public or application.permissions or redirect_uris or not delegated:
        return
    instead = " ".join(f"--permission {each}.All" for each in delegated)
    command = f"vigie app set {quote(application.name)} --tenant {quote(tenant.name)} {instead}"
    print_status(
        f"warning: {' and '.join(delegated)} {'is a' if len(delegated) == 1 else 'are'} delegated "
        f"permission{'' if len(delegated) == 1 else 's'}, so tokens that {application.name} gets with "
        f"client_credentials carry none; assign an application permission: `{command}`; or, for sign-in by users, "
        "add a --redirect-uri or --public-client"
    )
