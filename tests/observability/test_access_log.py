"""The request log: what its lines say and never say, and that its stream's troubles stay its own."""

import asyncio
import io
import json
import os
import re
import select
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.house import eventually
from vigie.core.instants import TICKS_PER_SECOND, Instant, parse_instant
from vigie.observability.access_log import (
    CONNECTION_LINES_PER_SECOND,
    DETAIL_LENGTH_MAX,
    PATH_LENGTH_MAX,
    AccessLog,
    LogTemplate,
    RequestIds,
    redacted,
)
from vigie.observability.log_writer import EVENTS_WAITING_MAX, WAITING_LINES_MAX, LogWriter, log_time

NOW = parse_instant("2026-02-11T07:41:09.3066667Z")
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
SECRETS = {
    "a token": JWT,
    "a token cut short": JWT[:30],
    "a token behind an encoded blank": f"Bearer%20{JWT}",
    "a client secret": "Q3x8Q~v5bJ0nR7kW2mY-4tLsZ9pHcE6uAa1dFgXo",
    "a secret behind an encoded blank": "Basic%20dmlnaWU6czNjcjN0czNjcjN0czNjcjN0czNjcjN0czNjcjN0",
    "a user principal name": "jane.doe@contoso.com",
    "an encoded user principal name": "jane.doe%40contoso.com",
}


def a_log(stream: BinaryIO, *, enabled: bool) -> AccessLog:
    """A log with a writer of its own, which has not begun to write."""
    return AccessLog(LogWriter(stream), enabled=enabled)


def record(log: AccessLog, **changes: object) -> None:
    """Record one request that was answered as it should be, but for the changes."""
    fields: dict[str, Any] = {
        "at": NOW,
        "request_id": "|7d1f0c2291ab44e0.1a2b.",
        "method": "GET",
        "api": "defender",
        "route": "/api/incidents/{incident_id}",
        "path": "/api/incidents/924565",
        "status": 200,
        "seconds": 0.0001234,
        "tenant": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "application": "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d",
        "caller_kind": "application",
        "remote": "192.0.2.7",
    }
    fields.update(changes)
    log.record(**fields)


def lines_of(written: bytes) -> list[dict[str, Any]]:
    assert written == b"" or written.endswith(b"\n")
    return [json.loads(line) for line in written.splitlines()]


def line_of(**changes: object) -> dict[str, Any]:
    """The one line that a request leaves."""
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)
    record(log, **changes)
    log.writer.flush()
    (line,) = lines_of(stream.getvalue())
    return line


@pytest.fixture
def pipe() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A reader and an unbuffered writer, as a container's standard error is."""
    reader, writer = os.pipe()
    with open(reader, "rb") as reading:  # noqa: PTH123
        writing = open(writer, "wb", buffering=0)  # noqa: PTH123, SIM115
        yield reading, writing
        writing.close()


class Disk(io.RawIOBase):
    """An unbuffered file on a disk with `room` bytes left: it takes a part of a piece, then nothing.

    It has no number of its own, as a file that the system knows has.
    """

    def __init__(self, room: int, number: int | None = None) -> None:
        self.room = room
        self._number = number
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        taken = data[: self.room]
        if not taken:
            raise OSError(28, "No space left on device")
        self.room -= len(taken)
        self.pieces.append(taken)
        return len(taken)

    def fileno(self) -> int:
        return super().fileno() if self._number is None else self._number

    @property
    def written(self) -> bytes:
        return b"".join(self.pieces)

    def flush(self) -> None:
        pass


# What a line says


