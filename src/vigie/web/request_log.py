"""One JSON line for each answered request, encoded and written by a thread of its own."""

import os
import re
import secrets
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import count
from typing import Any, BinaryIO

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant

WAITING_LINES_MAX = 50_000
PATH_LENGTH_MAX = 200
DETAIL_LENGTH_MAX = 500
CONNECTION_LINES_PER_SECOND = 100

_WRITE_EVERY_SECONDS = 0.2
# So few take the thread less than a millisecond, in which the event loop may have to wait for it.
_LINES_AT_ONCE = 500
_FILE_PIECE_BYTES = 64 * 1024
_TICKS_PER_MILLISECOND = TICKS_PER_SECOND // 1000

# Where a run of letters may be long, the match starts only where the run does: a hostile path is walked once.
_SECRET = re.compile(
    r"""  eyJ[\w-]+ (?:\.[\w-]*)*                         # a JWT, whole or cut
    | (?<![\w.+%-]) [\w.+%-]+ (?:@|%40) [\w.-]+     # a UPN or mail address
    | (?<![\w~-]) (?=[\w~-]*\d) [\w~-]{40,}         # a client secret, an opaque token
    """,
    re.VERBOSE,
)


class RequestIds:
    """Names requests: a random prefix for the process, and a counter in hexadecimal."""

    def __init__(self) -> None:
        self.prefix = f"|{secrets.token_hex(8)}."
        self.next_number = count(1).__next__
        """A number no other request has; where it stands, between `prefix` and a dot, is up to the asker."""

    def next(self) -> str:
        """A name no other request has, such as `|7d1f0c2291ab44e0.1a2b.`."""
        return f"{self.prefix}{self.next_number():x}."


class _Line(msgspec.Struct, gc=False):
    """What a line says, in the order it says it. None is written as null: every line has every field."""

    time: str
    level: str
    event: str
    request_id: str
    client_request_id: str | None
    method: str
    route: str
    path: str | None
    status: int
    duration_ms: float
    tenant: str | None
    application: str | None
    caller_kind: str | None
    remote: str | None
    refusal: str | None
    detail: str | None


_encoder = msgspec.json.Encoder()


class Wording:
    """What lines of requests that are answered alike have in common, encoded once.

    Only the time, the number of the request's name, the digits behind `path` and how long it took may differ. The
    path is the route's own words: nothing in it needs to be escaped, cut or left out.
    """

    def __init__(
        self,
        *,
        id_prefix: str,
        method: str,
        route: str,
        path: str,
        status: int,
        tenant: str,
        application: str,
        caller_kind: str,
        remote: str | None,
    ) -> None:
        line = _Line(
            time=_BLANK,
            level="info",
            event="request",
            request_id=f"{id_prefix}{_BLANK}.",
            client_request_id=None,
            method=method,
            route=route,
            path=f"{path}{_BLANK}",
            status=status,
            duration_ms=_BLANK_MS,
            tenant=tenant,
            # Of another issuer's application this may be any text, and a blank in it would be one too many.
            application=application.replace(_BLANK, "\ufffd"),
            caller_kind=caller_kind,
            remote=remote,
            refusal=None,
            detail=None,
        )
        text = _encoder.encode(line).decode().replace(_DURATION_TO_COME, f'"duration_ms":{_BLANK}') + "\n"
        pieces = [piece.replace("%", "%%").encode() for piece in text.split(_BLANK)]
        self._form = b"%b%%b%b%%x%b%%b%b%%.3f%b" % tuple(pieces)

    def line(self, at: Instant, number: int, digits: bytes, seconds: float) -> bytes:
        """The line of one request."""
        return self._form % (log_time(at).encode(), number, digits, seconds * 1000)


_BLANK = "\ue000"
_BLANK_MS = -1.25
_DURATION_TO_COME = f'"duration_ms":{_BLANK_MS}'

_Waiting = tuple[Callable[..., bytes], tuple[Any, ...]]
"""How a line is made, and of what: whoever records it does neither."""


