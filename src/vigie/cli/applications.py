"""The commands about applications and their secrets."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.frame import (
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
from vigie.cli.telling import WrongUsage, remark
from vigie.core.access import APPLICATION_PERMISSIONS, DELEGATED_PERMISSIONS
from vigie.core.directory import Application, ClientCertificate
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant

_PERMISSIONS = (*APPLICATION_PERMISSIONS, *DELEGATED_PERMISSIONS)
_OVERLAP_SECONDS = 86_400
_OVERLAP_SECONDS_MAX = 366 * 86_400

ApplicationReference = Annotated[str, Parameter(help="The application: its client id or its name.")]


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
    common: Common = PLAIN,
) -> None:
    """Add an application and print its client id and, this once, its secret if it gets one."""
    if public_client and (secret or certificate):
        raise WrongUsage("a public client can keep neither a secret nor a certificate's key")
    certificates = _read_certificates(certificate)
    client_secret: str | None = None
    async with opened(common, create=False) as installation:
        require_authority(installation)
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        if secret or not (certificates or public_client):
            application, client_secret = await directory.add_application(
                found, name, permission, certificates, redirect_uris=redirect_uri
            )
        else:
            application = await directory.add_application_without_secret(
                found,
                name,
                permission,
                certificates,
                redirect_uris=redirect_uri,
                is_public=public_client,
            )
        kept = await directory.client_certificates(found, application)
        uris = await directory.redirect_uris(found, application)
    emit_fields(
        common,
        {
            "tenant_id": found.guid,
            "client_id": application.client_id,
            "client_secret": client_secret,
            "permissions": application.all_permissions,
            "certificates": [each.thumbprint for each in kept],
            "redirect_uris": uris,
            "public_client": application.is_public,
        },
    )
    if client_secret is not None:
        remark("the secret is not kept and cannot be shown again")


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
    remark(f"removed application {application.name}")
    emit(common, {})


async def rotate_secret(
    app: ApplicationReference,
    /,
    *,
    tenant: TenantOption,
    overlap: Annotated[WholeNumber, Parameter(help="Seconds for which the old secret stays valid.")] = (
        _OVERLAP_SECONDS
    ),
    common: Common = PLAIN,
) -> None:
    """Give an application a new secret; the old one goes on for a while."""
    from vigie.installation import now

    if not 0 <= overlap <= _OVERLAP_SECONDS_MAX:
        raise WrongUsage(f"--overlap is 0 to {_OVERLAP_SECONDS_MAX} seconds; it was {overlap}")
    old_until = Instant(now() + overlap * TICKS_PER_SECOND)
    async with opened(common, create=False) as installation:
        require_authority(installation)
        found = await installation.directory.get_tenant(tenant)
        application = await installation.directory.get_application(found, app)
        secret = await installation.directory.rotate_secret(found, application, old_until)
    emit_fields(
        common,
        {
            "tenant_id": found.guid,
            "client_id": application.client_id,
            "client_secret": secret,
            "old_secret_valid_until": format_instant(old_until),
        },
    )
    remark("the secret is not kept and cannot be shown again")


async def add_certificate(
    app: ApplicationReference,
    file: Annotated[Path, Parameter(help="The certificate, a PEM file.")],
    /,
    *,
    tenant: TenantOption,
    common: Common = PLAIN,
) -> None:
    """Let an application prove itself by one more certificate."""
    (certificate,) = _read_certificates([file])
    async with opened(common, create=False) as installation:
        require_authority(installation)
        found = await installation.directory.get_tenant(tenant)
        application = await installation.directory.get_application(found, app)
        await installation.directory.add_certificate(found, application, certificate)
    emit_fields(common, _certificate_fields(certificate))


async def list_certificates(
    app: ApplicationReference, /, *, tenant: TenantOption, common: Common = PLAIN
) -> None:
    """List the certificates of an application."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        application = await installation.directory.get_application(found, app)
        certificates = await installation.directory.client_certificates(found, application)
    rows = [_certificate_fields(each) for each in certificates]
    emit_rows(common, ("thumbprint", "sha1_thumbprint", "valid_from", "expires_at"), rows)


async def remove_certificate(
    app: ApplicationReference,
    thumbprint: Annotated[str, Parameter(help="The certificate: its SHA-256 or SHA-1 thumbprint.")],
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Take a certificate away from an application."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        application = await installation.directory.get_application(found, app)
        certificate = await installation.directory.get_certificate(found, application, thumbprint)
        confirm(f"Remove certificate {certificate.thumbprint} of {application.name}?", yes=yes)
        await installation.directory.remove_certificate(found, application, certificate)
    remark(f"removed certificate {certificate.thumbprint}")
    emit(common, {})


def _fields(application: Application, redirect_uris: Sequence[str]) -> dict[str, object]:
    return {
        "client_id": application.client_id,
        "name": application.name,
        "permissions": application.all_permissions,
        "redirect_uris": redirect_uris,
        "public_client": application.is_public,
    }


def _read_certificates(files: Iterable[Path]) -> list[ClientCertificate]:
    from vigie.identity.client_certificates import read_certificate
    from vigie.installation import now

    return [read_certificate(file, now()) for file in files]


def _certificate_fields(certificate: ClientCertificate) -> dict[str, object]:
    return {
        "thumbprint": certificate.thumbprint,
        "sha1_thumbprint": certificate.sha1.hex().upper(),
        "valid_from": format_instant(certificate.valid_from),
        "expires_at": format_instant(certificate.expires_at),
    }
