"""An update applied to a Defender incident document: its keys, their order, its comments."""

from collections.abc import Mapping
from typing import Any

from vigie.core.classification import determinations_beside, may_stay
from vigie.core.enums import Classification, Determination
from vigie.core.errors import InvalidBody, user_text
from vigie.core.instants import Instant, format_instant
from vigie.core.update import Update
from vigie.documents import lossless
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, STATUSES

COMMENTS_COUNT_MAX = 1_000
COMMENTS_BYTES_MAX = 2 * 1024 * 1024
"""Of all comments of an incident together: each reader gets them all, each time."""

_NOT_AVAILABLE = DETERMINATIONS.word(Determination.NOT_AVAILABLE)


def updated(head: Mapping[str, Any], update: Update, *, at: Instant, author: str) -> dict[str, Any]:
    """The incident's own keys after the update, the others and their order as they were.

    `head` may or may not have its alerts; they are not looked at. A key that is missing comes before the alerts.
    Raises InvalidBody for a determination that does not go with the classification.
    """
    changes: dict[str, Any] = {"lastUpdateTime": format_instant(at), **_classified(head, update)}
    if update.status is not None:
        changes["status"] = STATUSES.word(update.status)
    if update.assigned_to is not None:
        changes["assignedTo"] = update.assigned_to or None
    if update.tags is not None:
        changes["tags"] = list(update.tags)
    if update.comment is not None:
        changes["comments"] = with_comment(head, update.comment, at=at, author=author)
    return _merged(head, changes)


def with_comment(head: Mapping[str, Any], comment: str, *, at: Instant, author: str) -> list[Any]:
    """The comments of an incident and one more. Raises InvalidBody when they are too many."""
    added = {"comment": comment, "createdBy": author, "createdTime": format_instant(at)}
    return with_room([*_comments(head), added])


def with_room(comments: list[Any]) -> list[Any]:
    """The comments, if they are not too many. Raises InvalidBody."""
    if len(comments) > COMMENTS_COUNT_MAX:
        raise InvalidBody(f"An incident may have at most {COMMENTS_COUNT_MAX} comments.")
    if len(lossless.encode(comments)) > COMMENTS_BYTES_MAX:
        mebibytes = COMMENTS_BYTES_MAX // 1024**2
        raise InvalidBody(f"The comments of an incident may have at most {mebibytes} MiB together.")
    return comments


def _classified(head: Mapping[str, Any], update: Update) -> dict[str, str]:
    """The new classification and determination; what was not asked for stays in its spelling."""
    changes: dict[str, str] = {}
    if update.classification is not None:
        changes["classification"] = CLASSIFICATIONS.word(update.classification)
    if update.determination is not None:
        word = update.determination_word or DETERMINATIONS.word(update.determination)
        unknown = CLASSIFICATIONS.word(Classification.UNKNOWN)
        _check_pair(changes.get("classification", _text(head, "classification", unknown)), word)
        changes["determination"] = word
    elif update.classification is not None and not _determination_stays(head, update.classification):
        changes["determination"] = _NOT_AVAILABLE
    return changes


def _determination_stays(head: Mapping[str, Any], classification: Classification) -> bool:
    stored = _text(head, "determination", _NOT_AVAILABLE)
    return may_stay(classification, DETERMINATIONS.member(stored))


def _check_pair(classification: str, determination: str) -> None:
    """See that a determination may be set beside a classification. Raises InvalidBody, naming those that may."""
    allowed = determinations_beside(CLASSIFICATIONS.member(classification))
    if DETERMINATIONS.member(determination) in allowed:
        return
    if allowed == (Determination.NOT_AVAILABLE,):
        raise InvalidBody(
            f"The determination '{determination}' needs a classification; beside "
            f"'{user_text(classification[:60])}' only {_NOT_AVAILABLE} is allowed."
        )
    raise InvalidBody(
        f"The determination '{determination}' does not go with the classification '{classification}'; "
        f"allowed: {', '.join(map(DETERMINATIONS.word, allowed))}."
    )


def _merged(head: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    missing = {key: value for key, value in changes.items() if key not in head}
    if not missing:
        return {**head, **changes}
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
