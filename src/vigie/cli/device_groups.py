"""The commands `vigie device-group add`, `list` and `remove`."""

from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    Integer,
    TenantOption,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    emit_rows,
    opened_tenant,
)
from vigie.core.directory import DeviceGroup


async def add_device_group(
    name: Annotated[str, Parameter(help="Device group name.")],
    /,
    *,
    tenant: TenantOption,
    id: Annotated[  # noqa: A002
        Integer | None, Parameter(metavar="NUMBER", help="Its number, rbacGroupId in incidents.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Add a device group before an import creates it."""
    async with opened_tenant(common, tenant) as (installation, found):
        group = await installation.directory.add_device_group(found, name, id)
    emit_fields(common, _fields(group))


async def list_device_groups(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the device groups of a tenant."""
    async with opened_tenant(common, tenant) as (installation, found):
        groups = await installation.directory.device_groups(found)
    emit_rows(common, ("id", "name"), [_fields(group) for group in groups])


async def remove_device_group(
    group: Annotated[str, Parameter(help="Device group: its name or number.")],
    /,
    *,
    tenant: TenantOption,
    yes: YesOption = False,
    common: Common = PLAIN,
) -> None:
    """Remove a device group: users whose roles are limited to it see less afterwards."""
    async with opened_tenant(common, tenant) as (installation, found):
        confirm(f"Remove device group {group} from {found.name} and from the roles limited to it?", yes=yes)
        await installation.directory.remove_device_group(found, group)
    emit_done(common, f"removed device group {group}")


def _fields(group: DeviceGroup) -> dict[str, object]:
    return {"id": group.number, "name": group.name}
