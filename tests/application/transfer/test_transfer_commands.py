"""Import, export, generate and remove as people run them: output, exit codes, kills, and files left behind."""

import gzip
import json
import os
import pty
import re
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from tests.support.builders import an_incident, to_json
from tests.support.commands import PROGRAM, done, environment, run, run_program
from tests.support.paths import DOCS
from vigie.application.transfer.importing import BATCH_COUNT
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.runtime.clock import now
from vigie.synthetic.generator import generate_lines

CONTOSO = ("--tenant", "contoso")
MEGABYTE = 1024 * 1024
LINES = list(generate_lines(2000, 1, 1))
STOPPED = 130


@pytest.fixture(autouse=True)
def contoso(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory, and in it a store with a tenant."""
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "contoso")


def a_file(*lines: bytes, name: str = "incidents.jsonl") -> Path:
    file = Path(name)
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def numbered(*numbers: int) -> list[bytes]:
    return [to_json(an_incident(incidentId=number)) for number in numbers]


def exported() -> list[bytes]:
    run("export", *CONTOSO, "--out", "exported.jsonl")
    return Path("exported.jsonl").read_bytes().splitlines()


def count_in_store() -> int:
    with sqlite3.connect("file:.vigie/vigie.sqlite3?mode=ro", uri=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM incident").fetchone()
    connection.close()
    return int(count)


def eventually(count: int, within_seconds: float = 30) -> bool:
    """Whether so many incidents are in the store at last."""
    end = time.monotonic() + within_seconds
    while time.monotonic() < end:
        if count_in_store() >= count:
            return True
        time.sleep(0.02)
    return False


# --- Import: what it says


def test_an_import_says_what_became_of_the_incidents() -> None:
    ended = run("import", a_file(*numbered(1, 2)), *CONTOSO)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split() == ["read", "2", "added", "2", "replaced", "0", "refused", "0"]


def test_in_json_too() -> None:
    first = done("import", a_file(*numbered(1, 2)), *CONTOSO)
    again = done("import", a_file(*numbered(2, 3)), *CONTOSO)

    assert first == {"read": 2, "added": 2, "replaced": 0, "refused": 0, "errors": []}
    assert again == {"read": 2, "added": 1, "replaced": 1, "refused": 0, "errors": []}


def test_each_refusal_is_a_line_and_the_exit_code_is_1() -> None:
    file = a_file(*numbered(1), b"{}", b'{"incidentId":"\x1b[31m"}', *numbered(2))

    ended = run("import", file, *CONTOSO, "--json")

    assert ended.code == 1
    assert ended.json == {
        "read": 4,
        "added": 2,
        "replaced": 0,
        "refused": 2,
        "errors": [
            {
                "source": "incidents.jsonl",
                "line": 2,
                "path": "$",
                "reason": "the key 'incidentId' is missing",
            },
            {
                "source": "incidents.jsonl",
                "line": 3,
                "path": "$",
                "reason": "JSON is malformed: invalid character (byte 15)",
            },
        ],
    }
    assert ended.err.splitlines() == [
        "incidents.jsonl:2: $: the key 'incidentId' is missing",
        "incidents.jsonl:3: $: JSON is malformed: invalid character (byte 15)",
        "vigie: 2 of 4 incidents were rejected; the rest was imported",
    ]
    assert "\x1b" not in ended.err


def test_strictly_one_refusal_keeps_all_out() -> None:
    ended = run("import", a_file(*numbered(1), b"{}"), *CONTOSO, "--strict", "--json")

    assert ended.code == 1
    said = ended.json
    assert [each["line"] for each in said.pop("errors")] == [2]
    assert said == {"read": 2, "added": 0, "replaced": 0, "refused": 1}
    assert ended.err.splitlines()[-1] == (
        "vigie: 1 of 2 incidents was rejected; nothing was imported; correct the files, or leave out --strict"
    )
    assert exported() == []


def test_strictly_what_is_sound_goes_in() -> None:
    assert done("import", a_file(*numbered(1, 2)), *CONTOSO, "--strict")["added"] == 2
    assert count_in_store() == 2


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((b"{}",), "1 of 1 incident was rejected; nothing was imported"),
        ((b"{}", b"{}"), "2 of 2 incidents were rejected; nothing was imported"),
    ],
)
def test_where_nothing_is_left_none_of_it_was_imported(lines: tuple[bytes, ...], reason: str) -> None:
    ended = run("import", a_file(*lines), *CONTOSO)

    assert ended.code == 1
    assert ended.err.splitlines()[-1] == f"vigie: {reason}"


def test_an_incident_from_the_future_is_told_with_its_number_and_what_it_does() -> None:
    def last_updated(number: int, at: str) -> bytes:
        return to_json(an_incident(incidentId=number, lastUpdateTime=at))

    file = a_file(
        last_updated(1, "2099-01-01T00:00:00Z"), last_updated(2, "2099-02-03T04:05:06Z"), *numbered(3)
    )

    ended = run("import", file, *CONTOSO, "--json")

    assert (ended.code, ended.json["added"]) == (0, 3)
    assert ended.err == (
        "warning: 2 incidents with a lastUpdateTime more than a day in the future, "
        "the latest incident 2 with 2099-02-03T04:05:06Z: every update in the tenant will be later than that; "
        'docs/operations.md, "Future timestamps", says how to undo it\n'
    )


@pytest.mark.parametrize(("days", "is_told"), [(0.9, False), (1.1, True)])
def test_a_clock_may_be_a_day_ahead_without_a_word(days: float, is_told: bool) -> None:
    at = format_instant(Instant(now() + round(days * 86_400 * TICKS_PER_SECOND)))

    ended = run("import", a_file(to_json(an_incident(lastUpdateTime=at))), *CONTOSO)

    assert ended.code == 0
    assert bool(ended.err) == is_told


def test_the_clock_of_a_tenant_is_set_back_as_the_documents_say() -> None:
    operations = (DOCS / "operations.md").read_text(encoding="utf-8")
    (statement,) = re.findall(r"^```sql\n(.+?)^```$", operations, re.MULTILINE | re.DOTALL)
    run("import", a_file(to_json(an_incident(incidentId=1, lastUpdateTime="2099-01-01T00:00:00Z"))), *CONTOSO)
    run("import", a_file(*numbered(1)), *CONTOSO)

    with sqlite3.connect(".vigie/vigie.sqlite3") as connection:
        before = connection.execute("SELECT last_update_at FROM latest_change").fetchall()
        connection.execute(statement)
        after = connection.execute("SELECT last_update_at FROM latest_change").fetchall()
    connection.close()

    assert before == [(parse_instant("2099-01-01T00:00:00Z"),)]
    assert after == [(parse_instant(an_incident()["lastUpdateTime"]),)]


@pytest.mark.parametrize("empty", ["", "\n", "[]", '{"value": []}'])
def test_an_empty_input_fails_unless_that_is_allowed(empty: str) -> None:
    ended = run_program("import", "-", *CONTOSO, "--json", stdin=empty)
    allowed = run_program("import", "-", *CONTOSO, "--json", "--allow-empty", stdin=empty)

    assert (ended.code, ended.err) == (
        1,
        "vigie: no incidents to import; use --allow-empty if that is expected\n",
    )
    assert (allowed.code, allowed.err) == (0, "no incidents to import\n")
    assert ended.json == allowed.json == {"read": 0, "added": 0, "replaced": 0, "refused": 0, "errors": []}


def test_of_very_many_refusals_json_has_the_first_and_stderr_all() -> None:
    ended = run("import", a_file(*[b"{}"] * 1200), *CONTOSO, "--json")

    assert (ended.json["refused"], len(ended.json["errors"])) == (1200, 1000)
    assert [each["line"] for each in ended.json["errors"]] == list(range(1, 1001))
    assert len(ended.err.splitlines()) == 1201


def test_a_file_that_cannot_be_read_is_among_the_errors() -> None:
    ended = run("import", "missing.json", *CONTOSO, "--json")

    assert ended.json["errors"] == [
        {
            "source": "missing.json",
            "line": None,
            "path": None,
            "reason": "cannot read the file: No such file or directory",
        }
    ]


def test_where_incidents_are_found_inside_something_else_is_said_once() -> None:
    wrapped = [to_json({"response_list": [an_incident(incidentId=number)]}) for number in (1, 2)]

    ended = run("import", a_file(*wrapped), *CONTOSO)

    assert (ended.code, ended.err) == (0, "incidents.jsonl:1: found the incidents at $.response_list\n")
    assert count_in_store() == 2


def test_the_form_of_graph_is_recognised_and_what_to_do_is_said() -> None:
    graph = {"id": "7", "displayName": "x", "status": "active", "incidentWebUrl": "https://x", "alerts": []}

    ended = run("import", a_file(to_json(graph)), *CONTOSO)

    assert ended.code == 1
    assert ended.err.splitlines()[0] == (
        "incidents.jsonl:1: $: Microsoft Graph incidents are not supported yet; fetch them from the "
        "Defender XDR API, GET https://api.security.microsoft.com/api/incidents, and import those"
    )


def test_a_missing_file_is_one_line_and_the_others_go_in() -> None:
    ended = run("import", "missing.json", a_file(*numbered(1)), *CONTOSO)

    assert ended.code == 1
    assert ended.err.splitlines() == [
        "missing.json: cannot read the file: No such file or directory",
        "vigie: 1 file could not be read; the rest was imported",
    ]
    assert count_in_store() == 1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (CONTOSO, "missing argument FILES"),
        (("x.json",), "missing option --tenant"),
        (("x.json", "--tenant"), "option --tenant requires a value"),
        (("x.json", *CONTOSO, "--stric"), "unknown option: --stric"),
        (("x.json", "--debg", *CONTOSO), "unknown option --debg; for a file of that name, use ./--debg"),
    ],
)
def test_an_import_needs_files_and_a_tenant(arguments: tuple[str, ...], reason: str) -> None:
    ended = run("import", *arguments)

    assert ended.code == 2
    assert reason in ended.refusal


def test_an_import_into_no_tenant_is_refused() -> None:
    ended = run("import", a_file(*numbered(1)), "--tenant", "fabrikam")

    assert (ended.code, ended.refusal) == (
        1,
        "vigie: there is no tenant 'fabrikam'; `vigie tenant list` shows them",
    )


def test_the_largest_incident_is_a_setting() -> None:
    Path("vigie.toml").write_text("[import]\nincident_bytes_max = 1000\n", encoding="utf-8")

    ended = run("import", a_file(*numbered(1)), *CONTOSO)

    assert ended.code == 1
    assert "at most 1,000 bytes" in ended.err


# --- Import: as a process


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How an import by the real program ended, and the most memory it had."""

    code: int
    out: bytes
    err: str
    memory_bytes: int


# A child counts the memory of the process that forked it as its own: this one is small, and pytest is not.
MEASURED = """
import os, subprocess, sys
with subprocess.Popen(sys.argv[1:]) as process:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_maxrss * 1024, file=sys.stderr)
sys.exit(process.returncode)
"""


@contextmanager
def importing(*arguments: object, through: tuple[str, ...] = ()) -> Iterator["subprocess.Popen[bytes]"]:
    """The real program, reading from a pipe; it is killed at the end if it still runs."""
    command = [*through, PROGRAM, "import", "-", *CONTOSO, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment({}), **pipes) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def imported_from_stdin(pieces: Iterable[bytes], *arguments: object) -> Run:
    with importing(*arguments, through=(sys.executable, "-c", MEASURED)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with suppress(BrokenPipeError):
            for piece in pieces:
                process.stdin.write(piece)
        process.stdin.close()
        out, err = process.stdout.read(), process.stderr.read().decode()
        code = process.wait()
    *lines, memory_bytes = err.splitlines(keepends=True)
    return Run(code=code, out=out, err="".join(lines), memory_bytes=int(memory_bytes))


def feed(process: "subprocess.Popen[bytes]", lines: Iterable[bytes]) -> IO[bytes]:
    """Write lines and leave the pipe open: the program waits for more."""
    assert process.stdin is not None
    process.stdin.writelines(line + b"\n" for line in lines)
    process.stdin.flush()
    return process.stdin


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_taken_compressed_or_not(pack: Any) -> None:
    ended = imported_from_stdin([pack(b"\n".join(numbered(1, 2)) + b"\n{}")], "--json")

    assert ended.code == 1
    said = json.loads(ended.out)
    assert len(said.pop("errors")) == 1
    assert said == {"read": 3, "added": 2, "replaced": 0, "refused": 1}
    assert ended.err.startswith("standard input:3: $: the key 'incidentId' is missing")


def test_a_line_of_200_mb_is_refused_in_little_memory_and_the_rest_is_imported() -> None:
    def lines() -> Iterator[bytes]:
        first, last = numbered(1, 2)
        yield first + b'\n{"incidentId":5,"x":"'
        for _ in range(200):
            yield b"x" * MEGABYTE
        yield b'"}\n' + last

    ended = imported_from_stdin(lines(), "--json")

    assert ended.code == 1
    said = json.loads(ended.out)
    assert len(said.pop("errors")) == 1
    assert said == {"read": 3, "added": 2, "replaced": 0, "refused": 1}
    assert ended.err.startswith("standard input:2: $: One incident may have at most 67,108,864 bytes;")
    assert ended.memory_bytes < 200 * MEGABYTE


def test_memory_does_not_grow_with_the_number_of_incidents() -> None:
    small = to_json(an_incident(incidentId=1))
    head, tail = small.split(b'"incidentId": 1,', 1)

    def lines(count: int) -> Iterator[bytes]:
        return (head + b'"incidentId": %d,' % number + tail + b"\n" for number in range(1, count + 1))

    few, many = (imported_from_stdin(lines(count)) for count in (500, 10_000))

    assert (few.code, many.code) == (0, 0), many.err
    assert many.memory_bytes - few.memory_bytes < 12 * MEGABYTE


def test_after_a_kill_whole_incidents_are_in_and_importing_again_does_the_rest() -> None:
    with importing() as process:
        feed(process, LINES[:1500])
        assert eventually(5 * BATCH_COUNT)
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = exported()

    again = done("import", a_file(*LINES), *CONTOSO)

    assert 5 * BATCH_COUNT <= len(left) < 1500
    assert left == LINES[: len(left)]
    assert again == {
        "read": len(LINES),
        "added": len(LINES) - len(left),
        "replaced": len(left),
        "refused": 0,
        "errors": [],
    }
    assert exported() == LINES


@pytest.mark.parametrize("arguments", [(), ("--strict",)])
def test_ctrl_c_ends_an_import_that_waits_for_input(arguments: tuple[str, ...]) -> None:
    with importing(*arguments) as process:
        feed(process, LINES[:1500])
        assert eventually(0 if arguments else 5 * BATCH_COUNT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == STOPPED
        assert process.stderr is not None
        err = process.stderr.read().decode().splitlines()
    left = exported()

    assert left == LINES[: len(left)]
    assert bool(left) == (not arguments)
    assert err == [
        f"interrupted; {len(left)} incidents were imported; run the same import again to resume",
        "vigie: stopped",
    ]


def test_two_imports_at_once_both_finish() -> None:
    files = a_file(*LINES[:1200], name="one"), a_file(*LINES[800:], name="two")
    command = [str(PROGRAM), "import", *CONTOSO, "--json"]

    processes = [subprocess.Popen([*command, str(file)], stdout=subprocess.PIPE) for file in files]
    said = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    assert [process.returncode for process in processes] == [0, 0]
    assert sum(each["added"] for each in said) == len(LINES)
    assert sum(each["replaced"] for each in said) == 400
    assert exported() == LINES


def on_a_disk_of(size_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@pytest.mark.parametrize("arguments", [(), ("--strict",)])
def test_a_full_disk_is_told_and_nothing_is_damaged(arguments: tuple[str, ...]) -> None:
    file = a_file(*LINES)

    ended = run_program("import", file, *CONTOSO, *arguments, preexec_fn=lambda: on_a_disk_of(2 * MEGABYTE))
    left = exported()
    again = done("import", file, *CONTOSO)

    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("vigie: The store cannot answer at the moment")
    assert f"interrupted; {len(left)} incidents were imported" in ended.err
    assert left == LINES[: len(left)]
    assert bool(left) == (not arguments)
    assert again["added"] == len(LINES) - len(left)


def test_progress_is_shown_on_a_terminal_only() -> None:
    file = str(a_file(*LINES, b"{}"))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [str(PROGRAM), "import", file, *CONTOSO, "--json"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment({"TERM": "xterm-256color", "COLUMNS": "100"}),
    ) as process:
        os.close(theirs)
        shown = "".join(read_terminal(ours))
        out = process.communicate()[0]
    piped = run_program("import", file, *CONTOSO)

    assert json.loads(out)["added"] == len(LINES)
    assert "incidents" in shown
    assert "%" in shown
    assert "incidents.jsonl:2001: $: the key 'incidentId' is missing" in shown
    assert piped.err.splitlines() == [
        "incidents.jsonl:2001: $: the key 'incidentId' is missing",
        "vigie: 1 of 2001 incidents was rejected; the rest was imported",
    ]


def read_terminal(descriptor: int) -> Iterator[str]:
    # Linux ends what comes from a terminal nobody holds any more with an error.
    with suppress(OSError):
        while piece := os.read(descriptor, 65_536):
            yield piece.decode(errors="replace")
    os.close(descriptor)


# --- Export


def test_an_export_is_what_was_imported_in_the_order_of_the_numbers() -> None:
    done("import", a_file(*reversed(LINES[:300])), *CONTOSO)

    ended = run("export", *CONTOSO)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.encode().splitlines() == LINES[:300]


def test_an_export_imported_into_an_empty_store_is_the_same_export() -> None:
    done("import", a_file(*LINES[:300]), *CONTOSO)
    run("export", *CONTOSO, "--out", "first.jsonl")
    elsewhere = ("--database", "sqlite:///elsewhere/vigie.sqlite3")
    done("tenant", "add", "contoso", *elsewhere)

    done("import", "first.jsonl", *CONTOSO, *elsewhere)
    run("export", *CONTOSO, *elsewhere, "--out", "second.jsonl")

    assert Path("second.jsonl").read_bytes() == Path("first.jsonl").read_bytes()


def test_an_export_holds_the_incidents_of_one_tenant() -> None:
    done("tenant", "add", "fabrikam")
    done("import", a_file(*numbered(1)), *CONTOSO)
    done("import", a_file(*numbered(2)), "--tenant", "fabrikam")

    assert [each["incidentId"] for each in done("export", *CONTOSO)] == [1]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_with_json_an_export_is_one_array(count: int) -> None:
    done("import", a_file(*LINES[:count]), *CONTOSO, "--allow-empty")

    assert done("export", *CONTOSO) == [json.loads(line) for line in LINES[:count]]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_an_export_to_a_file_is_its_owners_alone(name: str) -> None:
    done("import", a_file(*LINES[:300]), *CONTOSO)

    said = done("export", *CONTOSO, "--out", name)

    assert said == {"exported": 300, "file": name}
    assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    unpack = gzip.decompress if name.endswith(".gz") else bytes
    assert unpack(Path(name).read_bytes()).splitlines() == LINES[:300]
    assert sorted(each.name for each in Path().iterdir()) == [".vigie", "incidents.jsonl", name]


def test_a_compressed_export_goes_in_again_and_is_the_same_every_time() -> None:
    done("import", a_file(*LINES[:300]), *CONTOSO)
    for name in ("first.gz", "second.gz"):
        done("export", *CONTOSO, "--out", name)

    assert Path("first.gz").read_bytes() == Path("second.gz").read_bytes()
    assert done("import", "first.gz", *CONTOSO)["replaced"] == 300


def test_an_export_that_fails_leaves_what_was_there() -> None:
    done("import", a_file(*LINES[:600]), *CONTOSO)
    Path("out.jsonl").write_text("the one of yesterday", encoding="utf-8")

    ended = run_program("export", *CONTOSO, "--out", "out.jsonl", preexec_fn=lambda: on_a_disk_of(MEGABYTE))

    assert (ended.code, ended.refusal) == (1, "vigie: out.jsonl: File too large")
    assert Path("out.jsonl").read_text(encoding="utf-8") == "the one of yesterday"
    assert sorted(each.name for each in Path().iterdir()) == [".vigie", "incidents.jsonl", "out.jsonl"]


@pytest.mark.parametrize(
    ("out", "reason"),
    [("nowhere/out.jsonl", "No such file or directory"), (".vigie", "Is a directory")],
)
def test_a_place_that_cannot_be_written_is_one_line(out: str, reason: str) -> None:
    ended = run("export", *CONTOSO, "--out", out)

    assert (ended.code, ended.refusal) == (1, f"vigie: {out}: {reason}")


@pytest.mark.parametrize("there", ["old", None])
def test_a_link_is_replaced_and_not_followed(there: str | None) -> None:
    if there:
        Path("real").write_text(there, encoding="utf-8")
    Path("link").symlink_to("real")
    done("import", a_file(*LINES[:1]), *CONTOSO)

    run("export", *CONTOSO, "--out", "link")

    assert not Path("link").is_symlink()
    assert Path("link").read_bytes() == LINES[0] + b"\n"
    assert stat.S_IMODE(Path("link").stat().st_mode) == 0o600
    assert (Path("real").read_text(encoding="utf-8") if Path("real").exists() else None) == there


def test_a_stream_that_leads_to_a_file_is_written_as_it_is() -> None:
    done("import", a_file(*LINES[:3]), *CONTOSO)

    with Path("out.jsonl").open("wb") as out:
        ended = run_program("export", *CONTOSO, "--out", "/dev/fd/1", stdout=out)

    assert (ended.code, ended.err) == (0, "exported 3 incidents to /dev/fd/1\n")
    assert Path("out.jsonl").read_bytes().splitlines() == LINES[:3]


def test_a_pipe_is_written_as_it_is() -> None:
    os.mkfifo("pipe")
    done("import", a_file(*LINES[:3]), *CONTOSO)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_bytes()), daemon=True)
    reader.start()

    ended = run("export", *CONTOSO, "--out", "pipe")
    reader.join(timeout=20)

    assert ended.code == 0
    assert read[0].splitlines() == LINES[:3]
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)


# --- Generate


def test_generated_incidents_are_lines_the_same_every_time_and_need_no_store(tmp_path: Path) -> None:
    here = ("--database", "sqlite:///none/vigie.sqlite3")

    first, again, other = (run("generate", "--incidents", 50, "--seed", seed, *here) for seed in (7, 7, 8))

    assert (first.code, first.err) == (0, "")
    assert first.out.encode().splitlines() == list(generate_lines(50, 7))
    assert again.out == first.out != other.out
    assert not Path("none").exists()


def test_generated_incidents_have_as_many_alerts_as_is_asked() -> None:
    incidents = done("generate", "--incidents", 5, "--seed", 1, "--alerts", 4)

    assert [len(each["alerts"]) for each in incidents] == [4] * 5


def test_generated_incidents_name_the_tenant_that_is_asked_for() -> None:
    guid = "3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88"

    incidents = done("generate", "--incidents", 50, "--seed", 7, "--tenant-id", guid.upper())

    addresses = [each.pop("incidentUri") for each in incidents]
    assert {address.partition("?")[2] for address in addresses} == {f"tid={guid}"}
    others = done("generate", "--incidents", 50, "--seed", 7)
    assert incidents == [{key: each[key] for key in each if key != "incidentUri"} for each in others]


def test_none_may_be_generated_too() -> None:
    assert run("generate", "--incidents", 0, "--seed", 1).out == ""
    assert done("generate", "--incidents", 0, "--seed", 1) == []


def test_what_is_generated_can_be_imported() -> None:
    said = done("generate", "--incidents", 300, "--seed", 1, "--out", "made.jsonl.gz")

    assert said == {"generated": 300, "file": "made.jsonl.gz"}
    assert done("import", "made.jsonl.gz", *CONTOSO)["added"] == 300


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--incidents", "-1", "--seed", "1"), "--incidents must be 0 or more; it was -1"),
        (("--incidents", "1", "--seed", "1", "--alerts", "-1"), "--alerts must be 0 to 100000; it was -1"),
        (
            ("--incidents", "1", "--seed", "1", "--alerts", "100001"),
            "--alerts must be 0 to 100000; it was 100001",
        ),
        (("--incidents", "many", "--seed", "1"), "expected integer, got"),
        (("--incidents", "1", "--seed", "1", "--tenant-id", "contoso"), "'contoso' is not a GUID such as"),
        (("--seed", "1"), "missing option --incidents"),
    ],
)
def test_numbers_that_make_no_sense_are_wrong_usage(arguments: tuple[str, ...], reason: str) -> None:
    ended = run("generate", *arguments)

    assert ended.code == 2
    assert reason in ended.refusal


