"""The rows of writing: updates at once, an import alone, and an import beside a serving process."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.callers import tokens_file
from bench.driver import Bench, Contender, measure
from bench.processes import (
    BACKGROUND_CORE,
    BenchError,
    Server,
    clean_environment,
    family_of,
    pinned,
    resident_bytes,
)
from bench.results import Figure
from bench.stores import VIGIE, Store, copied, database, generated_file, run_vigie
from bench.vigie_server import serving_store
from bench.wrk import Load, run_slice

UPDATES, IMPORT, BESIDE = "updates", "import alone", "reads beside an import"
QUIET_READS, READS_BESIDE = "vigie, no import", "vigie, an import beside it"

_MIRROR = "mirror"
_BODY = '{"assignedTo":"analyst-%d@contoso.example","status":"InProgress"}'
_DELAY_MS = 10
_BESIDE_SECONDS = 3


def updates(bench: Bench) -> None:
    """32 updates at once, each durable before its answer: the history has an entry for every answer."""
    with copied(bench.store) as store, serving_store(store) as vigie:
        load = Load(
            method="PATCH",
            target="/api/incidents/%d",
            last=store.incident_count,
            body=_BODY,
            tokens=tokens_file(store, "application"),
            body_bytes_min=4_000,
        )
        measure(bench, UPDATES, [Contender(name="vigie", server=vigie, load=load)])
        answered = sum(each.requests for each in bench.results.slices if each.row == UPDATES)
        written = _count(store, "SELECT count(*) FROM history WHERE action = 'update'")
    if written < answered:
        raise BenchError(f"{answered} updates were answered, {written} are in the history")


def import_alone(bench: Bench) -> None:
    """A file of incidents into an empty tenant, start and end of the command included."""
    file = generated_file(bench.imports)
    with copied(bench.small_store) as store:
        _add_mirror(store)
        began_seconds = time.monotonic()
        process = subprocess.Popen(
            _import_command(store, file), stdout=subprocess.DEVNULL, env=clean_environment()
        )
        early_bytes = _memory_after(process.pid, store, bench.imports // 10)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began_seconds
        imported = _count_mirrored(store)
    if status or imported != bench.imports:
        raise BenchError(f"an import of {bench.imports} incidents left {imported}")
    figures = {
        "incidents a second": (imported / seconds, "1/s"),
        "CPU for an incident": ((usage.ru_utime + usage.ru_stime) / imported * 1e6, "µs of CPU"),
        "memory after a tenth": (early_bytes / 1e6, "MB"),
        "memory at most": (usage.ru_maxrss * 1024 / 1e6, "MB"),
    }
    for name, (value, unit) in figures.items():
        bench.results.add(Figure(row=IMPORT, name=name, value=value, unit=unit))


def import_beside(bench: Bench) -> None:
    """Reads at a steady rate, while another process imports into the same store and while it is stopped."""
    file = generated_file(bench.imports)
    print(f"{BESIDE}: {QUIET_READS}, {READS_BESIDE}", flush=True)
    with copied(bench.small_store) as store, serving_store(store) as vigie:
        _add_mirror(store)
        load = Load(
            target=f"/api/incidents/{store.chosen.whole}",
            tokens=tokens_file(store, "application"),
            body_bytes_min=4_000,
            delay_ms=_DELAY_MS,
        )
        with _importing(store, file) as importer:
            for number in range(1, bench.rounds + 1):
                _slice(bench, vigie, load, QUIET_READS, number)
                with importer.let_run():
                    _slice(bench, vigie, load, READS_BESIDE, number)
            rate = importer.per_second
    bench.results.add(Figure(row=BESIDE, name="incidents a second", value=rate, unit="1/s"))


def _slice(bench: Bench, vigie: Server, load: Load, contender: str, number: int) -> None:
    bench.results.add(
        run_slice(vigie, load, row=BESIDE, contender=contender, round_number=number, seconds=_BESIDE_SECONDS)
    )


@dataclass(kw_only=True)
class _Importer:
    """An import that stands still but for stretches of time that are asked for."""

    process: "subprocess.Popen[bytes]"
    store: Store
    imported_before: int
    ran_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        """Incidents imported in a second, of those seconds in which it ran."""
        return (_count_mirrored(self.store) - self.imported_before) / self.ran_seconds

    @contextmanager
    def let_run(self) -> Iterator[None]:
        began_seconds = time.monotonic()
        self.process.send_signal(signal.SIGCONT)
        try:
            yield
        finally:
            if self.process.poll() is not None:
                raise BenchError("the import was over too soon; give it more incidents with --imports")
            self.process.send_signal(signal.SIGSTOP)
            self.ran_seconds += time.monotonic() - began_seconds


@contextmanager
def _importing(store: Store, file: Path) -> Iterator[_Importer]:
    # On two cores it shares that of the load, which must not wait for it: the server's time is asked for.
    command = pinned(BACKGROUND_CORE, ["chrt", "--idle", "0", *_import_command(store, file)])
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=clean_environment()) as process:
        # Starting a program is not importing.
        while not _count_mirrored(store):
            time.sleep(0.05)
        process.send_signal(signal.SIGSTOP)
        try:
            yield _Importer(process=process, store=store, imported_before=_count_mirrored(store))
        finally:
            process.kill()


def _memory_after(pid: int, store: Store, incident_count: int) -> int:
    """What a process holds once so many incidents are in the store."""
    while _count_mirrored(store) < incident_count and family_of(pid):
        time.sleep(0.2)
    return sum(map(resident_bytes, family_of(pid)))


def _import_command(store: Store, file: Path) -> list[str]:
    return [str(VIGIE), "import", str(file), "--tenant", _MIRROR, *database(store), "--json"]


def _add_mirror(store: Store) -> None:
    run_vigie("tenant", "add", _MIRROR, *database(store))


def _count_mirrored(store: Store) -> int:
    return _count(
        store, f"SELECT count(*) FROM incident JOIN tenant USING (tenant_id) WHERE name = '{_MIRROR}'"
    )


def _count(store: Store, statement: str) -> int:
    with closing(sqlite3.connect(f"file:{store.path}?mode=ro", uri=True)) as connection:
        counted: int = connection.execute(statement).fetchone()[0]
        return counted
