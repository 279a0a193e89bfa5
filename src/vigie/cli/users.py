"""The commands about users and what they are granted."""

import re
import sys
from collections.abc import Sequence
from getpass import getpass
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    YesOption,
    confirm,
    counted,
    emit,
    emit_fields,
    emit_rows,
    interruptible,
    opened,
    require_authority,
)
from vigie.cli.output import CommandFailed, one_line, print_status
from vigie.core.access import Assignment
from vigie.core.directory import Tenant, User
from vigie.core.lockout import digest_of_name
from vigie.core.oauth_records import Password

_LINE_LENGTH_MAX = 10_000

_SERVICE = "vigie"
"""What a password here is for: a word of the context, which NIST SP 800-63B, 5.1.1.2, wants refused too."""

Upn = Annotated[str, Parameter(help="The user principal name.")]
RoleOption = Annotated[str, Parameter(name="--role", help="The name of the role.")]


async def add_user(upn: Upn, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """Add a user, who sees nothing until a role is granted."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        user = await installation.directory.add_user(found, upn)
    _emit_user(common, user, [])


async def list_users(*, tenant: TenantOption, common: Common = PLAIN) -> None:
    """List the users of a tenant and what they are granted."""
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        users = [(user, await directory.assignments(found, user)) for user in await directory.users(found)]
    rows = [{"id": user.object_id, "upn": user.upn, "roles": _in_words(granted)} for user, granted in users]
    emit_rows(common, ("id", "upn", "roles"), rows, value=[_fields(*each) for each in users])


async def grant(
    upn: Upn,
    /,
    *,
    tenant: TenantOption,
    role: RoleOption,
    device_group: Annotated[
        tuple[str, ...],
        Parameter(help="Limit the role to a device group, by name or number; once for each group."),
    ] = (),
    common: Common = PLAIN,
) -> None:
    """Grant a role to a user, over some device groups or the whole tenant."""
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        user = await directory.get_user(found, upn)
        await directory.grant(found, user, await directory.get_role(found, role), device_group)
        assignments = await directory.assignments(found, user)
    _emit_user(common, user, assignments)


async def revoke(
    upn: Upn,
    /,
    *,
    tenant: TenantOption,
    role: Annotated[str | None, Parameter(help="The role to take away; without it, all of them.")] = None,
    common: Common = PLAIN,
) -> None:
    """Take one role, or every role, away from a user."""
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        user = await directory.get_user(found, upn)
        taken = None if role is None else await directory.get_role(found, role)
        count = await directory.revoke(found, user, taken)
        assignments = await directory.assignments(found, user)
    print_status(f"took {counted(count, 'assignment')} away from {user.upn}")
    _emit_user(common, user, assignments)


async def remove_user(
    upn: Upn, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove a user; their tokens stop working."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        user = await installation.directory.get_user(found, upn)
        confirm(f"Remove user {user.upn} of {found.name}?", yes=yes)
        await installation.directory.remove_user(found, user)
    print_status(f"removed user {user.upn}")
    emit(common, {})


async def set_password(upn: Upn, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """Give a user a password, asked for twice on a terminal, or read from stdin."""
    from vigie.identity.sign_in.passwords import check_new_password, hash_password
    from vigie.runtime.clock import now

    async with opened(common, create=False) as installation:
        require_authority(installation)
        found = await installation.directory.get_tenant(tenant)
        user = await installation.directory.get_user(found, upn)
        password = _read_password(user)
        check_new_password(password, _names_of(found, user))
        kept = Password(hash=hash_password(password), changed_at=now())
        await installation.sign_ins.put_password(found, user, kept)
    print_status(f"{user.upn} has a new password; whoever signed in with an old one has to sign in again")
    emit(common, {})


async def remove_password(
    upn: Upn, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Take a user's password away: nobody signs in under the name any more."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        user = await installation.directory.get_user(found, upn)
        confirm(f"Remove the password of {user.upn} of {found.name}?", yes=yes)
        await installation.sign_ins.remove_password(found, user)
    print_status(f"removed the password of {user.upn}")
    emit(common, {})


async def unlock(upn: Upn, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """Let a user who is locked out after wrong passwords try again at once."""
    async with opened(common, create=False) as installation:
        found = await installation.directory.get_tenant(tenant)
        user = await installation.directory.get_user(found, upn)
        had_attempts = await installation.sign_ins.forget_attempts(found, digest_of_name(user.upn))
    print_status(f"{user.upn} {'may try again' if had_attempts else 'was not locked out'}")
    emit(common, {})


async def sign_out(
    upn: Upn,
    /,
    *,
    tenant: TenantOption,
    app: Annotated[
        str | None, Parameter(help="The application to sign out of; without it, all of them.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """End what a user has signed in to; tokens that came of it stop working."""
    async with opened(common, create=False) as installation:
        directory = installation.directory
        found = await directory.get_tenant(tenant)
        user = await directory.get_user(found, upn)
        application = None if app is None else await directory.get_application(found, app)
        count = await installation.sign_ins.end_families(found, user, application)
    emit_fields(common, {"upn": user.upn, "ended": count})


def _names_of(tenant: Tenant, user: User) -> list[str]:
    """What a password may not be made of: whoever guesses it begins there."""
    name, _, domain = user.upn.partition("@")
    return [
        _SERVICE,
        user.upn,
        name,
        domain,
        tenant.name,
        tenant.domain or "",
        *re.split(r"\W+", f"{tenant.domain} {domain}"),
    ]


def _read_password(user: User) -> str:
    """From the terminal, unseen and twice; else the first line of stdin. Never from the command line."""
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline(_LINE_LENGTH_MAX).removesuffix("\n").removesuffix("\r")
        with interruptible():
            password = getpass(f"Password of {one_line(user.upn)}: ")
            again = getpass("The same again: ")
    except UnicodeDecodeError as error:
        raise CommandFailed("nothing was done: the password is not UTF-8") from error
    if password != again:
        raise CommandFailed("nothing was done: the two are not the same")
    return password


def _emit_user(common: Common, user: User, assignments: Sequence[Assignment]) -> None:
    lines = [f"id     {user.object_id}", f"upn    {user.upn}", f"roles  {_in_words(assignments) or 'none'}"]
    emit(common, _fields(user, assignments), lines=lines)


def _fields(user: User, assignments: Sequence[Assignment]) -> dict[str, object]:
    granted = [
        {"role": each.role, "whole_tenant": each.whole_tenant, "device_groups": _group_names(each)}
        for each in assignments
    ]
    return {"id": user.object_id, "upn": user.upn, "assignments": granted}


def _in_words(assignments: Sequence[Assignment]) -> str:
    return "; ".join(
        f"{each.role} ({'whole tenant' if each.whole_tenant else ', '.join(_group_names(each)) or 'nothing'})"
        for each in assignments
    )


def _group_names(assignment: Assignment) -> list[str]:
    """Every group has a name; its number is a label beside it."""
    return sorted(label for label in assignment.device_groups if isinstance(label, str))
