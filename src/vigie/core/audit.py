"""An entry of an incident's history: who did what, when, and what changed from what to what."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vigie.core import lossless
from vigie.core.access import Caller, CallerKind
from vigie.core.incident import SplitDocument, join_document
from vigie.core.instants import Instant

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditContext:
    """Who does something, when, and in which request or which run of a command."""

    actor: str
    request_id: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change. `at` is what the clock showed, which may step back; an incident's entries are numbered.

    `changes` has, for each key of the incident, what it was (`from`) and what it became (`to`); a key that was
    not there, or is not any more, has only the other.
    """

    incident_id: int
    entry: int
    at: Instant
    action: str
    actor: str
    request_id: str
    changes: Mapping[str, Any]


def actor_of(caller: Caller) -> str:
    """How the history names a caller: an application and a user of one name are told apart.

    So are those of two issuers: the names in their tokens are theirs to give.
    """
    if caller.issuer:
        return f"{caller.kind.value} {caller.name} ({caller.subject or caller.application_id} of {caller.issuer})"
    if caller.kind is CallerKind.USER:
        return f"user {caller.name}"
    return f"application {caller.name} ({caller.application_id})"


def added(document: bytes) -> dict[str, Any]:
    """What adding a document changes."""
    return {"document": {"to": _digest(document)}}


def removed(document: bytes) -> dict[str, Any]:
    """What removing a document changes."""
    return {"document": {"from": _digest(document)}}


def replaced(before: SplitDocument, after: SplitDocument) -> dict[str, Any]:
    """What putting one document in the place of another changes; alerts are told apart by their digest.

    So are whole documents where keys that stay have changed places: no key says that.
    """
    changes = differences(before.head, after.head)
    if before.alerts != after.alerts:
        changes["alerts"] = {"from": _digest(before.alerts), "to": _digest(after.alerts)}
    if [key for key in before.head if key in after.head] != [key for key in after.head if key in before.head]:
        whole = {"from": _digest(join_document(before)[0]), "to": _digest(join_document(after)[0])}
        changes.setdefault("document", whole)
    return changes


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """For each key whose text changed, what it was and what it became; without the one where it was not there.

    Of a list that only grew (comments do) what was `added` is enough: else every entry would hold all of it.
    """
    keys = [
        key for key in {**before, **after} if not _same(before.get(key, _ABSENT), after.get(key, _ABSENT))
    ]
    return {key: _difference(before.get(key, _ABSENT), after.get(key, _ABSENT)) for key in keys}


def _same(one: Any, other: Any) -> bool:
    """Whether both are written alike: 1 is not 1.0, and for Python it is true as well."""
    if one is other:
        return True
    return one is not _ABSENT and other is not _ABSENT and lossless.encode(one) == lossless.encode(other)


def _difference(before: Any, after: Any) -> dict[str, Any]:
    if isinstance(before, list) and isinstance(after, list) and _begins_with(after, before):
        return {"added": after[len(before) :]}
    return {name: value for name, value in (("from", before), ("to", after)) if value is not _ABSENT}


def _begins_with(longer: list[Any], start: list[Any]) -> bool:
    return len(start) < len(longer) and all(map(_same, start, longer))


def _digest(text: bytes) -> str:
    return f"sha256:{hashlib.sha256(text).hexdigest()}"
