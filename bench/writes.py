"""The rows of writing: updates at once, an import alone, and an import beside a serving process."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import msgspec

from bench.callers import token_file
from bench.driver import Bench, Contender, Turn, measure, take_turns
from bench.figures import Slice, of_contender
from bench.processes import (
    BACKGROUND_CORE,
    BenchError,
    Server,
    clean_environment,
    peak_bytes,
    pinned,
)
from bench.reads import incident, load_on
from bench.results import Figure
from bench.stores import Store, await_evidence, copied, generated_file
from bench.vigie_server import serving_store
from bench.wrk import Load, run_slice

UPDATES, IMPORT, BESIDE = "updates", "import alone", "reads beside an import"
IMPORT_BESIDE = "import beside a server"
MEMORY_EARLY, MEMORY_MOST = "memory after a tenth", "memory at most"
FOLLOWED = ", followed afterwards"
"""What the names of rows end with, in which servers do what a slice of the row has left to do."""
QUIET_READS, READS_BESIDE = "no import", "an import beside it"

_MIRROR = "mirror"
_BODY = '{"assignedTo":"analyst-%d@contoso.example","status":"InProgress"}'
_DELAY_MS = 10
_BESIDE_SECONDS = 3


def updates(bench: Bench) -> None:
    """32 updates at once."""
    measure_updates(bench, {"vigie": bench.store})


def measure_updates(bench: Bench, stores: Mapping[str, Store], references: Sequence[Contender] = ()) -> None:
    """32 updates at once in each store, each durable before its answer: the history has an entry for every one."""
    with ExitStack() as running:
        copies = {name: running.enter_context(copied(store)) for name, store in stores.items()}
        contenders = [
            _updating(bench, name, copy, running.enter_context(serving_store(copy)))
            for name, copy in copies.items()
        ]
        measure(bench, UPDATES, [*references, *contenders])
        for name, copy in copies.items():
            slices = of_contender(bench.results.slices, UPDATES, name)
            _require_in_history(copy, sum(each.requests for each in slices))


def _updating(bench: Bench, name: str, store: Store, server: Server) -> Contender:
    load = Load(
        method="PATCH",
        target="/api/incidents/%d",
        last=store.incident_count,
        body=_BODY,
        tokens=token_file(store),
        body_bytes_min=4_000,
    )
    return Contender(name=name, server=server, load=load, settle=partial(_follow, bench, store, server))


def _follow(bench: Bench, store: Store, server: Server, written: Slice) -> None:
    """Let a server follow the changes of a slice before others are measured; that has a row of its own."""
    cpu_before, began_seconds = server.cpu_seconds(), time.monotonic()
    if await_evidence(store) and written.round:
        bench.results.add(
            msgspec.structs.replace(
                written,
                row=f"{written.row}{FOLLOWED}",
                seconds=time.monotonic() - began_seconds,
                cpu_seconds=server.cpu_seconds() - cpu_before,
                p50_us=0,
                p99_us=0,
            )
        )


def _require_in_history(store: Store, answered: int) -> None:
    written = _count(store, "SELECT count(*) FROM history WHERE action = 'update'")
    if written < answered:
        raise BenchError(f"{answered} updates were answered, {written} are in the history")


def import_alone(bench: Bench) -> None:
    """A file of incidents into an empty tenant, start and end of the command included."""
    measure_imports(replace(bench, rounds=1), {"vigie": bench.small_store})


def measure_imports(bench: Bench, stores: Mapping[str, Store]) -> None:
    """A file of each store's program into an empty tenant of a new copy, in turns; and the memory that takes."""
    take_turns(
        bench,
        IMPORT,
        {name: partial(_import_once, bench, name, store) for name, store in stores.items()},
        is_warm=True,
    )


