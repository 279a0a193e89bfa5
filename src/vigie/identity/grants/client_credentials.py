"""The client credentials grant: tokens for applications that act for themselves."""

from vigie.core.directory import Application
from vigie.identity.clients.authentication import ClientAuthenticator
from vigie.identity.clients.credentials import has_credentials
from vigie.identity.clients.refusals import GrantNeedsCredentials
from vigie.identity.grants.request import GrantRequest
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import IssuedToken, application_token_request, issued
from vigie.identity.tokens.refusals import DefaultScopeRequired, InvalidScope, ResourceNotFound
from vigie.identity.tokens.scopes import (
    DEFAULT_SCOPE,
    OIDC_SCOPES,
    requested_resource,
)


class ClientCredentialsGrant:
    """A token for an application that proves itself by a secret or a certificate."""

    def __init__(
        self, clients: ClientAuthenticator, audiences: Audiences, *, issuer: str, lifetime_seconds: int
    ) -> None:
        self._clients = clients
        self._audiences = audiences
        self._issuer = issuer
        self._lifetime_seconds = lifetime_seconds

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The token. Raises OAuthRefusal."""
        tenant = await self._clients.tenant(request.tenant_reference)
        sent = request.credentials()
        if not has_credentials(sent):
            raise GrantNeedsCredentials
        wanted = requested_resource(request.form, request.version)
        scope = "" if wanted else request.required(*request.version.target_fields)
        application = await self._clients.application(tenant, sent.client_id)
        client = await self._clients.check(tenant, application, sent, request.now)
        resource = self._known(wanted or resource_of_scope(scope), application)
        await self._clients.use_up(client, resource, address=request.sender.address, now=request.now)
        content = application_token_request(
            self._issuer, tenant, application, resource, self._audiences, auth_method=client.auth_method
        )
        return issued(content, request.ring, request.now, lifetime_seconds=self._lifetime_seconds)

    def _known(self, resource: str, application: Application) -> str:
        if not self._audiences.is_known(resource):
            raise ResourceNotFound(resource, application.client_id)
        return resource


def resource_of_scope(scope: str) -> str:
    """The resource of a scope that ends in `/.default`, as it was written. Raises OAuthRefusal."""
    names = [name for name in scope.split() if name not in OIDC_SCOPES]
    if len(names) != 1:
        raise InvalidScope(scope)
    resource, slash, name = names[0].rpartition("/")
    if not slash or name != DEFAULT_SCOPE:
        raise DefaultScopeRequired(scope)
    return resource
