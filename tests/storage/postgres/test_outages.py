"""A PostgreSQL that refuses while Vigie serves: 503 until it is put right, one warning, and no restart."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from asyncpg import exceptions

from tests.faults.cluster import installed, settings_file_in
from tests.support.commands import events_in, run, served
from tests.support.house import eventually
from tests.support.postgres_server import PostgresServer, a_postgres_server, a_standby
from tests.support.stores import NO_POSTGRES, binaries
from vigie.storage.postgres.failures import KINDS, FailureKind, NoHostTaken, is_outage, kind_of

PASSWORD = "right"
BACK_SECONDS_MAX = 20.0
CALLS = (
    ("GET", "/api/incidents/1"),
    ("GET", "/api/incidents"),
    ("PATCH", "/api/incidents/1"),
    ("GET", "/readyz"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    found = binaries()
    if found is None:
        pytest.skip(NO_POSTGRES)
    with a_postgres_server(found, "-c", "fsync=off") as running:
        admit(running, "local all vigie scram-sha-256")
        running.sql(f"CREATE ROLE vigie LOGIN PASSWORD '{PASSWORD}'")
        yield running


def admit(server: PostgresServer, *lines: str) -> None:
    """Let these lines stand before those that trust everybody."""
    (server.data / "pg_hba.conf").write_text(
        "\n".join([*lines, "local all all trust", "local replication all trust", ""])
    )
    server.sql("SELECT pg_reload_conf()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server on a database of its own."""

    address: str
    token: str
    log: Path

    def statuses(self) -> list[tuple[int, bool]]:
        """How it answers each of CALLS, and whether it says when to come again."""
        return [self._call(method, path) for method, path in CALLS]

    def becomes(self, status: int) -> bool:
        """Whether it comes to say so of its readiness, which it looks at once in a second."""
        return eventually(lambda: self._call("GET", "/readyz")[0] == status, within_seconds=BACK_SECONDS_MAX)

    def _call(self, method: str, path: str) -> tuple[int, bool]:
        body = json.dumps({"assignedTo": "ana@contoso.example"}).encode() if method == "PATCH" else None
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}{path}", data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
                return int(answer.status), "Retry-After" in answer.headers
        except urllib.error.HTTPError as error:
            error.close()
            return error.code, "Retry-After" in error.headers

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has logged under a name."""
        return [event for event in events_in(self.log) if event["event"] == name]


@pytest.fixture(scope="module")
def running(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    server.sql("CREATE DATABASE vigie OWNER vigie TEMPLATE template0")
    with serving(
        f"postgresql://vigie:{PASSWORD}@/vigie?host={server.folder}", tmp_path_factory.mktemp("vigie")
    ) as it:
        yield it


@contextmanager
def serving(url: str, folder: Path) -> Iterator[Served]:
    file = settings_file_in(folder, url)
    file.write_text(file.read_text().replace('"warning"', '"info"'))
    token = installed(folder, file)
    log = folder / "log"
    with served("--port", 0, "--config", file, log=log) as (_, said):
        yield Served(address=said["url"], token=token, log=log)


@pytest.mark.parametrize(
    ("broken", "mended", "said"),
    [
        (
            "ALTER ROLE vigie PASSWORD 'wrong'",
            f"ALTER ROLE vigie PASSWORD '{PASSWORD}'",
            "InvalidPasswordError",
        ),
        ("ALTER ROLE vigie NOLOGIN", "ALTER ROLE vigie LOGIN", "InvalidAuthorizationSpecificationError"),
        (
            "ALTER DATABASE vigie ALLOW_CONNECTIONS false",
            "ALTER DATABASE vigie ALLOW_CONNECTIONS true",
            "ObjectNotInPrerequisiteStateError",
        ),
        (
            "ALTER DATABASE vigie RENAME TO other",
            "ALTER DATABASE other RENAME TO vigie",
            "InvalidCatalogNameError",
        ),
        (
            "ALTER ROLE vigie CONNECTION LIMIT 0",
            "ALTER ROLE vigie CONNECTION LIMIT -1",
            "TooManyConnectionsError",
        ),
    ],
)
def test_a_request_that_postgres_refuses_is_answered_503_and_goes_on_when_it_is_put_right(
    server: PostgresServer, running: Served, broken: str, mended: str, said: str
) -> None:
    assert running.statuses() == [(200, False)] * len(CALLS)
    warned = len(running.events("directory_unavailable"))

    if "RENAME" in broken:
        server.sql("ALTER DATABASE vigie ALLOW_CONNECTIONS false")
        end_sessions(server)
    server.sql(broken)
    if "RENAME" in broken:
        server.sql("ALTER DATABASE other ALLOW_CONNECTIONS true")
    end_sessions(server)
    assert running.becomes(503)
    refused = [running.statuses() for _ in range(3)]
    assert eventually(lambda: len(running.events("directory_unavailable")) > warned, within_seconds=10)
    server.sql(mended)

    assert refused == [[(503, True)] * len(CALLS)] * 3
    assert eventually(
        lambda: running.statuses() == [(200, False)] * len(CALLS), within_seconds=BACK_SECONDS_MAX
    )
    warnings = running.events("directory_unavailable")[warned:]
    assert said in warnings[-1]["reason"]
    assert len(warnings) <= 2
    assert eventually(lambda: running.events("directory_available") != [], within_seconds=10)
    assert running.events("internal_error") == running.events("background_task_failed") == []


@pytest.mark.parametrize(
    ("broken", "mended"),
    [
        ("ALTER TABLE incident OWNER TO postgres", "ALTER TABLE incident OWNER TO vigie"),
        ("ALTER TABLE incident RENAME TO gone", "ALTER TABLE gone RENAME TO incident"),
        ("ALTER TABLE incident RENAME document TO gone", "ALTER TABLE incident RENAME gone TO document"),
        ("ALTER SCHEMA public RENAME TO gone", "ALTER SCHEMA gone RENAME TO public"),
    ],
)
def test_a_request_to_tables_that_are_closed_or_gone_is_answered_503(
    server: PostgresServer, running: Served, broken: str, mended: str
) -> None:
    assert running.statuses() == [(200, False)] * len(CALLS)

    server.sql(broken, database="vigie")
    # Readiness does not look at that column.
    assert running.becomes(200 if "document" in broken else 503)
    refused = running.statuses()
    server.sql(mended, database="vigie")

    assert refused[:3] == [(503, True)] * 3
    assert refused[3] == ((200, False) if "document" in broken else (503, True))
    assert eventually(
        lambda: running.statuses() == [(200, False)] * len(CALLS), within_seconds=BACK_SECONDS_MAX
    )
    assert running.events("internal_error") == []


def end_sessions(server: PostgresServer) -> None:
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vigie'")


def test_every_class_of_postgres_error_has_its_place() -> None:
    codes = {getattr(error, "sqlstate", None) for error in vars(exceptions).values()}
    classes = {code[:2] for code in codes if code}

    assert len(classes) > 40
    assert classes - {code for code in KINDS if len(code) == 2} == set()
    assert set(KINDS.values()) == set(FailureKind)


@pytest.mark.parametrize(
    "code",
    ["28P01", "28000", "55000", "3D000", "57P01", "57P03", "53300", "08006", "42501", "58030", "XX001"],
)
def test_what_an_operator_or_a_failing_machine_causes_is_an_outage(code: str) -> None:
    assert is_outage(asyncpg.PostgresError.new({"C": code, "M": ""}))


@pytest.mark.parametrize("code", ["23505", "42601", "22003", "25P02"])
def test_what_we_ask_wrongly_is_a_defect(code: str) -> None:
    assert not is_outage(asyncpg.PostgresError.new({"C": code, "M": ""}))


# Several hosts


@pytest.fixture(scope="module")
def replica(server: PostgresServer) -> Iterator[PostgresServer]:
    with a_standby(server) as following:
        yield following


@pytest.mark.parametrize(
    "line", ["local all vigie reject", "local all vigie scram-sha-256", "local vigie postgres trust"]
)
def test_of_several_hosts_one_that_rejects_keeps_none_of_the_others_from_being_asked(
    server: PostgresServer, replica: PostgresServer, tmp_path: Path, line: str
) -> None:
    """Rejected, asked for a password that is wrong there, or without a line for anybody but somebody else."""
    admit(server, "local all vigie trust")
    (replica.data / "pg_hba.conf").write_text(f"{line}\nlocal all postgres trust\n")
    replica.sql("SELECT pg_reload_conf()")
    name = server.new_database()
    server.sql(f"ALTER DATABASE {name} OWNER TO vigie")

    with serving(f"postgresql://vigie:wrong@/{name}?host={replica.folder},{server.folder}", tmp_path) as it:
        assert it.statuses() == [(200, False)] * len(CALLS)


def test_where_no_host_takes_the_connection_the_reason_of_each_is_said(
    server: PostgresServer, replica: PostgresServer, tmp_path: Path
) -> None:
    for each in (server, replica):
        (each.data / "pg_hba.conf").write_text("local all vigie reject\nlocal all postgres trust\n")
        each.sql("SELECT pg_reload_conf()")

    ended = run(
        "tenant",
        "list",
        "--database",
        f"postgresql://vigie@/vigie?host=/none,{replica.folder},{server.folder}",
    )

    assert ended.code == 1
    assert "/none: [Errno 2]" in ended.refusal
    for each in (server, replica):
        assert f"{each.folder}: pg_hba.conf rejects connection" in ended.refusal


def test_of_the_reasons_of_several_hosts_one_that_may_pass_is_enough_to_try_again() -> None:
    rejected, starting = (asyncpg.PostgresError.new({"C": code, "M": ""}) for code in ("28000", "57P03"))

    assert kind_of(NoHostTaken([("a", rejected), ("b", starting)])) is FailureKind.LOST
    assert kind_of(NoHostTaken([("a", rejected), ("b", rejected)])) is FailureKind.UNAVAILABLE
