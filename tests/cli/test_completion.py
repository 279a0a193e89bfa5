"""Completion by the Tab key, in the shells themselves: installed as documented, then typed on a terminal."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import PROGRAM, environment, run, run_program

TAB, ENTER = "\t", "\r"
SECONDS_MAX = 30.0
# What somebody has who uses the shell.
STARTUP_FILES = {"bash": (".bashrc", ""), "zsh": (".zshrc", "autoload -Uz compinit && compinit -u\n")}

COMPLETED = {
    "vigie tenant li": "given: tenant list",
    "vigie --json tenant rem": "given: --json tenant remove",
    "vigie app add x --public-c": "given: app add x --public-client",
}

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of somebody who has never used Vigie; what is called vigie on the path says what it was given."""
    for name in ("ZDOTDIR", "ZSH", "ZSH_CUSTOM", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{a_program_in(tmp_path / 'bin')}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    for file, text in STARTUP_FILES.values():
        Path(tmp_path, file).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("shell", [pytest.param(name, marks=pytest.mark.programs(name)) for name in SHELLS])
def test_the_tab_key_completes_in_a_shell_that_is_started_after_the_installation(
    shell: str, home: Path
) -> None:
    assert run("--install-completion", "--shell", shell).code == 0
    installed = files_in(home)
    assert run("--install-completion", "--shell", shell).code == 0
    assert files_in(home) == installed

    with on_a_terminal(shell) as terminal:
        for typed, completed in COMPLETED.items():
            os.write(terminal, f"{typed}{TAB}".encode())
            # fish asks itself for completions beside the terminal; Enter would overtake it.
            time.sleep(1)
            os.write(terminal, ENTER.encode())

            assert shows(terminal, completed), typed


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_for_a_file_leaves_the_startup_files_alone(shell: str, home: Path) -> None:
    before = files_in(home)

    ended = run("--install-completion", "--shell", shell, "--output", "script", "--json")

    assert ended.json == {"shell": shell, "file": str(home / "script")}
    assert ended.err == ""
    assert set(files_in(home)) - set(before) == {"script"}
    assert {name: text for name, text in files_in(home).items() if name != "script"} == before


@pytest.mark.usefixtures("home")
def test_the_shell_that_asks_is_found_out() -> None:
    line = f"{PROGRAM} --install-completion --json; exit $?"

    completed = subprocess.run(
        ["bash", "-c", line], env=environment({"SHELL": "/bin/bash"}), capture_output=True, text=True
    )

    assert completed.returncode == 0, completed.stderr
    assert '"shell":"bash"' in completed.stdout


@pytest.mark.usefixtures("home")
def test_a_shell_that_has_no_completion_is_wrong_usage() -> None:
    ended = run_program(
        "--install-completion", environ={"SHELL": "/bin/dash", "BASH_VERSION": "", "PATH": "/nowhere"}
    )

    assert (ended.code, "use --shell bash, zsh or fish" in ended.refusal) == (2, True)


# Helpers


def a_program_in(folder: Path) -> Path:
    folder.mkdir()
    program = folder / "vigie"
    program.write_text('#!/bin/sh\necho "given: $*"\n', encoding="utf-8")
    program.chmod(0o755)
    return folder


@contextmanager
def on_a_terminal(shell: str) -> Iterator[int]:
    """An interactive shell that waits for what is typed, and the other end of its terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "--wait", shell, "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment({"TERM": "vt100", "PS1": "ready> "}),
    ) as process:
        os.close(theirs)
        try:
            os.write(ours, b"echo be''gun\n")
            assert shows(ours, "begun")
            yield ours
        finally:
            # The shell hears that its terminal is gone.
            os.close(ours)
            process.wait(SECONDS_MAX)


def shows(terminal: int, wanted: str) -> bool:
    """Whether a text comes to stand on a terminal, in time."""
    shown = ""
    deadline = time.monotonic() + SECONDS_MAX
    while wanted not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return wanted in shown


def files_in(folder: Path) -> dict[str, str]:
    """What the files of a folder say, but for what shells keep for themselves."""
    return {
        str(file.relative_to(folder)): file.read_text(encoding="utf-8")
        for file in folder.rglob("*")
        if file.is_file() and ".cache" not in file.parts
    }
