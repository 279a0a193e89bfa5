"""The commands about the certificates of applications."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    YesOption,
    confirm,
    emit,
    emit_fields,
    emit_rows,
    opened,
    require_authority,
)
from vigie.cli.output import print_status
from vigie.core.directory import ClientCertificate
from vigie.core.instants import format_instant

ApplicationReference = Annotated[str, Parameter(help="The application: its client id or its name.")]


async def add_certificate(
    app: ApplicationReference,
    file: Annotated[Path, Parameter(help="The certificate, a PEM file.")],
    /,
    *,
    tenant: TenantOption,
    common: Common = PLAIN,
) -> None:
    """Let an application prove itself by one more certificate."""
    (certificate,) = read_certificates([file])
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
    print_status(f"removed certificate {certificate.thumbprint}")
    emit(common, {})


def read_certificates(files: Iterable[Path]) -> list[ClientCertificate]:
    """The certificates in some PEM files. Raises DirectoryError for one that cannot prove an application."""
    from vigie.identity.clients.certificates import read_certificate
    from vigie.runtime.clock import now

    return [read_certificate(file, now()) for file in files]


def _certificate_fields(certificate: ClientCertificate) -> dict[str, object]:
    return {
        "thumbprint": certificate.thumbprint,
        "sha1_thumbprint": certificate.sha1.hex().upper(),
        "valid_from": format_instant(certificate.valid_from),
        "expires_at": format_instant(certificate.expires_at),
    }
