"""The grant of applications that act for themselves."""

from vigie.core.directory import Application
from vigie.core.errors import user_text
from vigie.identity.clients.authentication import ClientAuthenticator
from vigie.identity.clients.credentials import has_proof
from vigie.identity.grants.request import GrantRequest
from vigie.identity.token_errors import TokenRefusal
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import IssuedToken, application_token_request, issued
from vigie.identity.tokens.scopes import (
    DEFAULT_SCOPE,
    OIDC_SCOPES,
    refused_scope,
    resource_in,
    unknown_resource,
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
        """The token. Raises TokenRefusal."""
        tenant = await self._clients.tenant(request.tenant_reference)
        sent = request.credentials()
        if not has_proof(sent):
            raise TokenRefusal(
                7000216,
                "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' "
                "grant.",
            )
        wanted = resource_in(request.form, request.version)
        scope = "" if wanted else request.required(*request.version.target_fields)
        application = await self._clients.application(tenant, sent.client_id)
        client = await self._clients.check(tenant, application, sent, request.now)
        resource = self._known(wanted or resource_of_scope(scope), application)
        await self._clients.use_up(client, resource, address=request.sender.address, now=request.now)
        content = application_token_request(
            self._issuer, tenant, application, resource, self._audiences, proof=client.proof
        )
        return issued(content, request.ring, request.now, lifetime_seconds=self._lifetime_seconds)

    def _known(self, resource: str, application: Application) -> str:
        if not self._audiences.is_known(resource):
            raise unknown_resource(resource, application)
        return resource


def resource_of_scope(scope: str) -> str:
    """The resource of a scope that ends in `/.default`, as it was written. Raises TokenRefusal."""
    names = [name for name in scope.split() if name not in OIDC_SCOPES]
    if len(names) != 1:
        raise refused_scope(scope)
    resource, slash, name = names[0].rpartition("/")
    if not slash or name != DEFAULT_SCOPE:
        raise TokenRefusal(
            1002012,
            f"The provided value for scope {user_text(scope[:200])} is not valid. Client credential flows must "
            "have a scope value with /.default suffixed to the resource identifier (application ID URI).",
        )
    return resource
