"""Servers over PostgreSQL and Valkey under a mixed load for minutes: `python -m bench.cluster_soak --help`.

Starts a PostgreSQL with a synchronous standby, a Valkey (or Redis) and three servers, and lets callers read, list
and update on all of them. Ends with 1 if memory or connections still grow behind the first minute, or if anything
but 200 was answered.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.faults.cluster import NUMBERS, Cluster, a_cluster

from bench.processes import resident_bytes

_KINDS = ("read",) * 6 + ("list",) * 2 + ("update",) * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What there is of everything at one moment."""

    resident_mib: list[float]
    files: list[int]
    connections: int
    valkey_mib: float
    valkey_connections: int


def main() -> int:
    """Soak, print the figures of every minute, and judge them."""
    options = _options()
    answered: Counter[tuple[str, int]] = Counter()
    with tempfile.TemporaryDirectory() as folder, a_cluster(Path(folder)) as cluster, ExitStack() as stack:
        is_over = threading.Event()
        callers = stack.enter_context(ThreadPoolExecutor(options.callers))
        work = [
            callers.submit(_call, cluster, place, is_over, options.pause) for place in range(options.callers)
        ]
        stack.callback(is_over.set)
        samples = []
        for minute in range(1, options.minutes + 1):
            time.sleep(60)
            samples.append(_figures(cluster))
            _say(f"minute {minute}", samples[-1])
        is_over.set()
        for each in work:
            answered += each.result()
    print(", ".join(f"{kind} {status}: {count:,}" for (kind, status), count in sorted(answered.items())))
    return int(_has_grown(samples[0], samples[-1], options.growth) or any(s != 200 for _, s in answered))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster_soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=5, help="how long it lasts")
    parser.add_argument("--callers", type=int, default=8, help="how many call at once")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between two calls of a caller")
    parser.add_argument("--growth", type=float, default=3.0, help="how many MiB each server may still grow")
    return parser.parse_args()


def _call(
    cluster: Cluster, place: int, is_over: threading.Event, pause_seconds: float
) -> Counter[tuple[str, int]]:
    """Ask all servers by turns; how often each status was answered."""
    rng = random.Random(place)
    answered: Counter[tuple[str, int]] = Counter()
    with ExitStack() as stack:
        connections = [
            stack.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=60)))
            for port in cluster.ports
        ]
        while not is_over.wait(pause_seconds):
            kind = rng.choice(_KINDS)
            answered[kind, _ask(rng.choice(connections), cluster.token, kind, rng)] += 1
    return answered


def _ask(connection: HTTPConnection, token: str, kind: str, rng: random.Random) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    path = "/api/incidents" if kind == "list" else f"/api/incidents/{rng.choice(NUMBERS)}"
    # Of one size, so that nothing grows by what is said.
    body = json.dumps({"tags": [f"{rng.randrange(10**9):09}"]}) if kind == "update" else None
    connection.request("PATCH" if body else "GET", path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _figures(cluster: Cluster) -> Figures:
    pids = [node.process.pid for node in cluster.nodes if node.process is not None]
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'vigie'"
    with cluster.valkey.client() as client:
        memory, clients = client.info("memory")["used_memory"], client.info("clients")["connected_clients"]
    return Figures(
        resident_mib=[resident_bytes(pid) / 2**20 for pid in pids],
        files=[len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids],
        connections=int(cluster.primary.sql(ours)),
        valkey_mib=memory / 2**20,
        # Without the one that asks.
        valkey_connections=clients - 1,
    )


def _say(when: str, figures: Figures) -> None:
    print(
        f"{when}: resident {' '.join(f'{size:.1f}' for size in figures.resident_mib)} MiB, files {figures.files}; "
        f"PostgreSQL {figures.connections} connections; "
        f"Valkey {figures.valkey_mib:.2f} MiB, {figures.valkey_connections} connections",
        flush=True,
    )


def _has_grown(first: Figures, last: Figures, growth_mib: float) -> bool:
    pairs = zip(first.resident_mib, last.resident_mib, strict=True)
    return (
        any(after - before > growth_mib for before, after in pairs)
        or last.valkey_connections > first.valkey_connections
        # The pools of one server at their fullest.
        or last.connections > 20 * len(last.files)
    )


if __name__ == "__main__":
    sys.exit(main())
