"""Incidents merged, in Defender's form: what the target takes over, and the stub that stays of the source.

Source: docs/api/incident-document.md, "Merged incidents".
"""

from collections.abc import Mapping
from typing import Any

from vigie.core.enums import Classification, Determination, Status
from vigie.core.incident import StoredIncident
from vigie.core.instants import Instant, format_instant
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, STATUSES
from vigie.documents.defender.reading import keep_document
from vigie.documents.defender.updating import with_comment, with_room

_SEVERITIES = ("UnSpecified", "Informational", "Low", "Medium", "High")


def touched(head: Mapping[str, Any], *, at: Instant) -> dict[str, Any]:
    """An incident's own keys after a change of its alerts."""
    return {**head, "lastUpdateTime": format_instant(at)}


def commented(head: Mapping[str, Any], comment: str, *, at: Instant, author: str) -> dict[str, Any]:
    """An incident's own keys with one more comment. Raises InvalidBody when they are too many."""
    return {**head, "comments": with_comment(head, comment, at=at, author=author)}


def redirected(head: Mapping[str, Any], target_id: int, *, at: Instant) -> StoredIncident:
    """The stub that stays of an incident after a merge, as one was captured; names and times of creation stay."""
    return keep_document(
        {
            **head,
            "redirectIncidentId": target_id,
            "lastUpdateTime": format_instant(at),
            "status": STATUSES.word(Status.REDIRECTED),
            "severity": _SEVERITIES[0],
            "classification": CLASSIFICATIONS.word(Classification.UNKNOWN),
            "determination": DETERMINATIONS.word(Determination.NOT_AVAILABLE),
            "tags": [],
            "comments": [],
            "alerts": [],
        }
    )


def merged(target: Mapping[str, Any], source: Mapping[str, Any], *, at: Instant) -> dict[str, Any]:
    """The target's own keys after a merge: it takes over the source's tags and comments, and the higher severity.

    Raises InvalidBody when the comments of both are more than an incident may have.
    """
    tags = list(dict.fromkeys([*_texts(target, "tags"), *_texts(source, "tags")]))
    comments = with_room([*_list(target, "comments"), *_list(source, "comments")])
    severity = max((target.get("severity"), source.get("severity")), key=_rank)
    return {**touched(target, at=at), "tags": tags, "comments": comments, "severity": severity}


def _rank(severity: Any) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else -1


def _texts(head: Mapping[str, Any], key: str) -> list[str]:
    return [each for each in _list(head, key) if isinstance(each, str)]


def _list(head: Mapping[str, Any], key: str) -> list[Any]:
    value = head.get(key)
    return value if isinstance(value, list) else []
