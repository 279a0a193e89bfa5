"""The directory of all tenants as one object, and the issuer of the installation beside it."""

from collections.abc import Iterable

from vigie.core.api_resource import ApiResource
from vigie.storage.database import Database, Session
from vigie.storage.directory.applications import Applications
from vigie.storage.directory.credentials import ApplicationCredentials
from vigie.storage.directory.device_groups import DeviceGroups
from vigie.storage.directory.tenants import Tenants
from vigie.storage.directory.users import Users


class DirectoryStore(Applications, ApplicationCredentials, Tenants, Users, DeviceGroups):
    """Tenants, applications and their credentials, roles, users, assignments and device groups."""

    def __init__(self, database: Database, resources: Iterable[ApiResource]) -> None:
        super().__init__(database, resources)
        self._lookup_value = database.prepare_lookup("installation_value", "name")

    async def version(self) -> int:
        """A number that grows with every change of the directory."""
        name = "directory_version"
        row = self._lookup_value(name) or await self._database.row("installation_value", {"name": name})
        return int(row[0]) if row else 0

    async def find_issuer(self) -> str | None:
        """The base of the issuer of this installation's tokens, once it is settled."""
        row = await self._database.row("installation_value", {"name": "issuer"})
        return row[0] if row else None

    async def settle_issuer(self, issuer: str) -> str:
        """Store the issuer for good, unless there is one already; the one that counts."""

        async def change(session: Session) -> None:
            await session.run("put_installation_value", {"name": "issuer", "value": issuer})

        settled = await self.find_issuer()
        if settled is None:
            await self._database.write(change)
            settled = await self.find_issuer()
        return settled or issuer

    async def change_issuer(self, issuer: str) -> None:
        """Store another issuer; running servers use the one that they started with."""

        async def change(session: Session) -> None:
            await session.run("set_installation_value", {"name": "issuer", "value": issuer})

        await self._database.write(change)
