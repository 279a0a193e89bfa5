"""Servers over one PostgreSQL, and one Valkey, as processes that can be killed and started again."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.commands import PROGRAM, done, environment, first_line_of
from tests.support.house import eventually
from tests.support.postgres_server import PostgresServer, a_postgres_server, a_standby
from tests.support.stores import NO_POSTGRES, a_secret_in, binaries
from tests.support.valkey import RunningValkey, free_port

TENANT = "contoso.example"
NUMBERS = tuple(range(1, 13))
"""The incidents that there are."""


@dataclass(kw_only=True)
class Node:
    """One server, always at the same port."""

    settings_file: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[str] | None" = None

    def begin(self) -> None:
        """Start it, without waiting."""
        log = self.settings_file.with_name(f"{self.port}.log")
        with log.open("a") as stderr:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--json", "--port", str(self.port), "--config", self.settings_file],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment({}),
            )

    def wait(self) -> Any:
        """Wait until it serves; what it says of that."""
        assert self.process is not None
        line = first_line_of(self.process)
        assert line, self.log
        return json.loads(line)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self.begin()
        self.wait()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @property
    def log(self) -> str:
        """What it has logged."""
        return self.settings_file.with_name(f"{self.port}.log").read_text(encoding="utf-8")


@dataclass(kw_only=True)
class Cluster:
    """Servers, what they stand on, and a token that reads, lists and updates."""

    nodes: Sequence[Node]
    primary: PostgresServer
    replica: PostgresServer
    valkey: RunningValkey
    token: str

    @property
    def ports(self) -> list[int]:
        """Where to ask."""
        return [node.port for node in self.nodes]

    def fail_over(self) -> None:
        """Make the standby the primary."""
        self.replica.promote()
        self.primary, self.replica = self.replica, self.primary

    def bring_standby_back(self) -> None:
        """Let the one that was the primary follow the one that is."""
        self.primary.sql("ALTER SYSTEM RESET synchronous_standby_names")
        self.replica.follow(self.primary)
        wait_for_each_change(self.primary)


@contextmanager
def a_cluster(folder: Path, *, nodes: int = 3) -> Iterator[Cluster]:
    """A new one that serves NUMBERS, with a standby that has every change before it is acknowledged."""
    found = binaries()
    if found is None:
        pytest.skip(NO_POSTGRES)
    with ExitStack() as stack:
        valkey = stack.enter_context(RunningValkey(folder))
        primary = stack.enter_context(a_postgres_server(found, "-c", "max_connections=120"))
        database = primary.new_database()
        replica = stack.enter_context(a_standby(primary, "-c", "max_connections=120"))
        wait_for_each_change(primary)
        url = f"postgresql://postgres@/{database}?host={primary.folder},{replica.folder}"
        settings_file = settings_file_in(folder, url, valkey.url)
        token = installed(folder, settings_file)
        servers = [Node(settings_file=settings_file) for _ in range(nodes)]
        for server in servers:
            stack.callback(server.kill)
            server.begin()
        for server in servers:
            server.wait()
        yield Cluster(nodes=servers, primary=primary, replica=replica, valkey=valkey, token=token)


def wait_for_each_change(primary: PostgresServer) -> None:
    """Let a primary acknowledge nothing from now on that its standby does not have."""
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    primary.sql("SELECT pg_reload_conf()")
    assert eventually(
        lambda: primary.sql("SELECT sync_state FROM pg_stat_replication") == "sync", within_seconds=20
    )


def settings_file_in(folder: Path, url: str, quota_store: str = "memory") -> Path:
    """A settings file for servers without quotas that matter."""
    names = [f"{call}_per_{time}" for call in ("get", "list", "update") for time in ("minute", "hour")]
    lines = [
        "[database]",
        f"url = {json.dumps(url)}",
        "[keys]",
        f"secret_file = {json.dumps(str(a_secret_in(folder)))}",
        "[quotas]",
        f"store = {json.dumps(quota_store)}",
        # More than a test asks for, and few enough to be counted.
        *(f"{name} = 100000" for name in names),
        "[logging]",
        'level = "warning"',
    ]
    file = folder / "vigie.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def installed(folder: Path, settings_file: Path) -> str:
    """A store with a tenant and incidents in it; the token of an application that may change them."""
    at = ("--config", settings_file)
    incidents = [an_incident(an_alert("laptops"), incidentId=number, comments=[]) for number in NUMBERS]
    file = folder / "incidents.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in incidents), encoding="utf-8")
    done("tenant", "add", "Contoso", "--domain", TENANT, *at)
    done("import", file, "--tenant", "Contoso", *at)
    done("app", "add", "worker", "--tenant", "Contoso", "--permission", "Incident.ReadWrite.All", *at)
    return str(done("token", "--app", "worker", "--tenant", "Contoso", *at)["access_token"])
