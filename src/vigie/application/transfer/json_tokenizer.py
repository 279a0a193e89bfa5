"""A tokenizer of JSON: it splits a stream into undecoded values, in bounded memory."""

import gzip
import re
import zlib
from collections.abc import Callable
from typing import BinaryIO

CHUNK_BYTES = 256 * 1024

_WORD_END = re.compile(rb'[ \t\r\n,"\[\]{}]')
_STRAY_END = re.compile(rb"[,\[\]{]")
_SPACE = re.compile(rb"[ \t\r\n]*+")

# A string also ends at a line end, which JSON forbids in it: a missing quote spoils its line, not the file.
_TO_STRING_END = re.compile(rb'(?:[^"\\\n]++|\\.)*+(?:(["\n])|(\\))?+', re.DOTALL)
_ENDS, _ENDS_IN_AN_ESCAPE = 1, 2

_TO_BRACKET = re.compile(
    rb"""
    [^"{}\[\]]*+
    (?: "[^"\\\n]*+ (?: \\. [^"\\\n]*+ )*+ ["\n]  [^"{}\[\]]*+ )*+
    (?: ([{\[]) | ([}\]]) | (") )?+  # a quote that is met here opens a string the chunk does not end
    """,
    re.DOTALL | re.VERBOSE,
)
_OPENS, _CLOSES = 1, 2


class Nesting:
    """Where a value in brackets or quotes ends; it remembers its place from one chunk to the next.

    Brackets are counted, not paired, and nothing between them is checked.
    """

    def __init__(self, *, depth: int = 0, at_quote: bool = False) -> None:
        """Start before a value's bracket; or at `depth` inside it; or before the quote of a string."""
        self._depth = depth
        self._in_string = at_quote
        # The opening quote is passed over like an escaped one.
        self._escaped = at_quote
        self.closed = False

    def find_end(self, chunk: bytes, at: int) -> int | None:
        """Where in `chunk` the value ends, reading on from `at`; None when it goes on behind the chunk."""
        while True:
            if self._in_string:
                end = self._leave_string(chunk, at)
                if end is None:
                    return None
                at = end
                self.closed = self._depth == 0
            else:
                step = _TO_BRACKET.match(chunk, at)
                if step is None or step.lastindex is None:
                    return None
                at = step.end()
                self._pass(step.lastindex)
            if self.closed:
                return at

    def _leave_string(self, chunk: bytes, at: int) -> int | None:
        """Where the string ends; None when it goes on behind the chunk."""
        rest = _TO_STRING_END.match(chunk, at + self._escaped)
        mark = rest and rest.lastindex
        self._in_string = mark != _ENDS
        self._escaped = mark == _ENDS_IN_AN_ESCAPE
        return None if rest is None or self._in_string else rest.end()

    def _pass(self, mark: int) -> None:
        if mark == _OPENS:
            self._depth += 1
        elif mark == _CLOSES:
            self._depth -= 1
            self.closed = self._depth <= 0
        else:
            self._in_string = True


def find_line_end(chunk: bytes, at: int) -> int | None:
    end = chunk.find(b"\n", at)
    return None if end < 0 else end


def find_word_end(chunk: bytes, at: int) -> int | None:
    """Where a value without brackets or quotes ends."""
    return _first(_WORD_END, chunk, at)


def find_stray_end(chunk: bytes, at: int) -> int | None:
    """Where an array can go on after something that does not belong in it."""
    return _first(_STRAY_END, chunk, at)


def _first(ends: re.Pattern[bytes], chunk: bytes, at: int) -> int | None:
    end = ends.search(chunk, at)
    return end and end.start()


class JsonCursor:
    """A stream read once, front to back: the chunk in hand, the place in it, and the line of that place.

    When the stream cannot be decompressed any further it ends there, and `damage` says why.
    """

    def __init__(self, stream: BinaryIO, *, line: int = 1) -> None:
        # read1 hands over what a failing decompressor had before it failed; read would lose it.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self.chunk = b""
        self.at = 0
        self.line = line
        self.ended = False
        self.damage: str | None = None

    @property
    def next_byte(self) -> bytes:
        return self.chunk[self.at : self.at + 1]

    def hold(self, size_bytes: int) -> None:
        """Have that much of what is ahead in the chunk, or all there is."""
        if len(self.chunk) - self.at >= size_bytes:
            return
        pieces = [self.chunk[self.at :]]
        held_bytes = len(pieces[0])
        while held_bytes < size_bytes and not self.ended:
            pieces.append(self._more())
            held_bytes += len(pieces[-1])
        self.chunk, self.at = b"".join(pieces), 0

    def pass_to(self, at: int) -> None:
        """Go on to a place in the chunk."""
        self.line += self.chunk.count(b"\n", self.at, at)
        self.at = at

    def skip_space(self) -> bool:
        """Go on to the next byte that is not space; False when there is none."""
        while True:
            space = _SPACE.match(self.chunk, self.at)
            self.pass_to(space.end() if space else self.at)
            if self.at < len(self.chunk):
                return True
            if not self._next_chunk():
                return False

    def take(self, find_end: Callable[[bytes, int], int | None], bytes_max: int) -> bytes | None:
        """What is ahead up to the end that `find_end` finds, or the stream's; None when over `bytes_max`."""
        pieces: list[bytes] = []
        size = 0
        while self.at < len(self.chunk) or self._next_chunk():
            end = find_end(self.chunk, self.at)
            piece = self.chunk[self.at : end]
            size += len(piece)
            pieces.append(piece)
            if size > bytes_max:
                pieces.clear()
            self.pass_to(len(self.chunk) if end is None else end)
            if end is not None:
                break
        return b"".join(pieces) if size <= bytes_max else None

    def _next_chunk(self) -> bool:
        self.chunk, self.at = self._more(), 0
        return not self.ended

    def _more(self) -> bytes:
        if self.ended:
            return b""
        try:
            piece = self._read(CHUNK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            self.damage = f"The compressed data is damaged from here on ({error}); export or copy it again."
            piece = b""
        self.ended = not piece
        return piece
