"""The policy of webhooks' URLs, and of the addresses that their hosts lead to. No name is resolved here."""

import re
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

URL_LENGTH_MAX = 2_000

_WEB_PORTS = (80, 443)
_FIRST_FREE_PORT = 1024
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
# A last label that begins with a digit would be an address in a form of its own: 127.1, 0x7f.1 or 2130706433.
_HOST = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*(?![0-9]){_LABEL}", re.ASCII)
_PRIVATE_SUFFIXES = ("localhost", "local", "internal", "lan", "home.arpa", "intranet", "corp")

# Services of clouds for the machines inside: what they answer includes credentials.
_METADATA = tuple(
    map(
        ip_address,
        (
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.42.42",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
        ),
    )
)
# What Python of some versions takes for public addresses.
_RESERVED: Networks = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",
            "192.88.99.0/24",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "3fff::/20",
            "5f00::/16",
        ),
    )
)
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")


class InvalidWebhookUrl(Exception):
    """Nothing may be sent to this URL or address; the message says why."""


def check_webhook_url(url: str, *, allows_private: bool, private: Networks = ()) -> None:
    """Raise InvalidWebhookUrl unless it can be the URL of a webhook.

    With `allows_private`, it may begin with http:// and name an address in `private`. Where the name of a host
    leads is checked for each connection.
    """
    host = _plain_host(url)
    parts = urlsplit(url)
    if parts.scheme == "http" and not allows_private:
        raise InvalidWebhookUrl(
            "the URL must begin with https://; http:// is for private addresses, with --allow-private"
        )
    if parts.port is not None and parts.port not in _WEB_PORTS and parts.port < _FIRST_FREE_PORT:
        raise InvalidWebhookUrl(
            f"port {parts.port} belongs to another service; use 443, 80 or a port from {_FIRST_FREE_PORT}"
        )
    if (address := _address(host)) is not None:
        check_address(address, scheme=parts.scheme, private=private if allows_private else ())
    elif allows_private:
        return
    elif "." not in host or any(host == each or host.endswith(f".{each}") for each in _PRIVATE_SUFFIXES):
        raise InvalidWebhookUrl(f"{host} is a name inside a network; add --allow-private if it is meant")


def host_of(url: str) -> str:
    """The host of a URL that has been checked, without brackets."""
    return urlsplit(url).hostname or ""


def check_address(address: Address, *, scheme: str, private: Networks) -> None:
    """Raise InvalidWebhookUrl unless a delivery may go to this address. `private` are those allowed besides.

    Plain HTTP goes to private addresses alone.
    """
    inner = _inner(address)
    if _is_never_allowed(inner):
        raise InvalidWebhookUrl(f"{address} is never an address of a receiver")
    if _is_public(inner):
        if scheme != "https":
            raise InvalidWebhookUrl(f"{address} is a public address, which needs https://")
    elif not any(inner.version == network.version and inner in network for network in private):
        raise InvalidWebhookUrl(f"{address} is a private or reserved address")


def _plain_host(url: str) -> str:
    """The host of a URL that is written plainly. Raises InvalidWebhookUrl."""
    if len(url) > URL_LENGTH_MAX:
        raise InvalidWebhookUrl(f"the URL may have at most {URL_LENGTH_MAX} characters; it has {len(url)}")
    if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
        raise InvalidWebhookUrl(
            "the URL must be printable ASCII without spaces or backslashes; write other characters as %XX, and "
            "names of hosts as xn--"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidWebhookUrl("the URL must be https://host[:port]/path") from error
    if parts.scheme not in ("http", "https") or not host or port == 0 or parts.netloc.endswith(":"):
        raise InvalidWebhookUrl("the URL must be https://host[:port]/path")
    if "@" in parts.netloc:
        raise InvalidWebhookUrl("the URL must not contain a user name or password; deliveries are signed")
    if "#" in url:
        raise InvalidWebhookUrl("the URL must not contain a fragment (#): it would not be sent")
    if "%" in parts.netloc or (_address(host) is None and not _HOST.fullmatch(host)):
        raise InvalidWebhookUrl(f"{host[:60]!r} is neither a host name nor an IP address in its usual form")
    return host


def _address(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, if there is one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_never_allowed(address: Address) -> bool:
    is_broadcast = address == IPv4Address("255.255.255.255")
    return address in _METADATA or address.is_multicast or address.is_unspecified or is_broadcast


def _is_public(address: Address) -> bool:
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    is_reserved = any(address.version == each.version and address in each for each in _RESERVED)
    return address.is_global and not (is_site_local or is_reserved or address.is_reserved)
