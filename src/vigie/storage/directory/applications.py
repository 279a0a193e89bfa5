"""The applications of a tenant: what each may do, and where it may have users redirected to."""

from collections.abc import Collection, Iterable
from shlex import quote

from msgspec.structs import replace

from vigie.core.api_resource import ApiResource
from vigie.core.client_secrets import hash_secret
from vigie.core.directory import Application, ClientCertificate, DirectoryError, Tenant
from vigie.core.redirect_uris import why_not_registrable
from vigie.storage.database import Database, Session
from vigie.storage.directory.credentials import insert_certificate, new_or_chosen_secret
from vigie.storage.directory.mappers import application_of, tenant_of
from vigie.storage.directory.names import check_name, checked_guid
from vigie.storage.directory.part import DirectoryPart


class Applications(DirectoryPart):
    """Adds, finds, changes and removes applications, with permissions of the given resources."""

    def __init__(self, database: Database, resources: Iterable[ApiResource]) -> None:
        super().__init__(database)
        resources = tuple(resources)
        self._application_permissions = tuple(
            name for each in resources for name in each.application_permissions
        )
        self._delegated_permissions = tuple(name for each in resources for name in each.delegated_permissions)

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
        """Add an application; the second value is its secret, which is not stored and cannot be shown again.

        Client id and secret are new ones unless they are chosen.
        """
        known_secret = new_or_chosen_secret(secret)
        application = self._new_application(name, permissions, client_id=client_id)
        await self._add_application(tenant, application, certificates, redirect_uris, known_secret)
        return application, known_secret

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
        uris = _checked_uris(application, redirect_uris)

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
                await insert_certificate(session, values, certificate)
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
        uris = _checked_uris(changed, kept_uris if redirect_uris is None else redirect_uris)

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
        """The redirect URIs that an application has registered, as they were given."""
        rows = await self._database.rows(
            "redirect_uris", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )
        return [uri for (uri,) in rows]

    async def remove_application(self, tenant: Tenant, application: Application) -> None:
        """Remove an application; its tokens stop working."""
        await self._run(
            "remove_application", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )

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


def _application_values(application: Application) -> dict[str, object]:
    return {
        "name": application.name,
        "permissions": " ".join(application.permissions),
        "delegated_permissions": " ".join(application.delegated_permissions),
        "is_public": int(application.is_public),
    }


def _checked_uris(application: Application, uris: Collection[str]) -> Collection[str]:
    for uri in uris:
        reason = why_not_registrable(uri, is_public=application.is_public)
        if reason is not None:
            raise DirectoryError(f"the redirect URI {uri[:100]!r} {reason}")
    return uris
