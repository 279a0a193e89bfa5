"""The load: wrk, on a core of its own, for one slice at a time."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Slice
from bench.processes import GENERATOR_CORE, BenchError, Server, pinned

HOST = "vigie.example"
"""What every server is called by, so that their answers are the same to the last byte."""

_SCRIPT = Path(__file__).with_name("load.lua")
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for. `target` and `body` may hold one %d: an id from `first` to `last`, a growing number.

    `tokens` is a file with one token on each line; they take turns. An answer of fewer than `body_bytes_min`
    bytes stops the run.
    """

    target: str
    tokens: Path
    body_bytes_min: int
    connections: int = 32
    first: int = 1
    last: int = 1
    method: str = "GET"
    body: str | None = None
    delay_ms: int | None = None


def run_slice(
    server: Server, load: Load, *, row: str, contender: str, round_number: int, seconds: int
) -> Slice:
    """Put a load on a server for some seconds. Raises BenchError for anything but whole, good answers."""
    cpu_before = server.cpu_seconds()
    completed = subprocess.run(
        pinned(GENERATOR_CORE, _command(server, load, round_number, seconds)),
        capture_output=True,
        text=True,
        timeout=seconds + _TIMEOUT_SECONDS,
        check=False,
    )
    cpu_seconds = server.cpu_seconds() - cpu_before
    said = check_answers(completed.stdout, load, where=f"{row}, {contender}")
    return Slice(
        row=row,
        contender=contender,
        round=round_number,
        requests=said["requests"],
        seconds=said["seconds"],
        cpu_seconds=cpu_seconds,
        p50_us=said["p50_us"],
        p99_us=said["p99_us"],
    )


def check_answers(output: str, load: Load, *, where: str) -> dict[str, int]:
    """What wrk said of a slice. Raises BenchError unless every answer was 200 and long enough."""
    line = output.strip().rpartition("\n")[2]
    if not line.startswith("{"):
        raise BenchError(f"{where}: wrk said nothing: {line or 'no output'}")
    said: dict[str, int] = json.loads(line)
    for fault in ("wrong_status", "broken", "timeouts"):
        if said[fault]:
            raise BenchError(f"{where}: {said[fault]} of {said['requests']} answers: {fault}")
    if not said["requests"]:
        raise BenchError(f"{where}: no answers at all")
    mean_bytes = said["bytes"] / said["requests"]
    if mean_bytes < load.body_bytes_min:
        raise BenchError(f"{where}: answers of {mean_bytes:.0f} bytes, where {load.body_bytes_min} are due")
    return said


def _command(server: Server, load: Load, seed: int, seconds: int) -> list[str]:
    options = {
        "tokens": load.tokens,
        "target": load.target,
        "first": load.first,
        "last": load.last,
        "seed": seed + 1,
        "method": load.method,
        "body": load.body,
        "delay_ms": load.delay_ms,
    }
    said = [f"{name}={value}" for name, value in options.items() if value is not None]
    wrk = ["wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "20s"]
    wrk += ["-s", str(_SCRIPT), "-H", f"Host: {HOST}"]
    return [*wrk, server.url, "--", *said]
