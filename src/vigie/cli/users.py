"""The commands about users and their roles: `vigie user add`, `list`, `grant`, `revoke` and `remove`."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    UserPrincipalName,
    YesOption,
    confirm,
    counted,
    emit,
    emit_done,
    emit_rows,
    opened_tenant,
)
from vigie.cli.output import print_status
from vigie.core.access import Assignment
from vigie.core.directory import User

RoleOption = Annotated[str, Parameter(name="--role", metavar="ROLE", help="Role name.")]


async def add_user(upn: UserPrincipalName, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """Add a user without roles, who sees nothing yet."""
    async with opened_tenant(common, tenant) as (installation, found):
        user = await installation.directory.add_user(found, upn)
    _emit_user(common, user, [])


async def list_users(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the users of a tenant and their roles."""
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        users = [(user, await directory.assignments(found, user)) for user in await directory.users(found)]
    rows = [{"id": user.object_id, "upn": user.upn, "roles": _roles_text(granted)} for user, granted in users]
    emit_rows(common, ("id", "upn", "roles"), rows, value=[_fields(*each) for each in users])


async def grant(
    upn: UserPrincipalName,
    /,
    *,
    tenant: TenantOption,
    role: RoleOption,
    device_group: Annotated[
        tuple[str, ...],
        Parameter(metavar="GROUP...", help="Limit the role to this device group; may be repeated."),
    ] = (),
    common: Common = PLAIN,
) -> None:
    """Assign a role to a user, for device groups or the whole tenant."""
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        user = await directory.get_user(found, upn)
        await directory.grant(found, user, await directory.get_role(found, role), device_group)
        assignments = await directory.assignments(found, user)
    _emit_user(common, user, assignments)


async def revoke(
    upn: UserPrincipalName,
    /,
    *,
    tenant: TenantOption,
    role: Annotated[str | None, Parameter(metavar="ROLE", help="Role to remove; default: all roles.")] = None,
    common: Common = PLAIN,
) -> None:
    """Remove one role, or every role, from a user."""
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        user = await directory.get_user(found, upn)
        taken = None if role is None else await directory.get_role(found, role)
        count = await directory.revoke(found, user, taken)
        assignments = await directory.assignments(found, user)
    print_status(f"removed {counted(count, 'role assignment')} from {user.upn}")
    _emit_user(common, user, assignments)


async def remove_user(
    upn: UserPrincipalName, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a user; their tokens are no longer accepted."""
    async with opened_tenant(common, tenant) as (installation, found):
        user = await installation.directory.get_user(found, upn)
        confirm(f"Remove user {user.upn} of {found.name}?", yes=yes)
        await installation.directory.remove_user(found, user)
    emit_done(common, f"removed user {user.upn}")


def _emit_user(common: Common, user: User, assignments: Sequence[Assignment]) -> None:
    lines = [f"id     {user.object_id}", f"upn    {user.upn}", f"roles  {_roles_text(assignments) or 'none'}"]
    emit(common, _fields(user, assignments), lines=lines)


def _fields(user: User, assignments: Sequence[Assignment]) -> dict[str, object]:
    granted = [
        {"role": each.role, "whole_tenant": each.whole_tenant, "device_groups": _group_names(each)}
        for each in assignments
    ]
    return {"id": user.object_id, "upn": user.upn, "assignments": granted}


def _roles_text(assignments: Sequence[Assignment]) -> str:
    return "; ".join(
        f"{each.role} ({'whole tenant' if each.whole_tenant else ', '.join(_group_names(each)) or 'no groups'})"
        for each in assignments
    )


def _group_names(assignment: Assignment) -> list[str]:
    """The names of the groups; their numbers are labels beside them."""
    return sorted(label for label in assignment.device_groups if isinstance(label, str))
