"""The reader of import files, which finds one incident after the other and does not decode it."""

import gzip
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias, cast

import msgspec

from vigie.application.transfer.envelopes import Place, places_of_incidents
from vigie.application.transfer.format_detection import (
    LIST_ANSWER_HEAD,
    ends_list_answer,
    goes_by_lines,
    value_of_list_answer,
)
from vigie.application.transfer.json_tokenizer import (
    CHUNK_BYTES,
    JsonCursor,
    Nesting,
    find_line_end,
    find_stray_end,
    find_word_end,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

INCIDENT_BYTES_MAX: Final = 64 * 1024 * 1024
PARTS_MAX: Final = 4_000_000
"""How many parts an incident may have. Decoded, the smallest part takes forty times its bytes."""


class RawIncident(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON value where an incident belongs, undecoded, and where it began.

    `path` is "$" for a document or line of its own, "$[3]" in an array, "$.value[3]" in a list answer.
    """

    line: int
    path: str
    text: bytes


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the file that is no incident at all; `reason` says what is wrong and what to do."""

    line: int
    path: str
    reason: str


class Unwrapped(msgspec.Struct, frozen=True, kw_only=True):
    """A word on where the incidents that follow are: at `path`, inside an object that is none."""

    line: int
    path: str


Finding: TypeAlias = RawIncident | Unreadable | Unwrapped


def _untold(_size_bytes: int, /) -> None:
    """The listener where nobody watches the reading."""


@contextmanager
def open_source(name: str, *, on_read: Callable[[int], object] = _untold) -> Iterator[BinaryIO]:
    """A file by its name, "-" for standard input; gzip is known by its first bytes, and unpacked.

    `on_read` hears how many bytes of the file itself are read each time.
    """
    with ExitStack() as closing:
        file = sys.stdin.buffer if name == "-" else closing.enter_context(Path(name).open("rb"))
        head = file.read(len(_GZIP_MAGIC))
        whole = closing.enter_context(io.BufferedReader(_Rejoined(head, file, on_read)))
        yield cast(BinaryIO, gzip.GzipFile(fileobj=whole)) if head == _GZIP_MAGIC else whole


def read_incidents(stream: BinaryIO, *, incident_bytes_max: int = INCIDENT_BYTES_MAX) -> Iterator[Finding]:
    """What is in the stream, in order: an incident or several, an array, a list answer, or lines of these.

    Nothing is decoded: an incident may still turn out not to be JSON, or not to be an object. No content
    makes this raise, and it never holds much more than one incident of the largest size.
    """
    cursor = JsonCursor(stream)
    cursor.hold(len(_BOM))
    if cursor.chunk.startswith(_BOM):
        cursor.pass_to(len(_BOM))
    yield from _read(cursor, incident_bytes_max)


_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = b"\xef\xbb\xbf"
_UTF16_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_SHOWN_BYTES: Final = 20
_SHOWN_PLACES: Final = 3
_BEGINS_AS_INCIDENT: Final = re.compile(rb'\{\s*"incidentId"\s*:')
_CUT_MARKS: Final = (b"...", "…".encode())
_CUT_MARK_BEGINS: Final = (b".", b"\xe2")
_BEHIND_CUT_MARK: Final = b" \t\n\r\f\v]}"
_CUT_MARK_BYTES: Final = 1024

_ACCEPTED: Final = (
    "Give one incident, an array of incidents, a list answer with `value`, or one incident on each line."
)


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes have already been taken from it."""

    def __init__(self, head: bytes, rest: BinaryIO, on_read: Callable[[int], object]) -> None:
        self._head = head
        self._rest = cast(io.BufferedIOBase, rest)
        self._on_read = on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        size_bytes = self._take_head(buffer) if self._head else self._rest.readinto1(buffer)
        self._on_read(size_bytes)
        return size_bytes

    def _take_head(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer)
        piece, self._head = self._head[: len(room)], self._head[len(room) :]
        room[: len(piece)] = piece
        return len(piece)


class _CutShortError(Exception):
    """The text ends in the middle of a value; `is_marked` with dots that say so."""

    def __init__(self, path: str, begun_on: int, *, is_marked: bool = False) -> None:
        super().__init__(_cut_short(begun_on, is_marked=is_marked))
        self.path = path


def _cut_short(begun_on: int, *, is_marked: bool) -> str:
    ending = "was cut here, where it ends in `...`" if is_marked else "breaks off here"
    return f"What begins on line {begun_on} {ending}; export or copy it again."


def _read(cursor: JsonCursor, bytes_max: int) -> Iterator[Finding]:
    try:
        yield from _documents(cursor, bytes_max)
    except _CutShortError as cut:
        yield Unreadable(line=cursor.line, path=cut.path, reason=cursor.damage or str(cut))
    else:
        if cursor.damage is not None:
            yield Unreadable(line=cursor.line, path="$", reason=cursor.damage)


def _documents(cursor: JsonCursor, bytes_max: int) -> Iterator[Finding]:
    ended_on = 0
    while cursor.skip_space():
        if cursor.next_byte not in (b"{", b"["):
            yield Unreadable(line=cursor.line, path="$", reason=_not_accepted(cursor, is_start=ended_on == 0))
            return
        if cursor.line > ended_on and goes_by_lines(cursor, bytes_max):
            yield from _lines(cursor, bytes_max)
            return
        yield from _document(cursor, bytes_max)
        ended_on = cursor.line


def _not_accepted(cursor: JsonCursor, *, is_start: bool) -> str:
    cursor.hold(_SHOWN_BYTES)
    ahead = cursor.chunk[cursor.at : cursor.at + _SHOWN_BYTES]
    if is_start and ahead.startswith(_UTF16_BOMS):
        return "The file is UTF-16; save it as UTF-8."
    shown = ascii(ahead)[1:]
    if is_start:
        return f"The file starts with {shown}, which no incident does. {_ACCEPTED}"
    return f"After the end of the JSON comes {shown}; it and what follows were not read. {_ACCEPTED}"


def _lines(cursor: JsonCursor, bytes_max: int) -> Iterator[Finding]:
    while cursor.skip_space():
        line = cursor.line
        text = cursor.take(find_line_end, bytes_max)
        if text is None:
            yield _too_large(line, "$", bytes_max)
        elif LIST_ANSWER_HEAD.match(text):
            yield from _read(JsonCursor(io.BytesIO(text), line=line), bytes_max)
        elif _ends_in_cut(text) and not cursor.skip_space():
            yield Unreadable(line=line, path="$", reason=_cut_short(line, is_marked=True))
        else:
            yield from _incidents_in(text.rstrip(b" \t\r"), line, bytes_max)


def _document(cursor: JsonCursor, bytes_max: int) -> Iterator[Finding]:
    if cursor.next_byte == b"[":
        yield from _elements(cursor, "$", bytes_max)
        cursor.pass_to(cursor.at + 1)
        return
    cursor.hold(CHUNK_BYTES)
    if head := LIST_ANSWER_HEAD.match(cursor.chunk, cursor.at):
        yield from _list_answer(cursor, head.end(), bytes_max)
        return
    line = cursor.line
    text = _take_nested(cursor, Nesting(), "$", bytes_max)
    if text is None:
        yield _too_large(line, "$", bytes_max)
    else:
        yield from _incidents_in(text, line, bytes_max)


def _list_answer(cursor: JsonCursor, value_at: int, bytes_max: int) -> Iterator[Finding]:
    """The elements of a list answer's `value`, and a word about what follows it, should that be no ending."""
    cursor.pass_to(value_at)
    yield from _elements(cursor, "$.value", bytes_max)
    line = cursor.line
    ending = _take_nested(cursor, Nesting(depth=2), "$", bytes_max)
    if ending is None or not ends_list_answer(ending):
        reason = "What follows the array of `value` was not read; correct it to be the end of a list answer."
        yield Unreadable(line=line, path="$", reason=reason)
    elif others := places_of_incidents(b'{"value":[' + ending):
        yield _beside_value(line, others)


def _incidents_in(document: bytes, line: int, bytes_max: int) -> Iterator[Finding]:
    """The document itself; or the incidents inside it, when it is a list answer or wraps them otherwise."""
    value = value_of_list_answer(document)
    if value is not None:
        value_at = document.index(value, document.index(b'"value"'))
        yield from _incidents_at(
            Place(path="$.value", text=value), _line_of(document, value_at, line), bytes_max
        )
        others = places_of_incidents(document)
        if others := [each for each in others if not re.match(r"\$\.value(?:\[|$)", each.path)]:
            yield _beside_value(line, others)
        return
    places = [] if _BEGINS_AS_INCIDENT.match(document) else places_of_incidents(document)
    if not places or places[0].path == "$":
        yield _found(document, line, "$", bytes_max)
    elif len(places) > 1:
        yield Unreadable(line=line, path="$", reason=_which_of(places))
    else:
        [place] = places
        place_line = _line_of(document, document.index(place.text), line)
        yield Unwrapped(line=place_line, path=place.path)
        yield from _incidents_at(place, place_line, bytes_max)


def _incidents_at(place: Place, line: int, bytes_max: int) -> Iterator[Finding]:
    if not place.is_list:
        yield _found(place.text, line, place.path, bytes_max)
        return
    cursor = JsonCursor(io.BytesIO(place.text), line=line)
    cursor.skip_space()
    yield from _elements(cursor, place.path, bytes_max)


def _line_of(document: bytes, at: int, begun_on: int) -> int:
    return begun_on + document.count(b"\n", 0, at)


def _which_of(places: Sequence[Place]) -> str:
    shown = " and ".join(each.path for each in places[:_SHOWN_PLACES])
    more = f" and {len(places) - _SHOWN_PLACES:,} more places" if len(places) > _SHOWN_PLACES else ""
    return f"There are incidents at {shown}{more}, and none were read; leave one list of them in the file."


def _beside_value(line: int, others: Sequence[Place]) -> Unreadable:
    shown = " and ".join(each.path for each in others[:_SHOWN_PLACES])
    reason = (
        f"There are incidents at {shown} too, beside $.value, and were not read; put them in another file."
    )
    return Unreadable(line=line, path="$", reason=reason)


def _elements(cursor: JsonCursor, path: str, bytes_max: int) -> Iterator[Finding]:
    """The elements of the array whose `[` is next; afterwards its `]` is next."""
    begun_on = cursor.line
    cursor.pass_to(cursor.at + 1)
    index, before = 0, "["
    while cursor.skip_space():
        byte, line, place = cursor.next_byte, cursor.line, f"{path}[{index}]"
        if (reason := _misplaced(byte, before)) is not None:
            yield Unreadable(line=line, path=place, reason=reason)
        if byte == b"]":
            return
        if byte == b",":
            cursor.pass_to(cursor.at + 1)
            before = ","
        elif reason is _STRAY:
            cursor.take(find_stray_end, 0)
        elif byte in _CUT_MARK_BEGINS and _is_cut(cursor):
            raise _CutShortError(place, begun_on, is_marked=True)
        else:
            text = _take_element(cursor, place, bytes_max)
            yield _found(text, line, place, bytes_max)
            index, before = index + 1, "element"
    raise _CutShortError(path, begun_on)


_STRAY: Final = "This is neither an element nor a comma, and was passed over; remove it."


def _misplaced(byte: bytes, before: str) -> str | None:
    """What is wrong with a byte where it stands in an array: behind the `[`, a comma or an element."""
    match before, byte:
        case ",", b"]":
            return "The array ends in a comma; remove it, or look for the element that is missing."
        case (("[" | ","), b","):
            return "No element stands before this comma; remove it, or look for the element that is missing."
        case "element", (b"{" | b"["):
            return "There is no comma between this element and the one before; add it."
        case (_, b"}") | ("element", _) if byte not in b",]":
            return _STRAY
        case _:
            return None


def _take_element(cursor: JsonCursor, path: str, bytes_max: int) -> bytes | None:
    if cursor.next_byte in b"{[":
        return _take_nested(cursor, Nesting(), path, bytes_max)
    if cursor.next_byte == b'"':
        return _take_nested(cursor, Nesting(at_quote=True), path, bytes_max)
    return cursor.take(find_word_end, bytes_max)


def _take_nested(cursor: JsonCursor, nesting: Nesting, path: str, bytes_max: int) -> bytes | None:
    begun_on = cursor.line
    text = cursor.take(nesting.find_end, bytes_max)
    if not nesting.closed:
        raise _CutShortError(path, begun_on, is_marked=_ends_in_cut(text or b""))
    return text


def _ends_in_cut(text: bytes) -> bool:
    return text[-_CUT_MARK_BYTES:].rstrip(_BEHIND_CUT_MARK).endswith(_CUT_MARKS)


def _is_cut(cursor: JsonCursor) -> bool:
    """Whether nothing follows but dots for what was left out, and perhaps what closes the rest."""
    cursor.hold(_CUT_MARK_BYTES)
    ahead = cursor.chunk[cursor.at :]
    return len(ahead) < _CUT_MARK_BYTES and ahead.rstrip(_BEHIND_CUT_MARK) in _CUT_MARKS


def _found(text: bytes | None, line: int, path: str, bytes_max: int) -> Finding:
    if text is None:
        return _too_large(line, path, bytes_max)
    if len(text) > PARTS_MAX and _parts_at_most(text) > PARTS_MAX:
        reason = (
            f"One incident may have at most {PARTS_MAX:,} parts; this has more and was passed over. Split it."
        )
        return Unreadable(line=line, path=path, reason=reason)
    return RawIncident(line=line, path=path, text=text)


def _parts_at_most(text: bytes) -> int:
    """What begins an object, an array or the next part of one; also where it only stands in a text."""
    return sum(map(text.count, (b"{", b"[", b",")))


def _too_large(line: int, path: str, bytes_max: int) -> Unreadable:
    reason = (
        f"One incident may have at most {bytes_max:,} bytes; this has more and was passed over. "
        "If it is one incident, raise `incident_bytes_max`."
    )
    return Unreadable(line=line, path=path, reason=reason)
