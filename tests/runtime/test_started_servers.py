"""The servers that tests start: each is there in time or fails with what it said, and none waits for us."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests

from tests.support import postgres_server, valkey
from tests.support.commands import first_line_of, running_program, served
from tests.support.house import eventually
from tests.support.postgres_server import PostgresServer, a_postgres_server
from tests.support.stores import NO_POSTGRES, binaries
from tests.support.valkey import RunningValkey

MORE_THAN_A_PIPE_HOLDS = 500


def a_program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)


def test_a_served_program_goes_on_though_nobody_reads_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path("serve.log")

    with served("--port", "0", log=log) as (_, said), requests.Session() as session:
        for _ in range(MORE_THAN_A_PIPE_HOLDS):
            assert session.get(f"{said['url']}/healthz", timeout=20).status_code == 200
        Path(".vigie/signing-keys.json").write_text("{}", encoding="utf-8")

        assert eventually(lambda: "keys_unreadable" in log.read_text(encoding="utf-8"), within_seconds=10)
        assert session.get(f"{said['url']}/healthz", timeout=20).status_code == 200

    events = [json.loads(line)["event"] for line in log.read_text(encoding="utf-8").splitlines()]
    assert events.count("request") >= MORE_THAN_A_PIPE_HOLDS


def test_a_program_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.commands.PROGRAM", "/bin/sleep")

    with running_program(60) as process:
        assert first_line_of(process, within_seconds=0.1) == ""

    assert process.returncode == -9


@pytest.mark.postgres
def test_a_postgres_that_ends_at_once_is_told_with_its_log() -> None:
    found = binaries()
    if found is None:
        pytest.skip(NO_POSTGRES)

    with (
        pytest.raises(AssertionError, match='unrecognized configuration parameter "nonsense"'),
        a_postgres_server(found, "-c", "nonsense=1"),
    ):
        pass


def test_a_postgres_that_does_not_answer_is_told_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_server, "START_SECONDS_MAX", 0.5)
    monkeypatch.setattr(postgres_server, "STOP_SECONDS_MAX", 0.1)
    # Not in the tests' own folders: postgres must be able to walk there.
    with TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        a_program(folder / "postgres", "trap '' INT; echo starting; while :; do sleep 1; done")
        a_program(folder / "pg_isready", "exit 2")
        server = PostgresServer(binaries=folder, folder=folder)

        with pytest.raises(AssertionError, match=r"does not answer after 0\.5 s:\nstarting"):
            server.start()
        server.stop()

    assert server.process is not None
    assert server.process.returncode == -9


@pytest.mark.valkey
def test_a_valkey_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    running = RunningValkey(tmp_path, "--nonsense", "1")

    with pytest.raises(AssertionError, match=r"ended at once:\n(?s:.*)nonsense"):
        running.start()


@pytest.mark.valkey
def test_a_valkey_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "START_SECONDS_MAX", 0.2)
    monkeypatch.setattr(valkey, "PROGRAM", sys.executable)
    running = RunningValkey(tmp_path)
    running.command = [sys.executable, "-c", "import time; print('starting', flush=True); time.sleep(60)"]

    with pytest.raises(AssertionError, match=r"does not answer after 0\.2 s:\nstarting"), running:
        pass
