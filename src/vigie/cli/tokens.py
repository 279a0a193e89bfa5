"""The command `vigie token`, which issues an access token without the token endpoint."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import (
    PLAIN,
    ApplicationOption,
    Common,
    Integer,
    TenantOption,
    UserOption,
    emit,
    opened_tenant,
    require_authorization_server,
)
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.core.access import DELEGATED_PERMISSIONS
from vigie.core.directory import Tenant
from vigie.core.instants import TICKS_PER_SECOND
from vigie.identity.grants.client_credentials import resource_of_scope
from vigie.identity.keys.key_ring import TOKEN_LIFETIME_MAX_SECONDS
from vigie.identity.tokens.access_tokens import TokenRequest, issue_token
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import application_token_request, user_token_request
from vigie.identity.tokens.refusals import DefaultScopeRequired, InvalidScope
from vigie.identity.tokens.scopes import DEFAULT_SCOPE
from vigie.runtime.clock import now
from vigie.runtime.installation import Installation

DEFAULT_RESOURCE = "https://api.security.microsoft.com"

_SCOPE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TokenScope:
    """The resource of a token, and its delegated permissions: none for an application."""

    resource: str = DEFAULT_RESOURCE
    granted: tuple[str, ...] = ()


ScopeOption = Annotated[
    tuple[str, ...],
    Parameter(
        metavar="SCOPE...",
        help="Delegated permission, such as Incident.Read or RESOURCE/Incident.Read; may be repeated.",
    ),
]
LifetimeOption = Annotated[
    Integer | None, Parameter(metavar="SECONDS", help="Lifetime; negative for an expired token.")
]


async def token(
    *,
    tenant: TenantOption,
    app: ApplicationOption = None,
    user: UserOption = None,
    scope: ScopeOption = (),
    lifetime: LifetimeOption = None,
    common: Common = PLAIN,
) -> None:
    """Print an access token for an application or a user."""
    if (app is None) == (user is None):
        raise WrongUsage("exactly one of --app and --user is required")
    token_scope = _of_application(scope) if user is None else _of_user(scope)
    async with opened_tenant(common, tenant) as (installation, found):
        require_authorization_server(installation)
        seconds = _lifetime_seconds(installation, lifetime)
        request = await _request(installation, found, token_scope, app=app, user=user)
        now_seconds = now() // TICKS_PER_SECOND
        ring = await installation.keys().load_or_create()
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


def _of_user(scopes: Sequence[str]) -> _TokenScope:
    """Delegated permissions, each by its name or as RESOURCE/NAME; `.default` is all of them."""
    names: list[str] = []
    resources: set[str] = set()
    for scope in [part for text in scopes for part in text.split() or [""]] or [DELEGATED_PERMISSIONS[0]]:
        resource, slash, name = scope.rpartition("/")
        if name != DEFAULT_SCOPE and not _SCOPE_NAME.fullmatch(name):
            raise WrongUsage(
                f"--scope must be a name such as Incident.Read, or RESOURCE/NAME; it was {scope!r}"
            )
        names += DELEGATED_PERMISSIONS if name == DEFAULT_SCOPE else [name]
        resources |= {resource} if slash else set()
    if len(resources) > 1:
        raise WrongUsage(f"a token is for one resource; --scope has {' and '.join(sorted(resources))}")
    for name in names:
        if name not in DELEGATED_PERMISSIONS:
            print_status(f"warning: {name} is not a permission of the incidents API; the token has it anyway")
    return _TokenScope(resource=next(iter(resources), DEFAULT_RESOURCE), granted=tuple(dict.fromkeys(names)))


def _of_application(scopes: Sequence[str]) -> _TokenScope:
    """The resource alone: the permissions of an application are in the directory."""
    if not scopes:
        return _TokenScope()
    try:
        return _TokenScope(resource=resource_of_scope(" ".join(scopes)))
    except (InvalidScope, DefaultScopeRequired) as error:
        raise WrongUsage(
            f"--scope of an application must be RESOURCE/.default, such as "
            f"{DEFAULT_RESOURCE}/.default; it was {' '.join(scopes)!r}"
        ) from error


def _lifetime_seconds(installation: Installation, lifetime: int | None) -> int:
    identity = installation.settings.identity
    if lifetime is None:
        return identity.token_lifetime_seconds
    if lifetime == 0 or abs(lifetime) > TOKEN_LIFETIME_MAX_SECONDS:
        limit = TOKEN_LIFETIME_MAX_SECONDS
        raise WrongUsage(f"--lifetime must be -{limit} to {limit} seconds and not 0; it was {lifetime}")
    if -identity.clock_skew_seconds < lifetime < 0:
        skew = identity.clock_skew_seconds
        print_status(
            f"warning: accepted for another {skew + lifetime} s, as [identity] clock_skew_seconds = {skew}"
        )
    return lifetime


async def _request(
    installation: Installation, tenant: Tenant, token_scope: _TokenScope, *, app: str | None, user: str | None
) -> TokenRequest:
    directory = installation.directory
    audiences = installation.audiences()
    _require_known(audiences, token_scope.resource)
    issuer = await installation.issuer()
    if app is not None:
        application = await directory.get_application(tenant, app)
        return application_token_request(issuer, tenant, application, token_scope.resource, audiences)
    found = await directory.get_user(tenant, user or "")
    return user_token_request(issuer, tenant, found, token_scope.resource, token_scope.granted)


def _require_known(audiences: Audiences, resource: str) -> None:
    if not audiences.is_known(resource):
        raise CommandFailed(
            f"unknown resource {resource!r}; if it is a name of this installation, add it to "
            "[identity] audience_aliases in the settings"
        )
