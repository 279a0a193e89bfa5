"""The throttling of guesses from one address: passwords, and the codes that devices show."""

from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv6Address, ip_address
from typing import Protocol

from vigie.core.directory import Tenant
from vigie.core.instants import Instant
from vigie.core.quotas import Quota, QuotaExcess

_NO_TENANT = 0


class AttemptRateLimiter(Protocol):
    """Counts attempts."""

    def spend(self, quota: Quota, caller: tuple[int, str], now: Instant) -> QuotaExcess | None:
        """Admit and count one, or say why it does not fit."""


class AttemptThrottle:
    """Counts attempts by the address that they come from. `steady_clock` never steps back."""

    def __init__(
        self,
        rate_limiter: AttemptRateLimiter,
        steady_clock: Callable[[], Instant],
        *,
        sign_ins: Quota,
        user_codes: Quota,
        device_codes: Quota,
        polls: Quota,
    ) -> None:
        self._rate_limiter = rate_limiter
        self._steady_clock = steady_clock
        self._sign_ins = sign_ins
        self._user_codes = user_codes
        self._device_codes = device_codes
        self._polls = polls

    def sign_in_from(self, address: str) -> timedelta | None:
        """Count an attempt to sign in: None if it is admitted, else how long to wait."""
        return self._spend(self._sign_ins, _NO_TENANT, _network_of(address))

    def user_code_from(self, address: str) -> timedelta | None:
        """Count an attempt to name a device: None if it is admitted, else how long to wait."""
        return self._spend(self._user_codes, _NO_TENANT, _network_of(address))

    def device_code_for(self, address: str) -> timedelta | None:
        """Count a code that a device asks for: None if it is admitted, else how long to wait."""
        return self._spend(self._device_codes, _NO_TENANT, _network_of(address))

    def poll_of(self, tenant: Tenant, device_code_sha256: bytes) -> timedelta | None:
        """Count a device that asks whether somebody has agreed: None if it has waited, else how long to wait."""
        return self._spend(self._polls, tenant.tenant_id, device_code_sha256.hex())

    def _spend(self, quota: Quota, tenant_id: int, who: str) -> timedelta | None:
        spent = self._rate_limiter.spend(quota, (tenant_id, who), self._steady_clock())
        return timedelta(seconds=spent.retry_after_seconds) if spent else None


def _network_of(address: str) -> str:
    """What one party has at least: an IPv4 address, or the 64 bits of an IPv6 network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address[:100]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return f"{int(parsed) >> 64:x}::/64"
    return str(parsed)
