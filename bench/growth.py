"""The rows of what must not cost more where there is more of it: the change feed of a tenant."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import uvloop
from tests.support.postgres_server import PostgresServer, a_postgres_server, find_binaries
from tests.support.stores import a_secret_in

from bench.driver import Bench, Turn, take_turns
from bench.figures import Slice
from bench.lists import percentile
from bench.processes import BenchError, Server
from bench.programs import WORK
from bench.results import Skipped
from vigie.config.settings import DatabaseSettings, KeysSettings, Settings
from vigie.runtime.installation import Installation, opened
from vigie.storage.visibility import encode_labels

CHANGES, CHANGES_ON_POSTGRES = "change feed", "change feed, PostgreSQL"
FEW_CHANGES, MANY_CHANGES = 10_000, 1_000_000

Work = Callable[[Random], Awaitable[None]]
"""Something to be timed, with dice of its round."""

_PAGE = 1_000
_REPEATED_MIN = 20
_LABELS = frozenset({"", "#14", "#15"})
_AT = 10**17

# One text for both databases, but for how they write bytes.
_FILL = """
WITH RECURSIVE counted (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM counted WHERE number < {count})
INSERT INTO change (tenant_id, number, at, kind, incident_id, alert_id, actor, request_id,
                    visible_before, visible_after, alert_visible)
SELECT {tenant_id}, number, {at} + number, 'updated', number % 100000 + 1, NULL, 'bench', 'request-1',
       {labels}, {labels}, NULL
  FROM counted;
INSERT INTO latest_change (tenant_id, number, first_number, last_update_at)
VALUES ({tenant_id}, {count}, 1, {at} + {count});
"""


def changes(bench: Bench) -> None:
    """A thousand changes after any number, among few and among many, in both databases."""
    measure_changes(bench, (FEW_CHANGES, MANY_CHANGES))
    binaries = find_binaries()
    if binaries is None:
        reason = "PostgreSQL is missing; `apt-get install postgresql`"
        bench.results.add(Skipped(row=CHANGES_ON_POSTGRES, reason=reason))
        return
    with a_postgres_server(binaries) as server:
        measure_changes_on_postgres(bench, server, (FEW_CHANGES, MANY_CHANGES))


def among(count: int) -> str:
    """The contender that has so many changes."""
    return f"1,000 changes among {count:,}"


def measure_changes(bench: Bench, counts: Sequence[int]) -> None:
    """The row of a SQLite file for each count."""
    with _running() as (runner, stack):
        folder = Path(stack.enter_context(TemporaryDirectory(dir=WORK)))

        def filled(count: int) -> tuple[Installation, int]:
            settings = Settings(database=DatabaseSettings(url=f"sqlite:///{folder / f'{count}.sqlite3'}"))
            tenant_id = runner.run(_new_tenant(settings))
            with closing(sqlite3.connect(settings.database.path)) as connection:
                connection.executescript(_fill(tenant_id, count, f"x'{_labels().hex()}'"))
            return stack.enter_context(_opened(runner, settings)), tenant_id

        timing = _Timing(row=CHANGES, runner=runner, spent_seconds=time.process_time, seconds=bench.seconds)
        _take_turns(bench, timing, counts, filled)


def measure_changes_on_postgres(bench: Bench, server: PostgresServer, counts: Sequence[int]) -> None:
    """The same in databases of a server. CPU is that of the server too."""
    assert server.process is not None
    database_server = Server(name="postgres", pid=server.process.pid, url="")

    def spent_seconds() -> float:
        return time.process_time() + database_server.cpu_seconds()

    with _running() as (runner, stack):
        folder = Path(stack.enter_context(TemporaryDirectory(dir=WORK)))
        keys = KeysSettings(secret_file=str(a_secret_in(folder)))

        def filled(count: int) -> tuple[Installation, int]:
            name = server.new_database()
            settings = Settings(database=DatabaseSettings(url=server.url(name)), keys=keys)
            tenant_id = runner.run(_new_tenant(settings))
            server.sql(_fill(tenant_id, count, f"'\\x{_labels().hex()}'::bytea"), database=name)
            server.sql("VACUUM (ANALYZE)", database=name)
            return stack.enter_context(_opened(runner, settings)), tenant_id

        timing = _Timing(
            row=CHANGES_ON_POSTGRES, runner=runner, spent_seconds=spent_seconds, seconds=bench.seconds
        )
        _take_turns(bench, timing, counts, filled)


def _take_turns(
    bench: Bench,
    timing: "_Timing",
    counts: Sequence[int],
    filled: Callable[[int], tuple[Installation, int]],
) -> None:
    turns = {among(count): timing.turn(among(count), _page_of(*filled(count), count)) for count in counts}
    take_turns(bench, timing.row, turns)


@contextmanager
def _running() -> Iterator[tuple[asyncio.Runner, ExitStack]]:
    """A loop as the server's, and what is to be closed before it."""
    WORK.mkdir(exist_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ExitStack() as stack:
        yield runner, stack


@contextmanager
def _opened(runner: asyncio.Runner, settings: Settings) -> Iterator[Installation]:
    opening = opened(settings, create=False)
    installation = runner.run(opening.__aenter__())
    try:
        yield installation
    finally:
        runner.run(opening.__aexit__(None, None, None))


async def _new_tenant(settings: Settings) -> int:
    async with opened(settings, create=True) as installation:
        return (await installation.directory.add_tenant("contoso", guid=None, domain=None)).tenant_id


def _labels() -> bytes:
    return encode_labels(_LABELS) or b""


def _fill(tenant_id: int, count: int, labels: str) -> str:
    return _FILL.format(tenant_id=tenant_id, count=count, labels=labels, at=_AT)


@dataclass(frozen=True, kw_only=True)
class _Timing:
    """How work in this process is measured: in which row, on what loop, by whose CPU, and for how long."""

    row: str
    runner: asyncio.Runner
    spent_seconds: Callable[[], float]
    seconds: float

    def turn(self, name: str, work: Work) -> Turn:
        """Work done over and over, one after the other, for a slice."""

        async def repeated(rng: Random) -> list[float]:
            taken: list[float] = []
            while sum(taken) < self.seconds or len(taken) < _REPEATED_MIN:
                began_seconds = time.perf_counter()
                await work(rng)
                taken.append(time.perf_counter() - began_seconds)
            return taken

        def turn(number: int) -> Slice:
            before = self.spent_seconds()
            taken = self.runner.run(repeated(Random(number)))
            return Slice(
                row=self.row,
                contender=name,
                round=number,
                requests=len(taken),
                seconds=sum(taken),
                cpu_seconds=self.spent_seconds() - before,
                p50_us=percentile(taken, 50) * 1e6,
                p99_us=percentile(taken, 99) * 1e6,
            )

        return turn


def _page_of(installation: Installation, tenant_id: int, count: int) -> Work:
    async def page(rng: Random) -> None:
        after = rng.randrange(count - _PAGE + 1)
        found = await installation.change_feed.changes_after(tenant_id, after, _PAGE)
        if len(found) != _PAGE:
            raise BenchError(f"{len(found)} changes came after {after}, where {_PAGE} are due")

    return page
