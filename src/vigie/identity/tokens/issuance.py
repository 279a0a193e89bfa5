"""The issuance of tokens: their subjects and claims, and the answer that they come in."""

import msgspec

from vigie.core.access import CallerKind
from vigie.core.directory import Application, Tenant, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.tokens.access_tokens import (
    USER_CLIENT_ID,
    ClientAuthMethod,
    TokenRequest,
    issue_token,
    issuer_of,
)
from vigie.identity.tokens.audiences import Audiences


class ForUser(msgspec.Struct, frozen=True, kw_only=True):
    """What comes with an access token when it is for a person: `scope` as it was asked for and granted."""

    scope: tuple[str, ...]
    permissions: tuple[str, ...]
    object_id: str
    refresh_token: str | None = None
    id_token: str | None = None


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token, for which resource it is as that was asked for, and its times."""

    access_token: str
    resource: str
    issued_at_seconds: int
    lifetime_seconds: int
    tenant_guid: str
    application_id: str
    for_user: ForUser | None = None


def issued(
    request: TokenRequest,
    ring: KeyRing,
    now: Instant,
    *,
    lifetime_seconds: int,
    for_user: ForUser | None = None,
) -> IssuedToken:
    """Sign a token and say what its answer says."""
    now_seconds = now // TICKS_PER_SECOND
    token = issue_token(request, ring.current, now_seconds=now_seconds, lifetime_seconds=lifetime_seconds)
    return IssuedToken(
        access_token=token,
        resource=request.audience,
        issued_at_seconds=now_seconds,
        lifetime_seconds=lifetime_seconds,
        tenant_guid=request.tenant_guid,
        application_id=request.application_id,
        for_user=for_user,
    )


def application_token_request(
    issuer: str,
    tenant: Tenant,
    application: Application,
    resource: str,
    audiences: Audiences,
    *,
    auth_method: ClientAuthMethod = ClientAuthMethod.SECRET,
) -> TokenRequest:
    """What an application's token says: of its permissions, those for the resource."""
    found = audiences.resource_of(resource)
    of_resource = found.application_permissions if found else ()
    return TokenRequest(
        issuer=issuer_of(issuer, tenant.guid),
        audience=resource,
        tenant_guid=tenant.guid,
        kind=CallerKind.APPLICATION,
        application_id=application.client_id,
        application_name=application.name,
        # Microsoft has a service principal beside the application; here one id serves for both.
        object_id=application.client_id,
        granted=tuple(each for each in application.permissions if each in of_resource),
        auth_method=auth_method,
    )


def user_token_request(
    issuer: str, tenant: Tenant, user: User, resource: str, granted: tuple[str, ...]
) -> TokenRequest:
    """What a token says that an administrator makes for a user, with the delegated permissions in it."""
    return TokenRequest(
        issuer=issuer_of(issuer, tenant.guid),
        audience=resource,
        tenant_guid=tenant.guid,
        kind=CallerKind.USER,
        application_id=USER_CLIENT_ID,
        application_name="Vigie",
        object_id=user.object_id,
        upn=user.upn,
        granted=granted,
    )
