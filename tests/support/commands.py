"""Commands in tests: run in this process where speed matters, as a program where the process matters."""

import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from vigie.cli.main import main

PROGRAM = Path(sys.executable).with_name("vigie")

_TIMEOUT_SECONDS = 60
_START_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it wrote to stdout, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    @property
    def refusal(self) -> str:
        """The one line that says why nothing was done."""
        assert self.code in (1, 2)
        assert self.out == ""
        (line,) = self.err.splitlines()
        return line


def run(*arguments: object, stdin: str = "") -> Ended:
    """Run a command in this process, without a terminal."""
    with _captured(stdin) as (out, err):
        code = main([str(argument) for argument in arguments])
    return Ended(code=code, out=_text(out), err=_text(err))


def done(*arguments: object, stdin: str = "") -> Any:
    """What a command that must succeed says in JSON."""
    ended = run(*arguments, "--json", stdin=stdin)
    assert ended.code == 0, ended.err
    return ended.json


def run_program(
    *arguments: object, stdin: str = "", environ: Mapping[str, str] | None = None, **options: Any
) -> Ended:
    """Run the real program in the working directory."""
    completed = subprocess.run(
        [PROGRAM, *map(str, arguments)],
        input=stdin,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        env=environment(environ or {}),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )
    return Ended(code=completed.returncode, out=completed.stdout or "", err=completed.stderr)


@contextmanager
def running_program(*arguments: object, **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """The real program while it runs; it is killed at the end if it still does."""
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": environment({}),
    }
    with subprocess.Popen([PROGRAM, *map(str, arguments)], **{**pipes, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def served(*arguments: object, log: Path | None = None) -> Iterator[tuple["subprocess.Popen[str]", Any]]:
    """`vigie serve` once it serves, and what it said of that in JSON. What it logs is in `log`.

    That is a file: a pipe that nobody reads is full one day, and then the server waits for ever. At the end
    it is whole: a server that is killed takes with it the lines that its writer has not written yet.
    """
    with TemporaryDirectory() as folder:
        file = log or Path(folder, "log")
        with (
            file.open("wb") as stderr,
            running_program("serve", *arguments, "--json", stderr=stderr) as process,
        ):
            line = first_line_of(process)
            assert line, file.read_text(encoding="utf-8")
            yield process, json.loads(line)
            if log is not None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_START_SECONDS_MAX)


def first_line_of(process: "subprocess.Popen[str]", *, within_seconds: float = _START_SECONDS_MAX) -> str:
    """What a program says first, to a pipe; nothing if it ends before. A silent one is killed in the end."""
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], within_seconds)[0]:
        process.kill()
    return process.stdout.readline()


def shown_until(text: str, terminal: int, shown: str = "") -> str:
    """What a terminal has shown, from `shown` on, once the text is in it; a program that says else is a failure."""
    while text not in shown:
        assert select.select([terminal], [], [], _START_SECONDS_MAX)[0], f"no {text!r} in {shown!r}"
        shown += os.read(terminal, 4096).decode()
    return shown


@contextmanager
def on_a_terminal(*arguments: object) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The real program in a session of its own, and the terminal that controls it; killed if it still runs.

    The terminal that a secret is asked on is the one that controls the process.
    """
    ours, theirs = os.openpty()
    command = ["setsid", "--ctty", "--wait", str(PROGRAM), *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment({})
    ) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            # Who waits for input ends with the terminal.
            os.close(ours)
            process.kill()


def events_in(log: Path) -> list[dict[str, Any]]:
    """What a server has logged so far, as far as the lines are whole."""
    whole = log.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process without settings of Vigie, and more."""
    return {name: value for name, value in os.environ.items() if not name.startswith("VIGIE_")} | dict(more)


@contextmanager
def _captured(stdin: str) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    typed = io.TextIOWrapper(io.BytesIO(stdin.encode("utf-8", "surrogateescape")), encoding="utf-8")
    with redirect_stdout(out), redirect_stderr(err), patch("sys.stdin", typed):
        yield out, err


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
