"""The commands about applications and their secrets: `vigie app add`, `set`, `list` and so on."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

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
from vigie.core.directory import Application, Tenant
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant
from vigie.runtime.resources import RESOURCES
from vigie.storage.directory.names import NIL_GUID, checked_guid
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

_PERMISSIONS = (
    *(name for each in RESOURCES for name in each.application_permissions),
    *(name for each in RESOURCES for name in each.delegated_permissions),
)
_OVERLAP_SECONDS = 86_400
_OVERLAP_SECONDS_MAX = 366 * 86_400


async def add_application(
    name: Annotated[str, Parameter(help="Application name.")],
    /,
    *,
    tenant: TenantOption,
    permission: Annotated[
        tuple[str, ...],
        Parameter(
            choices=_PERMISSIONS,
            metavar="PERMISSION...",
            help="Permission of the application; may be repeated.",
        ),
    ] = (),
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(metavar="URI...", help="Redirect URI for interactive sign-in; may be repeated."),
    ] = (),
    public_client: Annotated[
        bool, Parameter(help="A public client: it runs on users' devices and has no secret.")
    ] = False,
    certificate: Annotated[
        tuple[Path, ...],
        Parameter(metavar="FILE...", help="Certificate credential, a PEM file; may be repeated."),
    ] = (),
    secret: Annotated[bool, Parameter(help="Create a secret in addition to the certificate.")] = False,
    client_id: Annotated[str | None, Parameter(metavar="GUID", help="Client id; default: a new one.")] = None,
    client_secret_file: SecretFileOption = None,
    common: Common = PLAIN,
) -> None:
    """Add an application and print its client id and, this once, a new secret."""
    if public_client and (secret or certificate or client_secret_file):
        raise WrongUsage("a public client has no credentials; leave out the secret and the certificate")
    if secret and client_secret_file:
        raise WrongUsage("--secret and --client-secret-file cannot be combined")
    _check_client_id(client_id)
    chosen = None if client_secret_file is None else read_secret(client_secret_file)
    certificates = read_certificates(certificate)
    client_secret: str | None = None
    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        directory = installation.directory
        if secret or chosen or not (certificates or public_client):
            application, client_secret = await directory.add_application(
                found,
                name,
                permission,
                certificates,
                redirect_uris=redirect_uri,
                client_id=client_id,
                secret=chosen,
            )
        else:
            application = await directory.add_application_without_secret(
                found,
                name,
                permission,
                certificates,
                redirect_uris=redirect_uri,
                is_public=public_client,
                client_id=client_id,
            )
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


async def set_application(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    permission: Annotated[
        tuple[str, ...],
        Parameter(
            choices=_PERMISSIONS,
            metavar="PERMISSION...",
            help="Permission that replaces the present ones; may be repeated.",
        ),
    ] = (),
    no_permission: Annotated[bool, Parameter(help="Remove all permissions.")] = False,
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(metavar="URI...", help="Redirect URI that replaces the present ones; may be repeated."),
    ] = (),
    no_redirect_uri: Annotated[bool, Parameter(help="Remove all redirect URIs.")] = False,
    public_client: Annotated[
        bool, Parameter(help="Make it a public client, which authenticates without a credential.")
    ] = False,
    confidential_client: Annotated[
        bool, Parameter(help="Make it a confidential client, which needs a secret or a certificate.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Change the permissions, redirect URIs or client type of an application; the rest is kept."""
    changes = (
        _replacement("--permission", permission, "--no-permission", cleared=no_permission),
        _replacement("--redirect-uri", redirect_uri, "--no-redirect-uri", cleared=no_redirect_uri),
        _client_type(public=public_client, confidential=confidential_client),
    )
    if changes == (None, None, None):
        raise WrongUsage("nothing to change; use --permission, --redirect-uri or --public-client")
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        application = await directory.get_application(found, app)
        permissions, redirect_uris, is_public = changes
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


def _replacement(
    option: str, given: tuple[str, ...], clearing: str, *, cleared: bool
) -> tuple[str, ...] | None:
    """The values that replace the present ones; None when those are kept."""
    if given and cleared:
        raise WrongUsage(f"{option} and {clearing} cannot be combined")
    return given if given or cleared else None


def _client_type(*, public: bool, confidential: bool) -> bool | None:
    """Whether it becomes a public client; None when its type is kept."""
    if public and confidential:
        raise WrongUsage("--public-client and --confidential-client cannot be combined")
    return public if public or confidential else None


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


def _check_client_id(client_id: str | None) -> None:
    """Raise WrongUsage for a reserved one: the nil GUID, and those of `vigie token --user` and `vigie demo`."""
    from vigie.identity.tokens.access_tokens import USER_CLIENT_ID

    reserved = {USER_CLIENT_ID, NIL_GUID, *(each.client_id for each in SAMPLE_CLIENTS)}
    if client_id and checked_guid(client_id) in reserved:
        raise WrongUsage(f"--client-id {client_id} is reserved; use another GUID, or none for a new one")


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