class RequestLog:
    """Takes what is to be said about requests, and writes it soon after.

    Recording only puts a tuple into a queue; a slow, full or broken stream is the thread's trouble alone.
    When more than WAITING_LINES_MAX lines wait, further ones are dropped, counted, and reported in a line.

    Of what never became a request only the first CONNECTION_LINES_PER_SECOND in a second have a line: whoever
    has proven nothing must not fill the disk. The others are counted, and reported in a line a second.

    `enabled` says whether the log's level lets info lines through. Answers of 500 and above are errors and
    are always written. The stream is best unbuffered: what a buffer holds is lost with the process.
    """

    def __init__(self, stream: BinaryIO, *, enabled: bool) -> None:
        self._stream = stream
        self._enabled = enabled
        self._waiting: deque[_Waiting] = deque()
        self._writing = threading.Lock()
        self._piece_bytes = _piece_bytes_of(stream)
        self._stopping = threading.Event()
        self._is_due = threading.Event()
        self._thread: threading.Thread | None = None
        # Two counts, because two threads count: the one that records, and the one that writes.
        self._not_taken = 0
        self._not_written = 0
        self._reported = 0
        self._connection_second = 0
        self._connection_lines = 0
        self._left_out = 0
        self._left_out_reported = 0
        self._left_out_reported_in = 0
        self._line_is_torn = False

    @property
    def dropped(self) -> int:
        """How many lines were lost since the start: no room to wait, or the stream would not take them."""
        return self._not_taken + self._not_written

    @property
    def waiting(self) -> int:
        """How many lines are not yet written."""
        return len(self._waiting)

    def record(
        self,
        *,
        at: Instant,
        request_id: str,
        method: str,
        route: str,
        path: str | None,
        status: int,
        seconds: float,
        tenant: str | None = None,
        application: str | None = None,
        caller_kind: str | None = None,
        remote: str | None = None,
        refusal: str | None = None,
        detail: str | None = None,
        client_request_id: str | None = None,
    ) -> None:
        """Say that a request was answered. Nothing is encoded or written here.

        `route` is the template; `path` comes without the query. `seconds` is how long the answer took.
        `refusal` is the code word of a refused request, `detail` why it was refused. `client_request_id` is short.
        """
        if not self._enabled and status < 500:
            return
        line = _Line(
            time="",
            level="error" if status >= 500 else "info",
            event="request",
            request_id=request_id,
            client_request_id=client_request_id,
            method=method,
            route=route,
            # Cut here: what waits must be small, however long a path somebody sent.
            path=path and path[:PATH_LENGTH_MAX],
            status=status,
            duration_ms=seconds * 1000,
            tenant=tenant,
            application=application,
            caller_kind=caller_kind,
            remote=remote,
            refusal=refusal,
            detail=detail and detail[:DETAIL_LENGTH_MAX],
        )
        self._have_wait(_encoded, (at, line))

    def record_again(self, wording: Wording, at: Instant, number: int, digits: bytes, seconds: float) -> None:
        """As `record`, for one more request whose line is worded like those before it."""
        if self._enabled:
            self._have_wait(wording.line, (at, number, digits, seconds))

    def record_connection(
        self,
        *,
        at: Instant,
        request_id: str,
        route: str,
        status: int,
        remote: str | None,
        refusal: str,
        detail: str,
    ) -> None:
        """Say of what never became a request that it was answered, unless too many were in this second."""
        if self._connection_second != (second := at // TICKS_PER_SECOND):
            self._connection_second, self._connection_lines = second, 0
        self._connection_lines += 1
        if self._connection_lines > CONNECTION_LINES_PER_SECOND:
            self._left_out += 1
            return
        self.record(
            at=at,
            request_id=request_id,
            method="",
            route=route,
            path=None,
            status=status,
            seconds=0.0,
            remote=remote,
            refusal=refusal,
            detail=detail,
        )

    def start(self) -> None:
        """Begin to write: whenever many wait, and about five times a second."""
        # A daemon: a stream that nobody reads from must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    def stop(self, *, within_seconds: float = 5.0) -> None:
        """Write what still waits and end the thread. A stream that stands still is given up on."""
        self._stopping.set()
        self._is_due.set()
        if self._thread is not None:
            self._thread.join(within_seconds)

    def flush(self) -> None:
        """Write what waits, in the calling thread. Not for the event loop: the stream may block."""
        with self._writing:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._not_written += len(batch) - self._write_lines(make(*said) for make, said in batch)
            self._report_dropped()
            self._report_left_out(int(time.monotonic()))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._is_due.wait(_WRITE_EVERY_SECONDS)
            self._is_due.clear()
            self.flush()
        self.flush()

    def _have_wait(self, make: Callable[..., bytes], said: tuple[Any, ...]) -> None:
        """One more line waits; where there is no room for it, it is counted."""
        waiting = len(self._waiting)
        if waiting >= WAITING_LINES_MAX:
            self._not_taken += 1
            return
        self._waiting.append((make, said))
        if waiting == _LINES_AT_ONCE:
            self._is_due.set()

    def _report_dropped(self) -> None:
        unreported = self.dropped - self._reported
        if unreported and self._write_lines(
            [_counting({"event": "request_lines_dropped", "dropped": unreported})]
        ):
            self._reported += unreported

    def _report_left_out(self, second: int) -> None:
        unreported = self._left_out - self._left_out_reported
        is_time = second != self._left_out_reported_in or self._stopping.is_set()
        if not (unreported and is_time and self._enabled):
            return
        if self._write_lines([_counting({"event": "connection_lines_left_out", "left_out": unreported})]):
            self._left_out_reported += unreported
            self._left_out_reported_in = second

    def _write_lines(self, lines: Iterable[bytes]) -> int:
        """Write lines until the stream refuses; how many it took."""
        written = 0
        for some in _together(lines, self._piece_bytes):
            piece = b"".join(some)
            taken = self._write(piece)
            if taken < len(piece):
                return written + piece.count(b"\n", 0, taken)
            written += len(some)
        return written

    def _write(self, piece: bytes) -> int:
        """Write until the stream refuses; how many bytes of the piece it took."""
        rest = b"\n" + piece if self._line_is_torn else piece
        try:
            while rest:
                # An unbuffered stream may take a part, and one that must not block may take nothing.
                taken = self._stream.write(rest)
                if not taken:
                    break
                self._line_is_torn = taken < len(rest)
                rest = rest[taken:]
            else:
                self._stream.flush()
        # ValueError: the stream was closed.
        except (OSError, ValueError):
            pass
        return max(0, len(piece) - len(rest))


def redacted(text: str) -> str:
    """The text without what looks like a token, a secret or somebody's address, and nothing a terminal obeys."""
    if not text.isprintable():
        # JSON escapes the ASCII ones by itself, but not those above.
        text = "".join(each if each.isprintable() or each < "\x80" else ascii(each)[1:-1] for each in text)
    if len(text) < 40 and "@" not in text and "%40" not in text and "eyJ" not in text:
        return text
    return _SECRET.sub("[removed]", text)


def log_time(at: Instant) -> str:
    """A time as log lines write it: RFC 3339, UTC, always three decimals."""
    return _millisecond(at // _TICKS_PER_MILLISECOND)


# On a busy server many lines are of one moment.
@lru_cache(maxsize=16)
def _millisecond(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}Z"


def _piece_bytes_of(stream: BinaryIO) -> int:
    """How much to write at once. A pipe takes so much whole: another writer's lines then fall between ours."""
    try:
        is_file = stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except OSError:
        is_file = False
    return _FILE_PIECE_BYTES if is_file else select.PIPE_BUF


def _together(lines: Iterable[bytes], bytes_max: int) -> Iterator[list[bytes]]:
    """As many lines at a time as are written at once."""
    some: list[bytes] = []
    size = 0
    for line in lines:
        size += len(line)
        if some and size > bytes_max:
            yield some
            some, size = [], len(line)
        some.append(line)
    if some:
        yield some


def _encoded(at: Instant, line: _Line) -> bytes:
    line.time = log_time(at)
    line.duration_ms = round(line.duration_ms, 3)
    line.detail = redacted(line.detail) if line.detail else None
    line.client_request_id = redacted(line.client_request_id) if line.client_request_id else None
    # The path of a token endpoint names whatever tenant or domain somebody typed.
    line.path = None if line.path is None or "/oauth2/" in line.route else redacted(line.path)
    try:
        return _encoder.encode(line) + b"\n"
    except UnicodeEncodeError:
        # Half a surrogate pair, out of a path or a header.
        fields = msgspec.structs.asdict(line)
        return _encoder.encode({key: _encodable(value) for key, value in fields.items()}) + b"\n"


def _encodable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _counting(fields: dict[str, str | int]) -> bytes:
    now = Instant(time.time_ns() // 100)
    return _encoder.encode({"time": log_time(now), "level": "warning", **fields}) + b"\n"
