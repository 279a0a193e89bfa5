"""The one way to the log: lines wait in memory until a thread writes them, and no caller waits for the stream."""

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, BinaryIO

import msgspec

from vigie.core.instants import TICKS_PER_SECOND, Instant

WAITING_LINES_MAX = 50_000
"""How many lines may wait; EVENTS_WAITING_MAX more of them if they are rare events."""

EVENTS_WAITING_MAX = 1_000
STOP_SECONDS_MAX = 5.0

_WRITE_EVERY_SECONDS = 0.2
# So few take the thread less than a millisecond, in which the event loop may have to wait for it.
_LINES_AT_ONCE = 500
_FILE_PIECE_BYTES = 64 * 1024
_STALLED_SECONDS = 0.5
_TICKS_PER_MILLISECOND = TICKS_PER_SECOND // 1000

Form = Callable[[bytes], bytes]
"""Makes of a line of JSON what is written."""

WriteLine = Callable[[bytes], bool]
Report = Callable[[WriteLine], None]
"""Writes, behind the lines that waited, what there is to report."""

_Waiting = tuple[Callable[..., bytes], tuple[Any, ...]]
"""The making of a line, left out of the call that records it."""


class LogWriter:
    """Takes lines of JSON, and writes them soon after in a form.

    Putting a line only queues a tuple; a slow, full or broken stream is the thread's trouble alone. When more
    lines wait than may, further ones are dropped, counted, and reported in a line once the stream takes it.

    The stream is best unbuffered: what a buffer holds is lost with the process.
    """

    def __init__(self, stream: BinaryIO, form: Form | None = None) -> None:
        self._stream = stream
        self._form = form
        self._waiting: deque[_Waiting] = deque()
        self._writing = threading.Lock()
        self._piece_bytes = _piece_bytes_of(stream)
        self._stopping = threading.Event()
        self._is_due = threading.Event()
        self._thread: threading.Thread | None = None
        self._counting = threading.Lock()
        self._not_taken = 0
        self._not_written = 0
        self._reported = 0
        self._written_bytes = 0
        self._ends_at_seconds: float | None = None
        self._line_is_torn = False
        self.reports: list[Report] = []

    @property
    def dropped(self) -> int:
        """How many lines were lost since the start: no room to wait, or the stream would not take them."""
        return self._not_taken + self._not_written

    @property
    def waiting(self) -> int:
        """How many lines are not yet written."""
        return len(self._waiting)

    @property
    def is_stopping(self) -> bool:
        """Whether what is written now is the last."""
        return self._stopping.is_set()

    def put(
        self, make: Callable[..., bytes], said: tuple[Any, ...], *, room: int = WAITING_LINES_MAX
    ) -> None:
        """Queue one more line of JSON, made later by `make(*said)`; where there is no room, it is counted."""
        waiting = len(self._waiting)
        if waiting >= room:
            with self._counting:
                self._not_taken += 1
            return
        self._waiting.append((make, said))
        if waiting == _LINES_AT_ONCE:
            self._is_due.set()

    def put_event(self, line: bytes) -> None:
        """Queue the line of a rare event, to be written at once; it finds room where requests find none."""
        self.put(bytes, (line,), room=WAITING_LINES_MAX + EVENTS_WAITING_MAX)
        self._is_due.set()

    def put_text(self, text: str) -> None:
        """Queue a line for people, which is written as it is."""
        self.put(_as_it_is, (text,), room=WAITING_LINES_MAX + EVENTS_WAITING_MAX)
        self._is_due.set()

    def start(self) -> None:
        """Begin to write: whenever many wait, and about five times a second."""
        # A daemon: a stream that nobody reads from must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def end_within(self, seconds: float) -> None:
        """Let `stop` wait no longer than until then, whenever it is called."""
        self._ends_at_seconds = time.monotonic() + seconds

    def stop(self) -> None:
        """Write what still waits and end the thread. A stream that stands still is given up on."""
        now = time.monotonic()
        ends_at = now + STOP_SECONDS_MAX
        if self._ends_at_seconds is not None:
            ends_at = min(ends_at, max(self._ends_at_seconds, now + _STALLED_SECONDS))
        self._stopping.set()
        self._is_due.set()
        while self._thread is not None and self._thread.is_alive() and time.monotonic() < ends_at:
            written_bytes = self._written_bytes
            self._thread.join(min(_STALLED_SECONDS, max(0.0, ends_at - time.monotonic())))
            if self._written_bytes == written_bytes:
                break

    def flush(self) -> None:
        """Write what waits, in the calling thread. Not for the event loop: the stream may block."""
        with self._writing:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._not_written += len(batch) - self._write_lines(self._made(*each) for each in batch)
            self._report_dropped()
            for report in self.reports:
                report(self._write_line)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._is_due.wait(_WRITE_EVERY_SECONDS)
            self._is_due.clear()
            self.flush()
        self.flush()

    def _made(self, make: Callable[..., bytes], said: tuple[Any, ...]) -> bytes:
        line = make(*said)
        return line if self._form is None or make is _as_it_is else self._form(line)

    def _report_dropped(self) -> None:
        unreported = self.dropped - self._reported
        if unreported and self._write_line(counting_line("log_lines_dropped", dropped=unreported)):
            self._reported += unreported

    def _write_line(self, line: bytes) -> bool:
        return bool(self._write_lines([self._form(line) if self._form else line]))

    def _write_lines(self, lines: Iterable[bytes]) -> int:
        """Write lines until the stream refuses; how many it took."""
        written = 0
        for some in _together(lines, self._piece_bytes):
            piece = b"".join(some)
            taken = self._write(piece)
            self._written_bytes += taken
            if taken < len(piece):
                return written + sum(1 for end in _ends_of(some) if end <= taken)
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


@contextmanager
def written_log(stream: BinaryIO, form: Form | None = None) -> Iterator[LogWriter]:
    """Write to a stream for as long as the block lasts."""
    writer = LogWriter(stream, form)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


def counting_line(event: str, **counts: int) -> bytes:
    """A warning, of this moment, that says how many there were of something."""
    now = Instant(time.time_ns() // 100)
    return msgspec.json.encode({"time": log_time(now), "level": "warning", "event": event, **counts}) + b"\n"


def log_time(at: Instant) -> str:
    """A time as log lines write it: RFC 3339, UTC, always three decimals."""
    return _millisecond(at // _TICKS_PER_MILLISECOND)


# On a busy server many lines are of one moment.
@lru_cache(maxsize=16)
def _millisecond(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03}Z"


def _as_it_is(text: str) -> bytes:
    return f"{text}\n".encode("utf-8", "backslashreplace")


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


def _ends_of(lines: Iterable[bytes]) -> Iterator[int]:
    """Where each line ends among all of them: in the form for people a line may be of several."""
    end = 0
    for line in lines:
        end += len(line)
        yield end
