"""Commands in tests: run in this process where speed matters, as a program where the process matters."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from vigie.cli.main import main

PROGRAM = Path(sys.executable).with_name("vigie")

_TIMEOUT_SECONDS = 60


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
def served(*arguments: object) -> Iterator[tuple["subprocess.Popen[str]", Any]]:
    """`vigie serve` once it serves, and what it said of that in JSON."""
    with running_program("serve", *arguments, "--json") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield process, json.loads(line)


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
