"""The log of rare events: Vigie's through structlog, those of libraries through logging."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from vigie.core.instants import Instant, instant_from_unix
from vigie.observability.access_log import redacted
from vigie.observability.console_log import console_lines
from vigie.observability.log_writer import LogWriter, log_time, written_log


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


@contextmanager
def logging_to_stderr(level: str, format_: str) -> Iterator[LogWriter]:
    """Write the log to stderr for as long as the block lasts: requests that are recorded, and every event.

    `format_` is console, json, or auto: the one on a terminal, the other everywhere else.
    """
    # Unbuffered, and not closed: it belongs to the parent process.
    with open(2, "wb", buffering=0, closefd=False) as stderr:
        is_console = format_ == "console" or (format_ == "auto" and stderr.isatty())
        form = console_lines if is_console else None
        with written_log(stderr, form) as writer, logging_to(writer, level):
            yield writer


@contextmanager
def logging_to(writer: LogWriter, level: str) -> Iterator[None]:
    """Put every event of `level` and above to a writer, one JSON line each, for as long as the block lasts.

    `level` is debug, info, warning, error or critical. uvicorn must be run with `log_config=None`, or it puts
    its own loggers back. Its access log is switched off: the request log says more.
    """
    lines = _Lines(writer)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _event_line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    root = logging.root
    before = root.level, root.handlers
    root.setLevel(level.upper())
    root.handlers = [_LinesHandler(writer)]
    logging.captureWarnings(capture=True)
    access_log = logging.getLogger("uvicorn.access")
    access_log.handlers.clear()
    access_log.propagate = False
    try:
        with _unheard_errors_logged():
            yield
    finally:
        logging.captureWarnings(capture=False)
        root.level, root.handlers = before
        structlog.reset_defaults()


@contextmanager
def _unheard_errors_logged() -> Iterator[None]:
    """Log what threads and finalizers raise: Python would write it to stderr itself, and wait for that."""
    before = threading.excepthook, sys.unraisablehook

    def in_thread(args: threading.ExceptHookArgs) -> None:
        log.error("thread_failed", exc_info=args.exc_value)

    def in_finalizer(args: "sys.UnraisableHookArgs") -> None:
        log.error("exception_ignored", exc_info=args.exc_value)

    threading.excepthook, sys.unraisablehook = in_thread, in_finalizer
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before


class _Lines:
    """Where lines of events go, under the names that structlog calls: the method is named like the level."""

    def __init__(self, writer: LogWriter) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = writer.put_event


class _LinesHandler(logging.Handler):
    """Writes what goes through the standard library's logging, uvicorn's and asyncio's news above all."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name}
        if record.exc_info:
            fields["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
        at = instant_from_unix(record.created)
        self._writer.put_event(_json_line(at, record.levelname.lower(), _message(record), fields))


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
