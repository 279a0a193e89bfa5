"""The sign-in service: passwords, consent and device codes, as the pages need them."""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

from vigie.core.client_secrets import hash_secret, new_secret
from vigie.core.directory import Application, Tenant, User
from vigie.core.instants import Instant
from vigie.core.letter_case import lowered
from vigie.core.lockout import LockOut, digest_of_name
from vigie.core.oauth_records import AuthorizationCode, DeviceCode, DeviceDecision
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.grants.user_codes import parse_user_code
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in.authorization_requests import (
    AuthorizationRefused,
    AuthorizationRequest,
    AuthorizationRequests,
)
from vigie.identity.sign_in.passwords import PasswordChecks, TooManyPasswords
from vigie.identity.sign_in.refusals import (
    DeviceNotWaiting,
    InvalidCredentials,
    SignInOutdated,
    TooManyAttempts,
    TooManySignIns,
    UserOfAnotherTenant,
)
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.throttling import AttemptThrottle

_BUSY_RETRY_AFTER = timedelta(seconds=5)
_NOBODY = User(object_id="", upn="")


class SignedInUser(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has given the right password, at that moment. Made by `SignIn.check_password` alone.

    `password_since` tells that password from those before and after it, whatever the clock did meanwhile.
    """

    tenant: Tenant
    user: User
    signed_in_at: Instant
    password_since: Instant


class DeviceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A device that waits: which application runs on it, and what that wants to do for the person who agrees."""

    tenant: Tenant
    application: Application
    permissions: tuple[str, ...]
    resource: str
    wants_refresh: bool


class SignIn:
    """Checks passwords and keeps what people decide."""

    def __init__(
        self,
        directory: DirectoryRepository,
        records: SignInRepository,
        requests: AuthorizationRequests,
        *,
        checks: PasswordChecks,
        limits: AttemptThrottle,
        lock_out: LockOut,
        code_lifetime_ticks: int,
    ) -> None:
        self._directory = directory
        self._records = records
        self._requests = requests
        self._checks = checks
        self._limits = limits
        self._lock_out = lock_out
        self._code_lifetime_ticks = code_lifetime_ticks

    async def request_of(
        self, tenant_reference: str, fields: Mapping[str, str], version: EndpointVersion
    ) -> AuthorizationRequest:
        """What a browser was sent here with. Raises AuthorizationRefused, OAuthRefusal.

        Under `common` and `organizations` the tenant is the application's.
        """
        return await self._requests.read(tenant_reference, fields, version)

    async def check_password(
        self, tenant: Tenant, user_name: str, password: str, *, address: str, now: Instant
    ) -> SignedInUser:
        """Who gives this password. Raises SignInRefused, alike for a wrong one, an unknown name and a locked one.

        `address` is where the browser is. The same is done for every name, whether anybody is called so or not.
        """
        retry_after = self._limits.sign_in_from(address)
        if retry_after is not None:
            raise TooManyAttempts(retry_after)
        try:
            with self._checks.slot():
                return await self._attempt(tenant, lowered(user_name.strip()), password, now)
        except TooManyPasswords as error:
            raise TooManySignIns(_BUSY_RETRY_AFTER) from error

    async def _attempt(self, tenant: Tenant, name: str, password: str, now: Instant) -> SignedInUser:
        name_sha256 = digest_of_name(name)
        may_try = await self._records.begin_attempt(tenant, name_sha256, self._lock_out, now)
        # For every name the same: what is looked up shows in public sums, and hashing in the time it takes.
        user = await self._find_by_name(tenant, name)
        kept = await self._records.find_password(tenant, user or _NOBODY)
        checked = await self._checks.check(password, kept.hash if kept and may_try else None)
        if user is None or kept is None or not checked.is_right:
            raise InvalidCredentials
        await self._records.forget_attempts(tenant, name_sha256)
        if checked.better_hash is not None:
            await self._records.rehash_password(tenant, user, kept, checked.better_hash)
        return SignedInUser(tenant=tenant, user=user, signed_in_at=now, password_since=kept.changed_at)

    async def is_still_signed_in(self, who: SignedInUser) -> bool:
        """Whether the user is there yet, with the password that was given."""
        user = await self._directory.find_user(who.tenant, who.user.object_id)
        kept = await self._records.find_password(who.tenant, who.user) if user else None
        return kept is not None and kept.changed_at == who.password_since

    async def issue_code(self, request: AuthorizationRequest, who: SignedInUser, *, now: Instant) -> str:
        """The code that the application gets its tokens for. Raises AuthorizationRefused.

        It is good once, for a short time, and for nobody but the application.
        """
        await self._require_same_tenant(request.tenant, who, request)
        code = new_secret()
        kept = AuthorizationCode(
            client_id=request.application.client_id,
            object_id=who.user.object_id,
            consent=request.consent,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
            signed_in_at=who.signed_in_at,
            expires_at=Instant(now + self._code_lifetime_ticks),
        )
        await self._records.add_code(request.tenant, hash_secret(code), kept, now)
        return code

    # Devices

    async def find_device_request(
        self, user_code: str, *, address: str, now: Instant
    ) -> DeviceRequest | None:
        """The device that shows a code, if one waits. Raises SignInRefused when too much is guessed."""
        retry_after = self._limits.user_code_from(address)
        if retry_after is not None:
            raise TooManyAttempts(retry_after)
        return await self.find_device_that_waits(user_code, now=now)

    async def find_device_that_waits(self, user_code: str, *, now: Instant) -> DeviceRequest | None:
        """The same for a code that was found before, when somebody is a step further: it is no guess any more."""
        found = await self._find_waiting(user_code, now)
        if found is None:
            return None
        tenant, code = found
        application = await self._directory.find_application(tenant, code.client_id)
        if application is None:
            return None
        return DeviceRequest(
            tenant=tenant,
            application=application,
            permissions=code.consent.permissions,
            resource=code.consent.resource,
            wants_refresh=code.consent.wants_refresh,
        )

    async def approve_device(self, user_code: str, who: SignedInUser, *, now: Instant) -> None:
        """Let the device that shows the code act for somebody. Raises OAuthRefusal."""
        found = await self._find_waiting(user_code, now)
        if found is None:
            raise DeviceNotWaiting
        tenant, code = found
        await self._require_same_tenant(tenant, who)
        await self._decide(tenant, code, DeviceDecision.APPROVED, who, now)

    async def refuse_device(self, user_code: str, *, now: Instant) -> None:
        """Let the device that shows the code wait no more. Raises OAuthRefusal."""
        found = await self._find_waiting(user_code, now)
        if found is None:
            raise DeviceNotWaiting
        tenant, code = found
        await self._decide(tenant, code, DeviceDecision.REFUSED, None, now)

    async def _decide(
        self,
        tenant: Tenant,
        code: DeviceCode,
        decision: DeviceDecision,
        who: SignedInUser | None,
        now: Instant,
    ) -> None:
        user = who.user if who else None
        if not await self._records.decide_device_code(tenant, code.user_code, decision, user, now):
            raise DeviceNotWaiting

    async def _find_waiting(self, user_code: str, now: Instant) -> tuple[Tenant, DeviceCode] | None:
        read = parse_user_code(user_code)
        found = await self._records.find_user_code(read) if read else None
        if found is None or found[1].decision is not DeviceDecision.PENDING or found[1].expires_at <= now:
            return None
        return found

    # What has to be so

    async def _find_by_name(self, tenant: Tenant, name: str) -> User | None:
        """By UPN alone: under two names there would be twice as many attempts."""
        return await self._directory.find_user_by_upn(tenant, name if name.isprintable() else "")

    async def _require_same_tenant(
        self, tenant: Tenant, who: SignedInUser, request: AuthorizationRequest | None = None
    ) -> None:
        if who.tenant.tenant_id != tenant.tenant_id:
            raise _refused(UserOfAnotherTenant(), request)
        if not await self.is_still_signed_in(who):
            raise _refused(SignInOutdated(), request)


def _refused(refusal: OAuthRefusal, request: AuthorizationRequest | None) -> Exception:
    """The refusal, sent to the application where one waits for an answer in this browser."""
    return AuthorizationRefused(refusal, request.redirection) if request else refusal
