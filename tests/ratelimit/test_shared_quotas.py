"""Several servers and one quota: the program as processes over one store, and one Valkey that comes and goes."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from subprocess import PIPE
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_incident
from tests.support.commands import PROGRAM, done, environment, events_in, first_line_of, run_program, served
from tests.support.house import House, RunningHouse, eventually, settings_in
from tests.support.valkey import RunningValkey
from vigie.config.settings import QuotaSettings

OF_CONTOSO = ("--tenant", "contoso")
PER_MINUTE, PER_HOUR = 12, 30
KNOCKS = PER_MINUTE + 9
CALLERS_COUNT = 20
BACK_SECONDS_MAX = 10.0

Ask = Callable[[str], tuple[int, str | None]]


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[RunningValkey]:
    with RunningValkey(tmp_path) as running:
        yield running


@pytest.fixture
def installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: RunningValkey
) -> Callable[..., None]:
    """Makes a store with a tenant and an incident, and settings that share a quota."""
    monkeypatch.chdir(tmp_path)
    Path("incident.json").write_text(json.dumps(an_incident(incidentId=1)), encoding="utf-8")

    def make(**quotas: str | int) -> None:
        said = {"get_per_minute": PER_MINUTE, "get_per_hour": PER_HOUR, "store": valkey.url, **quotas}
        house = settings_in(tmp_path)
        sections: dict[str, dict[str, Any]] = {"quotas": said, "database": {"url": house.database.url}}
        # With a store that servers share, the keys lie in it.
        if keys := getattr(house, "keys", None):
            sections["keys"] = {"secret_file": keys.secret_file}
        lines = [
            line
            for section, values in sections.items()
            for line in (f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()))
        ]
        Path("vigie.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
        done("tenant", "add", "contoso")
        done("import", "incident.json", *OF_CONTOSO)

    return make


def a_token(name: str) -> str:
    done("app", "add", name, *OF_CONTOSO, "--permission", "Incident.Read.All")
    return str(done("token", *OF_CONTOSO, "--app", name)["access_token"])


@contextmanager
def servers(count: int) -> Iterator[list[str]]:
    """So many processes over the same store; their addresses."""
    with ExitStack() as stack:
        yield [stack.enter_context(served("--port", "0"))[1]["url"] for _ in range(count)]


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """Gets the incident over one connection: the status, and Retry-After."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)

    def ask(token: str) -> tuple[int, str | None]:
        connection.request("GET", "/api/incidents/1", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Retry-After"]

    try:
        yield ask
    finally:
        connection.close()


def hammer(urls: list[str], token: str, calls: int) -> Counter[int]:
    """What one caller is answered who asks all servers in turn."""
    with ExitStack() as stack:
        asks = cycle([stack.enter_context(asking(url)) for url in urls])
        return Counter(next(asks)(token)[0] for _ in range(calls))


def metric(url: str, name: str) -> float:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_three_servers_give_every_caller_exactly_one_quota_in_every_window(
    valkey: RunningValkey, installation: Callable[..., None]
) -> None:
    installation()
    tokens = [a_token(f"app-{number}") for number in range(CALLERS_COUNT)]
    answered = []

    with servers(3) as urls, ThreadPoolExecutor(CALLERS_COUNT) as callers:
        for _ in range(4):
            rounds = [callers.submit(hammer, urls, token, KNOCKS) for token in tokens]
            answered.append([each.result() for each in rounds])
            valkey.let_pass(60)
        valkey.let_pass(3600)
        rounds = [callers.submit(hammer, urls, token, KNOCKS) for token in tokens]
        answered.append([each.result() for each in rounds])

    # Two minutes in full, the rest of the hour, nothing more in it; and a new hour.
    expected = [PER_MINUTE, PER_MINUTE, PER_HOUR - 2 * PER_MINUTE, 0, PER_MINUTE]
    assert answered == [
        [+Counter({200: admitted, 429: KNOCKS - admitted})] * CALLERS_COUNT for admitted in expected
    ]


@pytest.mark.parametrize(
    ("when_gone", "statuses"), [("local", {200, 429}), ("refuse", {200, 429, 503})], ids=["local", "refuse"]
)
def test_a_valkey_that_is_killed_under_load_is_done_without_and_taken_back(
    valkey: RunningValkey, installation: Callable[..., None], when_gone: str, statuses: set[int]
) -> None:
    installation(when_gone=when_gone, get_per_minute=1000, get_per_hour=1_000_000)
    tokens = [a_token(f"app-{number}") for number in range(4)]
    seen: list[tuple[int, str | None]] = []
    slowest_seconds = 0.0
    has_ended = threading.Event()

    def load(urls: list[str], token: str) -> None:
        nonlocal slowest_seconds
        with ExitStack() as stack:
            asks = cycle([stack.enter_context(asking(url)) for url in urls])
            while not has_ended.is_set():
                began_seconds = time.monotonic()
                seen.append(next(asks)(token))
                slowest_seconds = max(slowest_seconds, time.monotonic() - began_seconds)

    def ups(urls: list[str]) -> list[float]:
        return [metric(url, "vigie_quota_store_up") for url in urls]

    def without(url: str) -> float:
        return metric(url, "vigie_quota_calls_without_store_total")

    with servers(2) as urls, ThreadPoolExecutor(len(tokens)) as callers:
        loads = [callers.submit(load, urls, token) for token in tokens]
        try:
            assert eventually(lambda: len(seen) > 100)
            valkey.kill()
            assert eventually(lambda: ups(urls) == [0, 0])
            calls_before = len(seen)
            assert eventually(lambda: len(seen) > calls_before + 100)
            meanwhile = {status for status, _ in seen[calls_before:]}
            assert eventually(lambda: all(without(url) > 0 for url in urls))
            valkey.start()
            assert eventually(lambda: ups(urls) == [1, 1], within_seconds=BACK_SECONDS_MAX)
            assert eventually(lambda: len(valkey.do("KEYS", "vigie:{1:*")) == len(tokens))
        finally:
            has_ended.set()
        for each in loads:
            each.result()

    assert {status for status, _ in seen} <= statuses
    assert meanwhile == ({503} if when_gone == "refuse" else meanwhile - {503})
    assert {after for status, after in seen if status == 503} <= {"2"}
    assert slowest_seconds < BACK_SECONDS_MAX


def test_a_server_without_its_quota_store_refuses_in_the_api_s_own_words(
    tmp_path: Path, valkey: RunningValkey
) -> None:
    valkey.kill()
    quotas = QuotaSettings(store=valkey.url, when_gone="refuse")
    with RunningHouse(tmp_path, quotas=quotas) as running:
        house = House(running)
        token, number = house.a_token(), house.takes(an_incident())

        refused = house.get(number, token)

        assert (refused.status, refused.code) == (503, "ServiceUnavailable")
        assert refused.header("retry-after") == "2"
        assert str(valkey.port) not in refused.json["error"]["message"]
        assert house.get(number, "no token").status == 401
        assert house.get("/readyz", None).status == 200


def test_over_a_shared_quota_the_answer_names_the_window_and_the_wait(
    tmp_path: Path, valkey: RunningValkey
) -> None:
    with RunningHouse(tmp_path, quotas=QuotaSettings(store=valkey.url, get_per_minute=2)) as running:
        house = House(running)
        token, number = house.a_token(), house.takes(an_incident())

        *_, refused = [house.get(number, token) for _ in range(3)]

        assert (refused.status, refused.code) == (429, "429")
        assert refused.stated_wait == ("2 per 00:01:00", "60")


def test_the_log_says_that_the_store_is_gone_and_back_but_not_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: RunningValkey
) -> None:
    monkeypatch.chdir(tmp_path)
    valkey.kill()
    Path("vigie.toml").write_text(
        f'[quotas]\nstore = "valkey://:hunter2@127.0.0.1:{valkey.port}"\n', encoding="utf-8"
    )

    log = Path("serve.log")
    with served("--port", "0", log=log) as (process, said):
        valkey.start()
        valkey.do("CONFIG", "SET", "requirepass", "hunter2")
        assert eventually(lambda: metric(said["url"], "vigie_quota_store_up") == 1, within_seconds=5)
        process.terminate()
        process.communicate(timeout=20)

    told = [event for event in events_in(log) if event["event"].startswith("quota_store")]
    assert [event["event"] for event in told] == ["quota_store_gone", "quota_store_back"]
    assert {event["store"] for event in told} == {f"127.0.0.1:{valkey.port}"}
    assert told[0]["when_gone"] == "local"
    assert "hunter2" not in log.read_text(encoding="utf-8")


def test_a_start_with_quota_settings_that_do_not_go_together_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {
        "VIGIE_QUOTAS_STORE": "valkey://valkey.example",
        "VIGIE_QUOTAS_PASSWORD_FILE": "nowhere",
    }

    ended = run_program("serve", "--port", "0", environ=variables)

    assert ended.code == 2
    assert "[quotas] password_file = nowhere: cannot be read: No such file or directory" in ended.refusal


@pytest.mark.parametrize("counted_in", ["memory", "valkey://valkey.example"])
def test_the_library_is_asked_for_only_where_a_store_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted_in: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vigie.toml").write_text(f'[quotas]\nstore = "{counted_in}"\n', encoding="utf-8")
    without_library = (
        "import sys; sys.modules['redis'] = None; from vigie.cli.main import main;"
        "sys.exit(main(['serve', '--port', '0', '--json']))"
    )
    command = [str(PROGRAM.with_name("python")), "-c", without_library]

    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment({})) as process:
        line = first_line_of(process)
        process.terminate()
        said = process.communicate(timeout=20)[1]

    assert bool(line) == (counted_in == "memory")
    assert ("pip install '.[valkey]'" in said) == (counted_in != "memory")