def test_a_line_has_every_field_in_its_place() -> None:
    line = line_of()

    assert list(line.items()) == [
        ("time", "2026-02-11T07:41:09.306Z"),
        ("level", "info"),
        ("event", "request"),
        ("request_id", "|7d1f0c2291ab44e0.1a2b."),
        ("client_request_id", None),
        ("method", "GET"),
        ("api", "defender"),
        ("route", "/api/incidents/{incident_id}"),
        ("path", "/api/incidents/924565"),
        ("status", 200),
        ("duration_ms", 0.123),
        ("tenant", "3fa85f64-5717-4562-b3fc-2c963f66afa6"),
        ("application", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
        ("caller_kind", "application"),
        ("remote", "192.0.2.7"),
        ("refusal", None),
        ("detail", None),
    ]


def test_a_line_about_nobody_has_the_same_fields() -> None:
    nobody = line_of(tenant=None, application=None, caller_kind=None, remote=None, path=None)

    assert list(nobody) == list(line_of())
    assert [nobody[name] for name in ("tenant", "application", "caller_kind", "remote", "path")] == [None] * 5


def test_a_refusal_is_an_info_line_that_says_why() -> None:
    line = line_of(status=403, refusal="PermissionMissing", detail="the token grants no read permission")

    assert line["level"] == "info"
    assert line["refusal"] == "PermissionMissing"
    assert line["detail"] == "the token grants no read permission"


def test_an_empty_detail_is_none() -> None:
    assert line_of(status=404, refusal="IncidentNotFound", detail="")["detail"] is None


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        ("2026-02-11T07:41:09Z", "2026-02-11T07:41:09.000Z"),
        ("2026-02-11T07:41:09.1Z", "2026-02-11T07:41:09.100Z"),
        ("2026-02-11T07:41:09.9999999Z", "2026-02-11T07:41:09.999Z"),
        ("2026-12-31T23:59:59.0009Z", "2026-12-31T23:59:59.000Z"),
    ],
)
def test_a_time_has_three_decimals_and_is_never_in_the_future(moment: str, written: str) -> None:
    assert log_time(parse_instant(moment)) == written


def test_a_duration_has_three_decimals() -> None:
    assert [line_of(seconds=seconds)["duration_ms"] for seconds in (0.0, 0.0000004, 1.2345678, 30)] == [
        0.0,
        0.0,
        1234.568,
        30000.0,
    ]


@pytest.mark.parametrize("route", ["/{tenant}/oauth2/v2.0/token", "/{tenant}/oauth2/token"])
def test_the_path_of_a_token_endpoint_is_not_written(route: str) -> None:
    assert line_of(route=route, path="/contoso.com/oauth2/token")["path"] is None


def test_a_long_path_and_a_long_detail_are_cut() -> None:
    line = line_of(path="/a" * 5000, detail="b " * 5000)

    assert line["path"] == "/a" * (PATH_LENGTH_MAX // 2)
    assert line["detail"] == "b " * (DETAIL_LENGTH_MAX // 2)


# What a line never says


@pytest.mark.parametrize("field", ["path", "detail"])
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize(
    "around", ["/api/incidents/{}", "/api/incidents/{}/x", "{}", "audience '{}' is", "a={}&b=1"]
)
def test_no_secret_and_no_address_is_written(field: str, secret: str, around: str) -> None:
    written = json.dumps(line_of(status=404, **{field: around.format(secret)}))

    telling = re.findall(r"[\w~-]{10,}", secret.replace("%20", " ").replace("%40", " "))
    assert "[removed]" in written
    assert not [part for part in telling if part in written]


@pytest.mark.parametrize(
    "path",
    [
        "/api/incidents",
        "/api/incidents/924565",
        "/api/incidents/3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "/no/such/route/but/quite/a/long/one/all/the/same/with/9/in/it",
        "/.well-known/openid-configuration",
    ],
)
def test_an_ordinary_path_is_written_as_it_is(path: str) -> None:
    assert line_of(path=path)["path"] == path


@given(path=st.text(), detail=st.text())
def test_any_text_becomes_one_whole_line(path: str, detail: str) -> None:
    assert line_of(path=path, detail=detail)["status"] == 200


@pytest.mark.parametrize("character", ["\udcff", "\x9b", "\u202e", "\u2028"])
def test_what_a_terminal_would_obey_or_cannot_show_is_written_as_an_escape(character: str) -> None:
    assert line_of(path=f"/api/{character}/incidents")["path"] == f"/api/{ascii(character)[1:-1]}/incidents"


@pytest.mark.parametrize(
    "piece", ["%", "a", "a@", "%40", "a-", "/a", "eyJ", "9~", "é", "://", "://a", "://a@b", "@[", "://[a"]
)
def test_no_text_makes_redacting_slow(piece: str) -> None:
    """A long run is walked through a few times, not once for each character: that would take hours."""
    text = piece * 200_000

    began = time.monotonic()
    redacted(text)

    assert time.monotonic() - began < 10


# Levels


def test_below_its_level_nothing_is_kept() -> None:
    log = a_log(io.BytesIO(), enabled=False)

    record(log)
    record(log, status=404, refusal="IncidentNotFound")

    assert log.writer.waiting == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_a_defect_is_an_error_line_at_every_level(enabled: bool) -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=enabled)

    record(log, status=503, refusal="StoreUnavailable", detail="disk full")
    log.writer.flush()

    assert [(line["level"], line["status"]) for line in lines_of(stream.getvalue())] == [("error", 503)]


# The thread


def test_lines_are_written_without_being_asked_for(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    log = a_log(writing, enabled=True)
    log.writer.start()

    record(log)

    assert json.loads(reading.readline())["event"] == "request"
    log.writer.stop()


def test_stopping_writes_what_still_waits() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)
    log.writer.start()

    for status in range(200, 300):
        record(log, status=status)
    log.writer.stop()

    assert [line["status"] for line in lines_of(stream.getvalue())] == list(range(200, 300))


def test_recording_writes_nothing_by_itself() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)

    record(log)

    assert (stream.getvalue(), log.writer.waiting) == (b"", 1)


