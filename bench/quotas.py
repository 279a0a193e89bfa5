"""The cost of counting a call, and a soak of servers that share a quota: `python -m bench.quotas --help`.

`call` times a call in memory and in Valkey on the loopback, alone and many at once. `reads` is the CPU that one
server uses for reading an incident over HTTP, with either. `soak` lets three servers over
one store count together for minutes while callers hammer them: nobody may get more or less than the quota, and
memory and connections must stay flat. Each starts a Valkey (or Redis) of their own.
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, chdir
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import uvloop
from tests.support.builders import an_incident, to_json
from tests.support.commands import done, served
from tests.support.valkey import RunningValkey

from vigie.core.quotas import minute_and_hour
from vigie.ratelimit.address import quota_store_address
from vigie.ratelimit.memory import MemoryRateLimiter
from vigie.ratelimit.valkey import ValkeyRateLimiter
from vigie.ratelimit.valkey_connection import ValkeyConnection
from vigie.runtime.clock import steady_now

OF_CONTOSO = ("--tenant", "contoso")
SERVERS_COUNT = 3
PER_MINUTE = 100
CALLS = 10_000
READS = 8_000
READ_ROUNDS = 2
AT_ONCE = (1, 10, 100)


def main() -> None:
    """Do one of the two."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder, RunningValkey(Path(folder)) as valkey, chdir(folder):
        if options.what == "call":
            uvloop.run(_time_calls(valkey))
        elif options.what == "reads":
            _time_reads(valkey, options.callers)
        else:
            sys.exit(_soak(valkey, options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.quotas", description=__doc__)
    parser.add_argument("what", choices=["call", "reads", "soak"])
    parser.add_argument("--minutes", type=int, default=5, help="how long the soak lasts")
    parser.add_argument("--callers", type=int, default=20, help="how many callers there are in it")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two calls of a caller")
    return parser.parse_args()


# The cost of a call


async def _time_calls(valkey: RunningValkey) -> None:
    quota = minute_and_hour("get", per_minute=10**8, per_hour=1500)
    caller = (1, "11112222-3333-4444-5555-666677778888")
    memory = MemoryRateLimiter()
    began = time.perf_counter()
    for _ in range(CALLS):
        memory.spend(quota, caller, steady_now())
    print(f"in memory                 {(time.perf_counter() - began) / CALLS * 1e6:6.2f} µs")
    address = quota_store_address(valkey.url)
    connection = ValkeyConnection(address, read_password=lambda: "", seconds_max=10.0)
    async with ValkeyRateLimiter(connection, local=None) as rate_limiter:

        async def spend() -> None:
            answer = rate_limiter.spend(quota, caller, steady_now())
            assert answer is not None
            await answer  # type: ignore[misc]

        for at_once in AT_ONCE:
            began, began_cpu = time.perf_counter(), time.process_time()
            for _ in range(CALLS // at_once):
                await asyncio.gather(*(spend() for _ in range(at_once)))
            wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
            print(
                f"in Valkey, {at_once:3} at once    {wall / CALLS * 1e6:6.1f} µs, "
                f"{cpu / CALLS * 1e6:5.1f} µs of it CPU of this process"
            )
    with valkey.client() as client:
        stats = client.info("commandstats")["cmdstat_evalsha"]
        print(f"in Valkey itself          {stats['usec_per_call']:6.1f} µs")
        (key,) = client.keys("vigie:{1:*")
        print(f"kept of such a caller     {client.memory_usage(key, samples=0)} bytes")


# The cost of a read


def _time_reads(valkey: RunningValkey, callers_count: int) -> None:
    tokens = _install(valkey, callers_count, per_minute=10**8)
    for store in ("memory", valkey.url) * READ_ROUNDS:
        with served("--port", "0", "--config", _settings(store, per_minute=10**8)) as (process, said):
            # The first calls look tokens up, and learn.
            _read(said["url"], tokens, READS // 10)
            before = _cpu_seconds(process.pid)
            began = time.perf_counter()
            _read(said["url"], tokens, READS)
            wall, cpu = time.perf_counter() - began, _cpu_seconds(process.pid) - before
        figures = f"{READS / wall:7.0f} reads a second, {cpu / READS * 1e6:5.0f} µs of CPU each"
        print(f"{store.partition(':')[0]:7} {figures}")


def _read(url: str, tokens: list[str], reads: int) -> None:
    with ThreadPoolExecutor(len(tokens)) as callers:
        for each in [callers.submit(_read_as, url, token, reads // len(tokens)) for token in tokens]:
            each.result()


def _read_as(url: str, token: str, reads: int) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    for _ in range(reads):
        connection.request("GET", "/api/incidents/1", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def _cpu_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The soak


def _soak(valkey: RunningValkey, options: argparse.Namespace) -> int:
    tokens = _install(valkey, options.callers, per_minute=PER_MINUTE)
    with ExitStack() as stack:
        urls = [stack.enter_context(served("--port", "0"))[1]["url"] for _ in range(SERVERS_COUNT)]
        _say_figures("begin", urls, valkey)
        # Half a minute short of a whole one: so that it is clear which minutes a caller has had.
        ends_at = time.monotonic() + 60 * options.minutes - 30
        callers = stack.enter_context(ThreadPoolExecutor(options.callers))
        work = [callers.submit(_hammer, urls, token, ends_at, options.pause) for token in tokens]
        for minute in range(options.minutes - 1):
            time.sleep(60)
            _say_figures(f"minute {minute + 1}", urls, valkey)
        admitted = [each.result() for each in work]
        _say_figures("end", urls, valkey)
    expected = PER_MINUTE * options.minutes
    worst = max(_most_in_a_minute(moments) for moments in admitted)
    print(
        f"admitted: {sorted({len(moments) for moments in admitted})} calls for each of {len(tokens)} callers"
    )
    print(f"expected: {expected}; most in any 60 seconds, by the callers' clocks: {worst}")
    return 0 if {len(moments) for moments in admitted} == {expected} else 1


def _install(valkey: RunningValkey, callers_count: int, *, per_minute: int) -> list[str]:
    Path("incident.json").write_bytes(to_json(an_incident(incidentId=1)))
    _settings(valkey.url, per_minute=per_minute)
    done("tenant", "add", "contoso")
    done("import", "incident.json", *OF_CONTOSO)
    tokens = []
    for number in range(callers_count):
        done("app", "add", f"app-{number}", *OF_CONTOSO, "--permission", "Incident.Read.All")
        tokens.append(str(done("token", *OF_CONTOSO, "--app", f"app-{number}")["access_token"]))
    return tokens


def _settings(store: str, *, per_minute: int) -> Path:
    file = Path("vigie.toml")
    file.write_text(
        f'[quotas]\nstore = "{store}"\nget_per_minute = {per_minute}\nget_per_hour = 100000\n'
        '[logging]\nlevel = "warning"\n',
        encoding="utf-8",
    )
    return file


def _hammer(urls: list[str], token: str, ends_at: float, pause_seconds: float) -> list[float]:
    """The moments at which a caller was let in, who asks all servers in turn: each minute's calls in a burst."""
    connections = cycle([HTTPConnection(urlsplit(url).netloc, timeout=30) for url in urls])
    admitted: list[float] = []
    while time.monotonic() < ends_at:
        connection = next(connections)
        connection.request("GET", "/api/incidents/1", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            admitted.append(time.monotonic())
        elif answer.status == 429:
            time.sleep(pause_seconds)
        else:
            raise AssertionError(f"answered {answer.status}")
    return admitted


def _most_in_a_minute(moments: list[float]) -> int:
    return max(sum(start <= moment < start + 59.9 for moment in moments) for start in moments)


def _say_figures(when: str, urls: list[str], valkey: RunningValkey) -> None:
    texts = [_metrics(url) for url in urls]
    resident = [_value(text, "process_resident_memory_bytes") / 2**20 for text in texts]
    files = [int(_value(text, "process_open_fds")) for text in texts]
    ups = [int(_value(text, "vigie_quota_store_up")) for text in texts]
    with valkey.client() as client:
        memory, clients = client.info("memory")["used_memory"], client.info("clients")["connected_clients"]
    print(
        f"{when:9} resident {' '.join(f'{size:.1f}' for size in resident)} MiB, files {files}, up {ups}; "
        f"Valkey {memory / 2**20:.2f} MiB, {clients} connections",
        flush=True,
    )


def _metrics(url: str) -> str:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def _value(text: str, name: str) -> float:
    (value,) = re.findall(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(value)


if __name__ == "__main__":
    main()
