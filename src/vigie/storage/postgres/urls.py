"""PostgreSQL URLs: read and checked before anything connects, taken apart by hosts, and shown without secrets."""

import re
from collections.abc import Callable, Mapping
from ipaddress import IPv6Address
from itertools import repeat
from urllib.parse import parse_qs, quote, unquote_to_bytes, urlencode

import msgspec

PREFIX = "postgresql://"

_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
_TARGETS = {"any", "primary", "standby", "read-write", "read-only", "prefer-standby"}

_URL = re.compile(
    rf"{PREFIX}(?:(?P<account>[^/?#@\s]+)@)?(?P<places>[^/?#@\s]*)/(?P<database>[^/?#@\s]+)"
    r"(?:\?(?P<query>[^#\s]+))?"
)
_PLACE = re.compile(
    r"(\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+)|(?P<folder>(%2[Ff]|/).+?))(:(?P<port>[0-9]+))?",
    re.ASCII,
)


class PostgresUrl(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL names: who connects, to which hosts, to which database, and how."""

    account: str
    places: str
    database: str
    options: Mapping[str, str]

    @property
    def hosts(self) -> list[str]:
        """The hosts as they are written, some with a port behind; an empty one is the default."""
        return (self.places or self.options.get("host", "")).split(",")

    @property
    def has_password(self) -> bool:
        """Whether there is a password in it."""
        return ":" in self.account

    @property
    def shown(self) -> str:
        """As people may read it: without the password, and with the folder of a socket."""
        user = self.account.partition(":")[0]
        place = {name: self.options[name] for name in ("host", "port") if name in self.options}
        query = f"?{urlencode(place, safe='/,:[]')}" if place else ""
        return f"{PREFIX}{user}{'@' if user else ''}{self.places}/{self.database}{query}"

    def each_host(self) -> list[str]:
        """A URL for each of the hosts. Of several, the one is meant that is the primary."""
        options = dict(self.options)
        if len(self.hosts) > 1:
            options.setdefault("target_session_attrs", "read-write")
        ports = options.pop("port", "").split(",")
        pairs = zip(self.hosts, ports if len(ports) > 1 else repeat(ports[0]), strict=len(ports) > 1)
        return [self._of(host, port, options) for host, port in pairs]

    def _of(self, host: str, port: str, options: Mapping[str, str]) -> str:
        its_own = {**options, **({"port": port} if port else {})}
        if not self.places and host:
            its_own["host"] = host
        account = f"{self.account}@" if self.account else ""
        query = urlencode(its_own, safe="/", quote_via=quote)
        return f"{PREFIX}{account}{self.places and host}/{self.database}{f'?{query}' if query else ''}"


def postgres_url(text: str) -> PostgresUrl:
    """Read a URL. Raises ValueError, without a word of the URL in it."""
    found = _URL.fullmatch(text)
    if not found or not text.isprintable():
        raise ValueError("not a PostgreSQL URL")
    url = PostgresUrl(
        account=found["account"] or "",
        places=found["places"],
        database=found["database"],
        options=_options(found["query"] or ""),
    )
    for part in (url.account, *url.hosts, url.database):
        _check_escapes(part)
    if url.hosts != [""] and not all(map(_is_place, url.hosts)):
        raise ValueError("a host, or a port, that cannot be")
    url.each_host()
    return url


def _options(query: str) -> dict[str, str]:
    """The options, each of which may stand there. All others would be sent to the database unseen."""
    options = {
        name: values[-1]
        for name, values in parse_qs(query, keep_blank_values=True, strict_parsing=bool(query)).items()
    }
    for name, value in options.items():
        if name not in _OPTIONS or not _OPTIONS[name](value) or "\0" in value:
            raise ValueError("an option that there is not, or a value that it cannot have")
    return options


def _check_escapes(text: str) -> None:
    if "\0" in unquote_to_bytes(text).decode():
        raise ValueError("a NUL")


def _is_place(text: str) -> bool:
    found = _PLACE.fullmatch(text)
    if not found or (found["port"] and not _is_port(found["port"])):
        return False
    if found["ipv6"]:
        return _is_ipv6(found["ipv6"])
    # What is no label of a name cannot be looked up.
    return not found["name"] or all(
        0 < len(label) < 64 for label in found["name"].removesuffix(".").split(".")
    )


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return bool(re.fullmatch("[1-9][0-9]{0,4}", text)) and int(text) <= 65535


def _are_ports(text: str) -> bool:
    return all(map(_is_port, text.split(",")))


_OPTIONS: Mapping[str, Callable[[str], bool]] = {
    "host": bool,
    "port": _are_ports,
    "sslmode": _SSL_MODES.__contains__,
    "sslrootcert": bool,
    "sslcert": bool,
    "sslkey": bool,
    "passfile": bool,
    "target_session_attrs": _TARGETS.__contains__,
    "search_path": bool,
}
