"""The commands about tenants, their roles and their device groups."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    WholeNumber,
    YesOption,
    confirm,
    counted,
    emit,
    emit_fields,
    emit_rows,
    opened,
)
from vigie.cli.output import print_status
from vigie.core.access import RolePermission
from vigie.core.directory import DeviceGroup, Role, Tenant
from vigie.core.instants import Instant

_AFTER_EVERYTHING = Instant(2**63 - 1)

TenantReference = Annotated[str, Parameter(help="The tenant: its id, name or domain.")]
RoleName = Annotated[str, Parameter(help="The name of the role.")]


# Tenants


async def add_tenant(
    name: Annotated[str, Parameter(help="The name of the tenant.")],
    /,
    *,
    id: Annotated[str | None, Parameter(help="Its id, a GUID; without it, a new one.")] = None,  # noqa: A002
    domain: Annotated[str | None, Parameter(help="A domain of the tenant: another name for it.")] = None,
    common: Common = PLAIN,
) -> None:
    """Add a tenant."""
    async with opened(common, create=True) as installation:
        tenant = await installation.directory.add_tenant(name, guid=id, domain=domain)
    emit_fields(common, _tenant_fields(tenant))


async def list_tenants(*, common: Common = PLAIN) -> None:
    """List the tenants."""
    async with opened(common, create=False) as installation:
        tenants = await installation.directory.tenants()
    emit_rows(common, ("id", "name", "domain"), [_tenant_fields(tenant) for tenant in tenants])


async def remove_tenant(
    tenant: TenantReference, /, *, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a tenant: its incidents first, then everything else of it."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        confirm(f"Remove tenant {found.name} with all its incidents, applications and users?", yes=yes)
        count = await installation.incidents.remove_incidents_before(
            found.tenant_id, _AFTER_EVERYTHING, audit_context_of("vigie tenant remove")
        )
        await installation.directory.remove_tenant(found)
    print_status(f"removed tenant {found.name} and {counted(count, 'incident')}")
    emit(common, {"incidents": count})


def _tenant_fields(tenant: Tenant) -> dict[str, object]:
    return {"id": tenant.guid, "name": tenant.name, "domain": tenant.domain}


# Roles


async def add_role(
    name: RoleName,
    /,
    *,
    tenant: TenantOption,
    permission: Annotated[
        tuple[RolePermission, ...],
        Parameter(metavar="PERMISSION...", help="What it allows; once for each permission."),
    ],
    common: Common = PLAIN,
) -> None:
    """Add a role of the tenant's own."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        role = await installation.directory.add_role(found, name, permission)
    emit_fields(common, _role_fields(role))


async def list_roles(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the roles of a tenant, the built-in ones first."""
    async with opened(common, create=False) as installation:
        roles = await installation.directory.roles(await installation.directory.get_tenant(tenant))
    emit_rows(common, ("name", "permissions", "built_in"), [_role_fields(role) for role in roles])


async def remove_role(
    name: RoleName, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a role of the tenant's own and every assignment of it."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        role = await installation.directory.get_role(found, name)
        confirm(f"Remove role {role.name} of {found.name}, and take it from every user?", yes=yes)
        await installation.directory.remove_role(found, role)
    print_status(f"removed role {role.name}")
    emit(common, {})


def _role_fields(role: Role) -> dict[str, object]:
    return {
        "name": role.name,
        "permissions": [each for each in RolePermission if each in role.permissions],
        "built_in": role.built_in,
    }


# Device groups


async def add_device_group(
    name: Annotated[str, Parameter(help="The name of the device group.")],
    /,
    *,
    tenant: TenantOption,
    id: Annotated[WholeNumber | None, Parameter(help="Its number, rbacGroupId in incidents.")] = None,  # noqa: A002
    common: Common = PLAIN,
) -> None:
    """Add a device group before any import has met it."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        group = await installation.directory.add_device_group(found, name, id)
    emit_fields(common, _group_fields(group))


async def list_device_groups(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the device groups of a tenant."""
    async with opened(common, create=False) as installation:
        groups = await installation.directory.device_groups(await installation.directory.get_tenant(tenant))
    emit_rows(common, ("id", "name"), [_group_fields(group) for group in groups])


async def remove_device_group(
    group: Annotated[str, Parameter(help="The device group: its name or its number.")],
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove a device group: users whose roles are limited to it see less afterwards."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        confirm(f"Remove device group {group} of {found.name}, and narrow the roles limited to it?", yes=yes)
        await installation.directory.remove_device_group(found, group)
    print_status(f"removed device group {group}")
    emit(common, {})


def _group_fields(group: DeviceGroup) -> dict[str, object]:
    return {"id": group.number, "name": group.name}
