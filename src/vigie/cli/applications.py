"""The commands about applications and their secrets."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.certificates import ApplicationReference, read_certificates
from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    WholeNumber,
    YesOption,
    confirm,
    emit,
    emit_fields,
    emit_rows,
    opened,
    require_authority,
)
from vigie.cli.output import WrongUsage, print_status
from vigie.cli.secret_files import SecretFileOption, read_secret
from vigie.core.directory import Application, Tenant
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant
from vigie.runtime.resources import RESOURCES
from vigie.storage.directory_names import NIL_GUID, checked_guid
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

_PERMISSIONS = (
    *(name for each in RESOURCES for name in each.application_permissions),
    *(name for each in RESOURCES for name in each.delegated_permissions),
)
_OVERLAP_SECONDS = 86_400
_OVERLAP_SECONDS_MAX = 366 * 86_400


async def add_application(
    name: Annotated[str, Parameter(help="The name of the application.")],
    /,
    *,
    tenant: TenantOption,
    permission: Annotated[
        tuple[str, ...],
        Parameter(
            choices=_PERMISSIONS, metavar="PERMISSION...", help="What it may do; once for each permission."
        ),
    ] = (),
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(help="Where people who signed in may be sent back to; once for each address."),
    ] = (),
    public_client: Annotated[
        bool, Parameter(help="It runs on people's machines and can keep no secret.")
    ] = False,
    certificate: Annotated[
        tuple[Path, ...],
        Parameter(help="A certificate it proves itself by, a PEM file; once for each certificate."),
    ] = (),
    secret: Annotated[bool, Parameter(help="Give it a secret, although it has a certificate.")] = False,
    client_id: Annotated[str | None, Parameter(help="Its client id, a GUID; without it, a new one.")] = None,
    client_secret_file: SecretFileOption = None,
    common: Common = PLAIN,
) -> None:
    """Add an application and print its client id and, this once, its secret if it gets a new one."""
    if public_client and (secret or certificate or client_secret_file):
        raise WrongUsage("a public client can keep neither a secret nor a certificate's key")
    if secret and client_secret_file:
        raise WrongUsage("--secret makes a new one, and --client-secret-file has one: name one of them")
    _check_client_id(client_id)
    chosen = None if client_secret_file is None else read_secret(client_secret_file)
    certificates = read_certificates(certificate)
    client_secret: str | None = None
    async with opened(common, create=False) as installation:
        require_authority(installation)
        directory = installation.directory
        found = await directory.get_tenant(tenant)
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
    _say_what_becomes_of(client_secret, chosen)
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
            help="What it may do, in place of what it could; once for each.",
        ),
    ] = (),
    no_permission: Annotated[bool, Parameter(help="It may do nothing any more.")] = False,
    redirect_uri: Annotated[
        tuple[str, ...],
        Parameter(
            help="Where people may be sent back to, in place of what there was; once for each address."
        ),
    ] = (),
    no_redirect_uri: Annotated[bool, Parameter(help="People may be sent back nowhere.")] = False,
    public_client: Annotated[
        bool, Parameter(help="It can keep no secret: what it has is not asked for.")
    ] = False,
    confidential_client: Annotated[
        bool, Parameter(help="It has to prove itself: a secret or a certificate is asked for.")
    ] = False,
    common: Common = PLAIN,
) -> None:
    """Change what an application may do, where people are sent back to, or its kind; the rest stays."""
    given = (
        _instead("--permission", permission, "--no-permission", cleared=no_permission),
        _instead("--redirect-uri", redirect_uri, "--no-redirect-uri", cleared=no_redirect_uri),
        _kind(public=public_client, confidential=confidential_client),
    )
    if given == (None, None, None):
        raise WrongUsage("name what to change: --permission, --redirect-uri or --public-client")
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        application = await directory.get_application(found, app)
        permissions, redirect_uris, is_public = given
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


def _instead(option: str, given: tuple[str, ...], clearing: str, *, cleared: bool) -> tuple[str, ...] | None:
    """What is to be in the place of what was; None when that stays."""
    if given and cleared:
        raise WrongUsage(f"{option} and {clearing} contradict each other")
    return given if given or cleared else None


def _kind(*, public: bool, confidential: bool) -> bool | None:
    if public and confidential:
        raise WrongUsage("--public-client and --confidential-client contradict each other")
    return public if public or confidential else None


async def list_applications(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the applications of a tenant."""
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
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
    """Remove an application; its tokens stop working."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        application = await installation.directory.get_application(found, app)
        confirm(f"Remove application {application.name} of {found.name}?", yes=yes)
        await installation.directory.remove_application(found, application)
    print_status(f"removed application {application.name}")
    emit(common, {})


async def rotate_secret(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    overlap: Annotated[WholeNumber, Parameter(help="Seconds for which the old secret stays valid.")] = (
        _OVERLAP_SECONDS
    ),
    client_secret_file: SecretFileOption = None,
    common: Common = PLAIN,
) -> None:
    """Give an application a new secret; the old one goes on for a while."""
    from vigie.runtime.clock import now

    if not 0 <= overlap <= _OVERLAP_SECONDS_MAX:
        raise WrongUsage(f"--overlap is 0 to {_OVERLAP_SECONDS_MAX} seconds; it was {overlap}")
    chosen = None if client_secret_file is None else read_secret(client_secret_file)
    old_until = Instant(now() + overlap * TICKS_PER_SECOND)
    async with opened(common, create=False) as installation:
        require_authority(installation)
        found = await installation.directory.get_tenant(tenant)
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
    _say_what_becomes_of(secret, chosen)


def _fields(application: Application, redirect_uris: Sequence[str]) -> dict[str, object]:
    return {
        "client_id": application.client_id,
        "name": application.name,
        "permissions": application.all_permissions,
        "redirect_uris": redirect_uris,
        "public_client": application.is_public,
    }


def _check_client_id(client_id: str | None) -> None:
    """Refuse what means something else: nobody, the tokens of `vigie token --user`, and what `serve` refuses."""
    from vigie.identity.tokens.access_tokens import USER_CLIENT_ID

    reserved = {USER_CLIENT_ID, NIL_GUID, *(each.client_id for each in SAMPLE_CLIENTS)}
    if client_id and checked_guid(client_id) in reserved:
        raise WrongUsage(f"--client-id {client_id} is reserved; name another GUID, or none for a new one")


def _say_what_becomes_of(secret: str | None, chosen: str | None) -> None:
    if chosen is not None:
        print_status("the secret that was given is in use; it is not kept and not shown")
    elif secret is not None:
        print_status("the secret is not kept and cannot be shown again")


def _warn_of_permissions(tenant: Tenant, application: Application, redirect_uris: Sequence[str]) -> None:
    """Warn of permissions that only people can give to an application that nobody signs in to."""
    delegated = application.delegated_permissions
    if application.is_public or application.permissions or redirect_uris or not delegated:
        return
    instead = " ".join(f"--permission {each}.All" for each in delegated)
    command = f"vigie app set {quote(application.name)} --tenant {quote(tenant.name)} {instead}"
    print_status(
        f"warning: with client_credentials, {application.name} gets nothing from {' and '.join(delegated)}: people "
        f"who sign in give that; give it an application permission: `{command}`; or, if people sign in to it, a "
        "--redirect-uri or --public-client"
    )
