"""Detection of the format of an import: lines, a list response, an incident."""

import re
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType

from vigie.application.transfer.json_tokenizer import CHUNK_BYTES, JsonCursor, Nesting

_USUAL_LINE_BYTES_MAX: Final = 4 * 1024 * 1024
_BEGINNING_BYTES: Final = 100

LIST_ANSWER_HEAD = re.compile(
    rb"""[ \t\r\n]*+ \{ [ \t\r\n]*+
    (?: "@odata\.[^"\\]*+" [ \t\r\n]*+ : [ \t\r\n]*+
        (?: "(?:[^"\\]++|\\.)*+" | [-+.0-9eE]++ | true | false | null )
        [ \t\r\n]*+ , [ \t\r\n]*+ )*+
    "value" [ \t\r\n]*+ : [ \t\r\n]*+ (?= \[ )""",
    re.VERBOSE | re.DOTALL,
)
_NEXT_LINE = re.compile(rb"[ \t\r\n]*+(.?)", re.DOTALL)

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def goes_by_lines(cursor: JsonCursor, bytes_max: int) -> bool:
    """Whether the document ahead has its line to itself, so that line ends part it from what follows."""
    if cursor.next_byte != b"{":
        return False
    line_end = _find_end_of_line(cursor)
    if line_end < 0 and cursor.ended:
        return False
    first_line = cursor.chunk[cursor.at : None if line_end < 0 else line_end].rstrip()
    closes_at = Nesting().find_end(first_line, 0)
    is_list_answer = LIST_ANSWER_HEAD.match(first_line) is not None
    if is_list_answer and (line_end < 0 or closes_at is None or len(first_line) > bytes_max):
        return False
    if line_end < 0:
        return closes_at is None
    if closes_at is None:
        return _is_broken_line(first_line, cursor.chunk, line_end)
    rest = first_line[closes_at:].lstrip()
    return not rest or (not rest.startswith(b"{") and _is_broken_line(first_line, cursor.chunk, line_end))


def _find_end_of_line(cursor: JsonCursor) -> int:
    for size_bytes in (CHUNK_BYTES, _USUAL_LINE_BYTES_MAX):
        cursor.hold(size_bytes)
        line_end = cursor.chunk.find(b"\n", cursor.at)
        if line_end >= 0:
            break
    return line_end


def _is_broken_line(line: bytes, chunk: bytes, line_end: int) -> bool:
    """Whether a line that does not complete its object is a spoilt one, and the object not spread over lines.

    A spread object breaks off where JSON goes on, and no other object can begin its next line.
    """
    next_line = _NEXT_LINE.match(chunk, line_end)
    goes_on = line.endswith((b"[", b",", b"{", b":"))
    return not goes_on and next_line is not None and next_line[1] == b"{"


def value_of_list_answer(document: bytes) -> bytes | None:
    """The array of a list answer as it stands; None for any other document, incidents among them."""
    # Most incidents have no such key, and a list answer has no incident's: looking is cheaper than decoding, and
    # most need not be looked through, as their number comes first.
    if b'"incidentId"' in (beginning := document[:_BEGINNING_BYTES]) and b'"value"' not in beginning:
        return None
    at = document.find(b'"value"')
    if at < 0 or document.find(b'"incidentId"', 0, at) >= 0:
        return None
    try:
        answer = msgspec.json.decode(document, type=_ListAnswer)
    except NOT_JSON:
        return None
    value = bytes(answer.value)
    return value if answer.incident_id is UNSET and value.startswith(b"[") else None


def ends_list_answer(ending: bytes) -> bool:
    """Whether the text from the `]` to the `}` of a list answer completes it, without a second `value`."""
    try:
        members = msgspec.json.decode(b'{"value":[' + ending, type=dict[str, Raw])
    except NOT_JSON:
        return False
    return bytes(members["value"]) == b"[]"


class _ListAnswer(msgspec.Struct):
    value: Raw
    incident_id: Raw | UnsetType = msgspec.field(default=UNSET, name="incidentId")
