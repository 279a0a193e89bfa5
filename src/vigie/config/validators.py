"""The types and validators of settings."""

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from vigie.ratelimit.address import quota_store_address
from vigie.storage.postgres.urls import PREFIX as POSTGRES_PREFIX
from vigie.storage.postgres.urls import postgres_url

SQLITE_PREFIX = "sqlite:///"
IN_MEMORY = "memory"


class Rule(msgspec.Struct, frozen=True):
    """A validator beyond the type, for a value or each value of a list, and the allowed values in words."""

    allowed: str
    is_right: Callable[[Any], bool]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the file. The text beside a field is its meaning, for operators."""


def _reads_as(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    # The zone after a % may contain anything, even line breaks.
    return "%" not in text and _reads_as(ip_address, text)


_is_network = partial(_reads_as, ip_network)


def _is_host(text: str) -> bool:
    """An address or a name. A last label of digits alone is a mistyped address, never a name."""
    return _is_address(text) or bool(re.fullmatch(r"([\w-]+\.)*(?![0-9]+\Z)[\w-]+", text, re.ASCII))


def _is_host_in_url(text: str) -> bool:
    """As `_is_host`, with the brackets that IPv6 has in front of a port."""
    if text.startswith("["):
        return text.endswith("]") and ":" in text and _is_address(text[1:-1])
    return ":" not in text and _is_host(text)


def _is_host_and_port(text: str, *, port_min: int = 0) -> bool:
    host, _, port = text.rpartition(":")
    is_port = bool(re.fullmatch(r"0|[1-9][0-9]{0,4}", port)) and port_min <= int(port) <= 65535
    return is_port and _is_host_in_url(host)


def _is_origin(text: str) -> bool:
    """Whether it is an origin. In lower case, because audiences are compared as strings."""
    scheme, _, place = text.partition("://")
    is_place = _is_host_in_url(place) or _is_host_and_port(place, port_min=1)
    return scheme in {"http", "https"} and text == text.lower() and is_place


def _is_database(text: str) -> bool:
    if text.startswith(POSTGRES_PREFIX):
        return _reads_as(postgres_url, text)
    path = text.removeprefix(SQLITE_PREFIX)
    names_a_file = path.rpartition("/")[2] not in {"", ".", "..", ":memory:"}
    return text.startswith(SQLITE_PREFIX) and names_a_file and "?" not in path and path.isprintable()


def _is_replica(text: str) -> bool:
    """Whether it is the URL of one host: with several, the lag of one would be taken for another's."""
    return _reads_as(postgres_url, text) and len(postgres_url(text).hosts) == 1


def _is_quota_store(text: str) -> bool:
    try:
        return text == IN_MEMORY or _is_host(quota_store_address(text).host)
    except ValueError:
        return False


def is_certifiable(text: str) -> bool:
    """Whether a certificate can be for it: an address, or a DNS name of at most 253 characters."""
    if _is_address(text):
        return True
    labels = text.split(".")
    is_each_good = all(re.fullmatch(r"(?!-)[\w-]{1,63}(?<!-)", label, re.ASCII) for label in labels)
    return _is_host(text) and is_each_good and len(text) <= 253


_ORIGIN = "http(s)://host[:port] in lower case, without path, query or trailing slash"
_NETWORKS = "a list of IP addresses, or networks such as 10.0.0.0/8 without host bits"
_LISTEN = "empty, or host:port (IPv6 in brackets) with a port up to 65535"
_NAMES = "a list of host names without wildcards, or IP addresses without brackets"
_QUOTA_STORE = "memory, or valkey(s):// or redis(s)://[user:password@]host[:port][/number]"
_DATABASE = "empty, sqlite:///relative/path, sqlite:////absolute/path or postgresql://user@host/database"
_REPLICAS = "a list of postgresql://user@host/database, each with one host"

Host = Annotated[str, Rule("an IP address without brackets, or a host name", _is_host)]
Origin = Annotated[str, Rule(f"empty, or {_ORIGIN}", _is_origin)]
Origins = Annotated[tuple[str, ...], Rule(f"a list of {_ORIGIN}", _is_origin)]
Networks = Annotated[tuple[str, ...], Rule(_NETWORKS, _is_network)]
Listen = Annotated[str, Rule(_LISTEN, _is_host_and_port)]
Database = Annotated[str, Rule(_DATABASE, _is_database)]
Replicas = Annotated[tuple[str, ...], Rule(_REPLICAS, _is_replica)]
TlsMode = Annotated[str, Rule("empty, auto or off", {"auto", "off"}.__contains__)]
Names = Annotated[tuple[str, ...], Rule(_NAMES, is_certifiable)]
QuotaStore = Annotated[str, Rule(_QUOTA_STORE, _is_quota_store)]
File = Annotated[str, Rule("empty, or the path of a file", str.isprintable)]
Folder = Annotated[str, Rule("empty, or the path of a folder", str.isprintable)]
WhenGone = Literal["local", "refuse"]
Determinations = Literal["documented", "as-sent"]
Authority = Literal["embedded", "none"]
UserIs = Literal["upn", "object-id"]
RefreshTokens = Literal["reusable", "single-use"]
Stubs = Literal["target", "everyone"]
Level = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int, Meta(ge=1, le=3600)]
AgeSeconds = Annotated[int, Meta(ge=2, le=300)]
DrainSeconds = Annotated[int, Meta(ge=0, le=3600)]
SkewSeconds = Annotated[int, Meta(ge=0, le=600)]
LifetimeSeconds = Annotated[int, Meta(ge=301, le=86400)]
CodeSeconds = Annotated[int, Meta(ge=10, le=600)]
DeviceSeconds = Annotated[int, Meta(ge=60, le=3600)]
RetrySeconds = Annotated[int, Meta(ge=0, le=300)]
LifeDays = Annotated[int, Meta(ge=1, le=3650)]
LockoutSeconds = Annotated[int, Meta(ge=30, le=86400)]
Threads = Annotated[int, Meta(ge=1, le=64)]
RevocationSeconds = Annotated[float, Meta(ge=0.1, le=60)]
CheckSeconds = Annotated[float, Meta(ge=0.1, le=3600)]
Port = Annotated[int, Meta(ge=0, le=65535)]
DeliverySeconds = Annotated[int, Meta(ge=1, le=60)]
PollSeconds = Annotated[float, Meta(ge=0.05, le=60)]
GiveUpHours = Annotated[int, Meta(ge=1, le=8760)]
Days = Annotated[int, Meta(ge=0, le=36500)]
