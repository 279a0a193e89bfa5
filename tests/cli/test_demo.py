"""The demonstration: what it prints can be copied into any terminal and does what it says."""

import re
import shutil
import signal
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest

from tests.support.commands import environment, run_program, running_program, served
from vigie.synthetic.sample_clients import READER, RESPONDER, SAMPLE_CLIENTS

# The comment above each line that a person may copy, and the status that it is to bring.
PROMISED = {
    "An application gets a token and reads the incident:": 200,
    "A user who sees the whole tenant:": 200,
    "A user who sees only the device group 'Workstations EU': fewer alerts.": 200,
    "The five unresolved incidents that were updated last:": 200,
    "An application with write permission updates an incident:": 200,
    "What changed, the first three changes of all:": 200,
    "An unknown incident id: 404.": 404,
    "An application without any permission: 403.": 403,
}


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.programs("curl")
def test_the_lines_to_try_work_in_a_terminal_of_any_directory() -> None:
    Path("a directory").mkdir()
    Path("elsewhere").mkdir()

    with running_program("demo", "--port", "0", cwd="a directory") as process:
        assert process.stdout is not None
        printed = "".join(takewhile(lambda line: not line.startswith("The ids and secrets"), process.stdout))
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
    assert (
        ended.err
        == "Run `vigie demo` without --once to keep the server running and to see commands to try.\n"
    )


def secrets_printed() -> list[str]:
    with running_program("demo", "--port", "0") as process:
        assert process.stdout is not None
        printed = "".join(takewhile(lambda line: not line.startswith("API reference"), process.stdout))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert len(printed.splitlines()) <= 45
    return re.findall(r"client_(?:id|secret)=([\w-]+)", printed)


def test_every_demonstration_is_short_and_has_the_same_ids_and_secrets() -> None:
    first = secrets_printed()

    again = secrets_printed()
    shutil.rmtree(".vigie")
    anew = secrets_printed()

    assert first == again == anew
    assert set(first) == {text for each in SAMPLE_CLIENTS for text in (each.client_id, each.secret)}


def test_applications_of_an_earlier_demonstration_are_replaced() -> None:
    assert run_program("demo", "--once", "--port", "0").code == 0
    database = ("--database", "sqlite:///.vigie/demo/vigie.sqlite3", "--tenant", "sample.example")
    assert run_program("app", "rotate-secret", READER.name, *database, "--overlap", "0").code == 0
    assert run_program("app", "remove", RESPONDER.name, *database, "--yes").code == 0
    assert run_program("app", "add", RESPONDER.name, *database).code == 0

    assert "< HTTP/1.1 200 OK" in run_program("demo", "--once", "--port", "0").out


def test_one_call_is_shown_with_its_status_and_the_beginning_of_its_answer() -> None:
    lines = run_program("demo", "--once", "--port", "0").out.splitlines()

    assert re.fullmatch(r"> GET /api/incidents/\d+ HTTP/1\.1", lines[0])
    assert lines[2] == "< HTTP/1.1 200 OK"
    assert '  "incidentId": ' in "\n".join(lines)
    assert re.fullmatch(r"\.\.\. and \d+ more lines", lines[-2])
    assert len(lines) <= 20


@pytest.mark.parametrize("option", [("--database", "sqlite:///mine.sqlite3"), ("--config", "mine.toml")])
def test_a_database_or_settings_for_the_demonstration_are_refused(option: tuple[str, str]) -> None:
    ended = run_program("demo", "--once", "--port", "0", *option)

    assert ended.code == 2
    assert ended.refusal.startswith(
        f"vigie: {option[0]} cannot be used with the demo, whose secrets are publicly known"
    )
    assert list(Path().iterdir()) == []


def test_settings_that_lie_about_are_not_read() -> None:
    Path("vigie.toml").write_text("[nonsense]\n", encoding="utf-8")

    ended = run_program("demo", "--once", "--port", "0", environ={"VIGIE_DATABASE": "sqlite:///mine.sqlite3"})

    assert ended.code == 0
    assert not Path("mine.sqlite3").exists()


def test_no_server_serves_a_database_with_the_secrets_of_the_demonstration() -> None:
    assert run_program("demo", "--once", "--port", "0").code == 0
    assert (
        run_program("backup", "mine.sqlite3", "--database", "sqlite:///.vigie/demo/vigie.sqlite3").code == 0
    )
    mine = ("--database", "sqlite:///mine.sqlite3")

    refused = run_program("serve", "--port", "0", *mine)

    assert refused.code == 1
    assert "of `vigie demo`, whose secret is publicly known" in refused.refusal
    assert "run `vigie tenant remove sample.example`" in refused.refusal
    assert run_program("tenant", "remove", "sample.example", "--yes", *mine).code == 0
    with served("--port", "0", *mine):
        pass
