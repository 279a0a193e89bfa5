"""The cost of reads, lists and updates among millions of incidents: `python -m bench.scale --help`.

Fills a small store and a large one with generated incidents of one alert, and times the same on both by turns, so
that what else goes on in the machine meets both alike: an incident by its number, every client filter of
tests/support/client_filters.py, an update. Stores are kept in a folder, so that they are filled once.
"""

import argparse
import json
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import asyncpg
import uvloop
from tests.support.client_filters import CLIENT_QUERIES
from tests.support.commands import done, served

from bench.lists import EXPOSURES, list_once, percentile, requests_of
from bench.millions import APPLICATION, TENANT, Millions, in_a_file, in_postgres, postgres_in
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.instants import Instant, format_instant
from vigie.core.queries import PageRequest
from vigie.runtime.installation import Installation, opened

LARGE = {"sqlite": 1_000_000, "postgres": 2_000_000}
SMALL = 10_000
_MOMENTS_COUNT = 1600
_SLICES_COUNT = 20
_WARM_UP = 0.2

Measured = tuple[str, list[list[float]]]
"""What was timed, and the milliseconds in each of the stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A store in the process."""

    store: Millions
    installation: Installation
    tenant_id: int
    requests: Mapping[str, PageRequest]


Work = Callable[[Opened, random.Random], Awaitable[float]]
"""Something to be timed; how many milliseconds it took."""


def main() -> None:
    """Fill what is not there, time everything, print a table."""
    options = _options()
    options.keep.mkdir(parents=True, exist_ok=True)
    sizes = (SMALL, options.incidents or LARGE[options.kind])
    with ExitStack() as stack:
        if options.kind == "postgres":
            server = stack.enter_context(postgres_in(options.keep / "postgres"))
            stores = [in_postgres(options.keep, server, size) for size in sizes]
        else:
            stores = [in_a_file(options.keep, size) for size in sizes]
        measured = uvloop.run(_time_in_process(stores, options.rounds))
        measured += _time_over_http(stores, options.rounds)
    _print_table(stores, measured)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("kind", choices=list(LARGE))
    parser.add_argument("--incidents", type=int, help="in the large store")
    parser.add_argument("--rounds", type=int, default=100, help="lists of each kind; ten times as many reads")
    parser.add_argument("--keep", type=Path, required=True, help="where stores are found and kept")
    return parser.parse_args()


# In the process


