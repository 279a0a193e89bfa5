"""The log on a terminal: lines that people read, and nothing in them that a terminal obeys."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vigie.observability.console_log import console_lines

TIME = "2026-02-11T07:41:09.306Z"


def shown(**fields: Any) -> str:
    line = {"time": TIME, "level": "info", **fields}
    return console_lines(json.dumps(line).encode() + b"\n").decode()


def test_an_event_is_a_line_of_its_fields() -> None:
    line = shown(level="warning", event="keys_unreadable", reason="not a key file", count=3, place=None)

    assert line == '07:41:09.306 warning keys_unreadable reason="not a key file" count=3 place=null\n'


def test_a_request_is_a_line_as_people_say_it() -> None:
    line = shown(
        event="request",
        request_id="|7d.1.",
        method="GET",
        route="/api/incidents/{id}",
        path="/api/incidents/34",
        status=404,
        duration_ms=0.5,
        tenant=None,
        remote="192.0.2.7",
        refusal="NotFound",
        detail="no row",
    )

    assert line == (
        "07:41:09.306 info    GET /api/incidents/34 404 0.5 ms NotFound: no row"
        " request_id=|7d.1. remote=192.0.2.7\n"
    )


def test_what_never_became_a_request_is_a_line_too() -> None:
    line = shown(event="request", method="", route="unmatched", path=None, status=400, duration_ms=0.0)

    assert line == "07:41:09.306 info    - unmatched 400 0.0 ms\n"


def test_a_path_cannot_say_what_else_stands_in_the_line() -> None:
    path = "/x 200 0.1 ms application=reader"

    line = shown(event="request", method="GET", route="unmatched", path=path, status=404, duration_ms=0.5)

    assert line == f'07:41:09.306 info    GET "{path}" 404 0.5 ms\n'


def test_a_traceback_stands_below_its_line() -> None:
    line = shown(level="error", event="internal_error", exception="Traceback:\n  File x\nValueError: no")

    assert line == ("07:41:09.306 error   internal_error\n    Traceback:\n      File x\n    ValueError: no\n")


@given(st.dictionaries(st.sampled_from(["event", "reason", "path", "detail", "exception"]), st.text()))
def test_nothing_in_a_line_is_obeyed_by_a_terminal(fields: dict[str, str]) -> None:
    line = shown(**{"event": "odd", **fields})

    assert line.endswith("\n")
    assert all(each.isprintable() for each in line.split("\n"))
