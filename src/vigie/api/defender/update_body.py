"""The body of an update: what its keys may say, and the update that it asks for.

Rules and messages: docs/api/update-incident.md; docs/errors.md, "Updating an incident".
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from vigie.core.classification import SETTABLE
from vigie.core.enums import Classification, Status
from vigie.core.errors import InvalidBody, InvalidInput, user_text
from vigie.core.update import Update
from vigie.documents import lossless
from vigie.documents.decode_errors import in_words_of_json
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, STATUSES

COMMENT_LENGTH_MAX = 10_000
TAGS_COUNT_MAX = 200
TEXT_LENGTH_MAX = 320

_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_LINES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class _Body(msgspec.Struct, frozen=True):
    """The keys of a request body, under the API's own names."""

    status: str | msgspec.UnsetType = msgspec.UNSET
    assignedTo: str | msgspec.UnsetType | None = msgspec.UNSET  # noqa: N815
    classification: str | msgspec.UnsetType = msgspec.UNSET
    determination: str | msgspec.UnsetType = msgspec.UNSET
    tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    comment: str | msgspec.UnsetType = msgspec.UNSET


UPDATABLE = _Body.__struct_fields__


def parse_update(body: bytes, *, determinations_as_sent: bool = False) -> Update:
    """The update that a request body asks for. Raises InvalidBody or InvalidInput, naming the key.

    Values of the three enumerations may have any letter case. An alias of a determination becomes the documented
    word, unless `determinations_as_sent`.
    """
    parsed = _parse(body)
    determination = None if parsed.determination is msgspec.UNSET else _determination(parsed.determination)
    return Update(
        status=None if parsed.status is msgspec.UNSET else _status(parsed.status),
        assigned_to=None if parsed.assignedTo is msgspec.UNSET else _assignee(parsed.assignedTo),
        classification=(
            None if parsed.classification is msgspec.UNSET else _classification(parsed.classification)
        ),
        determination=None if determination is None else DETERMINATIONS.member(determination),
        determination_word=determination if determinations_as_sent else None,
        tags=None if parsed.tags is msgspec.UNSET else _tags(parsed.tags),
        comment=None if parsed.comment is msgspec.UNSET else _comment(parsed.comment),
    )


def _parse(body: bytes) -> _Body:
    if not body.strip():
        raise _incorrect(f"there is none; it is a JSON object of {', '.join(UPDATABLE)}")
    try:
        value = lossless.decode(body.removeprefix(_BOM))
        if isinstance(value, dict):
            _check_keys(value)
        return msgspec.convert(value, _Body)
    except lossless.NotJson as error:
        raise _incorrect(str(error).replace("`", "'")) from error
    except msgspec.ValidationError as error:
        complaint = in_words_of_json(str(error))
        raise _incorrect(re.sub("^it", complaint.path or "it", complaint.reason)) from error


def _check_keys(body: Mapping[str, Any]) -> None:
    # Ours rather than the decoder's: its message would repeat a key of any length, and not say which there are.
    unknown = next((key for key in body if key not in UPDATABLE), None)
    if unknown is not None:
        raise _incorrect(f"there is no key '{unknown[:60]}'; there are {', '.join(UPDATABLE)}")
    if not body:
        raise _incorrect(f"it says nothing; there are {', '.join(UPDATABLE)}")


def _incorrect(reason: str) -> InvalidBody:
    return InvalidBody(f"Request body is incorrect: {reason}.")


def _status(name: str) -> Status:
    found = STATUSES.member(name)
    if found is Status.REDIRECTED:
        raise InvalidInput("The status 'Redirected' comes from merging alone; it cannot be set.")
    if found is None:
        allowed = [word for word, status in STATUSES.members.items() if status is not Status.REDIRECTED]
        raise _no_such("status", name, allowed)
    return found


def _classification(name: str) -> Classification:
    found = CLASSIFICATIONS.member(name)
    if found is None:
        raise _no_such("classification", name, CLASSIFICATIONS.members)
    return found


def _determination(name: str) -> str:
    """The determination as it is sent, in the canonical letter case."""
    found = DETERMINATIONS.canonical(name)
    if found is None or DETERMINATIONS.member(found) not in SETTABLE:
        raise _no_such("determination", name, map(DETERMINATIONS.word, SETTABLE))
    return found


def _no_such(key: str, name: str, words: Iterable[str]) -> InvalidBody:
    return InvalidBody(f"'{user_text(name[:60])}' is not a {key}; there are {', '.join(words)}.")


def _assignee(name: str | None) -> str:
    return _short("assignedTo", name or "")


def _tags(tags: list[str]) -> tuple[str, ...]:
    if len(tags) > TAGS_COUNT_MAX:
        raise InvalidBody(f"There may be at most {TAGS_COUNT_MAX} tags; there were {len(tags)}.")
    if not all(tags):
        raise InvalidBody("A tag may not be empty.")
    return tuple(_short("A tag", tag) for tag in tags)


def _comment(text: str) -> str:
    if not text.strip():
        raise InvalidBody("A comment may not be empty.")
    return _checked("A comment", text, COMMENT_LENGTH_MAX, _CONTROL_IN_LINES)


def _short(name: str, text: str) -> str:
    return _checked(name, text, TEXT_LENGTH_MAX, _CONTROL)


def _checked(name: str, text: str, length_max: int, forbidden: re.Pattern[str]) -> str:
    if len(text) > length_max:
        raise InvalidBody(f"{name} may have at most {length_max} characters; it had {len(text)}.")
    if found := forbidden.search(text):
        raise InvalidBody(f"{name} may not contain the control character U+{ord(found[0]):04X}.")
    return text
