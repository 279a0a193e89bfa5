"""The log of `vigie serve`: the real program on pipes, files and terminals."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support.commands import events_in, first_line_of, running_program, served
from tests.support.house import eventually

DRAIN_SECONDS = 3
PIPE_BYTES = 4096


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# A pipe that nobody reads


@contextmanager
def on_a_full_pipe() -> Iterator[tuple["subprocess.Popen[str]", int, str]]:
    """The program once its stderr takes no more, the other end of that, and where it serves."""
    settings = f"[server]\ndrain_seconds = {DRAIN_SECONDS}\n[identity]\nrevocation_seconds = 0.1\n"
    Path("vigie.toml").write_text(settings, encoding="utf-8")
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        with running_program("serve", "--port", "0", "--json", stderr=writing) as process:
            os.close(writing)
            url = json.loads(first_line_of(process))["url"]
            with requests.Session() as session:
                for _ in range(100):
                    assert session.get(f"{url}/healthz", timeout=20).status_code == 200
            yield process, reading, url
    finally:
        os.close(reading)


def rare_events() -> None:
    """Have more events logged than the pipe has room for: its last page may have some."""
    Path(".vigie/signing-keys.json").write_text("{}", encoding="utf-8")
    # Two of them in each of these.
    time.sleep(PIPE_BYTES / 100 * 0.05)


def test_a_rare_event_on_a_full_pipe_stops_no_request_and_is_logged_when_the_pipe_drains() -> None:
    with on_a_full_pipe() as (process, reading, url):
        rare_events()

        assert requests.get(f"{url}/readyz", timeout=10).status_code == 200

        os.set_blocking(reading, False)
        said = bytearray()

        def has_heard_of_it() -> bool:
            try:
                said.extend(os.read(reading, 65536))
            except BlockingIOError:
                return False
            return b'"event":"keys_unreadable"' in said

        assert eventually(has_heard_of_it, within_seconds=10)
        assert process.poll() is None


def test_a_server_on_a_full_pipe_ends_within_its_drain_seconds() -> None:
    with on_a_full_pipe() as (process, _, _):
        rare_events()

        began = time.monotonic()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < DRAIN_SECONDS


# A terminal


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    ours, theirs = pty.openpty()
    try:
        with running_program("serve", "--port", "0", *arguments, stderr=theirs) as process:
            os.close(theirs)
            yield process, ours
    finally:
        os.close(ours)


def shown_until(terminal: int, end: str) -> str:
    shown = b""
    while end.encode() not in shown or not shown.endswith(b"\n"):
        shown += os.read(terminal, 4096)
    return shown.decode().replace("\r\n", "\n")


def test_on_a_terminal_events_are_lines_for_people_and_the_address_is_said() -> None:
    with on_a_terminal() as (process, terminal):
        started = shown_until(terminal, "Press Ctrl-C to stop.")
        (address,) = {
            line.rpartition(" ")[2].rstrip(".") for line in started.splitlines() if "listening on" in line
        }
        requests.get(f"http://{address}/healthz", timeout=20)
        asked = shown_until(terminal, "GET /healthz 200 ")
        process.send_signal(signal.SIGTERM)
        stopped = shown_until(terminal, " stopped")

        assert process.wait(timeout=20) == 0
    assert f" serving url=http://{address} address={address} " in started
    assert not [line for line in (started + asked + stopped).splitlines() if line.startswith("{")]


def test_the_setting_goes_before_what_stderr_is() -> None:
    Path("vigie.toml").write_text('[logging]\nformat = "json"\n', encoding="utf-8")
    with on_a_terminal() as (_, terminal):
        on_terminal = shown_until(terminal, "Press Ctrl-C to stop.")
    Path("vigie.toml").write_text('[logging]\nformat = "console"\n', encoding="utf-8")
    log = Path("log")
    with served("--port", "0", log=log):
        assert eventually(lambda: " serving url=" in log.read_text(encoding="utf-8"), within_seconds=10)

    events = [json.loads(line)["event"] for line in on_terminal.splitlines() if line.startswith("{")]
    assert "serving" in events
    assert "{" not in log.read_text(encoding="utf-8")


# What is said of the address


@pytest.mark.parametrize(
    ("arguments", "settings", "is_warned"),
    [
        (["--host", "0.0.0.0"], "", True),
        (["--host", "0.0.0.0", "--public-url", "https://vigie.example"], "", True),
        (["--host", "0.0.0.0"], '[server]\ntrusted_proxies = ["10.0.0.7"]\n', False),
        (["--host", "0.0.0.0", "--tls", "auto"], "", False),
        (["--host", "127.0.0.1"], "", False),
        (["--host", "localhost"], "", False),
    ],
)
def test_a_server_that_offers_plain_http_to_the_network_warns(
    arguments: list[str], settings: str, is_warned: bool
) -> None:
    Path("vigie.toml").write_text(settings, encoding="utf-8")
    log = Path("log")

    with served("--port", "0", *arguments, log=log) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    events = {event["event"]: event for event in events_in(log)}
    address = events["serving"]["address"]
    assert address.startswith("0.0.0.0:" if "0.0.0.0" in arguments else "127.0.0.1:")
    assert ("tokens_over_plain_http" in events) == is_warned
    if is_warned:
        assert events["tokens_over_plain_http"]["address"] == address
        assert "--tls auto" in events["tokens_over_plain_http"]["reason"]
