"""The commands about certificate credentials: `vigie app add-certificate` and its siblings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    ApplicationReference,
    Common,
    TenantOption,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    emit_rows,
    opened_tenant,
    require_authorization_server,
)
from vigie.core.directory import ClientCertificate
from vigie.core.instants import format_instant


async def add_certificate(
    app: ApplicationReference,
    file: Annotated[Path, Parameter(help="Certificate, a PEM file.")],
    /,
    *,
    tenant: TenantOption,
    common: Common = PLAIN,
) -> None:
    """Add a certificate credential to an application."""
    (certificate,) = read_certificates([file])
    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        application = await installation.directory.get_application(found, app)
        await installation.directory.add_certificate(found, application, certificate)
    emit_fields(common, _fields(certificate))


async def list_certificates(
    app: ApplicationReference, /, *, tenant: TenantOption, common: Common = PLAIN
) -> None:
    """List the certificates of an application, earliest expiry first."""
    async with opened_tenant(common, tenant) as (installation, found):
        application = await installation.directory.get_application(found, app)
        certificates = await installation.directory.client_certificates(found, application)
    columns = ("thumbprint", "sha1_thumbprint", "valid_from", "expires_at")
    emit_rows(common, columns, [_fields(each) for each in certificates])


async def remove_certificate(
    app: ApplicationReference,
    thumbprint: Annotated[str, Parameter(help="SHA-256 or SHA-1 thumbprint of the certificate.")],
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove a certificate credential from an application."""
    async with opened_tenant(common, tenant) as (installation, found):
        application = await installation.directory.get_application(found, app)
        certificate = await installation.directory.get_certificate(found, application, thumbprint)
        confirm(f"Remove certificate {certificate.thumbprint} of {application.name}?", yes=yes)
        await installation.directory.remove_certificate(found, application, certificate)
    emit_done(common, f"removed certificate {certificate.thumbprint}")


def read_certificates(files: Iterable[Path]) -> list[ClientCertificate]:
    """The certificates in PEM files. Raises DirectoryError for one that cannot be a credential."""
    from vigie.identity.clients.certificates import read_certificate
    from vigie.runtime.clock import now

    return [read_certificate(file, now()) for file in files]


def _fields(certificate: ClientCertificate) -> dict[str, object]:
    return {
        "thumbprint": certificate.thumbprint,
        "sha1_thumbprint": certificate.sha1.hex().upper(),
        "valid_from": format_instant(certificate.valid_from),
        "expires_at": format_instant(certificate.expires_at),
    }
