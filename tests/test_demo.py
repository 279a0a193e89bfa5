"""The demonstration: what it prints can be copied into any terminal and does what it says."""

import re
import shutil
import signal
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

from tests.commands import environment, run_program, running_program

# The comment above each line that a person may copy, and the status that it is to bring.
PROMISED = {
    "An application asks for a token, and reads the incident:": 200,
    "A user who sees the whole tenant:": 200,
    "A user who sees only the device group 'Workstations EU': fewer alerts.": 200,
    "Of what is not resolved yet, the five that were updated last:": 200,
    "An application that may write takes an incident on:": 200,
    "An id that no incident has: 404.": 404,
    "An application without any permission: 403.": 403,
}


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, which the lines are for, is not here")
def test_the_lines_to_try_work_in_a_terminal_of_any_directory() -> None:
    Path("a directory").mkdir()
    Path("elsewhere").mkdir()

    with running_program("demo", "--port", "0", cwd="a directory") as process:
        assert process.stdout is not None
        printed = "".join(takewhile(lambda line: not line.startswith("What the server"), process.stdout))
        lines = printed.partition("Try it yourself, in another terminal.\n")[2]
        tried = subprocess.run(
            ["sh", "-e", "-c", lines], cwd="elsewhere", env=environment({}), capture_output=True, text=True
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    assert tried.returncode == 0, tried.stderr
    assert re.findall("^# (.+)$", lines, re.MULTILINE) == list(PROMISED)
    assert list(map(int, re.findall(r"^HTTP/1.1 (\d+)", tried.stdout, re.MULTILINE))) == list(
        PROMISED.values()
    )
    assert tried.stdout.endswith("}\n")


def test_a_demonstration_that_ends_gives_no_lines_for_a_server_that_has_ended() -> None:
    ended = run_program("demo", "--once", "--port", "0")

    assert ended.code == 0
    assert "< HTTP/1.1 200 OK" in ended.out
    assert "Try it yourself" not in ended.out
    assert ended.err == "That was all; `vigie demo` serves on, and says what to try.\n"
