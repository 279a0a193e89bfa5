"""The rows of a whole life: start, memory idle and under load, size on the disk, and the C loop."""

import compileall
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.callers import first_token, tokens_file
from bench.driver import Bench
from bench.processes import SERVER_CORE, BenchError, clean_environment, free_port, pinned
from bench.results import Figure, Skipped
from bench.stores import (
    READER_COUNT,
    ROOT,
    TENANT,
    VIGIE,
    WORK,
    Store,
    database,
    filled_store,
)
from bench.vigie_server import serving_store
from bench.wrk import Load, run_slice

START, MEMORY, SIZE, C_LOOP = "start", "memory", "size", "C loop over SQLite"

OF_A_HUNDRED, OF_ALL = "of a hundred incidents", "of all incidents"

_STARTS = 5
_START_SECONDS_MAX = 30
_READ_SECONDS = 2
_READS_TOO_MANY = 5_000
"""How many more than wanted the last slice may bring each caller."""
_C_READS = 300_000
_MEGABYTE = 1e6


def start(bench: Bench) -> None:
    """From the start of the program to the first answer, on a database without incidents and on a filled one."""
    for name, store in (("empty database", filled_store(0)), ("filled database", bench.store)):
        tokens = tokens_file(store, "application")
        seconds = median(_seconds_to_first_answer(store, first_token(tokens)) for _ in range(_STARTS))
        bench.results.add(Figure(row=START, name=name, value=seconds, unit="s"))
    bench.results.add(
        Figure(row=START, name="incidents in the filled database", value=bench.store.incident_count, unit="")
    )


def _seconds_to_first_answer(store: Store, token: str) -> float:
    port = free_port()
    command = pinned(SERVER_CORE, [VIGIE, "serve", "--port", str(port), *database(store)])
    request = f"GET /api/incidents/1 HTTP/1.1\r\nHost: vigie.example\r\nAuthorization: Bearer {token}\r\n\r\n"
    began_seconds = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=clean_environment()) as process:
        try:
            status = _first_status(port, request.encode(), began_seconds)
            seconds = time.monotonic() - began_seconds
        finally:
            process.terminate()
    if status not in (b"200", b"404"):
        raise BenchError(f"the first answer after a start was {status!r}")
    return seconds


def _first_status(port: int, request: bytes, began_seconds: float) -> bytes:
    while time.monotonic() < began_seconds + _START_SECONDS_MAX:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_START_SECONDS_MAX) as connection:
                connection.sendall(request)
                return connection.recv(12)[9:12]
        except ConnectionError:
            time.sleep(0.001)
    raise BenchError("the server did not start")


def memory(bench: Bench) -> None:
    """Resident memory of an idle server, and after reads by a hundred callers whose every call is still counted."""
    per_caller = str(bench.reads // READER_COUNT + _READS_TOO_MANY)
    environ = {"VIGIE_QUOTAS_GET_PER_MINUTE": per_caller, "VIGIE_QUOTAS_GET_PER_HOUR": per_caller}
    tokens = tokens_file(bench.store, "readers", count=READER_COUNT)
    for name, last in ((OF_A_HUNDRED, 100), (OF_ALL, bench.store.incident_count)):
        load = Load(target="/api/incidents/%d", tokens=tokens, last=last, body_bytes_min=4_000)
        with serving_store(bench.store, environ=environ) as vigie:
            idle = vigie.resident_bytes()
            reads, number = 0, 0
            while reads < bench.reads:
                number += 1
                reads += run_slice(
                    vigie, load, row=MEMORY, contender=name, round_number=number, seconds=_READ_SECONDS
                ).requests
            grown = vigie.resident_bytes() - idle
        print(f"{MEMORY}: {reads:,} reads {name}", flush=True)
        figures = {"idle": idle / _MEGABYTE, f"more after reads {name}": grown / _MEGABYTE}
        for label, value in figures.items():
            if bench.results.figure(MEMORY, label) is None:
                bench.results.add(Figure(row=MEMORY, name=label, value=value, unit="MB"))
    bench.results.add(Figure(row=MEMORY, name="reads", value=bench.reads, unit=""))


def size(bench: Bench) -> None:
    """What a default install with all it depends on takes, without byte code and with it."""
    uv = ROOT / ".tools" / "bin" / "uv"
    if not uv.exists():
        bench.results.add(Skipped(row=SIZE, reason="uv is missing; `make setup` brings it"))
        return
    with TemporaryDirectory(dir=WORK) as folder:
        command: list[str | Path] = [
            uv,
            "sync",
            "--quiet",
            "--frozen",
            "--no-dev",
            "--no-editable",
            "--link-mode",
            "copy",
        ]
        environ = clean_environment() | {"UV_PROJECT_ENVIRONMENT": folder}
        subprocess.run([*command, "--python", sys.executable], cwd=ROOT, env=environ, check=True)
        (packages,) = Path(folder).glob("lib/python*/site-packages")
        without = _size_bytes(packages)
        compileall.compile_dir(packages, quiet=2)
        with_byte_code = _size_bytes(packages)
    for name, value in (("without byte code", without), ("with byte code", with_byte_code)):
        bench.results.add(Figure(row=SIZE, name=name, value=value / _MEGABYTE, unit="MB"))


def _size_bytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def c_loop(bench: Bench) -> None:
    """What the same reads of the same database cost with nothing around them."""
    if shutil.which("gcc") is None:
        bench.results.add(Skipped(row=C_LOOP, reason="gcc is missing"))
        return
    program = WORK / "sqlite_loop"
    source = ROOT / "bench" / "sqlite_loop.c"
    compiled = subprocess.run(
        ["gcc", "-O2", "-o", program, source, "-lsqlite3"], capture_output=True, check=False
    )
    if compiled.returncode:
        bench.results.add(Skipped(row=C_LOOP, reason="sqlite3.h is missing (libsqlite3-dev)"))
        return
    for name, last in (("one incident", 1), ("any of all incidents", bench.store.incident_count)):
        command = [str(program), str(bench.store.path), TENANT, str(last), str(_C_READS)]
        completed = subprocess.run(pinned(SERVER_CORE, command), capture_output=True, text=True, check=True)
        cpu_us = json.loads(completed.stdout)["cpu_us"]
        bench.results.add(Figure(row=C_LOOP, name=name, value=cpu_us, unit="µs of CPU"))
