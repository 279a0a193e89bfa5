"""The peers as processes: their environment, their data, and the usual server of each."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from bench.callers import Trust, trust_of
from bench.processes import BenchError, Server, clean_environment, free_port, running
from bench.programs import WORK
from bench.results import ROOT
from bench.stores import AUDIENCE, Store
from bench.vigie_server import QUOTA_CALLS

PEERS = ROOT / "bench" / "peers"
ENVIRONMENT = WORK / "peers"
INCIDENTS = 2_000
"""Fewer than Vigie has, in the peers' favour: all of it fits into their page caches."""

_UVICORN = ("uvicorn", "--no-access-log", "--log-level", "warning", "--workers", "1", "--backlog", "4096")
# Threads, as the plain worker closes every connection after one request.
_GUNICORN = (
    "gunicorn",
    "--workers",
    "1",
    "--worker-class",
    "gthread",
    "--threads",
    "8",
    "--keep-alive",
    "600",
)
_COMMANDS: dict[str, tuple[tuple[str, ...], str]] = {
    "fastapi-json": ((*_UVICORN, "fastapi_json:app"), "json"),
    "fastapi-relational": ((*_UVICORN, "fastapi_relational:app"), "relational"),
    "flask": ((*_GUNICORN, "flask_relational:app"), "relational"),
    "drf": ((*_GUNICORN, "drf.wsgi:application"), "relational"),
}
PEER_NAMES = tuple(_COMMANDS)


def require_peers() -> None:
    """Raise BenchError when the peers are not installed."""
    if not (ENVIRONMENT / "bin" / "uvicorn").exists():
        raise BenchError("the peers are not installed; `make .bench/peers/.installed` does it")


@contextmanager
def serving_peer(name: str, store: Store) -> Iterator[Server]:
    """A peer on the servers' core, with the first incidents of a store and its callers."""
    trust = trust_of(store)
    folder = _filled(store, trust)
    program, kind = _COMMANDS[name]
    port = free_port()
    address = ("--port", str(port)) if program[0] == "uvicorn" else ("--bind", f"127.0.0.1:{port}")
    with running(
        name,
        [ENVIRONMENT / "bin" / program[0], *program[1:], *address],
        port,
        ready_path="/",
        environ=_environment(folder, kind, trust),
        folder=PEERS,
        log=folder / f"{name}.log",
    ) as server:
        yield server


def _environment(folder: Path, kind: str, trust: Trust) -> dict[str, str]:
    key = folder / "public-key.pem"
    key.write_bytes(trust.public_key)
    return {
        "BENCH_DATABASE": str(folder / f"{kind}.sqlite3"),
        "BENCH_AUDIENCE": AUDIENCE,
        "BENCH_ISSUER": trust.issuer,
        "BENCH_PUBLIC_KEY": str(key),
        "BENCH_CALLS_PER_MINUTE": str(QUOTA_CALLS),
        "BENCH_CALLS_PER_HOUR": str(QUOTA_CALLS),
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _filled(store: Store, trust: Trust) -> Path:
    """The peers' databases beside the store, made when there are none yet."""
    folder = store.folder / "peers"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        _load(part, store, trust)
        part.rename(folder)
    return folder


def _load(folder: Path, store: Store, trust: Trust) -> None:
    command: list[str | Path] = [ENVIRONMENT / "bin" / "python", PEERS / "load.py", folder, trust.tenant_guid]
    with (
        subprocess.Popen(
            [store.program.path, "export", "--tenant", trust.tenant_guid, "--database", store.url],
            stdout=subprocess.PIPE,
            env=clean_environment(),
        ) as export,
        subprocess.Popen([*command, json.dumps(trust.callers)], stdin=subprocess.PIPE) as loader,
    ):
        assert export.stdout is not None
        assert loader.stdin is not None
        for line in islice(export.stdout, INCIDENTS):
            loader.stdin.write(line)
        loader.stdin.close()
        export.kill()
    if loader.returncode:
        raise BenchError("the peers' databases could not be filled")
