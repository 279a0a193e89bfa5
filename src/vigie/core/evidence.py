"""Evidence: what alerts name, each thing in one spelling, so that it is found wherever else it was seen."""

import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

VALUE_LENGTH_MAX = 1_000
"""How many characters a value may have; a longer one is cut, with a digest of the whole in its end."""


class EvidenceKind(StrEnum):
    """What sort of thing a value names."""

    DEVICE = "device"
    ACCOUNT = "account"
    ADDRESS = "address"
    HOST = "host"
    URL = "url"
    FILE_HASH = "fileHash"
    MAILBOX = "mailbox"
    PROCESS = "process"
    REGISTRY = "registry"


class Evidence(NamedTuple):
    """One thing, in the one spelling in which its kind is stored and compared."""

    kind: EvidenceKind
    value: str


def evidence_of(kind: EvidenceKind, text: object) -> Evidence | None:
    """The evidence that a text names, as documents spell it; None for what is no text, or has nothing in it."""
    if not isinstance(text, str):
        return None
    return (_remembered if len(text) <= _REMEMBERED_LENGTH_MAX else _evidence_of)(kind, text)


def host_in(url: object) -> Evidence | None:
    """The host of a URL, or its address where it has one in place of a name; None where it has neither."""
    if not isinstance(url, str):
        return None
    host, _ = _host_and_port(_parts(url.strip())[1].rpartition("@")[2])
    named = evidence_of(EvidenceKind.ADDRESS, host)
    return named if named and _is_address(named.value) else evidence_of(EvidenceKind.HOST, host)


def spellings_of(text: str, kind: EvidenceKind | None) -> list[Evidence]:
    """All that a person can mean by a text, in the order of the kinds; `kind` is the one that was named.

    Read are also addresses made harmless (`hxxps://evil[.]example`) and backslashes doubled as in JSON.
    """
    texts = dict.fromkeys((text, _armed(text), text.replace("\\\\", "\\")))
    kinds = EvidenceKind if kind is None else (kind,)
    meant = dict.fromkeys(evidence_of(each, spelling) for each in kinds for spelling in texts)
    return [each for each in meant if each is not None]


def _evidence_of(kind: EvidenceKind, text: str) -> Evidence | None:
    value = _NORMALISERS[kind](text.strip())
    return Evidence(kind, _bounded(value)) if value else None


# The alerts of an incident name the same things again and again. So many take less than a megabyte.
_remembered = lru_cache(maxsize=2_048)(_evidence_of)
_REMEMBERED_LENGTH_MAX = 128


# One spelling for each kind. Each takes any text and raises nothing: what is not of the kind stays a text.


def _address(text: str) -> str:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return text.casefold()
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_HOST_LENGTH_MAX = 253


def _host(text: str) -> str:
    name = text.rstrip(".")
    if not name.isascii() and len(name) <= _HOST_LENGTH_MAX:
        with suppress(UnicodeError):
            name = name.encode("idna").decode()
    return name.casefold()


_URL = re.compile(r"(?:([a-zA-Z][a-zA-Z0-9+.-]*)://)?([^/?#\\]*)(.*)", re.DOTALL)
_DEFAULT_PORTS: Mapping[str, str] = {"http": "80", "https": "443", "ftp": "21"}


def _url(text: str) -> str:
    """Scheme and host in lower case, without the port that goes without saying; the rest as it came."""
    scheme, authority, rest = _parts(text)
    user, at, place = authority.rpartition("@")
    host, port = _host_and_port(place)
    host = f"[{address}]" if ":" in (address := _address(host)) else _host(address)
    shown_port = f":{port}" if port and port != _DEFAULT_PORTS.get(scheme) else ""
    start = f"{scheme}://" if scheme else ""
    return f"{start}{user}{at}{host}{shown_port}{'' if rest == '/' else rest}"


def _parts(url: str) -> tuple[str, str, str]:
    match = _URL.fullmatch(url)
    scheme, authority, rest = match.groups("") if match else ("", "", url)
    return scheme.lower(), authority, rest


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, port.removeprefix(":")
    if place.count(":") > 1:
        return place, ""
    host, _, port = place.partition(":")
    return host, port


_ALGORITHM = re.compile(r"(?:md5|sha-?1|sha-?256)[:=]\s*")


def _file_hash(text: str) -> str:
    digest = text.casefold()
    return digest if digest.isalnum() else _ALGORITHM.sub("", digest, count=1)


_HIVES: Mapping[str, str] = {
    "hklm": "hkey_local_machine",
    "hkcu": "hkey_current_user",
    "hkcr": "hkey_classes_root",
    "hku": "hkey_users",
    "hkcc": "hkey_current_config",
}


def _registry(text: str) -> str:
    hive, separator, key = text.casefold().strip("\\").partition("\\")
    hive = hive.removesuffix(":")
    return f"{_HIVES.get(hive, hive)}{separator}{key}"


def _name_of_device(text: str) -> str:
    return text.rstrip(".").casefold()


_NORMALISERS: Mapping[EvidenceKind, Callable[[str], str]] = {
    EvidenceKind.DEVICE: _name_of_device,
    EvidenceKind.ACCOUNT: str.casefold,
    EvidenceKind.ADDRESS: _address,
    EvidenceKind.HOST: _host,
    EvidenceKind.URL: _url,
    EvidenceKind.FILE_HASH: _file_hash,
    EvidenceKind.MAILBOX: str.casefold,
    EvidenceKind.PROCESS: str.casefold,
    EvidenceKind.REGISTRY: _registry,
}


def _bounded(value: str) -> str:
    if len(value) <= VALUE_LENGTH_MAX:
        return value
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    end = f"…sha256:{digest}"
    return value[: VALUE_LENGTH_MAX - len(end)] + end


_SCHEME_MADE_HARMLESS = re.compile(r"^hxxp(s?)(?=://|\[:)", re.IGNORECASE)


def _armed(text: str) -> str:
    for harmless, real in (("[.]", "."), ("(.)", "."), ("[:]", ":"), ("[@]", "@")):
        text = text.replace(harmless, real)
    return _SCHEME_MADE_HARMLESS.sub(r"http\1", text)
