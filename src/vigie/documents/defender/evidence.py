"""The evidence that the alerts of a Defender incident document name: their devices and their entities.

Which keys of an entity are read is a table by its type. Values may be anything, as unknown keys and words are kept
as they came: what cannot be read is passed over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from vigie.core.evidence import Evidence, EvidenceKind, evidence_of, host_in

ALERT_EVIDENCE_MAX = 1_000
"""How much evidence of one alert is read: the first in the order of its devices and entities."""


class NamedEvidence(NamedTuple):
    """Evidence, and what names it: the alert at a place in its incident; None for the incident's own keys."""

    evidence: Evidence
    place: int | None
    alert_id: str | None


Fields = Mapping[str, Any]


class _Reading(NamedTuple):
    """How one device or entity is read: keys that are evidence as they are, and evidence made of several."""

    keys: tuple[tuple[EvidenceKind, str], ...] = ()
    composed: tuple[Callable[[Fields], Evidence | None], ...] = ()


_decode = msgspec.json.Decoder().decode


def evidence_in(document: bytes) -> Iterator[NamedEvidence]:
    """The evidence of an incident, alert by alert: each once for each alert. A damaged document names none."""
    try:
        incident = _decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if not isinstance(incident, dict):
        return
    for each in _evidence_of(incident):
        yield NamedEvidence(each, None, None)
    for place, alert in enumerate(_list_in(incident, "alerts")):
        if isinstance(alert, dict):
            alert_id = alert.get("alertId")
            for each in _evidence_of(alert):
                yield NamedEvidence(each, place, alert_id if isinstance(alert_id, str) else None)


def _evidence_of(holder: Fields) -> Iterable[Evidence]:
    """What an alert, or an incident outside its alerts, names: each once, in their order."""
    found: dict[Evidence, None] = {}
    for fields, reading in _holders(holder):
        for kind, key in reading.keys:
            if (value := fields.get(key)) and (evidence := evidence_of(kind, value)):
                found[evidence] = None
        for read in reading.composed:
            if evidence := read(fields):
                found[evidence] = None
        if len(found) >= ALERT_EVIDENCE_MAX:
            break
    return islice(found, ALERT_EVIDENCE_MAX)


def _holders(holder: Fields) -> Iterator[tuple[Fields, _Reading]]:
    """Each device and entity, with what reads it; entities in a device too, where one page of the docs has them."""
    entities = _list_in(holder, "entities")
    for device in _list_in(holder, "devices"):
        if isinstance(device, dict):
            yield device, _OF_DEVICE
            entities = [*entities, *_list_in(device, "entities")]
    for entity in entities:
        if isinstance(entity, dict):
            yield entity, _OF_TYPE.get(_text(entity, "entityType").lower(), _OF_OTHER_TYPES)


def _list_in(holder: Fields, key: str) -> list[Any]:
    value = holder.get(key)
    return value if isinstance(value, list) else []


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    return value.strip() if isinstance(value, str) else ""


# Evidence that is made of several keys


def _logon_name(fields: Fields) -> Evidence | None:
    domain, name = _text(fields, "domainName"), _text(fields, "accountName")
    return evidence_of(EvidenceKind.ACCOUNT, f"{domain}\\{name}" if domain and name else name)


def _image(fields: Fields) -> Evidence | None:
    """The file of a process, with its folder where that is known."""
    folder, name = _text(fields, "filePath"), _text(fields, "fileName")
    separator = "/" if "/" in folder and "\\" not in folder else "\\"
    folder = folder.rstrip("/\\")
    if not folder or not name or folder.lower().endswith(f"{separator}{name.lower()}"):
        return evidence_of(EvidenceKind.PROCESS, folder or name)
    return evidence_of(EvidenceKind.PROCESS, f"{folder}{separator}{name}")


def _host_of_url(fields: Fields) -> Evidence | None:
    return host_in(fields.get("url"))


def _registry_key(fields: Fields) -> Evidence | None:
    hive, key = _text(fields, "registryHive"), _text(fields, "registryKey")
    has_hive = not hive or key.lower().startswith(f"{hive.lower()}\\")
    return evidence_of(EvidenceKind.REGISTRY, key if has_hive else f"{hive}\\{key}")


def _registry_value(fields: Fields) -> Evidence | None:
    key, name = _registry_key(fields), _text(fields, "registryValueName")
    return evidence_of(EvidenceKind.REGISTRY, f"{key.value}\\{name}") if key and name else None


# What is read of one device or entity

_DEVICE = ((EvidenceKind.DEVICE, "deviceId"),)
_ACCOUNT = tuple((EvidenceKind.ACCOUNT, key) for key in ("userSid", "userPrincipalName", "aadUserId"))
_HASHES = tuple((EvidenceKind.FILE_HASH, key) for key in ("sha1", "sha256", "md5"))
_ADDRESS = ((EvidenceKind.ADDRESS, "ipAddress"),)
_URL = ((EvidenceKind.URL, "url"),)
_MAILBOX = tuple((EvidenceKind.MAILBOX, key) for key in ("mailboxAddress", "userPrincipalName"))
_MAIL = (
    *((EvidenceKind.MAILBOX, key) for key in ("sender", "recipient", "userPrincipalName")),
    (EvidenceKind.ADDRESS, "senderIp"),
    *_DEVICE,
)
_COMMAND_LINE = ((EvidenceKind.PROCESS, "processCommandLine"),)

_OF_DEVICE = _Reading(
    tuple((EvidenceKind.DEVICE, key) for key in ("mdatpDeviceId", "aadDeviceId", "deviceDnsName"))
)
_OF_TYPE: Mapping[str, _Reading] = {
    "user": _Reading((*_ACCOUNT, *_DEVICE), (_logon_name,)),
    "ip": _Reading((*_ADDRESS, *_DEVICE)),
    "url": _Reading((*_URL, *_DEVICE), (_host_of_url,)),
    "file": _Reading((*_HASHES, *_DEVICE)),
    "process": _Reading((*_HASHES, *_COMMAND_LINE, *_ACCOUNT, *_DEVICE), (_image, _logon_name)),
    "mailbox": _Reading((*_MAILBOX, *_ACCOUNT, *_DEVICE), (_logon_name,)),
    "mailmessage": _Reading(_MAIL),
    "mailcluster": _Reading(_DEVICE),
    "registry": _Reading(_DEVICE, (_registry_key, _registry_value)),
    "securitygroup": _Reading(_DEVICE),
    "dns": _Reading(((EvidenceKind.HOST, "dnsDomainName"), *_ADDRESS, *_DEVICE)),
    "filehash": _Reading((*_HASHES, (EvidenceKind.FILE_HASH, "value"), *_DEVICE)),
    "submissionmail": _Reading(_MAIL),
}
"""What is read of an entity, by its type in lower case: docs/api/incident-document.md, "Entity"."""

_OF_OTHER_TYPES = _Reading(
    (*_ACCOUNT, *_HASHES, *_ADDRESS, *_URL, *_MAILBOX[:1], *_DEVICE), (_logon_name, _host_of_url)
)
"""Of a type that is not known: the keys that mean the same in every type that has them."""
