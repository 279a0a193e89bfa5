"""The log of rare events: Vigie's own, and those of libraries, which go through logging."""

import logging
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from vigie.core.instants import Instant, instant_from_unix
from vigie.observability.access_log import redacted
from vigie.observability.console_log import console_lines
from vigie.observability.log_writer import LogWriter, log_time, written_log


class EventLog:
    """Rare events: a name and its fields. They are written while `logging_to` says where, and dropped otherwise."""

    def __init__(self) -> None:
        self._writer: LogWriter | None = None
        self._level_min = logging.CRITICAL

    def debug(self, event: str, **fields: object) -> None:
        """Log what helps to find a fault."""
        self._put(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what is as it should be."""
        self._put(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what somebody should look at."""
        self._put(logging.WARNING, event, fields)

    def error(self, event: str, *, exc_info: BaseException | None = None, **fields: object) -> None:
        """Log a failure, with the traceback of its exception."""
        if exc_info is not None:
            fields["exception"] = "".join(traceback.format_exception(exc_info)).rstrip()
        self._put(logging.ERROR, event, fields)

    def _put(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if self._writer is not None and level >= self._level_min:
            at = Instant(time.time_ns() // 100)
            self._writer.put_event(_json_line(at, logging.getLevelName(level).lower(), event, fields))

    @contextmanager
    def writing_to(self, writer: LogWriter, level_min: int) -> Iterator[None]:
        """Write events of a level and above for as long as the block lasts."""
        before = self._writer, self._level_min
        self._writer, self._level_min = writer, level_min
        try:
            yield
        finally:
            self._writer, self._level_min = before


log = EventLog()
"""The one that all modules write to."""


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
    root = logging.root
    before = root.level, root.handlers
    root.setLevel(level.upper())
    root.handlers = [_LinesHandler(writer)]
    logging.captureWarnings(capture=True)
    access_log = logging.getLogger("uvicorn.access")
    access_log.handlers.clear()
    access_log.propagate = False
    try:
        with log.writing_to(writer, root.level), _unheard_errors_logged():
            yield
    finally:
        logging.captureWarnings(capture=False)
        root.level, root.handlers = before


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


def _json_line(at: Instant, level: str, event: str, fields: Mapping[str, object]) -> bytes:
    line = {"time": log_time(at), "level": level, "event": _plain(event)}
    line.update((name, _plain(value)) for name, value in fields.items())
    return msgspec.json.encode(line) + b"\n"


def _plain(value: object) -> str | float | None:
    """A value as a field can hold it: numbers and None as they are, anything else as redacted text."""
    if value is None or isinstance(value, int | float):
        return value
    return redacted(str(value)).encode("utf-8", "replace").decode()
