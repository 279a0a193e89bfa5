"""Rows without HTTP: work of this process, timed in turns, in a database file and in PostgreSQL."""

import asyncio
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from tests.support.postgres_server import PostgresServer, a_postgres_server, find_binaries
from tests.support.stores import a_secret_in

from bench.driver import Bench, Turn
from bench.figures import Slice
from bench.lists import percentile
from bench.processes import Server
from bench.programs import WORK
from bench.results import Skipped
from vigie.config.settings import DatabaseSettings, KeysSettings, Settings
from vigie.runtime.installation import Installation, opened

ON_POSTGRES = ", PostgreSQL"
"""What the names of rows on PostgreSQL end with."""

Work = Callable[[Random], Coroutine[Any, Any, None]]
"""Something to be timed, with dice of its round."""

REPEATED_MIN = 20
"""How often work is done in a slice, however short that is."""


class Databases(ABC):
    """Where the databases of a row are made, and by what the work on them is measured."""

    suffix = ""

    def __init__(self, folder: Path, runner: asyncio.Runner, stack: ExitStack) -> None:
        self.runner = runner
        self._folder = folder
        self._stack = stack

    @abstractmethod
    def new(self) -> Settings:
        """The settings of a database that is not there yet."""

    @abstractmethod
    def run_sql(self, settings: Settings, text: str) -> None:
        """Change a database from below."""

    @abstractmethod
    def bytes_text(self, value: bytes) -> str:
        """Bytes as a statement has them."""

    @abstractmethod
    def analyze(self, settings: Settings) -> None:
        """Let a database that was filled know what is in it."""

    def spent_seconds(self) -> float:
        """CPU time of everybody who takes part in the work."""
        return time.process_time()

    def open(self, settings: Settings) -> Installation:
        """An installation in a database, until the row ends."""
        opening = opened(settings, create=False)
        installation = self.runner.run(opening.__aenter__())
        self._stack.callback(lambda: self.runner.run(opening.__aexit__(None, None, None)))
        return installation

    def turn(
        self, row: str, name: str, work: Work, *, seconds: float = 0.0, prepare: Work | None = None
    ) -> Turn:
        """Work done over and over, one after the other, in slices of so many seconds, or of twenty times.

        What is to `prepare` before a slice is not measured.
        """

        def turn(number: int) -> Slice:
            rng = Random(number)
            if prepare is not None:
                self.runner.run(prepare(rng))
            before = self.spent_seconds()
            taken = self.runner.run(_repeated(work, rng, seconds))
            return Slice(
                row=f"{row}{self.suffix}",
                contender=name,
                round=number,
                requests=len(taken),
                seconds=sum(taken),
                cpu_seconds=self.spent_seconds() - before,
                p50_us=percentile(taken, 50) * 1e6,
                p99_us=percentile(taken, 99) * 1e6,
            )

        return turn


async def _repeated(work: Work, rng: Random, seconds: float) -> list[float]:
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < REPEATED_MIN:
        began_seconds = time.perf_counter()
        await work(rng)
        taken.append(time.perf_counter() - began_seconds)
    return taken


class _Files(Databases):
    def new(self) -> Settings:
        number = len(list(self._folder.glob("*.sqlite3")))
        return Settings(database=DatabaseSettings(url=f"sqlite:///{self._folder / f'{number}.sqlite3'}"))

    def run_sql(self, settings: Settings, text: str) -> None:
        with closing(sqlite3.connect(settings.database.path)) as connection:
            connection.executescript(text)

    def analyze(self, settings: Settings) -> None:
        # SQLite chooses its plans without statistics, as in a server's database.
        pass

    def bytes_text(self, value: bytes) -> str:
        return f"x'{value.hex()}'"


class _OfServer(Databases):
    """Databases of one PostgreSQL; its CPU counts too."""

    suffix = ON_POSTGRES

    def __init__(
        self, folder: Path, runner: asyncio.Runner, stack: ExitStack, *, server: PostgresServer
    ) -> None:
        super().__init__(folder, runner, stack)
        assert server.process is not None
        self._server = server
        self._process = Server(name="postgres", pid=server.process.pid, url="")
        self._keys = KeysSettings(secret_file=str(a_secret_in(folder)))

    def new(self) -> Settings:
        url = self._server.url(self._server.new_database())
        return Settings(database=DatabaseSettings(url=url), keys=self._keys)

    def run_sql(self, settings: Settings, text: str) -> None:
        self._server.sql(text, database=_name_of(settings))

    def analyze(self, settings: Settings) -> None:
        self._server.sql("VACUUM (ANALYZE)", database=_name_of(settings))

    def bytes_text(self, value: bytes) -> str:
        return f"'\\x{value.hex()}'::bytea"

    def spent_seconds(self) -> float:
        return super().spent_seconds() + self._process.cpu_seconds()


def _name_of(settings: Settings) -> str:
    return settings.database.url.partition("@/")[2].partition("?")[0]


@contextmanager
def in_files() -> Iterator[Databases]:
    """Databases in files, which are gone at the end of the block."""
    with _running() as (runner, stack, folder):
        yield _Files(folder, runner, stack)


@contextmanager
def on_postgres(server: PostgresServer) -> Iterator[Databases]:
    """Databases of a server."""
    with _running() as (runner, stack, folder):
        yield _OfServer(folder, runner, stack, server=server)


def on_both(bench: Bench, row: str, measure: Callable[[Bench, Databases], None]) -> None:
    """Measure a row in files, and on PostgreSQL where that is installed."""
    with in_files() as files:
        measure(bench, files)
    binaries = find_binaries()
    if binaries is None:
        reason = "PostgreSQL is missing; `apt-get install postgresql`"
        bench.results.add(Skipped(row=f"{row}{ON_POSTGRES}", reason=reason))
        return
    with a_postgres_server(binaries) as server, on_postgres(server) as databases:
        measure(bench, databases)


@contextmanager
def _running() -> Iterator[tuple[asyncio.Runner, ExitStack, Path]]:
    """A loop as the server's, what is to be closed before it, and a folder for files."""
    WORK.mkdir(exist_ok=True)
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        TemporaryDirectory(dir=WORK) as folder,
        ExitStack() as stack,
    ):
        yield runner, stack, Path(folder)
