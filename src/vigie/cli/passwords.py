"""The commands about passwords and sign-ins: `vigie user set-password`, `unlock`, `sign-out` and so on."""

import re
import sys
from getpass import getpass
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    UserPrincipalName,
    YesOption,
    confirm,
    emit_done,
    emit_fields,
    interruptible,
    opened_tenant,
    require_authorization_server,
)
from vigie.cli.output import CommandFailed, one_line
from vigie.core.directory import Tenant, User
from vigie.core.lockout import digest_of_name
from vigie.core.oauth_records import Password

_LINE_LENGTH_MAX = 10_000

_SERVICE = "vigie"
"""The name of the service, a word that NIST SP 800-63B, 5.1.1.2, wants refused in passwords."""


async def set_password(upn: UserPrincipalName, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """Set the password of a user: prompted for twice on a terminal, else the first line of stdin."""
    from vigie.identity.sign_in.passwords import check_new_password, hash_password
    from vigie.runtime.clock import now

    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        user = await installation.directory.get_user(found, upn)
        password = _read_password(user)
        check_new_password(password, _names_of(found, user))
        kept = Password(hash=hash_password(password), changed_at=now())
        await installation.sign_ins.put_password(found, user, kept)
    emit_done(common, f"set the password of {user.upn}; sign-ins with the former password have ended")


async def remove_password(
    upn: UserPrincipalName, /, *, tenant: TenantOption, yes: YesOption = False, common: Common = PLAIN
) -> None:
    """Remove the password of a user, who can then no longer sign in."""
    async with opened_tenant(common, tenant) as (installation, found):
        user = await installation.directory.get_user(found, upn)
        confirm(f"Remove the password of {user.upn} of {found.name}?", yes=yes)
        await installation.sign_ins.remove_password(found, user)
    emit_done(common, f"removed the password of {user.upn}")


async def unlock(upn: UserPrincipalName, /, *, tenant: TenantOption, common: Common = PLAIN) -> None:
    """End the lockout of a user after wrong passwords."""
    async with opened_tenant(common, tenant) as (installation, found):
        user = await installation.directory.get_user(found, upn)
        had_attempts = await installation.sign_ins.forget_attempts(found, digest_of_name(user.upn))
    emit_done(common, f"{user.upn} {'is unlocked' if had_attempts else 'was not locked out'}")


async def sign_out(
    upn: UserPrincipalName,
    /,
    *,
    tenant: TenantOption,
    app: Annotated[
        str | None, Parameter(metavar="APP", help="Application to sign out of; default: all applications.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """End the sign-ins of a user and revoke the tokens issued for them."""
    async with opened_tenant(common, tenant) as (installation, found):
        directory = installation.directory
        user = await directory.get_user(found, upn)
        application = None if app is None else await directory.get_application(found, app)
        count = await installation.sign_ins.end_families(found, user, application)
    emit_fields(common, {"upn": user.upn, "ended": count})


def _names_of(tenant: Tenant, user: User) -> list[str]:
    """Words that a password may not be made of, because they are guessed first."""
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
    """The password from the terminal, without echo and twice; else the first line of stdin."""
    try:
        if not sys.stdin.isatty():
            return sys.stdin.readline(_LINE_LENGTH_MAX).removesuffix("\n").removesuffix("\r")
        with interruptible():
            password = getpass(f"Password of {one_line(user.upn)}: ")
            again = getpass("Repeat the password: ")
    except UnicodeDecodeError as error:
        raise CommandFailed("the password is not UTF-8; it was not changed") from error
    if password != again:
        raise CommandFailed("the passwords do not match; it was not changed")
    return password
