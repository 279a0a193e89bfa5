"""The users of a tenant, its roles, and the assignments of roles to users."""

import uuid
from collections.abc import Collection
from shlex import quote

from vigie.core.access import Assignment, RolePermission
from vigie.core.directory import BUILT_IN_ROLES, DirectoryError, Role, Tenant, User
from vigie.core.letter_case import lowered
from vigie.storage.database import Session
from vigie.storage.directory.known_device_groups import DeviceGroupsOfTenant
from vigie.storage.directory.mappers import assignments_of, role_of, user_of
from vigie.storage.directory.names import check_name, check_upn
from vigie.storage.directory.part import DirectoryPart


class Users(DirectoryPart):
    """Adds, finds and removes users and roles, and grants roles to users."""

    # Roles

    async def roles(self, tenant: Tenant) -> list[Role]:
        """The built-in roles, then the tenant's own by name."""
        rows = await self._database.rows("roles", {"tenant_id": tenant.tenant_id})
        return [*BUILT_IN_ROLES, *(role_of(row) for row in rows)]

    async def get_role(self, tenant: Tenant, name: str) -> Role:
        """A role by name. Raises DirectoryError when there is none."""
        roles = await self.roles(tenant)
        found = next((role for role in roles if role.name == name), None)
        if found is None:
            known = ", ".join(role.name for role in roles)
            raise DirectoryError(f"there is no role {name!r} in {tenant.name}; there are {known}")
        return found

    async def add_role(self, tenant: Tenant, name: str, permissions: Collection[RolePermission]) -> Role:
        """Add a role of the tenant's own."""
        check_name("role", name)
        if not permissions:
            raise DirectoryError("a role needs a permission: --permission view-data")
        role = Role(name=name, permissions=frozenset(permissions))

        async def change(session: Session) -> None:
            known = [role_of(row) for row in await session.rows("roles", {"tenant_id": tenant.tenant_id})]
            if any(each.name == name for each in (*BUILT_IN_ROLES, *known)):
                raise DirectoryError(f"there is already a role {name!r}")
            await session.run(
                "add_role",
                {"tenant_id": tenant.tenant_id, "name": name, "permissions": " ".join(sorted(permissions))},
            )

        await self._change(change)
        return role

    async def remove_role(self, tenant: Tenant, role: Role) -> None:
        """Remove a role of the tenant's own, and every assignment of it."""
        if role.built_in:
            raise DirectoryError(f"{role.name} is built in and cannot be removed")

        async def change(session: Session) -> None:
            await session.run(
                "remove_assignments_of_role", {"tenant_id": tenant.tenant_id, "role": role.name}
            )
            await session.run("remove_role", {"tenant_id": tenant.tenant_id, "name": role.name})

        await self._change(change)

    # Users and their assignments

    async def users(self, tenant: Tenant) -> list[User]:
        """The tenant's users, by UPN."""
        rows = await self._database.rows("users", {"tenant_id": tenant.tenant_id})
        return [user_of(row) for row in rows]

    async def find_user(self, tenant: Tenant, object_id: str) -> User | None:
        """A user by object id, in any letter case."""
        row = await self._database.row(
            "find_user", {"tenant_id": tenant.tenant_id, "object_id": lowered(object_id)}
        )
        return user_of(row) if row else None

    async def find_user_by_upn(self, tenant: Tenant, upn: str) -> User | None:
        """A user by UPN, in any case of its ASCII letters."""
        key = {"tenant_id": tenant.tenant_id, "folded": upn.casefold()}
        row = await self._database.row("find_user_by_upn", key)
        user = user_of(row) if row else None
        return user if user is not None and lowered(user.upn) == lowered(upn) else None

    async def get_user(self, tenant: Tenant, reference: str) -> User:
        """A user by UPN or object id. Raises DirectoryError when there is none."""
        user = await self.find_user_by_upn(tenant, reference) or await self.find_user(tenant, reference)
        if user is None:
            raise DirectoryError(
                f"there is no user {reference!r} in {tenant.name}; "
                f"`vigie user list --tenant {quote(tenant.name)}` shows them"
            )
        return user

    async def add_user(self, tenant: Tenant, upn: str) -> User:
        """Add a user without any assignment, who sees nothing yet.

        No two UPNs may be alike in letters that only look alike or fold to the same: people read them.
        """
        check_upn(upn)
        object_id = str(uuid.uuid4())

        async def change(session: Session) -> None:
            key = {"tenant_id": tenant.tenant_id, "folded": upn.casefold()}
            if await session.row("find_user_by_upn", key):
                raise DirectoryError(f"there is already a user {upn!r} in {tenant.name}")
            await session.run("add_user", {**key, "object_id": object_id, "upn": upn})

        await self._change(change)
        return User(object_id=object_id, upn=upn)

    async def remove_user(self, tenant: Tenant, user: User) -> None:
        """Remove a user and all assignments; their tokens stop working."""
        await self._run("remove_user", {"tenant_id": tenant.tenant_id, "object_id": user.object_id})

    async def grant(self, tenant: Tenant, user: User, role: Role, device_groups: Collection[str]) -> None:
        """Assign a role to a user, over some device groups, or over the whole tenant when none is named."""
        assignment_id = str(uuid.uuid4())

        async def change(session: Session) -> None:
            groups = await DeviceGroupsOfTenant.load(session, tenant.tenant_id)
            chosen = [groups.choose(tenant, reference) for reference in device_groups]
            key = {"tenant_id": tenant.tenant_id, "assignment_id": assignment_id}
            await session.run(
                "add_assignment",
                {**key, "object_id": user.object_id, "role": role.name, "whole_tenant": int(not chosen)},
            )
            for each in chosen:
                await session.run("add_assignment_device_group", {**key, "group_id": each.group_id})

        await self._change(change)

    async def revoke(self, tenant: Tenant, user: User, role: Role | None) -> int:
        """Take assignments away, all or those of one role; how many there were."""
        return await self._run(
            "remove_assignments",
            {
                "tenant_id": tenant.tenant_id,
                "object_id": user.object_id,
                "role": role.name if role else None,
            },
        )

    async def assignments(self, tenant: Tenant, user: User) -> list[Assignment]:
        """What a user was granted, with the permissions that the roles carry now."""
        permissions = {role.name: role.permissions for role in await self.roles(tenant)}
        rows = await self._database.rows(
            "assignments", {"tenant_id": tenant.tenant_id, "object_id": user.object_id}
        )
        return assignments_of(rows, permissions)
