"""Authentication of the applications that ask for tokens: docs/api/tokens.md; RFC 6749, 2.3."""

import hmac
import re

import msgspec

from vigie.core.client_secrets import hash_secret
from vigie.core.directory import Application, Tenant
from vigie.core.instants import Instant
from vigie.core.letter_case import lowered
from vigie.identity.clients.assertions import ClientAssertions, ProvenAssertion, SentAssertion
from vigie.identity.clients.credentials import Credentials, has_credentials
from vigie.identity.clients.refusals import (
    ApplicationNotFound,
    ExpiredClientSecret,
    InvalidClientSecret,
    InvalidTenantName,
    MissingCredentials,
    TenantNotFound,
    TenantNotNamed,
    UnexpectedCredentials,
)
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.tokens.access_tokens import ClientAuthMethod

SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})

_SHARED_WITH_ORGANISATIONS = frozenset({"common", "organizations"})
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+", re.ASCII | re.IGNORECASE)


class AuthenticatedClient(msgspec.Struct, frozen=True, kw_only=True):
    """An application that has authenticated, as far as one of its kind can. Made by `ClientAuthenticator` alone."""

    tenant: Tenant
    application: Application
    auth_method: ClientAuthMethod
    assertion: ProvenAssertion | None = None


class ClientAuthenticator:
    """Finds applications and checks what they send to prove themselves."""

    def __init__(self, directory: DirectoryRepository, assertions: ClientAssertions) -> None:
        self._directory = directory
        self._assertions = assertions

    async def tenant(self, reference: str) -> Tenant:
        """The tenant that an address names, by id or domain. Raises OAuthRefusal."""
        if lowered(reference) in SHARED_TENANTS:
            raise TenantNotNamed(reference)
        if not GUID.fullmatch(reference) and not _DOMAIN.fullmatch(reference):
            raise InvalidTenantName(reference)
        tenant = await self._directory.find_tenant(reference)
        if tenant is None or lowered(reference) not in (tenant.guid, tenant.domain):
            raise TenantNotFound(reference)
        return tenant

    async def application(self, tenant: Tenant, client_id: str) -> Application:
        """The application of a client id. Raises OAuthRefusal."""
        application = await self._directory.find_application(tenant, client_id)
        if application is None or application.client_id != lowered(client_id):
            raise ApplicationNotFound(client_id, tenant.guid)
        return application

    async def tenant_and_application(self, reference: str, client_id: str) -> tuple[Tenant, Application]:
        """Both; under `common` and `organizations` the tenant is the application's. Raises OAuthRefusal.

        An application belongs to one tenant, so that nobody of another can be meant.
        """
        if lowered(reference) in _SHARED_WITH_ORGANISATIONS:
            tenant = await self._directory.find_tenant_of_application(client_id)
            if tenant is None:
                raise ApplicationNotFound(client_id, reference)
        else:
            tenant = await self.tenant(reference)
        return tenant, await self.application(tenant, client_id)

    async def authenticate(
        self, reference: str, sent: Credentials | SentAssertion, now: Instant
    ) -> AuthenticatedClient:
        """The application that a form comes from, where people have signed in. Raises OAuthRefusal."""
        tenant, application = await self.tenant_and_application(reference, sent.client_id)
        return await self.check(tenant, application, sent, now)

    async def check(
        self,
        tenant: Tenant,
        application: Application,
        sent: Credentials | SentAssertion,
        now: Instant,
    ) -> AuthenticatedClient:
        """The application, if what was sent proves it. A public one can prove nothing, and must not try.

        Raises OAuthRefusal.
        """
        if application.is_public and has_credentials(sent):
            raise UnexpectedCredentials(application.client_id)
        if not application.is_public and not has_credentials(sent):
            raise MissingCredentials
        auth_method, assertion = ClientAuthMethod.NONE, None
        if isinstance(sent, SentAssertion):
            assertion = await self._assertions.check(tenant, application, sent, now)
            auth_method = ClientAuthMethod.CERTIFICATE
        elif sent.secrets:
            await self._check_secret(tenant, application, sent, now)
            auth_method = ClientAuthMethod.SECRET
        return AuthenticatedClient(
            tenant=tenant, application=application, auth_method=auth_method, assertion=assertion
        )

    async def use_up(self, client: AuthenticatedClient, resource: str, *, address: str, now: Instant) -> None:
        """Let the assertion that proved a client be good no more. Raises OAuthRefusal if it was not any more.

        Last, so that a request that fails for another reason may be sent again as it is. For applications that
        act for themselves: beside a code or a refresh token, which are good once themselves, MSAL sends the
        same assertion several times. docs/divergences.md, "Assertions are good once".
        """
        if client.assertion is not None:
            await self._assertions.use(client.tenant, client.assertion, resource, address=address, now=now)

    async def _check_secret(
        self, tenant: Tenant, application: Application, credentials: Credentials, now: Instant
    ) -> None:
        sent = [hash_secret(secret) for secret in credentials.secrets]
        for kept in await self._directory.client_secrets(tenant, application):
            # In constant time; which of the secrets matches is not worth hiding.
            if any(hmac.compare_digest(kept.sha256, each) for each in sent):
                if kept.expires_at is not None and kept.expires_at <= now:
                    raise ExpiredClientSecret
                return
        raise InvalidClientSecret(application.client_id)
