"""The interface through which identity keeps sign-in records; storage implements it."""

from collections.abc import Callable
from typing import Protocol

from vigie.core.directory import Tenant, User
from vigie.core.instants import Instant
from vigie.core.lockout import LockOut
from vigie.core.oauth_records import AuthorizationCode, DeviceCode, DeviceDecision, Password, TokenFamily


class SignInRepository(Protocol):
    """Passwords, codes and token families. Secrets come as their SHA-256."""

    async def find_password(self, tenant: Tenant, user: User) -> Password | None:
        """The password of a user, None for one who has none."""

    async def rehash_password(self, tenant: Tenant, user: User, old: Password, new_hash: str) -> None:
        """Keep a better hash of the same password."""

    async def begin_attempt(self, tenant: Tenant, name_sha256: bytes, rule: LockOut, now: Instant) -> bool:
        """Count an attempt to sign in under a name; False while the name is locked, and then it is not counted."""

    async def forget_attempts(self, tenant: Tenant, name_sha256: bytes) -> bool:
        """Let the attempts under a name count no more; False when there were none."""

    async def add_code(self, tenant: Tenant, sha256: bytes, code: AuthorizationCode, now: Instant) -> None:
        """Keep a code."""

    async def find_code(self, tenant: Tenant, sha256: bytes) -> AuthorizationCode | None:
        """A code that has not been redeemed, expired or not."""

    async def remove_code(self, tenant: Tenant, sha256: bytes) -> None:
        """Let a code count no more."""

    async def add_device_code(self, tenant: Tenant, sha256: bytes, code: DeviceCode, now: Instant) -> bool:
        """Keep a device code; False when its user code is taken."""

    async def find_device_code(self, tenant: Tenant, sha256: bytes) -> DeviceCode | None:
        """A device code that has not been redeemed, expired or not."""

    async def find_user_code(self, user_code: str) -> tuple[Tenant, DeviceCode] | None:
        """The tenant and the device code that a user code belongs to."""

    async def decide_device_code(
        self, tenant: Tenant, user_code: str, decision: DeviceDecision, user: User | None, now: Instant
    ) -> bool:
        """Note what was decided about a device; False when it was decided before, or too late."""

    async def redeem(self, tenant: Tenant, code_sha256: bytes, family: TokenFamily, now: Instant) -> bool:
        """Begin the family that a code is redeemed for; False, and it ends at once, if it was before."""

    async def end_family_of_code(self, tenant: Tenant, code_sha256: bytes) -> bool:
        """End the family that a code was redeemed for; False when there is none."""

    async def find_family(self, tenant: Tenant, handle_sha256: bytes) -> TokenFamily | None:
        """The family of a refresh token, by its handle."""

    async def has_family(self, tenant: Tenant, family_id: str) -> bool:
        """Whether the tokens of a family are still good."""

    async def change_family(
        self,
        tenant: Tenant,
        handle_sha256: bytes,
        decide: Callable[[TokenFamily], TokenFamily | None],
    ) -> bool:
        """Put what `decide` makes of a family in its place, or end it for None; False when there is none."""
