"""The origin that a client called and the address it called from, directly or through trusted proxies."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from vigie.core.errors import BadRequest
from vigie.core.url_policy import is_loopback

Scope = dict[str, Any]
Network = IPv4Network | IPv6Network

# Names, IPv4 and bracketed IPv6, with a port or without; whatever else came would be repeated in a document.
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_FORWARDED_PAIR = re.compile(
    rb'(?:^|;)[ \t]*+(proto|host)[ \t]*+=[ \t]*+("?)([^";,\s]*+)\2[ \t]*+(?=;|$)', re.IGNORECASE
)

# What proxies add of their own accord: there is somebody between the client and this server.
_ADDED_BY_PROXIES = re.compile(rb"forwarded|via|x-forwarded-.*|x-original-.*|x-real-ip|x-client-ip")


class Origins:
    """Reads the origin of calls; forwarding headers count only when a trusted proxy sent them."""

    def __init__(self, trusted_proxies: Iterable[Network]) -> None:
        self._trusted = tuple(trusted_proxies)

    def of(self, scope: Scope) -> str:
        """Such as `https://api.example:8443`. Raises BadRequest unless exactly one valid host was named."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
            raise BadRequest("The request must have exactly one valid Host header.", detail=f"{hosts!r:.200}")
        scheme, host = scope["scheme"].encode(), hosts[0]
        if self._trusted and self._is_trusted(scope):
            scheme, host = _forwarded(scope["headers"], scheme, host)
        _check_brackets(host)
        return f"{scheme.decode()}://{host.decode()}"

    def address_of(self, scope: Scope) -> str:
        """From where a call came: behind trusted proxies, the address that the first of them saw. Or empty."""
        client = scope.get("client")
        address = str(client[0]) if client else ""
        if not self._trusted:
            return address
        # From the nearest on: what stands before a place that is not trusted is that place's own invention.
        for before in reversed(_forwarded_for(scope["headers"])):
            # A zone says something on the machine that has written it, and may be any text.
            if not self._trusts(address) or "%" in before or not _is_address(before):
                break
            address = before
        return address

    def _is_trusted(self, scope: Scope) -> bool:
        client = scope.get("client")
        return self._trusts(client[0]) if client else False

    def _trusts(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._trusted)


def is_protected(scope: Scope, origin: str) -> bool:
    """Whether nobody on the way can read what is sent: over HTTPS, or because it never leaves the machine.

    The second is said by the connection: its other end is this machine, no proxy has announced itself, trusted or
    not, and the host that was called is this machine too. The `Host` alone is what the sender likes to write.
    """
    parts = urlsplit(origin)
    return parts.scheme == "https" or (
        is_loopback(parts.hostname or "") and _is_from_this_machine(scope) and not _has_come_by_proxy(scope)
    )


def _is_from_this_machine(scope: Scope) -> bool:
    client = scope.get("client")
    # An IPv4 client of a socket for both comes under an IPv6 address.
    return is_loopback(str(client[0]).lower().removeprefix("::ffff:")) if client else False


def _has_come_by_proxy(scope: Scope) -> bool:
    return any(_ADDED_BY_PROXIES.fullmatch(name) for name, _ in scope["headers"])


def _forwarded_for(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    said = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
    return [each.strip() for each in ",".join(said).split(",")]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _check_brackets(host: bytes) -> None:
    if host.startswith(b"["):
        try:
            ip_address(host[1 : host.index(b"]")].decode())
        except ValueError as error:
            raise BadRequest(
                "The request must have exactly one valid Host header.", detail=f"{host!r}"
            ) from error


def _forwarded(headers: Iterable[tuple[bytes, bytes]], scheme: bytes, host: bytes) -> tuple[bytes, bytes]:
    """What the nearest proxy says: the last element of a list, as each proxy adds its own at the end."""
    said: dict[bytes, bytes] = {}
    said_by_standard: dict[bytes, bytes] = {}
    for name, value in headers:
        last = value.rpartition(b",")[2].strip()
        if name == b"forwarded":
            said_by_standard |= {pair[1].lower(): pair[3] for pair in _FORWARDED_PAIR.finditer(last)}
        elif name in (b"x-forwarded-proto", b"x-forwarded-host"):
            said[name.rpartition(b"-")[2]] = last
    if said and said_by_standard and said != said_by_standard:
        # The proxy sets one kind; the other is the client's own, and nobody can tell which is which.
        raise BadRequest("Forwarded and X-Forwarded-* disagree.", detail=f"{said!r} {said_by_standard!r}")
    said |= said_by_standard
    scheme = said.get(b"proto", scheme).lower()
    host = said.get(b"host", host)
    if scheme not in (b"http", b"https") or not _HOST.fullmatch(host):
        raise BadRequest("The forwarding headers name no valid scheme and host.", detail=f"{said!r:.200}")
    return scheme, host