def test_every_line_of_many_tasks_and_threads_is_written_once_and_in_order() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)
    log.writer.start()

    async def some(task: str) -> None:
        for number in range(100):
            record(log, request_id=f"{task}.{number}")
            await asyncio.sleep(0)

    async def many(thread: str) -> None:
        await asyncio.gather(*(some(f"{thread}-{task}") for task in range(20)))

    _in_threads(lambda thread: asyncio.run(many(thread)))
    log.writer.stop()

    numbers: dict[str, list[int]] = {}
    for line in lines_of(stream.getvalue()):
        task, number = line["request_id"].split(".")
        numbers.setdefault(task, []).append(int(number))
    assert len(numbers) == 4 * 20
    assert all(sequence == list(range(100)) for sequence in numbers.values())


def test_what_is_written_at_once_is_whole_lines_and_fits_a_pipe() -> None:
    """Or the lines of two processes on one pipe would be torn apart by each other."""
    disk = Disk(room=10_000_000)
    log = a_log(disk, enabled=True)  # type: ignore[arg-type]

    for number in range(1000):
        record(log, path="/" * (number % 150))
    log.writer.flush()

    assert all(piece.endswith(b"\n") for piece in disk.pieces)
    assert max(map(len, disk.pieces)) <= select.PIPE_BUF
    assert len(lines_of(disk.written)) == 1000


def test_more_is_written_at_once_to_a_file(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        disk = Disk(room=10_000_000, number=file.fileno())
        log = a_log(disk, enabled=True)  # type: ignore[arg-type]

        for _ in range(1000):
            record(log)
        log.writer.flush()

    assert all(piece.endswith(b"\n") for piece in disk.pieces)
    assert select.PIPE_BUF < max(map(len, disk.pieces)) <= 64 * 1024
    assert len(lines_of(disk.written)) == 1000


def test_many_lines_do_not_wait_until_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigie.observability.log_writer._WRITE_EVERY_SECONDS", 3600)
    disk = Disk(room=10_000_000)
    log = a_log(disk, enabled=True)  # type: ignore[arg-type]
    log.writer.start()

    for _ in range(499):
        record(log)
    assert not eventually(lambda: log.writer.waiting == 0, within_seconds=0.2)
    for _ in range(2):
        record(log)
    assert eventually(lambda: log.writer.waiting == 0)

    log.writer.stop()
    assert len(lines_of(disk.written)) == 501


@pytest.mark.parametrize("application", ["soc-agent-1.25", "\ue000", '"duration_ms":-1.25', "100 %"])
def test_what_an_application_is_called_upsets_no_wording(application: str) -> None:
    wording = LogTemplate(
        id_prefix="7d1f0c22-91ab-44e0-9c57-",
        client_request_id=None,
        method="GET",
        api="defender",
        route="/api/incidents/{id}",
        path="/api/incidents/",
        status=200,
        tenant="3fa85f64-5717-4562-b3fc-2c963f66afa6",
        application=application,
        caller_kind="application",
        remote=None,
    )

    line = json.loads(wording.line(NOW, 26, b"12", 0.0001234))

    assert line["application"] == application.replace("\ue000", "\ufffd")
    said = (line["request_id"], line["path"], line["duration_ms"])
    assert said == ("7d1f0c22-91ab-44e0-9c57-00000000001a", "/api/incidents/12", 0.123)


# A stream in trouble


def test_too_many_waiting_lines_are_dropped_counted_and_reported() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)

    for _ in range(WAITING_LINES_MAX + 7):
        record(log)
    assert (log.writer.waiting, log.writer.dropped) == (WAITING_LINES_MAX, 7)
    log.writer.flush()
    record(log)
    log.writer.flush()

    *lines, report, after = lines_of(stream.getvalue())
    assert len(lines) == WAITING_LINES_MAX
    assert list(report) == ["time", "level", "event", "dropped"]
    assert (report["level"], report["event"], report["dropped"]) == ("warning", "log_lines_dropped", 7)
    assert after["event"] == "request"


