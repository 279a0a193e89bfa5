"""The device groups of a tenant, as administrators name them."""

from vigie.core.access import UNGROUPED_DEVICES
from vigie.core.directory import DeviceGroup, DirectoryError, Tenant
from vigie.storage.database import Session
from vigie.storage.directory.known_device_groups import DeviceGroupsOfTenant
from vigie.storage.directory.names import check_name
from vigie.storage.directory.part import DirectoryPart


class DeviceGroups(DirectoryPart):
    """Adds, lists and removes device groups."""

    async def device_groups(self, tenant: Tenant) -> list[DeviceGroup]:
        """The tenant's device groups, by name."""
        rows = await self._database.rows("device_groups", {"tenant_id": tenant.tenant_id})
        return [DeviceGroup(number=number, name=name) for _, number, name in rows]

    async def add_device_group(self, tenant: Tenant, name: str, number: int | None) -> DeviceGroup:
        """Add a device group, before any import has met it."""
        check_name("device group", name)
        if number is not None and not 0 < number < 2**63:
            raise DirectoryError("a device group's number is a whole number from 1")
        group = DeviceGroup(name=name, number=number)

        async def change(session: Session) -> None:
            groups = await DeviceGroupsOfTenant.load(session, tenant.tenant_id)
            if groups.find(group) is not None:
                raise DirectoryError(f"there is already a device group {number or name!r} in {tenant.name}")
            await groups.add(group)

        await self._change(change)
        return group

    async def remove_device_group(self, tenant: Tenant, reference: str) -> None:
        """Remove a device group: assignments scoped to it see less afterwards, never more."""

        async def change(session: Session) -> None:
            groups = await DeviceGroupsOfTenant.load(session, tenant.tenant_id)
            stored = groups.choose(tenant, reference)
            if stored.group.name == UNGROUPED_DEVICES:
                raise DirectoryError(f"{UNGROUPED_DEVICES!r} is built in and cannot be removed")
            await session.run(
                "remove_device_group", {"tenant_id": tenant.tenant_id, "group_id": stored.group_id}
            )

        await self._change(change)
