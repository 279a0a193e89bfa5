"""The device groups of one tenant, inside a change: which are known, and which have just been met."""

from collections.abc import Iterable
from shlex import quote

import msgspec

from vigie.core.directory import DeviceGroup, DirectoryError, Tenant
from vigie.storage.database import Session


class StoredGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A device group and its key in the database."""

    group_id: int
    group: DeviceGroup


class DeviceGroupsOfTenant:
    """Holds what is known while the change lasts, so that meeting a known group costs no statement."""

    def __init__(self, session: Session, tenant_id: int, known: list[StoredGroup]) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self.known = known
        self._met: set[DeviceGroup] = set()

    @classmethod
    async def load(cls, session: Session, tenant_id: int) -> "DeviceGroupsOfTenant":
        """The groups as they stand in the database."""
        rows = await session.rows("device_groups", {"tenant_id": tenant_id})
        known = [
            StoredGroup(group_id=group_id, group=DeviceGroup(number=number, name=name))
            for group_id, number, name in rows
        ]
        return cls(session, tenant_id, known)

    async def meet(self, groups: Iterable[DeviceGroup]) -> None:
        """Create the groups that are not known yet.

        A group known by name only learns its number from the first device that states both, so that a grant
        made before the first import holds afterwards; one known by number only learns its name in the same way,
        unless another group goes by it.
        """
        for group in groups:
            if group not in self._met:
                self._met.add(group)
                await self._meet(group)

    async def add(self, group: DeviceGroup) -> None:
        """Create a group."""
        await self._session.run(
            "add_device_group", {"tenant_id": self._tenant_id, "number": group.number, "name": group.name}
        )
        await self._reload()

    def find(self, group: DeviceGroup) -> StoredGroup | None:
        """The known group that a device of this group belongs to: by number if it has one, else by name."""
        for stored in self.known:
            if group.number is not None:
                if stored.group.number == group.number:
                    return stored
            elif stored.group.name == group.name:
                return stored
        return None

    async def _meet(self, group: DeviceGroup) -> None:
        met = self.find(group)
        namesakes = [each for each in self.known if each.group.name == group.name]
        numberless = next((each for each in namesakes if each.group.number is None), None)
        if met is None:
            await (self.add(group) if numberless is None else self._learn(numberless, group))
        elif met.group.is_nameless and not namesakes:
            await self._learn(met, group)

    async def _learn(self, stored: StoredGroup, group: DeviceGroup) -> None:
        """Give a known group the number and the name that a device states of it."""
        if stored.group == group:
            return
        await self._session.run(
            "complete_device_group",
            {
                "tenant_id": self._tenant_id,
                "group_id": stored.group_id,
                "number": group.number,
                "name": group.name,
            },
        )
        await self._session.run("touch_directory", {})
        await self._reload()

    async def _reload(self) -> None:
        self.known = (await DeviceGroupsOfTenant.load(self._session, self._tenant_id)).known

    def choose(self, tenant: Tenant, reference: str) -> StoredGroup:
        """The one group that a reference means, by name or else by number. Raises DirectoryError."""
        named = [each for each in self.known if each.group.name == reference]
        numbered = [each for each in self.known if str(each.group.number) == reference]
        chosen = named or numbered
        if not chosen:
            raise DirectoryError(
                f"there is no device group {reference!r} in {tenant.name}; "
                f"`vigie device-group list --tenant {quote(tenant.name)}` shows them"
            )
        if len(chosen) > 1:
            numbers = ", ".join(str(each.group.number) for each in chosen)
            raise DirectoryError(
                f"several device groups are called {reference!r}; say which by number: {numbers}"
            )
        return chosen[0]
