"""How rare events become JSON lines: ours through structlog, other people's through logging."""

import logging
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast

import msgspec

from vigie.core.instants import Instant, instant_from_unix
from vigie.web.request_log import log_time, redacted


@contextmanager
def _without_rich() -> Iterator[None]:
    """Let structlog find no Rich: it would import it for coloured tracebacks, 150 ms of every start."""
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["rich"]


with _without_rich():
    import structlog

log = structlog.get_logger()
"""For rare events. Modules take it from here, never structlog itself, so that Rich stays out."""

if TYPE_CHECKING:
    from structlog.typing import EventDict


def configure_logging(level: str, stream: BinaryIO | TextIO) -> None:
    """Send every event of `level` and above to `stream`, one JSON line each, from now on.

    `level` is debug, info, warning, error or critical. A text stream must have a `buffer`, as stderr has.
    uvicorn must be run with `log_config=None`, or it puts its own loggers back. Its access log is switched
    off: the request log says more.
    """
    lines = _Lines(cast("BinaryIO", getattr(stream, "buffer", stream)))
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _event_line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=level.upper(), handlers=[_LinesHandler(lines)], force=True)
    logging.captureWarnings(capture=True)
    access_log = logging.getLogger("uvicorn.access")
    access_log.handlers.clear()
    access_log.propagate = False


class _Lines:
    """Where lines go. A stream that is closed or broken swallows them: it must not break who had news."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = Lock()

    def write(self, line: bytes) -> None:
        # ValueError: the stream was closed.
        with self._lock, suppress(OSError, ValueError):
            self._stream.write(line)
            self._stream.flush()

    # structlog calls the method that is named like the level.
    debug = info = warning = error = critical = write


class _LinesHandler(logging.Handler):
    """Writes what goes through the standard library's logging, uvicorn's and asyncio's news above all."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        at = instant_from_unix(record.created)
        self._lines.write(_json_line(at, record.levelname.lower(), _message(record), fields))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    # The arguments do not fit the text: a slip in somebody's log call must not become a failed request.
    except (TypeError, ValueError, KeyError):
        return str(record.msg)


def _event_line(_logger: object, level: str, event: "EventDict") -> bytes:
    fields: dict[str, Any] = dict(event)
    return _json_line(Instant(time.time_ns() // 100), level, fields.pop("event"), fields)


def _json_line(at: Instant, level: str, event: str, fields: Mapping[str, object]) -> bytes:
    line = {"time": log_time(at), "level": level, "event": _plain(event)}
    line.update((name, _plain(value)) for name, value in fields.items())
    return msgspec.json.encode(line) + b"\n"


def _plain(value: object) -> str | float | None:
    """A value as a field can hold it: numbers and None as they are, anything else as redacted text."""
    if value is None or isinstance(value, int | float):
        return value
    return redacted(str(value)).encode("utf-8", "replace").decode()
