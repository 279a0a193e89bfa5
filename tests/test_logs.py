"""Rare events: whoever tells of them, they are JSON lines of one shape, and structlog comes without Rich."""

import asyncio
import io
import json
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from vigie.logs import configure_logging


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logging.root, "handlers", [])
    level = logging.root.level
    yield
    logging.root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


def lines_in(stream: io.BytesIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_a_line_with_its_fields_behind_time_level_and_name(stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    structlog.get_logger().warning("checkpoint_late", waited_seconds=3.5, pages=10_000, reader=None)

    (line,) = lines_in(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert list(line.items()) == [
        ("level", "warning"),
        ("event", "checkpoint_late"),
        ("waited_seconds", 3.5),
        ("pages", 10_000),
        ("reader", None),
    ]
    assert stream.getvalue().startswith(b'{"time":')


@pytest.mark.parametrize(
    ("level", "heard"),
    [
        ("debug", ["debug", "info", "warning", "error", "critical"]),
        ("info", ["info", "warning", "error", "critical"]),
        ("warning", ["warning", "error", "critical"]),
        ("error", ["error", "critical"]),
        ("critical", ["critical"]),
    ],
)
def test_the_level_holds_for_both_ways_of_logging(level: str, heard: list[str], stream: io.BytesIO) -> None:
    configure_logging(level, stream)

    for name in ("debug", "info", "warning", "error", "critical"):
        getattr(structlog.get_logger(), name)("ours")
        getattr(logging.getLogger("uvicorn.error"), name)("theirs")

    assert [line["level"] for line in lines_in(stream) if line["event"] == "ours"] == heard
    assert [line["level"] for line in lines_in(stream) if line["event"] == "theirs"] == heard


def test_what_uvicorn_says_is_a_line_too(stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "…"})

    (line,) = lines_in(stream)
    assert list(line) == ["time", "level", "event", "logger"]
    assert (line["event"], line["logger"]) == ("Started server process [7]", "uvicorn.error")


def test_the_access_log_of_uvicorn_is_off(stream: io.BytesIO) -> None:
    configure_logging("debug", stream)

    access_log = logging.getLogger("uvicorn.access")
    access_log.info("GET /")

    # uvicorn asks this to decide whether it formats access lines at all.
    assert not access_log.hasHandlers()
    assert lines_in(stream) == []


def test_a_defect_brings_its_traceback_as_a_field(stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    try:
        _ = 1 // 0
    except ZeroDivisionError:
        structlog.get_logger().exception("job_failed", job="import")
        logging.getLogger("asyncio").exception("Task exception was never retrieved")

    ours, theirs = lines_in(stream)
    assert list(ours) == ["time", "level", "event", "job", "exception"]
    assert list(theirs) == ["time", "level", "event", "logger", "exception"]
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert line["exception"].startswith("Traceback (most recent call last):\n")
        assert line["exception"].endswith("ZeroDivisionError: integer division or modulo by zero")


def test_a_defect_in_a_task_that_nobody_awaits_is_a_line(stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    async def forget_a_task() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(0.001)

    asyncio.run(forget_a_task())

    (line,) = lines_in(stream)
    assert line["logger"] == "asyncio"
    assert "ZeroDivisionError" in line["exception"]


def test_warnings_are_lines(stream: io.BytesIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        configure_logging("info", stream)
        warnings.warn("this will go away", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)

    (line,) = lines_in(stream)
    assert line["logger"] == "py.warnings"
    assert "this will go away" in line["event"]


def test_neither_tokens_nor_addresses_are_written(stream: io.BytesIO) -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl"
    configure_logging("info", stream)

    def fail() -> None:
        raise ValueError(f"bad token\n{token}")

    try:
        fail()
    except ValueError:
        structlog.get_logger().exception(
            f"for jane@contoso.com {token}", token=token, all=[token, "a@b.example"]
        )
        logging.getLogger("uvicorn.error").exception("no: %s", token)

    assert len(lines_in(stream)) == 2
    assert not [part for part in (*token.split("."), "jane", "a@b") if part.encode() in stream.getvalue()]


@pytest.mark.parametrize(
    "field", [b"\xff", "\udcff", float("nan"), 2**100, {"a": {1: object()}}, object(), "line\nbreak"]
)
def test_any_field_can_be_written(field: object, stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    structlog.get_logger().info("odd", field=field)

    (line,) = lines_in(stream)
    assert line["event"] == "odd"


def test_arguments_that_do_not_fit_their_text_harm_nobody(stream: io.BytesIO) -> None:
    configure_logging("info", stream)

    slip = "%d of %d"
    logging.getLogger("somebody").info(slip, "one")

    assert [line["event"] for line in lines_in(stream)] == [slip]


def test_a_broken_pipe_harms_nobody() -> None:
    reader, writer = os.pipe()
    with open(writer, "wb", buffering=0) as stream:  # noqa: PTH123
        os.close(reader)
        configure_logging("info", stream)

        structlog.get_logger().error("unheard")
        logging.getLogger("uvicorn.error").error("unheard")
    structlog.get_logger().error("unheard, the stream is closed")


def test_structlog_comes_without_rich_and_leaves_rich_to_others() -> None:
    script = """
import sys
from vigie.logs import configure_logging
configure_logging("info", sys.stderr)
import structlog
structlog.get_logger().info("started")
assert not [name for name in sys.modules if name.split(".")[0] in ("rich", "pygments", "markdown_it")]
import rich.console
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)

    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stderr)["event"] == "started"
