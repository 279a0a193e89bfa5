"""Passwords, codes and token families, in the database. Of a secret only its SHA-256 is stored."""

from collections.abc import Callable, Mapping

from vigie.core.directory import Application, DirectoryError, Tenant, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.lockout import Attempts, LockOut, counted, digest_of_name
from vigie.core.oauth_records import AuthorizationCode, DeviceCode, DeviceDecision, Password, TokenFamily
from vigie.storage.database import Database, Session
from vigie.storage.directory.mappers import tenant_of
from vigie.storage.sign_in_mappers import (
    authorization_code_of,
    authorization_code_values,
    device_code_of,
    device_code_values,
    token_family_of,
    token_family_values,
)

_FORGOTTEN_COUNT = 100
"""How many expired rows each new one forgets."""

_REMEMBERED_TICKS = 3600 * TICKS_PER_SECOND
"""How long an expired code or token stays, so that a client that sends it is told that it has expired."""


class SignInStore:
    """The state of sign-ins. A change that ends tokens is noted in the directory, where running servers see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Passwords

    async def find_password(self, tenant: Tenant, user: User) -> Password | None:
        """The password of a user, None for one who has none."""
        row = await self._database.row("password", _of_user(tenant, user))
        return Password(hash=row[0], changed_at=row[1]) if row else None

    async def put_password(self, tenant: Tenant, user: User, password: Password) -> None:
        """Give a user a password. It ends what was signed in to with the one before, and a lockout."""

        async def change(session: Session) -> None:
            await _end_all_of(session, tenant, user)
            await _forget_attempts(session, tenant, digest_of_name(user.upn))
            values = {"hash": password.hash, "changed_at": password.changed_at}
            await session.run("put_password", {**_of_user(tenant, user), **values})

        await self._database.write(change)

    async def remove_password(self, tenant: Tenant, user: User) -> None:
        """Let a user sign in no more. Raises DirectoryError when there is no password."""

        async def change(session: Session) -> None:
            if not await session.run("remove_password", _of_user(tenant, user)):
                raise DirectoryError(f"{user.upn} has no password")
            await _end_all_of(session, tenant, user)

        await self._database.write(change)

    async def rehash_password(self, tenant: Tenant, user: User, old: Password, new_hash: str) -> None:
        """Keep a better hash of the same password."""

        async def change(session: Session) -> None:
            values = {"hash": new_hash, "old_hash": old.hash}
            await session.run("rehash_password", {**_of_user(tenant, user), **values})

        await self._database.write(change)

    async def begin_attempt(self, tenant: Tenant, name_sha256: bytes, rule: LockOut, now: Instant) -> bool:
        """Count an attempt to sign in under a name; False while the name is locked, and then it is not counted."""
        key = {"tenant_id": tenant.tenant_id, "name_sha256": name_sha256}

        async def change(session: Session) -> bool:
            await _forget(session, "forget_password_attempts", tenant, now)
            row = await session.row("password_attempt", {**key, "now": now})
            earlier = Attempts(count=row[0], locked_until=row[1]) if row else Attempts()
            if earlier.is_locked(rule, now):
                return False
            after = counted(earlier, rule, now)
            values = {
                "count": after.count,
                "locked_until": after.locked_until,
                "forgotten_at": after.forgotten_at,
            }
            await session.run("put_password_attempt", {**key, **values})
            return True

        return await self._database.write(change)

    async def forget_attempts(self, tenant: Tenant, name_sha256: bytes) -> bool:
        """Let the attempts under a name count no more; False when there were none."""

        async def change(session: Session) -> bool:
            return await _forget_attempts(session, tenant, name_sha256)

        return await self._database.write(change)

    # Codes

    async def add_code(self, tenant: Tenant, sha256: bytes, code: AuthorizationCode, now: Instant) -> None:
        """Keep a code."""
        values = {**_of_code(tenant, sha256), **authorization_code_values(code)}

        async def change(session: Session) -> None:
            await _forget(session, "forget_authorization_codes", tenant, now)
            await session.run("add_authorization_code", values)

        await self._database.write(change)

    async def find_code(self, tenant: Tenant, sha256: bytes) -> AuthorizationCode | None:
        """A code that has not been redeemed, expired or not."""
        row = await self._database.row("find_authorization_code", _of_code(tenant, sha256))
        return authorization_code_of(row) if row else None

    async def remove_code(self, tenant: Tenant, sha256: bytes) -> None:
        """Let a code count no more."""

        async def change(session: Session) -> None:
            await session.run("remove_authorization_code", _of_code(tenant, sha256))

        await self._database.write(change)

    async def add_device_code(self, tenant: Tenant, sha256: bytes, code: DeviceCode, now: Instant) -> bool:
        """Keep a device code; False when its user code is taken."""
        values = {**_of_code(tenant, sha256), **device_code_values(code)}

        async def change(session: Session) -> bool:
            await _forget(session, "forget_device_codes", tenant, now)
            return await session.run("add_device_code", values) > 0

        return await self._database.write(change)

    async def find_device_code(self, tenant: Tenant, sha256: bytes) -> DeviceCode | None:
        """A device code that has not been redeemed, expired or not."""
        row = await self._database.row("find_device_code", _of_code(tenant, sha256))
        return device_code_of(row) if row else None

    async def find_user_code(self, user_code: str) -> tuple[Tenant, DeviceCode] | None:
        """The tenant and the device code that a user code belongs to."""
        found = await self._database.row("find_tenant_of_user_code", {"user_code": user_code})
        if found is None:
            return None
        tenant = tenant_of(found)
        row = await self._database.row(
            "find_device_code_by_user_code", {"tenant_id": tenant.tenant_id, "user_code": user_code}
        )
        return (tenant, device_code_of(row)) if row else None

    async def decide_device_code(
        self, tenant: Tenant, user_code: str, decision: DeviceDecision, user: User | None, now: Instant
    ) -> bool:
        """Note what was decided about a device; False when it was decided before, or too late."""
        values = {
            "tenant_id": tenant.tenant_id,
            "user_code": user_code,
            "decision": decision.value,
            "object_id": user.object_id if user else None,
            "signed_in_at": now if user else None,
            "now": now,
        }

        async def change(session: Session) -> bool:
            return await session.run("decide_device_code", values) > 0

        return await self._database.write(change)

    # Token families

    async def redeem(self, tenant: Tenant, code_sha256: bytes, family: TokenFamily, now: Instant) -> bool:
        """Begin the family that a code is redeemed for; False, and it ends at once, if it was before."""
        values = {
            "tenant_id": tenant.tenant_id,
            "code_sha256": code_sha256,
            **token_family_values(family),
        }

        async def change(session: Session) -> bool:
            await _forget(session, "forget_token_families", tenant, now)
            code = _of_code(tenant, code_sha256)
            removed = await session.run("remove_authorization_code", code)
            removed += await session.run("remove_device_code", code)
            if removed:
                await session.run("add_token_family", values)
            else:
                await _end_family_of_code(session, tenant, code_sha256)
            return removed > 0

        return await self._database.write(change)

    async def end_family_of_code(self, tenant: Tenant, code_sha256: bytes) -> bool:
        """End the family that a code was redeemed for; False when there is none."""
        key = {"tenant_id": tenant.tenant_id, "code_sha256": code_sha256}
        # Most codes that are not known never were: nothing has to be written for those.
        if await self._database.row("has_token_family_of_code", key) is None:
            return False

        async def change(session: Session) -> bool:
            return await _end_family_of_code(session, tenant, code_sha256)

        return await self._database.write(change)

    async def find_family(self, tenant: Tenant, handle_sha256: bytes) -> TokenFamily | None:
        """The family of a refresh token, by its handle."""
        row = await self._database.row(
            "find_token_family", {"tenant_id": tenant.tenant_id, "handle_sha256": handle_sha256}
        )
        return token_family_of(row) if row else None

    async def has_family(self, tenant: Tenant, family_id: str) -> bool:
        """Whether the tokens of a family are still good."""
        key = {"tenant_id": tenant.tenant_id, "family_id": family_id}
        return await self._database.row("has_token_family", key) is not None

    async def change_family(
        self,
        tenant: Tenant,
        handle_sha256: bytes,
        decide: Callable[[TokenFamily], TokenFamily | None],
    ) -> bool:
        """Put what `decide` makes of a family in its place, or end it for None; False when there is none."""
        handle = {"tenant_id": tenant.tenant_id, "handle_sha256": handle_sha256}

        async def change(session: Session) -> bool:
            row = await session.row("find_token_family", handle)
            if row is None:
                return False
            before = token_family_of(row)
            after = decide(before)
            key = {"tenant_id": tenant.tenant_id, "family_id": before.family_id}
            if after is None:
                await _end(session, "remove_token_family", key)
            elif after != before:
                await session.run("rotate_token_family", {**key, **token_family_values(after)})
            return True

        return await self._database.write(change)

    async def end_families(self, tenant: Tenant, user: User, application: Application | None) -> int:
        """End what a user allowed applications, or one of them; how many families there were."""
        client_id = application.client_id if application else None

        async def change(session: Session) -> int:
            key = {**_of_user(tenant, user), "client_id": client_id}
            return await _end(session, "remove_token_families", key)

        return await self._database.write(change)


def _of_user(tenant: Tenant, user: User) -> dict[str, object]:
    return {"tenant_id": tenant.tenant_id, "object_id": user.object_id}


def _of_code(tenant: Tenant, sha256: bytes) -> dict[str, object]:
    return {"tenant_id": tenant.tenant_id, "sha256": sha256}


async def _forget(session: Session, statement: str, tenant: Tenant, now: Instant) -> None:
    before = now - _REMEMBERED_TICKS
    await session.run(statement, {"tenant_id": tenant.tenant_id, "now": before, "count": _FORGOTTEN_COUNT})


async def _forget_attempts(session: Session, tenant: Tenant, name_sha256: bytes) -> bool:
    key = {"tenant_id": tenant.tenant_id, "name_sha256": name_sha256}
    return await session.run("remove_password_attempts", key) > 0


async def _end(session: Session, statement: str, key: Mapping[str, object]) -> int:
    """End families, and note it where running servers see it: their access tokens are no longer valid."""
    count = await session.run(statement, key)
    if count:
        await session.run("touch_directory", {})
    return count


async def _end_family_of_code(session: Session, tenant: Tenant, code_sha256: bytes) -> bool:
    key = {"tenant_id": tenant.tenant_id, "code_sha256": code_sha256}
    return await _end(session, "remove_token_family_of_code", key) > 0


async def _end_all_of(session: Session, tenant: Tenant, user: User) -> None:
    """End everything that a user has begun by signing in."""
    key = _of_user(tenant, user)
    await session.run("remove_authorization_codes_of_user", key)
    await session.run("remove_device_codes_of_user", key)
    await _end(session, "remove_token_families", {**key, "client_id": None})
