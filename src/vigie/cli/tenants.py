"""The commands `vigie tenant add`, `list` and `remove`."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import (
    PLAIN,
    Common,
    TenantReference,
    YesOption,
    confirm,
    counted,
    emit,
    emit_fields,
    emit_rows,
    opened,
    opened_tenant,
)
from vigie.cli.output import print_status
from vigie.core.directory import Tenant
from vigie.core.instants import Instant

_AFTER_EVERYTHING = Instant(2**63 - 1)


async def add_tenant(
    name: Annotated[str, Parameter(help="Tenant name.")],
    /,
    *,
    id: Annotated[  # noqa: A002
        str | None, Parameter(metavar="GUID", help="Tenant id; default: a new one.")
    ] = None,
    domain: Annotated[
        str | None, Parameter(metavar="DOMAIN", help="Domain of the tenant, another name for it.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Add a tenant; the database is created if there is none."""
    async with opened(common, create=True) as installation:
        tenant = await installation.directory.add_tenant(name, guid=id, domain=domain)
    emit_fields(common, _fields(tenant))


async def list_tenants(*, common: Common = PLAIN) -> None:
    """List the tenants."""
    async with opened(common, create=False) as installation:
        tenants = await installation.directory.tenants()
    emit_rows(common, ("id", "name", "domain"), [_fields(tenant) for tenant in tenants])


async def remove_tenant(
    tenant: TenantReference, /, *, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a tenant: its incidents first, then its directory."""
    async with opened_tenant(common, tenant) as (installation, found):
        confirm(f"Remove tenant {found.name} with all its incidents, applications and users?", yes=yes)
        count = await installation.incidents.remove_incidents_before(
            found.tenant_id, _AFTER_EVERYTHING, audit_context_of("vigie tenant remove")
        )
        await installation.directory.remove_tenant(found)
    print_status(f"removed tenant {found.name} and {counted(count, 'incident')}")
    emit(common, {"incidents": count})


def _fields(tenant: Tenant) -> dict[str, object]:
    return {"id": tenant.guid, "name": tenant.name, "domain": tenant.domain}
