"""Who and what each tenant knows, in the database. Every change tells running servers that there was one."""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from shlex import quote

from vigie.core.access import (
    UNGROUPED_DEVICES,
    Assignment,
    RolePermission,
)
from vigie.core.api_resource import ApiResource
from vigie.core.client_secrets import check_chosen_secret, hash_secret, new_secret
from vigie.core.directory import (
    BUILT_IN_ROLES,
    Application,
    AssertionUse,
    ClientCertificate,
    ClientSecret,
    DeviceGroup,
    DirectoryError,
    Role,
    Tenant,
    User,
)
from vigie.core.instants import Instant
from vigie.core.letter_case import lowered
from vigie.core.redirect_uris import canonical, why_not_a_redirect_uri
from vigie.storage.database import Change, Database, Session, T
from vigie.storage.device_groups import DeviceGroupsOfTenant, StoredGroup
from vigie.storage.directory_mappers import (
    application_of,
    assignments_of,
    certificate_of,
    role_of,
    tenant_of,
    user_of,
)
from vigie.storage.directory_names import (
    RESERVED_TENANT_NAMES,
    check_name,
    check_upn,
    checked_domain,
    checked_guid,
)

_FORGOTTEN_COUNT = 100
"""How many expired assertions each new one forgets."""


class DirectoryStore:
    """Tenants, applications, roles, users, device groups and assignments."""

    def __init__(self, database: Database, resources: Iterable[ApiResource]) -> None:
        resources = tuple(resources)
        self._database = database
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
        """Keep the issuer for good, unless one is kept already; the one that counts."""

        async def change(session: Session) -> None:
            await session.run("put_installation_value", {"name": "issuer", "value": issuer})

        settled = await self.find_issuer()
        if settled is None:
            await self._database.write(change)
            settled = await self.find_issuer()
        return settled or issuer

    async def change_issuer(self, issuer: str) -> None:
        """Keep another issuer from now on; servers that run go on with the one they started with."""

        async def change(session: Session) -> None:
            await session.run("set_installation_value", {"name": "issuer", "value": issuer})

        await self._database.write(change)

    # Tenants

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

    # Applications

    async def applications(self, tenant: Tenant) -> list[Application]:
        """The tenant's applications, by name."""
        rows = await self._database.rows("applications", {"tenant_id": tenant.tenant_id})
        return [application_of(row) for row in rows]

    async def find_application(self, tenant: Tenant, reference: str) -> Application | None:
        """An application of the tenant by its client id or its name."""
        row = await self._database.row(
            "find_application", {"tenant_id": tenant.tenant_id, "reference": reference}
        )
        return application_of(row) if row else None

    async def get_application(self, tenant: Tenant, reference: str) -> Application:
        """An application by client id or name. Raises DirectoryError when there is none."""
        application = await self.find_application(tenant, reference)
        if application is None:
            raise DirectoryError(
                f"there is no application {reference!r} in {tenant.name}; "
                f"`vigie app list --tenant {quote(tenant.name)}` shows them"
            )
        return application

    async def add_application(
        self,
        tenant: Tenant,
        name: str,
        permissions: Collection[str],
        certificates: Collection[ClientCertificate] = (),
        *,
        redirect_uris: Collection[str] = (),
        client_id: str | None = None,
        secret: str | None = None,
    ) -> tuple[Application, str]:
        """Add an application; with it comes its secret, which is not kept and cannot be shown again.

        Client id and secret are new ones unless they are chosen.
        """
        kept = _new_or_chosen(secret)
        application = self._new_application(name, permissions, client_id=client_id)
        await self._add_application(tenant, application, certificates, redirect_uris, kept)
        return application, kept

    async def add_application_without_secret(
        self,
        tenant: Tenant,
        name: str,
        permissions: Collection[str],
        certificates: Collection[ClientCertificate] = (),
        *,
        redirect_uris: Collection[str] = (),
        is_public: bool = False,
        client_id: str | None = None,
    ) -> Application:
        """Add an application that proves itself by its certificates alone, or a public one by nothing."""
        application = self._new_application(name, permissions, is_public=is_public, client_id=client_id)
        await self._add_application(tenant, application, certificates, redirect_uris, None)
        return application

    async def _add_application(
        self,
        tenant: Tenant,
        application: Application,
        certificates: Collection[ClientCertificate],
        redirect_uris: Collection[str],
        secret: str | None,
    ) -> None:
        check_name("application", application.name)
        uris = _canonical_uris(application, redirect_uris)

        async def change(session: Session) -> None:
            key = {"tenant_id": tenant.tenant_id, "reference": application.name}
            if await session.row("find_application", key):
                raise DirectoryError(f"there is already an application {application.name!r} in {tenant.name}")
            owner = await session.row("find_tenant_of_application", {"client_id": application.client_id})
            if owner is not None:
                raise DirectoryError(
                    f"there is already an application with the client id {application.client_id} in "
                    f"{tenant_of(owner).name}"
                )
            values = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
            await session.run("add_application", {**values, **_application_values(application)})
            if secret is not None:
                await session.run("add_client_secret", {**values, "sha256": hash_secret(secret)})
            # The same file named twice is one certificate.
            for certificate in dict.fromkeys(certificates):
                await _add_certificate(session, values, certificate)
            await session.run_many("add_redirect_uri", [{**values, "uri": uri} for uri in uris])

        await self._change(change)

    async def update_application(
        self,
        tenant: Tenant,
        application: Application,
        *,
        permissions: Collection[str] | None = None,
        redirect_uris: Collection[str] | None = None,
        is_public: bool | None = None,
    ) -> Application:
        """Change what an application may do, where people may be sent back to, and its kind; None: as it is."""
        kept_uris = await self.redirect_uris(tenant, application)
        now_public = application.is_public if is_public is None else is_public
        named = application.all_permissions if permissions is None else permissions
        changed = replace(self._new_application(application.name, named), client_id=application.client_id)
        changed = replace(changed, is_public=now_public)
        uris = _canonical_uris(changed, kept_uris if redirect_uris is None else redirect_uris)

        async def change(session: Session) -> None:
            values = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
            await session.run("update_application", {**values, **_application_values(changed)})
            await session.run("remove_redirect_uris", values)
            await session.run_many("add_redirect_uri", [{**values, "uri": uri} for uri in uris])

        await self._change(change)
        return changed

    async def find_tenant_of_application(self, client_id: str) -> Tenant | None:
        """The tenant that an application belongs to."""
        row = await self._database.row("find_tenant_of_application", {"client_id": client_id})
        return tenant_of(row) if row else None

    async def redirect_uris(self, tenant: Tenant, application: Application) -> list[str]:
        """Where an application may have people sent back to, in the canonical spelling."""
        rows = await self._database.rows(
            "redirect_uris", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )
        return [uri for (uri,) in rows]

    async def remove_application(self, tenant: Tenant, application: Application) -> None:
        """Remove an application; its tokens stop working."""
        await self._run(
            "remove_application", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )

    async def rotate_secret(
        self, tenant: Tenant, application: Application, old_until: Instant, *, secret: str | None = None
    ) -> str:
        """Give an application a new secret, or the chosen one; the old ones are good until `old_until`."""
        kept = _new_or_chosen(secret)
        key = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}

        async def change(session: Session) -> None:
            known = {sha256 for sha256, _ in await session.rows("client_secrets", key)}
            if known.intersection([hash_secret(kept)]):
                raise DirectoryError(f"{application.name} has that secret already")
            await session.run("expire_client_secrets", {**key, "expires_at": old_until})
            await session.run("add_client_secret", {**key, "sha256": hash_secret(kept)})

        await self._change(change)
        return kept

    async def client_secrets(self, tenant: Tenant, application: Application) -> list[ClientSecret]:
        """The hashes of an application's secrets, expired ones included."""
        rows = await self._database.rows(
            "client_secrets", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )
        return [ClientSecret(sha256=sha256, expires_at=expires_at) for sha256, expires_at in rows]

    async def add_certificate(
        self, tenant: Tenant, application: Application, certificate: ClientCertificate
    ) -> None:
        """Let an application prove itself by one more certificate."""
        key = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}

        async def change(session: Session) -> None:
            known = [certificate_of(row) for row in await session.rows("application_certificates", key)]
            if any(each.sha256 == certificate.sha256 for each in known):
                raise DirectoryError(
                    f"{application.name} has the certificate {certificate.thumbprint} already"
                )
            await _add_certificate(session, key, certificate)

        await self._change(change)

    async def remove_certificate(
        self, tenant: Tenant, application: Application, certificate: ClientCertificate
    ) -> None:
        """Take a certificate away; tokens that were fetched with it go on until they expire."""
        await self._run(
            "remove_application_certificate",
            {
                "tenant_id": tenant.tenant_id,
                "client_id": application.client_id,
                "sha256": certificate.sha256,
            },
        )

    async def client_certificates(self, tenant: Tenant, application: Application) -> list[ClientCertificate]:
        """The certificates of an application, whatever their dates; the first to expire is first."""
        rows = await self._database.rows(
            "application_certificates", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )
        return [certificate_of(row) for row in rows]

    async def get_certificate(
        self, tenant: Tenant, application: Application, thumbprint: str
    ) -> ClientCertificate:
        """A certificate of an application by its SHA-256 or SHA-1. Raises DirectoryError when there is none."""
        digits = lowered(thumbprint.replace(":", ""))
        for certificate in await self.client_certificates(tenant, application):
            if digits in (certificate.sha256.hex(), certificate.sha1.hex()):
                return certificate
        raise DirectoryError(
            f"{application.name} has no certificate {thumbprint!r}; "
            f"`vigie app list-certificates {quote(application.name)} --tenant {quote(tenant.name)}` shows them"
        )

    async def note_assertion(
        self, tenant: Tenant, fingerprint: bytes, expires_at: Instant, now: Instant
    ) -> bool:
        """Keep until it expires that an assertion was used; False if it had been before."""
        key = {"tenant_id": tenant.tenant_id}

        async def change(session: Session) -> bool:
            await session.run("forget_assertions_seen", {**key, "now": now, "count": _FORGOTTEN_COUNT})
            values = {**key, "fingerprint": fingerprint, "expires_at": expires_at}
            return await session.run("add_assertion_seen", values) > 0

        return await self._database.write(change)

    async def use_assertion(
        self, tenant: Tenant, use: AssertionUse, expires_at: Instant, now: Instant
    ) -> bool:
        """Keep until it expires that an assertion was used so; False if it may not be."""
        key = {"tenant_id": tenant.tenant_id}

        async def change(session: Session) -> bool:
            async def add(fingerprint: bytes) -> bool:
                values = {**key, "fingerprint": fingerprint, "expires_at": expires_at}
                return await session.run("add_assertion_seen", values) > 0

            await session.run("forget_assertions_seen", {**key, "now": now, "count": _FORGOTTEN_COUNT})
            if await add(use.assertion):
                await add(use.from_address)
            elif not await session.row("assertion_seen", {**key, "fingerprint": use.from_address}):
                return False
            return await add(use.for_resource)

        return await self._database.write(change)

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
        """Add a user, without any assignment: nothing said means nothing seen.

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
            chosen = [_choose_group(groups.known, tenant, reference) for reference in device_groups]
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

    # Device groups

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
            stored = _choose_group(groups.known, tenant, reference)
            if stored.group.name == UNGROUPED_DEVICES:
                raise DirectoryError(f"{UNGROUPED_DEVICES!r} is built in and cannot be removed")
            await session.run(
                "remove_device_group", {"tenant_id": tenant.tenant_id, "group_id": stored.group_id}
            )

        await self._change(change)

    # Helpers

    async def _change(self, change: Change[T]) -> T:
        async def and_tell(session: Session) -> T:
            result = await change(session)
            await session.run("touch_directory", {})
            return result

        return await self._database.write(and_tell)

    async def _run(self, statement: str, values: Mapping[str, object]) -> int:
        async def change(session: Session) -> int:
            return await session.run(statement, values)

        return await self._change(change)

    def _new_application(
        self,
        name: str,
        permissions: Collection[str],
        *,
        is_public: bool = False,
        client_id: str | None = None,
    ) -> Application:
        known = (*self._application_permissions, *self._delegated_permissions)
        for permission in permissions:
            if permission not in known:
                raise DirectoryError(
                    f"{permission!r} is not a permission of an application; there are {', '.join(known)}"
                )
        return Application(
            client_id=checked_guid(client_id),
            name=name,
            permissions=tuple(each for each in self._application_permissions if each in permissions),
            delegated_permissions=tuple(each for each in self._delegated_permissions if each in permissions),
            is_public=is_public,
        )


def _new_or_chosen(secret: str | None) -> str:
    if secret is None:
        return new_secret()
    check_chosen_secret(secret)
    return secret


def _application_values(application: Application) -> dict[str, object]:
    return {
        "name": application.name,
        "permissions": " ".join(application.permissions),
        "delegated_permissions": " ".join(application.delegated_permissions),
        "is_public": int(application.is_public),
    }


def _canonical_uris(application: Application, uris: Collection[str]) -> list[str]:
    for uri in uris:
        reason = why_not_a_redirect_uri(uri, is_public=application.is_public)
        if reason is not None:
            raise DirectoryError(f"the redirect URI {uri[:100]!r} {reason}")
    return list(filter(None, map(canonical, uris)))


async def _add_certificate(
    session: Session, application: Mapping[str, object], certificate: ClientCertificate
) -> None:
    values = {
        "sha256": certificate.sha256,
        "sha1": certificate.sha1,
        "certificate": certificate.der,
        "valid_from": certificate.valid_from,
        "expires_at": certificate.expires_at,
    }
    await session.run("add_application_certificate", {**application, **values})


def _choose_group(known: list[StoredGroup], tenant: Tenant, reference: str) -> StoredGroup:
    named = [each for each in known if each.group.name == reference]
    numbered = [each for each in known if str(each.group.number) == reference]
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
