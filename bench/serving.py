"""A server to load: the real program on a core of its own, with a store that has something to read in it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.builders import an_alert, an_incident
from tests.support.foreign_issuers import AUDIENCE, ForeignIssuer

PROGRAM = Path(sys.executable).with_name("vigie")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A server with something to read in it."""

    port: int
    tenant: str
    client_id: str
    secret: str
    public_client_id: str
    token: str
    incident: int
    issuer: ForeignIssuer
    pid: int


@contextmanager
def served(folder: Path, issuer: ForeignIssuer) -> Iterator[Target]:
    """Serve a new store in a folder, without quotas that matter, for as long as the block lasts."""
    (folder / "vigie.toml").write_text(
        f"""
[server]
port = 0
[quotas]
get_per_minute = 1000000000
get_per_hour = 1000000000
[identity]
sign_ins_per_minute = 1000000000
sign_ins_per_hour = 1000000000
[logging]
level = "error"
[[identity.issuers]]
issuer = "{issuer.url}"
audiences = ["{AUDIENCE}"]
tenants = ["contoso.example"]
application_when = {{ same = ["sub", "client_id"] }}
may_grant = ["Incident.Read.All"]
""",
        encoding="utf-8",
    )
    tenant = done(folder, "tenant", "add", "Contoso", "--domain", "contoso.example")["id"]
    application = done(
        folder, "app", "add", "reader", "--tenant", tenant, "--permission", "Incident.Read.All"
    )
    public = done(
        folder,
        *("app", "add", "desk", "--tenant", tenant, "--permission", "Incident.Read", "--public-client"),
        *("--redirect-uri", "http://localhost"),
    )
    incident = an_incident(an_alert("laptops"))
    (folder / "incident.json").write_text(json.dumps(incident), encoding="utf-8")
    done(folder, "import", "incident.json", "--tenant", tenant)
    token = done(folder, "token", "--app", "reader", "--tenant", tenant)["access_token"]
    with (folder / "log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            [PROGRAM, "serve", "--json"],
            cwd=folder,
            stdout=subprocess.PIPE,
            # A flood is refused by the thousand, and each refusal that is the server's own doing is an error.
            stderr=log,
            text=True,
            preexec_fn=lambda: pin(0),  # noqa: PLW1509  nothing else runs in threads yet
        )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        yield Target(
            port=int(url.rpartition(":")[2]),
            tenant=tenant,
            client_id=application["client_id"],
            secret=application["client_secret"],
            public_client_id=public["client_id"],
            token=token,
            incident=incident["incidentId"],
            issuer=issuer,
            pid=server.pid,
        )
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def done(folder: Path, *command: str) -> dict[str, str]:
    """What a command says that must succeed."""
    ended = subprocess.run(
        [PROGRAM, *command, "--json"], cwd=folder, capture_output=True, text=True, check=True
    )
    values = json.loads(ended.stdout.splitlines()[-1])
    return dict(values)


def memory_mib(pid: int) -> float:
    """What a process has in memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """What a process has spent of the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pin(core: int) -> None:
    """Keep this process on one core, if there are so many."""
    if len(os.sched_getaffinity(0)) > core:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[core]})