def _import_once(bench: Bench, name: str, store: Store, number: int) -> Slice:
    file = generated_file(bench.imports, store.program)
    with copied(store) as copy:
        _add_mirror(copy)
        began_seconds = time.monotonic()
        process = subprocess.Popen(
            _import_command(copy, file), stdout=subprocess.DEVNULL, env=clean_environment()
        )
        ended = _watched(process.pid, copy, early_count=bench.imports // 10)
        seconds = time.monotonic() - began_seconds
        imported = _count_mirrored(copy)
    if ended.status or imported != bench.imports:
        raise BenchError(f"an import of {bench.imports} incidents left {imported}")
    if number == 1:
        for what, used in ((MEMORY_EARLY, ended.early_bytes), (MEMORY_MOST, ended.most_bytes)):
            bench.results.add(Figure(row=IMPORT, name=f"{name}, {what}", value=used / 1e6, unit="MB"))
    return _imported(IMPORT, name, number, imported, seconds=seconds, cpu_seconds=ended.cpu_seconds)


@dataclass(frozen=True, kw_only=True)
class _Ended:
    """An import that has ended: its memory after some incidents and at most, its CPU, its exit status."""

    status: int
    cpu_seconds: float
    early_bytes: int
    most_bytes: int


def _watched(pid: int, store: Store, *, early_count: int) -> _Ended:
    """Wait until an import ends, and look at its memory meanwhile."""
    early_bytes = most_bytes = 0
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return _Ended(
                status=status,
                cpu_seconds=usage.ru_utime + usage.ru_stime,
                early_bytes=early_bytes,
                most_bytes=most_bytes,
            )
        most_bytes = max(most_bytes, peak_bytes(pid))
        if not early_bytes and _count_mirrored(store) >= early_count:
            early_bytes = most_bytes
        time.sleep(0.05)


def _imported(row: str, name: str, number: int, count: int, *, seconds: float, cpu_seconds: float) -> Slice:
    return Slice(
        row=row,
        contender=name,
        round=number,
        requests=count,
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        p50_us=0,
        p99_us=0,
    )


def import_beside(bench: Bench) -> None:
    """Reads at a steady rate, while another process imports into the same store and while it is stopped."""
    measure_imports_beside(bench, {"vigie": bench.small_store})


def measure_imports_beside(bench: Bench, stores: Mapping[str, Store]) -> None:
    """Reads beside an import into each store, and without; and how fast those imports are."""
    with ExitStack() as running:
        turns: dict[str, Turn] = {}
        for name, store in stores.items():
            copy = running.enter_context(copied(store))
            vigie = running.enter_context(serving_store(copy))
            _add_mirror(copy)
            importer = running.enter_context(_importing(copy, generated_file(bench.imports, copy.program)))
            load = replace(load_on(copy, vigie, incident(copy.chosen.whole)), delay_ms=_DELAY_MS)
            for beside, is_importing in ((QUIET_READS, False), (READS_BESIDE, True)):
                contender = Contender(
                    name=f"{name}, {beside}",
                    server=vigie,
                    load=load,
                    settle=partial(_follow, bench, copy, vigie),
                )
                turns[contender.name] = partial(
                    _beside_once, bench, contender, importer if is_importing else None, name
                )
        take_turns(bench, BESIDE, turns)


def _beside_once(
    bench: Bench, contender: Contender, importer: "_Importer | None", name: str, number: int
) -> Slice:
    """Reads of a round, and what is imported meanwhile."""
    read = partial(
        run_slice,
        contender.server,
        contender.load,
        row=BESIDE,
        contender=contender.name,
        round_number=number,
        seconds=_BESIDE_SECONDS,
    )
    if importer is None or not number:
        return read()
    with importer.let_run() as imported:
        reads = read()
    written = _imported(
        IMPORT_BESIDE,
        name,
        number,
        imported.count,
        seconds=imported.seconds,
        cpu_seconds=imported.cpu_seconds,
    )
    bench.results.add(written)
    if contender.settle is not None:
        contender.settle(written)
    return reads


@dataclass(slots=True)
class _Imported:
    """What an import has done in a stretch of time."""

    count: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _Importer:
    """An import that stands still but for stretches of time that are asked for."""

    process: "subprocess.Popen[bytes]"
    store: Store

    @contextmanager
    def let_run(self) -> Iterator[_Imported]:
        """Let it run; what it has done is known at the end of the block."""
        imported = _Imported()
        count, spent, began_seconds = _count_mirrored(self.store), self._cpu_seconds(), time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        try:
            yield imported
        finally:
            if self.process.poll() is not None:
                raise BenchError("the import was over too soon; give it more incidents with --imports")
            self.stop()
            imported.seconds = time.monotonic() - began_seconds
            imported.count = _count_mirrored(self.store) - count
            imported.cpu_seconds = self._cpu_seconds() - spent

    def stop(self) -> None:
        """Stop it between two transactions: it would keep the lock, and its server could not write."""
        with closing(sqlite3.connect(self.store.path, timeout=0, isolation_level=None)) as connection:
            while True:
                self.process.send_signal(signal.SIGSTOP)
                with suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                    return
                self.process.send_signal(signal.SIGCONT)
                time.sleep(0.002)

    def _cpu_seconds(self) -> float:
        return Server(name="import", pid=self.process.pid, url="").cpu_seconds()


@contextmanager
def _importing(store: Store, file: Path) -> Iterator[_Importer]:
    # On two cores it shares that of the load, which must not wait for it: the server's time is asked for.
    command = pinned(BACKGROUND_CORE, ["chrt", "--idle", "0", *_import_command(store, file)])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=clean_environment()) as process:
        # Starting a program is not importing.
        while not _count_mirrored(store):
            time.sleep(0.05)
        importer = _Importer(process=process, store=store)
        importer.stop()
        try:
            yield importer
        finally:
            process.kill()


def _import_command(store: Store, file: Path) -> list[str]:
    command = [str(store.program.path), "import", str(file), "--tenant", _MIRROR]
    return [*command, "--database", store.url, "--json"]


def _add_mirror(store: Store) -> None:
    store.run("tenant", "add", _MIRROR)


def _count_mirrored(store: Store) -> int:
    return _count(
        store, f"SELECT count(*) FROM incident JOIN tenant USING (tenant_id) WHERE name = '{_MIRROR}'"
    )


def _count(store: Store, statement: str) -> int:
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as connection:
        counted: int = connection.execute(statement).fetchone()[0]
        return counted
