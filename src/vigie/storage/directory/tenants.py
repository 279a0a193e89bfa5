"""The tenants of the installation."""

from vigie.core.access import UNGROUPED_DEVICES
from vigie.core.directory import DeviceGroup, DirectoryError, Tenant
from vigie.core.letter_case import lowered
from vigie.storage.database import Session
from vigie.storage.directory.known_device_groups import DeviceGroupsOfTenant
from vigie.storage.directory.mappers import tenant_of
from vigie.storage.directory.names import RESERVED_TENANT_NAMES, check_name, checked_domain, checked_guid
from vigie.storage.directory.part import DirectoryPart


class Tenants(DirectoryPart):
    """Adds, finds and removes tenants."""

    async def tenants(self) -> list[Tenant]:
        """Every tenant, by name."""
        return [tenant_of(row) for row in await self._database.rows("tenants", {})]

    async def find_tenant(self, reference: str) -> Tenant | None:
        """A tenant by its id, domain or name."""
        row = await self._database.row("find_tenant", {"reference": reference})
        return tenant_of(row) if row else None

    async def get_tenant(self, reference: str) -> Tenant:
        """A tenant by its id, domain or name. Raises DirectoryError when there is none."""
        tenant = await self.find_tenant(reference)
        if tenant is None:
            raise DirectoryError(f"there is no tenant {reference!r}; `vigie tenant list` shows them")
        return tenant

    async def add_tenant(self, name: str, *, guid: str | None, domain: str | None) -> Tenant:
        """Add a tenant, with an id of its own unless one is given."""
        check_name("tenant", name)
        if lowered(name) in RESERVED_TENANT_NAMES:
            raise DirectoryError(f"{name!r} means something else in a token address; choose another name")
        guid = checked_guid(guid)
        domain = checked_domain(domain)

        async def change(session: Session) -> None:
            for reference in filter(None, (name, guid, domain)):
                if await session.row("find_tenant", {"reference": reference}):
                    raise DirectoryError(f"there is already a tenant {reference!r}")
            await session.run("add_tenant", {"guid": guid, "name": name, "domain": domain})
            row = await session.row("find_tenant", {"reference": guid})
            groups = await DeviceGroupsOfTenant.load(session, row[0] if row else 0)
            await groups.add(DeviceGroup(name=UNGROUPED_DEVICES, number=None))

        await self._change(change)
        return await self.get_tenant(guid)

    async def remove_tenant(self, tenant: Tenant) -> None:
        """Remove a tenant and its directory. Raises DirectoryError while it has incidents."""

        async def change(session: Session) -> None:
            if await session.row("has_incidents", {"tenant_id": tenant.tenant_id}):
                raise DirectoryError(f"incidents are being imported into {tenant.name}; try again afterwards")
            await session.run("remove_tenant", {"tenant_id": tenant.tenant_id})

        await self._change(change)
