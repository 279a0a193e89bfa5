"""The differences between two documents, as an incident's history records them."""

import hashlib
from collections.abc import Mapping
from typing import Any

from vigie.documents import lossless
from vigie.documents.splitting import SplitDocument, join_document

_ABSENT: Any = object()


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
    # What is the same object needs no look: nearly all that an update has left as it was.
    pairs = [
        (key, one, other) for key, one in before.items() if (other := after.get(key, _ABSENT)) is not one
    ]
    if not before.keys() >= after.keys():
        pairs += [(key, _ABSENT, other) for key, other in after.items() if key not in before]
    return {key: _difference(one, other) for key, one, other in pairs if not _same(one, other)}


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
