"""The time of lists, over databases of different sizes: `python -m bench.lists --help`, in the root of the tree.

Times the filters and orders of real clients (tests/support/client_filters.py), for a caller who sees the whole
tenant and for one who sees half of it: from the question to the last byte of the page, in the process and
without HTTP.
"""

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from urllib.parse import urlencode

from tests.support.client_filters import CLIENT_QUERIES, ClientQuery
from tests.support.many_incidents import fill, moments_in

from vigie.api.defender.query_options import parse_page_request
from vigie.config.settings import DatabaseSettings, Settings
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.queries import PageRequest
from vigie.runtime.installation import Installation, opened

EXPOSURES = {"whole": WHOLE_TENANT, "half": Exposure(device_groups=frozenset({11}))}

# Not every client's, but what else there is to know: the dearest ways that lists have.
OTHERS = (
    ClientQuery(client="(any) a rare status", filter="status eq 'InProgress'", index=""),
    ClientQuery(client="(any) nobody's", filter="assignedTo eq null", index=""),
    ClientQuery(client="(any) skips 5,000", skip=5_000, index=""),
    ClientQuery(client="(any) counts", filter="status eq 'Active'&$count=true", index=""),
    ClientQuery(client="(any) not so new", filter="createdTime lt {created[1500]}", index=""),
    ClientQuery(client="(any) long ago", filter="createdTime lt 2025-07-01T00:00:00Z", index=""),
    ClientQuery(client="(any) by status", orderby="status", index=""),
)

Key = tuple[str, str]


def main() -> None:
    """Build what is missing, time everything, print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        keep = options.keep or Path(folder)
        sizes = sorted(options.incidents)
        tables = []
        for size in sizes:
            path = keep / f"{size}.sqlite3"
            tables.append(asyncio.run(_time_store(path, size, options.rounds, is_new=not path.exists())))
    _print_table(sizes, tables)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.lists", description=__doc__)
    parser.add_argument(
        "--incidents", type=int, nargs="+", default=[10_000, 1_000_000], help="sizes of stores"
    )
    parser.add_argument("--rounds", type=int, default=200, help="how often each list is asked for")
    parser.add_argument(
        "--keep", type=Path, help="where stores are found and kept; else they are removed again"
    )
    return parser.parse_args()


async def _time_store(path: Path, size: int, rounds: int, *, is_new: bool) -> dict[Key, list[float]]:
    settings = Settings(database=DatabaseSettings(url=f"sqlite:///{path}"))
    async with opened(settings, create=True) as installation:
        if is_new:
            await _build(installation, size)
        tenant = (await installation.directory.tenants())[0]
        with closing(sqlite3.connect(path)) as connection:
            moments = moments_in(connection, tenant.tenant_id)
        return {
            (query.client, scope): await _time(installation, tenant.tenant_id, exposure, request, rounds)
            for query, request in requests_of((*CLIENT_QUERIES, *OTHERS), moments)
            for scope, exposure in EXPOSURES.items()
        }


async def _build(installation: Installation, size: int) -> None:
    started_seconds = perf_counter()
    tenant = await installation.directory.add_tenant("Contoso", guid=None, domain=None)
    await fill(installation, tenant.tenant_id, size)
    print(f"{size:,} incidents put in {perf_counter() - started_seconds:.0f} s", flush=True)


def requests_of(
    queries: Iterable[ClientQuery], moments: Mapping[str, Mapping[int, str]]
) -> Iterator[tuple[ClientQuery, PageRequest]]:
    """What is asked for by queries in a store with such moments."""
    for query in queries:
        text = urlencode(query.options(moments), safe="&$=")
        yield query, parse_page_request(text.encode())


async def _time(
    installation: Installation, tenant_id: int, exposure: Exposure, request: PageRequest, rounds: int
) -> list[float]:
    """Milliseconds, one for each round after the first."""
    taken = []
    for _ in range(rounds + 1):
        taken.append(await list_once(installation, tenant_id, exposure, request))
        if sum(taken) > _ENOUGH_MS and len(taken) > _FEWEST_ROUNDS:
            break
    return taken[1:]


async def list_once(
    installation: Installation, tenant_id: int, exposure: Exposure, request: PageRequest
) -> float:
    """Milliseconds from the question to the last byte."""
    started_seconds = perf_counter()
    async with installation.incidents.page(tenant_id, exposure, request) as page:
        async for _ in page.batches:
            pass
    return (perf_counter() - started_seconds) * 1000


_ENOUGH_MS = 20_000
_FEWEST_ROUNDS = 20


def _print_table(sizes: list[int], tables: list[dict[Key, list[float]]]) -> None:
    named = " | ".join(f"{size:,}: p50 | p99" for size in sizes)
    print(f"| list | exposure | {named} | p50: last to first |")
    print("|---|---|" + "--:|--:|" * len(sizes) + "--:|")
    for client, scope in tables[0]:
        taken = [table[client, scope] for table in tables]
        cells = " | ".join(f"{percentile(each, 50):.2f} | {percentile(each, 99):.2f}" for each in taken)
        ratio = percentile(taken[-1], 50) / percentile(taken[0], 50)
        print(f"| {client} | {scope} | {cells} | {ratio:.2f} |")


def percentile(values: Sequence[float], percent: int) -> float:
    """So many in a hundred are not above it."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
