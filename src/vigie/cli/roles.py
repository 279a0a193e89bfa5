"""The commands `vigie role add`, `list` and `remove`."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    emit_rows,
    opened_tenant,
)
from vigie.core.access import RolePermission
from vigie.core.directory import Role

RoleName = Annotated[str, Parameter(help="Role name.")]


async def add_role(
    name: RoleName,
    /,
    *,
    tenant: TenantOption,
    permission: Annotated[
        tuple[RolePermission, ...],
        Parameter(metavar="PERMISSION...", help="Permission of the role; may be repeated."),
    ],
    common: Common = PLAIN,
) -> None:
    """Add a role of the tenant's own."""
    async with opened_tenant(common, tenant) as (installation, found):
        role = await installation.directory.add_role(found, name, permission)
    emit_fields(common, _fields(role))


async def list_roles(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the roles of a tenant, built-in roles first."""
    async with opened_tenant(common, tenant) as (installation, found):
        roles = await installation.directory.roles(found)
    emit_rows(common, ("name", "permissions", "built_in"), [_fields(role) for role in roles])


async def remove_role(
    name: RoleName, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a role of the tenant's own and all its assignments."""
    async with opened_tenant(common, tenant) as (installation, found):
        role = await installation.directory.get_role(found, name)
        confirm(f"Remove role {role.name} of {found.name} from every user?", yes=yes)
        await installation.directory.remove_role(found, role)
    emit_done(common, f"removed role {role.name}")


def _fields(role: Role) -> dict[str, object]:
    return {
        "name": role.name,
        "permissions": [each for each in RolePermission if each in role.permissions],
        "built_in": role.built_in,
    }