@pytest.mark.parametrize(
    "command", [("export", *CONTOSO), ("generate", "--incidents", "2000", "--seed", "1")]
)
def test_a_reader_who_has_heard_enough_ends_it_quietly(command: tuple[str, ...]) -> None:
    done("import", a_file(*LINES), *CONTOSO)

    with subprocess.Popen(
        [PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment({})
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()

    assert (process.returncode, err) == (141, b"")


# --- Remove


def test_an_incident_is_removed_and_no_other() -> None:
    done("tenant", "add", "fabrikam")
    for tenant in (CONTOSO, ("--tenant", "fabrikam")):
        done("import", a_file(*numbered(1, 2)), *tenant)

    assert done("incident", "remove", 1, *CONTOSO, "--yes") == {}

    assert [each["incidentId"] for each in done("export", *CONTOSO)] == [2]
    assert [each["incidentId"] for each in done("export", "--tenant", "fabrikam")] == [1, 2]


def test_an_incident_that_is_not_there_cannot_be_removed() -> None:
    ended = run("incident", "remove", 7, *CONTOSO, "--yes")

    assert (ended.code, ended.refusal) == (1, "vigie: no incident 7 in contoso; nothing was removed")


@pytest.mark.parametrize("number", ["0", "-1", "x", "9223372036854775808"])
def test_a_number_that_no_incident_can_have_is_wrong_usage(number: str) -> None:
    assert run("incident", "remove", number, *CONTOSO, "--yes").code == 2
