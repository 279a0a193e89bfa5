"""The device grant: codes for devices without a browser, and tokens once somebody has entered one and signed in.

Source: RFC 8628; docs/api/sign-in.md, "Device codes"; docs/api/clients.md, "Tokens".
"""

import msgspec

from vigie.core.client_secrets import hash_secret, new_secret
from vigie.core.directory import User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.oauth_records import DeviceCode, DeviceDecision
from vigie.identity.clients.authentication import AuthenticatedClient, ClientAuthenticator
from vigie.identity.grants.refusals import (
    AuthorizationDeclined,
    AuthorizationPending,
    CodeRedeemed,
    DeviceCodeExpired,
    DeviceCodeNotFound,
    PolledTooSoon,
    TooManyDeviceCodes,
    TransientError,
)
from vigie.identity.grants.request import GrantRequest
from vigie.identity.grants.user_codes import displayed_user_code, new_user_code
from vigie.identity.grants.user_tokens import UserGrant, UserTokens
from vigie.identity.sign_in_repository import SignInRepository
from vigie.identity.throttling import AttemptThrottle
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.issuance import IssuedToken
from vigie.identity.tokens.scopes import consent_to, requested_scopes

POLL_SECONDS = 5

VERIFICATION_PATH = "/devicelogin"
"""The page where a person enters the code of a device."""

_USER_CODES_TRIED = 5


class IssuedDeviceCode(msgspec.Struct, frozen=True, kw_only=True):
    """What a device shows, and what it asks with in the meantime."""

    device_code: str
    user_code: str
    lifetime_seconds: int
    tenant_guid: str


class DeviceCodes:
    """Gives devices their codes."""

    def __init__(
        self,
        clients: ClientAuthenticator,
        records: SignInRepository,
        audiences: Audiences,
        limits: AttemptThrottle,
        *,
        lifetime_seconds: int,
    ) -> None:
        self._clients = clients
        self._records = records
        self._audiences = audiences
        self._limits = limits
        self._lifetime_seconds = lifetime_seconds

    async def issue(self, request: GrantRequest) -> IssuedDeviceCode:
        """A code for the device of an application. Nobody has to prove anything yet. Raises OAuthRefusal."""
        if self._limits.device_code_for(request.sender.address) is not None:
            raise TooManyDeviceCodes
        tenant, application = await self._clients.tenant_and_application(
            request.tenant_reference, request.required("client_id")
        )
        consent = consent_to(requested_scopes(request.form, request.version), application, self._audiences)
        device_code = new_secret()
        for _ in range(_USER_CODES_TRIED):
            code = DeviceCode(
                user_code=new_user_code(),
                client_id=application.client_id,
                consent=consent,
                decision=DeviceDecision.PENDING,
                object_id=None,
                signed_in_at=None,
                expires_at=Instant(request.now + self._lifetime_seconds * TICKS_PER_SECOND),
            )
            if await self._records.add_device_code(tenant, hash_secret(device_code), code, request.now):
                return IssuedDeviceCode(
                    device_code=device_code,
                    user_code=displayed_user_code(code.user_code),
                    lifetime_seconds=self._lifetime_seconds,
                    tenant_guid=tenant.guid,
                )
        raise TransientError


class DeviceGrant:
    """Tokens for a device code, once somebody has agreed."""

    def __init__(
        self,
        clients: ClientAuthenticator,
        records: SignInRepository,
        tokens: UserTokens,
        limits: AttemptThrottle,
    ) -> None:
        self._clients = clients
        self._records = records
        self._tokens = tokens
        self._limits = limits

    async def issue(self, request: GrantRequest) -> IssuedToken:
        """The tokens. Raises OAuthRefusal, also while nobody has agreed yet."""
        client = await self._clients.authenticate(
            request.tenant_reference, request.credentials(), request.now
        )
        # Version 1 calls it `code`.
        sha256 = hash_secret(request.required("device_code", "code"))
        code = await self._code(client, sha256)
        user, signed_in_at = await self._who_agreed(client, code, sha256, request.now)
        consent = self._tokens.narrowed(code.consent, client.application, request)
        family, refresh_token = await self._tokens.redeem(
            client, user, sha256, code.consent, signed_in_at, request.now
        )
        grant = UserGrant(
            client=client, user=user, family=family, consent=consent, refresh_token=refresh_token
        )
        return self._tokens.issue(request, grant)

    async def _code(self, client: AuthenticatedClient, sha256: bytes) -> DeviceCode:
        code = await self._records.find_device_code(client.tenant, sha256)
        if code is None and await self._records.end_family_of_code(client.tenant, sha256):
            raise CodeRedeemed
        if code is None or code.client_id != client.application.client_id:
            raise DeviceCodeNotFound
        return code

    async def _who_agreed(
        self, client: AuthenticatedClient, code: DeviceCode, sha256: bytes, now: Instant
    ) -> tuple[User, Instant]:
        if now >= code.expires_at:
            raise DeviceCodeExpired
        if code.decision is DeviceDecision.REFUSED:
            raise AuthorizationDeclined
        if code.object_id is None or code.signed_in_at is None:
            if self._limits.poll_of(client.tenant, sha256) is not None:
                raise PolledTooSoon(POLL_SECONDS)
            raise AuthorizationPending
        return await self._tokens.user(client.tenant, code.object_id), code.signed_in_at
