"""The rows of a whole life: start, memory idle and under load, size on the disk, and the C loop."""

import compileall
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.c_programs import compiled
from bench.callers import first_token, token_file, tokens_file
from bench.driver import Bench, Turn, take_turns
from bench.figures import Slice
from bench.processes import SERVER_CORE, BenchError, Server, clean_environment, free_port, pinned
from bench.programs import UV, VIGIE, WORK, require_uv
from bench.results import ROOT, Figure, Skipped
from bench.stores import READER_COUNT, TENANT, Store, filled_store
from bench.vigie_server import QUOTA_CALLS, serving_store
from bench.wrk import HOST, Load, run_slice

START, MEMORY, SIZE, C_LOOP = "start", "memory", "size", "C loop over SQLite"

OF_A_HUNDRED, OF_ALL = "of a hundred incidents", "of all incidents"
EMPTY, FILLED = "empty database", "filled database"
IMPORTS_ALONE = "three imports alone"

_IMPORTS = "import uvicorn, starlette, cryptography"
_START_SECONDS_MAX = 30
_READ_SECONDS = 2
_READS_TOO_MANY = 5_000
"""How many more than wanted the last slice may bring each caller."""
_C_READS = 300_000
_MEGABYTE = 1e6


def start(bench: Bench) -> None:
    """From the start of the program to the first answer, on a database without incidents and on a filled one."""
    measure_starts(bench, {f"vigie, {EMPTY}": filled_store(0), f"vigie, {FILLED}": bench.store})
    bench.results.add(
        Figure(row=START, name="incidents in the filled database", value=bench.store.incident_count, unit="")
    )


def measure_starts(bench: Bench, stores: Mapping[str, Store]) -> None:
    """Starts on each store, and in the same turns what Python needs to import three of the libraries alone."""
    turns: dict[str, Turn] = {IMPORTS_ALONE: _import_libraries}
    for name, store in stores.items():
        turns[name] = partial(_start_once, name, store, first_token(token_file(store)))
    take_turns(bench, START, turns)


def _import_libraries(number: int) -> Slice:
    command = pinned(SERVER_CORE, [str(VIGIE.python), "-c", _IMPORTS])
    began_seconds = time.monotonic()
    process = subprocess.Popen(command, env=clean_environment())
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began_seconds
    if status:
        raise BenchError(f"python -c {_IMPORTS!r} failed")
    return _started(IMPORTS_ALONE, number, seconds, usage.ru_utime + usage.ru_stime)


def _start_once(name: str, store: Store, token: str, number: int) -> Slice:
    with started(store, token) as (server, seconds):
        return _started(name, number, seconds, server.cpu_seconds())


def _started(name: str, number: int, seconds: float, cpu_seconds: float) -> Slice:
    return Slice(
        row=START,
        contender=name,
        round=number,
        requests=1,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        p50_us=seconds * 1e6,
        p99_us=seconds * 1e6,
    )


@contextmanager
def started(
    store: Store, token: str, *, environ: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[tuple[Server, float]]:
    """A server that has just given its first answer, and how many seconds after its start."""
    port = free_port()
    command = [str(store.program.path), "serve", "--port", str(port), "--database", store.url]
    request = f"GET /api/incidents/1 HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n"
    began_seconds = time.monotonic()
    with (log or Path(os.devnull)).open("wb") as stderr:
        process = subprocess.Popen(
            pinned(SERVER_CORE, command), stderr=stderr, env=clean_environment() | dict(environ or {})
        )
        try:
            status = _first_status(port, request.encode(), began_seconds)
            seconds = time.monotonic() - began_seconds
            if status not in (b"200", b"404"):
                raise BenchError(f"the first answer after a start was {status!r}")
            yield Server(name="vigie", pid=process.pid, url=f"http://127.0.0.1:{port}"), seconds
        finally:
            process.terminate()
            process.wait()


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
    tokens = tokens_file(bench.store, "readers", READER_COUNT)
    reads_each = bench.reads // READER_COUNT + _READS_TOO_MANY
    for which, last in ((OF_A_HUNDRED, 100), (OF_ALL, bench.store.incident_count)):
        load = Load(target="/api/incidents/%d", tokens=tokens, last=last, body_bytes_min=4_000)
        idle, grown = _memory_after_reads(bench, bench.store, load, reads_each, which)
        if which == OF_A_HUNDRED:
            _add_megabytes(bench, "idle", idle)
        _add_megabytes(bench, f"more after reads {which}", grown)
    bench.results.add(Figure(row=MEMORY, name="reads", value=bench.reads, unit=""))


def measure_memory(bench: Bench, stores: Mapping[str, Store]) -> None:
    """The same of each store, with reads of all incidents by one caller."""
    for name, store in stores.items():
        load = Load(
            target="/api/incidents/%d",
            tokens=token_file(store),
            last=store.incident_count,
            body_bytes_min=4_000,
        )
        idle, grown = _memory_after_reads(bench, store, load, QUOTA_CALLS, name)
        _add_megabytes(bench, f"{name}, idle", idle)
        _add_megabytes(bench, f"{name}, more after {bench.reads:,} reads {OF_ALL}", grown)


def _memory_after_reads(
    bench: Bench, store: Store, load: Load, reads_each: int, name: str
) -> tuple[int, int]:
    """Bytes of an idle server, and how many more there are after the reads."""
    environ = dict.fromkeys(("VIGIE_QUOTAS_GET_PER_MINUTE", "VIGIE_QUOTAS_GET_PER_HOUR"), str(reads_each))
    with serving_store(store, environ=environ) as vigie:
        idle = vigie.resident_bytes()
        reads, number = 0, 0
        while reads < bench.reads:
            number += 1
            reads += run_slice(
                vigie, load, row=MEMORY, contender=name, round_number=number, seconds=_READ_SECONDS
            ).requests
        print(f"{MEMORY}: {reads:,} reads, {name}", flush=True)
        return idle, vigie.resident_bytes() - idle


def _add_megabytes(bench: Bench, name: str, value_bytes: float) -> None:
    bench.results.add(Figure(row=MEMORY, name=name, value=value_bytes / _MEGABYTE, unit="MB"))


def size(bench: Bench) -> None:
    """What a default install with all it depends on takes, without byte code and with it."""
    try:
        require_uv()
    except BenchError as error:
        bench.results.add(Skipped(row=SIZE, reason=str(error)))
        return
    with TemporaryDirectory(dir=WORK) as folder:
        command: list[str | Path] = [
            UV,
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
    try:
        program = compiled("sqlite_loop")
    except BenchError as error:
        bench.results.add(Skipped(row=C_LOOP, reason=str(error)))
        return
    for name, last in (("one incident", 1), ("any of all incidents", bench.store.incident_count)):
        command = [str(program), str(bench.store.path), TENANT, str(last), str(_C_READS)]
        completed = subprocess.run(pinned(SERVER_CORE, command), capture_output=True, text=True, check=True)
        cpu_us = json.loads(completed.stdout)["cpu_us"]
        bench.results.add(Figure(row=C_LOOP, name=name, value=cpu_us, unit="µs of CPU"))
