"""Rare events: whatever code logs them, they are JSON lines of one shape."""

import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import pytest

from vigie.observability.event_log import log, logging_to
from vigie.observability.log_writer import LogWriter


class Heard:
    """What has been logged."""

    def __init__(self, stack: ExitStack, stream: BinaryIO) -> None:
        self._stack = stack
        self._stream = stream
        self.writer = LogWriter(stream)

    def at(self, level: str) -> None:
        """Log from now on."""
        self._stack.enter_context(logging_to(self.writer, level))

    def written(self) -> bytes:
        """The bytes of it."""
        self.writer.flush()
        assert isinstance(self._stream, io.BytesIO)
        return self._stream.getvalue()

    def lines(self) -> list[dict[str, Any]]:
        """The lines of it, each read as JSON."""
        return [json.loads(line) for line in self.written().splitlines()]


@pytest.fixture
def heard() -> Iterator[Heard]:
    with ExitStack() as stack:
        yield Heard(stack, io.BytesIO())


def test_an_event_is_a_line_with_its_fields_behind_time_level_and_name(heard: Heard) -> None:
    heard.at("info")

    log.warning("checkpoint_late", waited_seconds=3.5, pages=10_000, reader=None)

    (line,) = heard.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert list(line.items()) == [
        ("level", "warning"),
        ("event", "checkpoint_late"),
        ("waited_seconds", 3.5),
        ("pages", 10_000),
        ("reader", None),
    ]
    assert heard.written().startswith(b'{"time":')


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        ("error", ["error", "critical"]),
        ("critical", ["critical"]),
    ],
)
def test_the_level_holds_for_both_ways_of_logging(level: str, kept: list[str], heard: Heard) -> None:
    heard.at(level)

    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("ours")
    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(logging.getLogger("uvicorn.error"), name)("theirs")

    assert [line["level"] for line in heard.lines() if line["event"] == "ours"] == [
        name for name in kept if name != "critical"
    ]
    assert [line["level"] for line in heard.lines() if line["event"] == "theirs"] == kept


def test_what_uvicorn_says_is_a_line_too(heard: Heard) -> None:
    heard.at("info")

    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "…"})

    (line,) = heard.lines()
    assert list(line) == ["time", "level", "event", "logger"]
    assert (line["event"], line["logger"]) == ("Started server process [7]", "uvicorn.error")


def test_the_access_log_of_uvicorn_is_off(heard: Heard) -> None:
    heard.at("debug")

    access_log = logging.getLogger("uvicorn.access")
    access_log.info("GET /")

    # uvicorn asks this to decide whether it formats access lines at all.
    assert not access_log.hasHandlers()
    assert heard.lines() == []


def test_a_defect_brings_its_traceback_as_a_field(heard: Heard) -> None:
    heard.at("info")

    try:
        _ = 1 // 0
    except ZeroDivisionError as error:
        log.error("job_failed", job="import", exc_info=error)
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    ours, theirs = heard.lines()
    assert list(ours) == ["time", "level", "event", "job", "exception"]
    assert list(theirs) == ["time", "level", "event", "logger", "exception"]
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


def test_a_defect_in_a_task_that_nobody_awaits_is_a_line(heard: Heard) -> None:
    heard.at("info")

    async def forget_a_task() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0.001)

    asyncio.run(forget_a_task())

    (line,) = heard.lines()
    assert line["logger"] == "asyncio"
    assert "ZeroDivisionError" in line["exception"]


def test_warnings_are_lines(heard: Heard) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        heard.at("info")
        warnings.warn("this will go away", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    (line,) = heard.lines()
    assert line["logger"] == "py.warnings"
    assert "this will go away" in line["event"]


def test_neither_tokens_nor_addresses_are_written(heard: Heard) -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"
    heard.at("info")

    def fail() -> None:
        raise ValueError(f"bad token\n{token}")

    try:
        fail()
    except ValueError as error:
        log.error(f"for jane@contoso.com {token}", token=token, all=[token, "a@b.example"], exc_info=error)
        logging.getLogger("uvicorn.error").exception("no: %s", token)

    assert len(heard.lines()) == 2
    assert not [part for part in (*token.split("."), "jane", "a@b") if part.encode() in heard.written()]


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("postgresql://ana@db.example:25431/vigie", "postgresql://[removed]@db.example:25431/vigie"),
        ("postgresql://ana:hunter2@db-1:1,db-2:2/v", "postgresql://[removed]@db-1:1,db-2:2/v"),
        (
            "postgresql://ana%40corp:a%2Fb@[2001:db8::7]:5432,[::1]/v",
            "postgresql://[removed]@[2001:db8::7]:5432,[::1]/v",
        ),
        (
            "postgresql://ana@/v?host=/run/postgresql&port=2",
            "postgresql://[removed]@/v?host=/run/postgresql&port=2",
        ),
        ("postgresql://ana@%2Frun%2Fpostgresql/v", "postgresql://[removed]@%2Frun%2Fpostgresql/v"),
        (
            f"cannot connect to postgresql://ana@db-1.{'a1' * 25}.example:25431/vigie: refused",
            f"cannot connect to postgresql://[removed]@db-1.{'a1' * 25}.example:25431/vigie: refused",
        ),
        (f"https://issuer-{'a1' * 25}.example:8443/x", f"https://issuer-{'a1' * 25}.example:8443/x"),
        ("valkeys://ana:p@ss@valkey.example:6380/0", "valkeys://[removed]@valkey.example:6380/0"),
        ("https://host.example/of/jane@contoso.example", "https://host.example/of/[removed]"),
        (f"https://{'Aa1' * 20}/", "https://[removed]/"),
    ],
)
def test_of_a_url_host_and_port_are_written_and_who_connects_is_not(
    url: str, written: str, heard: Heard
) -> None:
    heard.at("info")

    log.warning("replica_ejected", replica=url)

    (line,) = heard.lines()
    assert line["replica"] == written


@pytest.mark.parametrize(
    "field", [b"\xff", "\udcff", float("nan"), 2**100, {"a": {1: object()}}, object(), "line\nbreak"]
)
def test_any_field_can_be_written(field: object, heard: Heard) -> None:
    heard.at("info")

    log.info("odd", field=field)

    (line,) = heard.lines()
    assert line["event"] == "odd"


def test_arguments_that_do_not_fit_their_text_harm_nobody(heard: Heard) -> None:
    heard.at("info")

    slip = "%d of %d"
    logging.getLogger("somebody").info(slip, "one")

    assert [line["event"] for line in heard.lines()] == [slip]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_threads_and_finalizers_raise_is_logged_too(heard: Heard) -> None:
    class Finalized:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    def fail() -> None:
        raise ValueError("in a thread")

    heard.at("info")
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    Finalized()

    events = {line["event"]: line["exception"] for line in heard.lines()}
    assert events["thread_failed"].endswith("ValueError: in a thread")
    assert events["exception_ignored"].endswith("ValueError: in a finalizer")


def test_when_it_is_over_all_is_as_it_was(heard: Heard) -> None:
    before = threading.excepthook, sys.unraisablehook, list(logging.root.handlers)

    with logging_to(heard.writer, "info"):
        pass

    assert (threading.excepthook, sys.unraisablehook, logging.root.handlers) == before
    log.error("dropped")
    assert heard.lines() == []
