"""The credentials of applications: their secrets, their certificates, and the assertions they have used."""

from collections.abc import Mapping
from shlex import quote

from vigie.core.client_secrets import check_chosen_secret, hash_secret, new_secret
from vigie.core.directory import (
    Application,
    AssertionUse,
    ClientCertificate,
    ClientSecret,
    DirectoryError,
    Tenant,
)
from vigie.core.instants import Instant
from vigie.core.letter_case import lowered
from vigie.storage.database import Session
from vigie.storage.directory.mappers import certificate_of
from vigie.storage.directory.part import DirectoryPart

_FORGOTTEN_COUNT = 100
"""How many expired assertions each new one removes."""


class ApplicationCredentials(DirectoryPart):
    """Adds, lists and removes what applications authenticate with."""

    async def rotate_secret(
        self, tenant: Tenant, application: Application, old_until: Instant, *, secret: str | None = None
    ) -> str:
        """Give an application a new secret, or the chosen one; the old ones are good until `old_until`."""
        new = new_or_chosen_secret(secret)
        key = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}

        async def change(session: Session) -> None:
            known = {sha256 for sha256, _ in await session.rows("client_secrets", key)}
            if known.intersection([hash_secret(new)]):
                raise DirectoryError(f"{application.name} has that secret already")
            await session.run("expire_client_secrets", {**key, "expires_at": old_until})
            await session.run("add_client_secret", {**key, "sha256": hash_secret(new)})

        await self._change(change)
        return new

    async def client_secrets(self, tenant: Tenant, application: Application) -> list[ClientSecret]:
        """The hashes of an application's secrets, expired ones included."""
        rows = await self._database.rows(
            "client_secrets", {"tenant_id": tenant.tenant_id, "client_id": application.client_id}
        )
        return [ClientSecret(sha256=sha256, expires_at=expires_at) for sha256, expires_at in rows]

    async def add_certificate(
        self, tenant: Tenant, application: Application, certificate: ClientCertificate
    ) -> None:
        """Add a certificate that an application may authenticate with."""
        key = {"tenant_id": tenant.tenant_id, "client_id": application.client_id}

        async def change(session: Session) -> None:
            known = [certificate_of(row) for row in await session.rows("application_certificates", key)]
            if any(each.sha256 == certificate.sha256 for each in known):
                raise DirectoryError(
                    f"{application.name} has the certificate {certificate.thumbprint} already"
                )
            await insert_certificate(session, key, certificate)

        await self._change(change)

    async def remove_certificate(
        self, tenant: Tenant, application: Application, certificate: ClientCertificate
    ) -> None:
        """Remove a certificate; tokens that were issued for it are valid until they expire."""
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
        """Remember until it expires that an assertion was used; False if it had been before."""
        key = {"tenant_id": tenant.tenant_id}

        async def change(session: Session) -> bool:
            await session.run("forget_assertions_seen", {**key, "now": now, "count": _FORGOTTEN_COUNT})
            values = {**key, "fingerprint": fingerprint, "expires_at": expires_at}
            return await session.run("add_assertion_seen", values) > 0

        return await self._database.write(change)

    async def use_assertion(
        self, tenant: Tenant, use: AssertionUse, expires_at: Instant, now: Instant
    ) -> bool:
        """Remember until it expires that an assertion was used so; False if it may not be."""
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


def new_or_chosen_secret(secret: str | None) -> str:
    """A new secret for None. Raises DirectoryError for a chosen one that is too weak."""
    if secret is None:
        return new_secret()
    check_chosen_secret(secret)
    return secret


async def insert_certificate(
    session: Session, application: Mapping[str, object], certificate: ClientCertificate
) -> None:
    """Add a certificate to an application, inside a change."""
    values = {
        "sha256": certificate.sha256,
        "sha1": certificate.sha1,
        "certificate": certificate.der,
        "valid_from": certificate.valid_from,
        "expires_at": certificate.expires_at,
    }
    await session.run("add_application_certificate", {**application, **values})
