"""Scopes: the resource and permissions that an application asks for, and those that a person can consent to.

Source: docs/api/tokens.md, "Scopes"; OpenID Connect Core, 3.1.2.1 and 5.4.
"""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from vigie.core.directory import Application
from vigie.core.oauth_records import OFFLINE_ACCESS, OPENID, Consent
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.form_parameters import first_of
from vigie.identity.tokens.audiences import GRAPH_AUDIENCE, Audiences
from vigie.identity.tokens.refusals import (
    InvalidScope,
    PermissionNotAllowed,
    ResourceNotFound,
    ResourceNotSupported,
)

DEFAULT_SCOPE = ".default"
OIDC_SCOPES = (OPENID, "profile", "email", OFFLINE_ACCESS)

_SCOPE_LENGTH_MAX = 2048


class RequestedScopes(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, names of permissions or `.default` under it, and OpenID's names, as a request has them."""

    resource: str
    names: tuple[str, ...]
    oidc: tuple[str, ...]


def read_scope(scope: str) -> RequestedScopes:
    """What a `scope` asks for. Raises OAuthRefusal when that is nothing, or of several resources."""
    words = dict.fromkeys(scope.split())
    oidc = tuple(word for word in OIDC_SCOPES if word in words)
    split = [word.rpartition("/") for word in words if word not in OIDC_SCOPES]
    resources = {resource for resource, _, _ in split}
    is_good = all(slash and name for _, slash, name in split) and len(resources) <= 1
    if not words or not is_good or len(scope) > _SCOPE_LENGTH_MAX:
        raise InvalidScope(scope)
    # Who a person is can be requested without any API; Microsoft's token is then one for Graph.
    return RequestedScopes(
        resource=resources.pop() if resources else GRAPH_AUDIENCE,
        names=tuple(name for _, _, name in split),
        oidc=oidc,
    )


def read_resource(resource: str) -> RequestedScopes:
    """What a `resource` of version 1 asks for: all there is, with an id token and a refresh token beside it."""
    return RequestedScopes(resource=resource, names=(DEFAULT_SCOPE,), oidc=OIDC_SCOPES)


def requested_scopes(fields: Mapping[str, str], version: EndpointVersion) -> RequestedScopes:
    """What a request asks for that begins a sign-in. Raises OAuthRefusal when it asks for nothing.

    Version 1 names a resource, and gets an id token and a refresh token without asking.
    """
    if resource := requested_resource(fields, version):
        return read_resource(resource)
    requested = read_scope(first_of(fields, version.target_fields))
    return replace(requested, oidc=OIDC_SCOPES) if version.has_resource_parameter else requested


def requested_resource(fields: Mapping[str, str], version: EndpointVersion) -> str | None:
    """The `resource` that version 1 goes by; None where the scope counts. Raises OAuthRefusal.

    Beside a scope, version 2 ignores it: docs/divergences.md, "The form of tokens".
    """
    resource = fields.get("resource") or None
    if version.has_resource_parameter:
        return resource
    if resource and not fields.get("scope"):
        raise ResourceNotSupported
    return None


def consent_to(requested: RequestedScopes, application: Application, audiences: Audiences) -> Consent:
    """What the application gets of what it asks for, if a person agrees. Raises OAuthRefusal if that is nothing."""
    resource = audiences.resource_of(requested.resource)
    if resource is None:
        raise ResourceNotFound(requested.resource, application.client_id)
    permitted = [each for each in application.delegated_permissions if each in resource.delegated_permissions]
    is_all = DEFAULT_SCOPE in requested.names
    granted = tuple(each for each in permitted if is_all or each in requested.names)
    if requested.names and resource.delegated_permissions and not granted:
        raise PermissionNotAllowed(requested.names, application.client_id)
    default = (DEFAULT_SCOPE,) if is_all else ()
    return Consent(
        resource=requested.resource,
        permissions=granted,
        scope=(*(f"{requested.resource}/{name}" for name in (*granted, *default)), *requested.oidc),
    )
