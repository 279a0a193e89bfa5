"""An update applied to a Defender incident document: its keys, their order, its comments."""

from collections.abc import Mapping
from typing import Any

from vigie.core.classification import NOT_AVAILABLE, UNKNOWN, check_pair
from vigie.core.classification import may_stay as determination_may_stay
from vigie.core.errors import InvalidBody
from vigie.core.instants import Instant, format_instant
from vigie.core.update import Update
from vigie.documents import lossless

COMMENTS_COUNT_MAX = 1_000
COMMENTS_BYTES_MAX = 2 * 1024 * 1024
"""Of all comments of an incident together: each reader gets them all, each time."""


def updated(head: Mapping[str, Any], update: Update, *, at: Instant, author: str) -> dict[str, Any]:
    """The incident's own keys after the update, the others and their order as they were.

    `head` may or may not have its alerts; they are not looked at. A key that is missing comes before the alerts.
    Raises InvalidBody for a determination that does not go with the classification.
    """
    changes: dict[str, Any] = {"lastUpdateTime": format_instant(at), **_grading(head, update)}
    if update.status is not None:
        changes["status"] = update.status
    if update.assigned_to is not None:
        changes["assignedTo"] = update.assigned_to or None
    if update.tags is not None:
        changes["tags"] = list(update.tags)
    if update.comment is not None:
        comment = {"comment": update.comment, "createdBy": author, "createdTime": format_instant(at)}
        changes["comments"] = _with_room([*_comments(head), comment])
    return _merged(head, changes)


def _with_room(comments: list[Any]) -> list[Any]:
    """The comments, if they are not too many. Raises InvalidBody."""
    if len(comments) > COMMENTS_COUNT_MAX:
        raise InvalidBody(f"An incident may have at most {COMMENTS_COUNT_MAX} comments.")
    if len(lossless.encode(comments)) > COMMENTS_BYTES_MAX:
        mebibytes = COMMENTS_BYTES_MAX // 1024**2
        raise InvalidBody(f"The comments of an incident may have at most {mebibytes} MiB together.")
    return comments


def _grading(head: Mapping[str, Any], update: Update) -> dict[str, str]:
    """What becomes of classification and determination; what was not asked for stays in its spelling."""
    changes: dict[str, str] = {}
    classification = update.classification or _text(head, "classification", UNKNOWN)
    if update.classification is not None:
        changes["classification"] = classification
    if update.determination is not None:
        check_pair(classification, update.determination)
        changes["determination"] = update.determination
    elif changes and not determination_may_stay(classification, _text(head, "determination", NOT_AVAILABLE)):
        changes["determination"] = NOT_AVAILABLE
    return changes


def _merged(head: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    missing = {key: value for key, value in changes.items() if key not in head}
    merged: dict[str, Any] = {}
    for key, value in head.items():
        if key == "alerts":
            merged |= missing
        merged[key] = changes.get(key, value)
    return {**merged, **missing}


def _text(head: Mapping[str, Any], key: str, default: str) -> str:
    value = head.get(key)
    return value if isinstance(value, str) else default


def _comments(head: Mapping[str, Any]) -> list[Any]:
    value = head.get("comments")
    return value if isinstance(value, list) else []