@pytest.mark.parametrize("end", ["broken", "closed"])
def test_a_pipe_without_an_end_harms_nobody(pipe: tuple[BinaryIO, BinaryIO], end: str) -> None:
    reading, writing = pipe
    log = a_log(writing, enabled=True)
    log.writer.start()

    (reading if end == "broken" else writing).close()
    for _ in range(100):
        record(log)
    log.writer.stop()

    assert (log.writer.waiting, log.writer.dropped) == (0, 100)


def test_a_pipe_that_nobody_reads_stops_neither_requests_nor_the_end(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    log = a_log(writing, enabled=True)
    log.writer.start()

    for _ in range(2 * WAITING_LINES_MAX + 1000):
        record(log)
    log.writer.end_within(0.05)
    began = time.monotonic()
    log.writer.stop()

    assert time.monotonic() - began < 2
    assert log.writer.dropped > 0
    reading.close()
    log.writer.stop()


def test_what_a_full_pipe_lost_is_said_once_it_drains(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    log = a_log(writing, enabled=True)
    log.writer.start()
    record(log)
    assert eventually(lambda: log.writer.waiting == 0)

    for _ in range(2 * WAITING_LINES_MAX + 1000):
        record(log)
    lost = log.writer.dropped

    def end() -> None:
        log.writer.stop()
        writing.close()

    threading.Thread(target=end).start()
    lines = lines_of(reading.read())

    reports = [line["dropped"] for line in lines if line["event"] == "log_lines_dropped"]
    assert sum(reports) == lost > 0
    assert len(lines) - len(reports) == 1 + 2 * WAITING_LINES_MAX + 1000 - lost


def test_a_pipe_that_is_read_slowly_gets_all_that_waits_at_the_end(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    log = a_log(writing, enabled=True)
    for _ in range(1000):
        record(log)
    log.writer.start()
    lines: list[bytes] = []

    def read_slowly() -> None:
        for line in reading:
            lines.append(line)
            time.sleep(0.001)

    reader = threading.Thread(target=read_slowly)
    reader.start()
    log.writer.stop()
    writing.close()
    reader.join()

    assert (len(lines), log.writer.dropped) == (1000, 0)


def test_a_rare_event_finds_room_where_requests_find_none() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)

    for _ in range(WAITING_LINES_MAX + 1):
        record(log)
    for _ in range(EVENTS_WAITING_MAX + 2):
        log.writer.put_event(b'{"event":"rare"}\n')
    assert (log.writer.waiting, log.writer.dropped) == (WAITING_LINES_MAX + EVENTS_WAITING_MAX, 1 + 2)
    log.writer.flush()

    events = [line["event"] for line in lines_of(stream.getvalue())]
    assert (events.count("rare"), events[-1]) == (EVENTS_WAITING_MAX, "log_lines_dropped")


def test_a_pipe_that_must_not_block_drops_what_does_not_fit(pipe: tuple[BinaryIO, BinaryIO]) -> None:
    reading, writing = pipe
    os.set_blocking(writing.fileno(), False)
    log = a_log(writing, enabled=True)

    for _ in range(1000):
        record(log)
    log.writer.flush()
    writing.close()

    # The line that says how many were lost is short, and may fit where the next would not.
    written = [line for line in lines_of(reading.read()) if line["event"] == "request"]
    assert len(written) == 1000 - log.writer.dropped < 1000


@pytest.mark.parametrize("is_file", [False, True])
def test_a_full_disk_loses_lines_and_says_how_many_when_there_is_room_again(
    is_file: bool, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("wb") as file:
        disk = Disk(room=5000, number=file.fileno() if is_file else None)
        log = a_log(disk, enabled=True)  # type: ignore[arg-type]

    for _ in range(50):
        record(log)
    log.writer.flush()
    lost = log.writer.dropped
    disk.room = 100_000
    record(log)
    log.writer.flush()

    torn = [line for line in disk.written.splitlines() if not line.endswith(b"}")]
    whole = lines_of(disk.written.replace(torn[0] + b"\n", b""))
    assert len(torn) == 1
    assert [line["event"] for line in whole[-2:]] == ["request", "log_lines_dropped"]
    assert whole[-1]["dropped"] == lost == log.writer.dropped > 0
    assert len(whole) == 50 - lost + 2


# Request ids


def test_a_request_id_is_a_guid_that_counts() -> None:
    ids = RequestIds()

    names = [ids.next() for _ in range(1000)]

    assert all(str(uuid.UUID(name)) == name and uuid.UUID(name).version == 4 for name in names)
    assert [int(name[-12:], 16) for name in names] == list(range(1, 1001))
    assert len({name[:-12] for name in names}) == 1
    assert RequestIds().next() not in names


def test_request_ids_are_never_given_twice() -> None:
    ids = RequestIds()
    given_out: list[str] = []

    _in_threads(lambda _: given_out.extend([ids.next() for _ in range(20_000)]))

    assert len(set(given_out)) == len(given_out) == 80_000


def _in_threads(work: Callable[[str], object]) -> None:
    threads = [threading.Thread(target=work, args=(f"thread{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# What never became a request


def record_connections(log: AccessLog, count: int, *, second: int = 0) -> None:
    """Record so many answers to what was no request, all within one second."""
    for number in range(count):
        log.record_connection(
            at=Instant(NOW + second * TICKS_PER_SECOND),
            request_id=f"|{second}.{number}.",
            route="unmatched",
            status=400,
            remote="192.0.2.7",
            refusal="BadRequest",
            detail="malformed",
        )


def test_strangers_fill_no_disk_with_what_is_no_request() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=True)
    record_connections(log, CONNECTION_LINES_PER_SECOND + 7)
    record_connections(log, CONNECTION_LINES_PER_SECOND + 2, second=1)
    record_connections(log, 1, second=2)

    log.writer.flush()
    *requests, report = lines_of(stream.getvalue())

    assert len(requests) == 2 * CONNECTION_LINES_PER_SECOND + 1
    assert {line["event"] for line in requests} == {"request"}
    assert (report["level"], report["event"], report["left_out"]) == (
        "warning",
        "connection_lines_dropped",
        9,
    )


def test_what_was_left_out_is_said_once_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def left_out() -> list[int]:
        return [line["left_out"] for line in lines_of(stream.getvalue()) if "left_out" in line]

    stream = io.BytesIO()
    log = a_log(stream, enabled=True)
    seconds = iter([10.1, 10.3, 11.2, 11.4])
    monkeypatch.setattr("vigie.observability.access_log.monotonic", lambda: next(seconds))
    said = []
    for _ in range(3):
        record_connections(log, CONNECTION_LINES_PER_SECOND + 1)
        log.writer.flush()
        said.append(left_out())
    record_connections(log, 1)
    log.writer.stop()
    log.writer.flush()

    assert said == [[1], [1], [1, 202]]
    assert left_out() == [1, 202, 1]


def test_nothing_is_said_of_them_where_lines_of_requests_are_not_wanted() -> None:
    stream = io.BytesIO()
    log = a_log(stream, enabled=False)
    record_connections(log, CONNECTION_LINES_PER_SECOND + 1)

    log.writer.flush()

    assert stream.getvalue() == b""
