"""The address of the Valkey or Redis server in which several servers share quotas."""

import re
from urllib.parse import unquote, urlsplit

import msgspec

PORT = 6379

# With TLS or without.
_SCHEMES = {"valkey": False, "valkeys": True, "redis": False, "rediss": True}


class QuotaStoreAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A server, one of its numbered databases, and the user. `user` and `password` may be empty."""

    host: str
    port: int = PORT
    number: int = 0
    has_tls: bool = False
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"<QuotaStoreAddress {self.name}>"

    @property
    def name(self) -> str:
        """As logs name it: without the password."""
        return f"{self.host}:{self.port}"


def quota_store_address(url: str) -> QuotaStoreAddress:
    """Read `valkey://[user:password@]host[:port][/number]`; `redis` is the same, and an s more is TLS.

    Raises ValueError, without a word of the URL in it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("no host, or a port that cannot be") from None
    number = re.fullmatch(r"/?([0-9]{0,5})", parts.path)
    is_whole = url.isprintable() and " " not in url and not parts.query and not parts.fragment
    if parts.scheme not in _SCHEMES or not number or not is_whole:
        raise ValueError("not the address of a Valkey or Redis server")
    if not host or port == 0:
        raise ValueError("no host, or a port that cannot be")
    return QuotaStoreAddress(
        host=host,
        port=PORT if port is None else port,
        number=int(number[1] or 0),
        has_tls=_SCHEMES[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
