"""The commands that make tokens, and the keys that sign them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    Common,
    TenantOption,
    WholeNumber,
    emit,
    emit_rows,
    opened,
    require_authority,
)
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.core.access import DELEGATED_PERMISSIONS
from vigie.core.instants import TICKS_PER_SECOND, format_instant
from vigie.identity.grants.client_credentials import resource_of_scope
from vigie.identity.keys.key_ring import TOKEN_LIFETIME_MAX_SECONDS, SigningKey
from vigie.identity.keys.key_store import find_ring
from vigie.identity.token_errors import TokenRefusal
from vigie.identity.tokens.access_tokens import TokenRequest, issue_token
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import application_token_request, user_token_request
from vigie.identity.tokens.scopes import DEFAULT_SCOPE
from vigie.runtime.clock import now
from vigie.runtime.installation import Installation

DEFAULT_RESOURCE = "https://api.security.microsoft.com"

_SCOPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """For which resource a token is to be, and the delegated permissions in it: none for an application."""

    resource: str = DEFAULT_RESOURCE
    granted: tuple[str, ...] = ()


async def token(
    *,
    tenant: TenantOption,
    app: Annotated[str | None, Parameter(help="The application: its client id or its name.")] = None,
    user: Annotated[str | None, Parameter(help="The user: the user principal name.")] = None,
    scope: Annotated[
        tuple[str, ...],
        Parameter(help="A delegated permission such as Incident.Read, or RESOURCE/NAME; may be repeated."),
    ] = (),
    lifetime: Annotated[
        WholeNumber | None, Parameter(help="Seconds until it expires; below zero, it has expired already.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Print a bearer token, alone, for an application or a user."""
    if (app is None) == (user is None):
        raise WrongUsage("say whose token it is to be: either --app or --user")
    wanted = _of_application(scope) if user is None else _of_user(scope)
    async with opened(common, create=False) as installation:
        require_authority(installation)
        seconds = _lifetime_seconds(installation, lifetime)
        request = await _request(installation, tenant, wanted, app=app, user=user)
        now_seconds = now() // TICKS_PER_SECOND
        ring = await installation.keys().settle()
        text = issue_token(request, ring.current, now_seconds=now_seconds, lifetime_seconds=seconds)
    value = {
        "access_token": text,
        "token_type": "Bearer",
        "expires_in": seconds,
        "resource": request.audience,
        "tenant_id": request.tenant_guid,
        "permissions": request.granted,
    }
    emit(common, value, lines=[text])


async def rotate_keys(
    *,
    drop_old: Annotated[bool, Parameter(help="Refuse the tokens of the old keys from now on.")] = False,
    common: Common = PLAIN,
) -> None:
    """Sign with a new key from now on; the old one is accepted until its last token is dead."""
    async with opened(common, create=True) as installation:
        require_authority(installation)
        skew_seconds = installation.settings.identity.clock_skew_seconds
        ring = await installation.keys().rotate(now(), skew_seconds, keeps_old=not drop_old)
    retired = [
        {"kid": key.kid, "accepted_until": format_instant(key.accepted_until)}
        for key in ring.retired
        if key.accepted_until is not None
    ]
    lines = [f"signs     {ring.current.kid}"]
    lines += [f"accepted  {each['kid']} until {each['accepted_until']}" for each in retired]
    emit(common, {"kid": ring.current.kid, "retired": retired}, lines=lines)


async def list_keys(*, common: Common = PLAIN) -> None:
    """List the keys whose tokens are accepted, the one that signs first. Makes none."""
    async with opened(common, create=False) as installation:
        require_authority(installation)
        ring = await find_ring(installation.keys())
    if ring is None:
        print_status("there is no signing key yet; `vigie serve` makes one")
    rows = [] if ring is None else [_key_fields(key) for key in ring.accepted(now())]
    emit_rows(common, ("kid", "accepted_until", "signs"), rows)


def _key_fields(key: SigningKey) -> dict[str, object]:
    until = key.accepted_until
    return {
        "kid": key.kid,
        "signs": until is None,
        "accepted_until": None if until is None else format_instant(until),
    }


def _of_user(scopes: Sequence[str]) -> _Wanted:
    """Delegated permissions, each by its name or behind its resource; `.default` is all of them."""
    names: list[str] = []
    resources: set[str] = set()
    for scope in [part for text in scopes for part in text.split() or [""]] or [DELEGATED_PERMISSIONS[0]]:
        resource, slash, name = scope.rpartition("/")
        if name != DEFAULT_SCOPE and not _SCOPE_NAME.fullmatch(name):
            raise WrongUsage(f"--scope is a name such as Incident.Read, or RESOURCE/NAME; it was {scope!r}")
        names += DELEGATED_PERMISSIONS if name == DEFAULT_SCOPE else [name]
        resources |= {resource} if slash else set()
    if len(resources) > 1:
        raise WrongUsage(f"a token is for one resource; --scope names {' and '.join(sorted(resources))}")
    for name in names:
        if name not in DELEGATED_PERMISSIONS:
            print_status(f"{name} is not a permission of the incidents API; it is in the token all the same")
    return _Wanted(resource=next(iter(resources), DEFAULT_RESOURCE), granted=tuple(dict.fromkeys(names)))


def _of_application(scopes: Sequence[str]) -> _Wanted:
    """The resource alone: what an application may do stands in the directory."""
    if not scopes:
        return _Wanted()
    try:
        return _Wanted(resource=resource_of_scope(" ".join(scopes)))
    except TokenRefusal as error:
        raise WrongUsage(
            f"--scope of an application is a resource with /.default behind it, such as "
            f"{DEFAULT_RESOURCE}/.default; it was {' '.join(scopes)!r}"
        ) from error


def _lifetime_seconds(installation: Installation, lifetime: int | None) -> int:
    identity = installation.settings.identity
    if lifetime is None:
        return identity.token_lifetime_seconds
    if lifetime == 0 or abs(lifetime) > TOKEN_LIFETIME_MAX_SECONDS:
        limit = TOKEN_LIFETIME_MAX_SECONDS
        raise WrongUsage(f"--lifetime is -{limit} to {limit} seconds, and not 0; it was {lifetime}")
    if -identity.clock_skew_seconds < lifetime < 0:
        skew = identity.clock_skew_seconds
        print_status(f"clocks may differ by {skew} s: the token is accepted for another {skew + lifetime} s")
    return lifetime


async def _request(
    installation: Installation, tenant_reference: str, wanted: _Wanted, *, app: str | None, user: str | None
) -> TokenRequest:
    directory = installation.directory
    tenant = await directory.get_tenant(tenant_reference)
    audiences = installation.audiences()
    _require_known(audiences, wanted.resource)
    issuer = await installation.issuer()
    if app is not None:
        application = await directory.get_application(tenant, app)
        return application_token_request(issuer, tenant, application, wanted.resource, audiences)
    found = await directory.get_user(tenant, user or "")
    return user_token_request(issuer, tenant, found, wanted.resource, wanted.granted)


def _require_known(audiences: Audiences, resource: str) -> None:
    if not audiences.is_known(resource):
        raise CommandFailed(
            f"no tokens are issued for {resource!r}; if that is another name of this installation, add it to "
            "audience_aliases in [identity] of the settings"
        )