async def _time_in_process(stores: Sequence[Millions], rounds: int) -> list[Measured]:
    async with AsyncExitStack() as stack:
        all_opened = [
            await _open(store, await stack.enter_async_context(opened(store.settings, create=False)))
            for store in stores
        ]
        works: dict[str, tuple[Work, int]] = {"read, in the process": (_read, 100 * rounds)}
        for query in CLIENT_QUERIES:
            for scope, exposure in EXPOSURES.items():
                works[f"{query.client}, {scope}"] = (_listing(query.client, exposure), rounds)
        taken = {name: [list[float]() for _ in stores] for name in works}
        # A little of each at a time, and that often: whatever comes and goes meanwhile meets few of each.
        for a_slice in range(_SLICES_COUNT + 1):
            for name, (work, count) in works.items():
                some = await _by_turns(all_opened, work, max(1, count // _SLICES_COUNT), a_slice)
                if a_slice:
                    for its_own, more in zip(taken[name], some, strict=True):
                        its_own.extend(more)
        return list(taken.items())


def _listing(client: str, exposure: Exposure) -> Work:
    async def listed(one: Opened, _: random.Random) -> float:
        return await list_once(one.installation, one.tenant_id, exposure, one.requests[client])

    return listed


async def _open(store: Millions, installation: Installation) -> Opened:
    (tenant,) = await installation.directory.tenants()
    moments = {
        name: dict(enumerate(await _newest(store, column)))
        for name, column in (("created", "created_at"), ("updated", "last_update_at"))
    }
    requests = {query.client: request for query, request in requests_of(CLIENT_QUERIES, moments)}
    return Opened(store=store, installation=installation, tenant_id=tenant.tenant_id, requests=requests)


async def _newest(store: Millions, column: str) -> list[str]:
    text = f"SELECT {column} FROM incident ORDER BY {column} DESC LIMIT {_MOMENTS_COUNT}"
    if not store.settings.database.is_shared:
        with closing(sqlite3.connect(store.settings.database.path)) as file:
            return [format_instant(Instant(at)) for (at,) in file.execute(text)]
    connection = await asyncpg.connect(store.url)
    rows = await connection.fetch(text)
    await connection.close()
    return [format_instant(Instant(at)) for (at,) in rows]


async def _read(one: Opened, rng: random.Random) -> float:
    number = rng.randrange(one.store.incident_count) + 1
    started_seconds = perf_counter()
    found = await one.installation.incidents.find_incident(one.tenant_id, number, WHOLE_TENANT)
    taken = (perf_counter() - started_seconds) * 1000
    assert found is not None
    return taken


async def _by_turns(all_opened: Sequence[Opened], work: Work, count: int, seed: int) -> list[list[float]]:
    rng = random.Random(seed)
    taken: list[list[float]] = [[] for _ in all_opened]
    for _ in range(count):
        for one, its_own in zip(all_opened, taken, strict=True):
            its_own.append(await work(one, rng))
    return taken


# Over HTTP


class Client:
    """A caller of one server, on one connection."""

    def __init__(self, store: Millions, url: str) -> None:
        self._store = store
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
        at = ("--config", store.settings_file, "--database", store.url)
        token = done("token", "--app", APPLICATION, "--tenant", TENANT, *at)["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}

    def read(self, rng: random.Random) -> float | None:
        """Milliseconds for any incident."""
        return self._ask("GET", rng)

    def update(self, rng: random.Random) -> float | None:
        """Milliseconds for a change of any incident; None for one that was merged away."""
        return self._ask("PATCH", rng, json.dumps({"tags": [str(rng.random())]}))

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _ask(self, method: str, rng: random.Random, body: str | None = None) -> float | None:
        path = f"/api/incidents/{rng.randrange(self._store.incident_count) + 1}"
        headers = self._headers | ({"Content-Type": "application/json"} if body else {})
        started_seconds = perf_counter()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        answer.read()
        taken = (perf_counter() - started_seconds) * 1000
        assert answer.status in (200, 403), answer.status
        return taken if answer.status == 200 else None


def _time_over_http(stores: Sequence[Millions], rounds: int) -> Iterator[Measured]:
    with ExitStack() as stack:
        clients = []
        for store in stores:
            options = ("--config", store.settings_file, "--database", store.url, "--port", 0)
            clients.append(Client(store, stack.enter_context(served(*options))[1]["url"]))
            stack.callback(clients[-1].close)
        for name, ask, count in (("read", Client.read, 50 * rounds), ("update", Client.update, 5 * rounds)):
            rng = random.Random(count)
            taken: list[list[float]] = [[] for _ in clients]
            while min(map(len, taken)) < count * (1 + _WARM_UP):
                for client, its_own in zip(clients, taken, strict=True):
                    if (milliseconds := ask(client, rng)) is not None:
                        its_own.append(milliseconds)
            yield f"{name}, over HTTP", [its_own[-count:] for its_own in taken]


# The table


def _print_table(stores: Sequence[Millions], measured: Sequence[Measured]) -> None:
    named = " | ".join(f"{store.incident_count:,}: p50 ms | p99 ms" for store in stores)
    print(f"| what | {named} | p50: large to small |")
    print("|---|" + "--:|--:|" * len(stores) + "--:|")
    ratios = []
    for name, taken in measured:
        small, large = (percentile(each, 50) for each in taken)
        ratios.append(large / small)
        cells = " | ".join(f"{percentile(each, 50):.3f} | {percentile(each, 99):.2f}" for each in taken)
        print(f"| {name} | {cells} | {ratios[-1]:.2f} |")
    lists = ratios[1:-2]
    print(f"\nlists: ratio {median(lists):.2f} in the middle, {max(lists):.2f} at most, of {len(lists)}")


if __name__ == "__main__":
    main()
