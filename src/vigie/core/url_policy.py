"""The policy of URLs that may be fetched, applied before anything is fetched."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def may_be_fetched(url: str, *, from_loopback: bool) -> bool:
    """Whether a URL may be asked: over HTTPS, or over HTTP within this machine if that is allowed."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = not parts.username and not parts.password and not parts.fragment and url.isprintable()
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and from_loopback and is_loopback(host))
    return bool(is_plain and is_safe and host and " " not in url)


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine, by its usual name or by an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
