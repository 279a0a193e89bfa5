"""The interface through which identity reads the directory; storage implements it."""

from typing import Protocol

from vigie.core.access import Assignment
from vigie.core.directory import (
    Application,
    AssertionUse,
    ClientCertificate,
    ClientSecret,
    DeviceGroup,
    Role,
    Tenant,
    User,
)
from vigie.core.instants import Instant


class DirectoryRepository(Protocol):
    """Who and what each tenant knows."""

    async def version(self) -> int:
        """A number that grows with every change."""

    async def find_tenant(self, reference: str) -> Tenant | None:
        """A tenant by its id, domain or name."""

    async def find_application(self, tenant: Tenant, reference: str) -> Application | None:
        """An application of the tenant by its client id or its name."""

    async def find_tenant_of_application(self, client_id: str) -> Tenant | None:
        """The tenant that an application belongs to."""

    async def redirect_uris(self, tenant: Tenant, application: Application) -> list[str]:
        """The redirect URIs that an application has registered, as they were given."""

    async def client_secrets(self, tenant: Tenant, application: Application) -> list[ClientSecret]:
        """The hashes of an application's secrets, expired ones included."""

    async def client_certificates(self, tenant: Tenant, application: Application) -> list[ClientCertificate]:
        """The certificates of an application, whatever their dates."""

    async def use_assertion(
        self, tenant: Tenant, use: AssertionUse, expires_at: Instant, now: Instant
    ) -> bool:
        """Keep until it expires that an assertion was used so; False if it may not be."""

    async def note_assertion(
        self, tenant: Tenant, fingerprint: bytes, expires_at: Instant, now: Instant
    ) -> bool:
        """Keep until it expires that an assertion was used; False if it had been before."""

    async def find_user(self, tenant: Tenant, object_id: str) -> User | None:
        """A user of the tenant by object id, in any letter case."""

    async def find_user_by_upn(self, tenant: Tenant, upn: str) -> User | None:
        """A user of the tenant by UPN, in any case of its ASCII letters."""

    async def assignments(self, tenant: Tenant, user: User) -> list[Assignment]:
        """What a user was granted."""

    async def roles(self, tenant: Tenant) -> list[Role]:
        """The roles of the tenant, the built-in ones too."""

    async def device_groups(self, tenant: Tenant) -> list[DeviceGroup]:
        """The device groups of the tenant."""
