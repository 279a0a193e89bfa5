"""The embedded authorization server, put together: who may have which token, and how people sign in."""

from collections.abc import Callable

import msgspec

from vigie.config.settings import IdentitySettings
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.lockout import LockOut
from vigie.core.quotas import Quota, Window, minute_and_hour
from vigie.identity.clients.assertions import ClientAssertions
from vigie.identity.clients.authentication import ClientAuthenticator
from vigie.identity.grants.authorization_code import CodeGrant
from vigie.identity.grants.client_credentials import ClientCredentialsGrant
from vigie.identity.grants.device_code import POLL_SECONDS, DeviceCodes, DeviceGrant
from vigie.identity.grants.refresh_token import RefreshGrant
from vigie.identity.grants.registry import GrantRegistry
from vigie.identity.grants.user_tokens import UserTokens
from vigie.identity.sign_in.authorization_requests import AuthorizationRequests
from vigie.identity.sign_in.passwords import PasswordChecks
from vigie.identity.sign_in.service import SignIn
from vigie.identity.throttling import AttemptThrottle
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.refresh_tokens import RefreshTokenRotation
from vigie.ratelimit.memory import MemoryRateLimiter
from vigie.runtime.installation import Installation

_SECONDS_PER_DAY = 86_400


class AuthorizationServer(msgspec.Struct, frozen=True, kw_only=True):
    """The services behind the token endpoints and the sign-in pages."""

    clients: ClientAuthenticator
    grants: GrantRegistry
    device_codes: DeviceCodes
    sign_in: SignIn


def build_authorization_server(
    installation: Installation, audiences: Audiences, *, issuer: str, steady_clock: Callable[[], Instant]
) -> AuthorizationServer:
    """Build the authorization server of an installation. `steady_clock` never steps back."""
    identity = installation.settings.identity
    assertions = ClientAssertions(
        installation.directory,
        audiences,
        issuer=issuer,
        clock_skew_ticks=identity.clock_skew_seconds * TICKS_PER_SECOND,
    )
    clients = ClientAuthenticator(installation.directory, assertions)
    limits = _limits(identity, steady_clock)
    return AuthorizationServer(
        clients=clients,
        grants=_grants(installation, clients, limits, audiences, issuer),
        device_codes=DeviceCodes(
            clients,
            installation.sign_ins,
            audiences,
            limits,
            lifetime_seconds=identity.device_code_lifetime_seconds,
        ),
        sign_in=_sign_in(installation, clients, limits, audiences, issuer),
    )


def _limits(identity: IdentitySettings, steady_clock: Callable[[], Instant]) -> AttemptThrottle:
    return AttemptThrottle(
        MemoryRateLimiter(),
        steady_clock,
        sign_ins=minute_and_hour(
            "sign-in", per_minute=identity.sign_ins_per_minute, per_hour=identity.sign_ins_per_hour
        ),
        user_codes=minute_and_hour(
            "user-code", per_minute=identity.user_codes_per_minute, per_hour=identity.user_codes_per_hour
        ),
        device_codes=minute_and_hour(
            "device-code",
            per_minute=identity.device_codes_per_minute,
            per_hour=identity.device_codes_per_hour,
        ),
        # One second less than the interval that devices are given: neither clocks nor networks are exact.
        polls=Quota(name="device-poll", windows=(Window(calls=1, seconds=POLL_SECONDS - 1),)),
    )


def _grants(
    installation: Installation,
    clients: ClientAuthenticator,
    limits: AttemptThrottle,
    audiences: Audiences,
    issuer: str,
) -> GrantRegistry:
    identity, records = installation.settings.identity, installation.sign_ins
    lifetime_seconds = identity.token_lifetime_seconds
    tokens = UserTokens(
        installation.directory,
        records,
        audiences,
        rotation=_rotation(identity),
        issuer=issuer,
        lifetime_seconds=lifetime_seconds,
    )
    devices = DeviceGrant(clients, records, tokens, limits)
    return GrantRegistry(
        {
            "client_credentials": ClientCredentialsGrant(
                clients, audiences, issuer=issuer, lifetime_seconds=lifetime_seconds
            ),
            "authorization_code": CodeGrant(clients, records, tokens),
            "refresh_token": RefreshGrant(clients, records, tokens),
            "urn:ietf:params:oauth:grant-type:device_code": devices,
            # The name in version 1.
            "device_code": devices,
        }
    )


def _sign_in(
    installation: Installation,
    clients: ClientAuthenticator,
    limits: AttemptThrottle,
    audiences: Audiences,
    issuer: str,
) -> SignIn:
    identity, directory = installation.settings.identity, installation.directory
    return SignIn(
        directory,
        installation.sign_ins,
        AuthorizationRequests(directory, clients, audiences, issuer=issuer),
        checks=PasswordChecks(
            at_once=identity.password_checks_at_once, waiting_max=identity.password_checks_waiting_max
        ),
        limits=limits,
        lock_out=LockOut(attempts=identity.lockout_attempts, seconds_max=identity.lockout_seconds_max),
        code_lifetime_ticks=identity.code_lifetime_seconds * TICKS_PER_SECOND,
    )


def _rotation(identity: IdentitySettings) -> RefreshTokenRotation:
    access_seconds = identity.token_lifetime_seconds + identity.clock_skew_seconds
    return RefreshTokenRotation(
        access_ticks=access_seconds * TICKS_PER_SECOND,
        idle_ticks=identity.refresh_idle_days * _SECONDS_PER_DAY * TICKS_PER_SECOND,
        absolute_ticks=identity.refresh_days * _SECONDS_PER_DAY * TICKS_PER_SECOND,
        retry_ticks=identity.refresh_retry_seconds * TICKS_PER_SECOND,
        is_single_use=identity.refresh_tokens == "single-use",
    )
