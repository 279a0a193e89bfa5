"""The rows of `python -m bench against REVISION`: an older revision and this one, each with a store of its own."""

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing

from bench import life, reads, writes
from bench.driver import Bench, Contender, answer_of, measure, require_same_answers
from bench.nginx import serving_files
from bench.processes import Server
from bench.programs import Program
from bench.results import Figure
from bench.stores import Store, filled_store
from bench.vigie_server import serving_store

OLDER, THIS = "older revision", "this revision"
LOGGED = ", request log on"
DISK = "size on disk"
PER_INCIDENT = "for an incident of 3 alerts"

_PARTS = {"of it, the change feed": ("change",), "of it, the evidence": ("evidence",)}
"""Tables by how their names begin."""


def by_id(bench: Bench) -> None:
    """One incident, without the request log and with it, beside nginx."""
    with ExitStack() as running:
        stores = _stores(bench, bench.store)
        contenders = [
            _reading(running, name, store, logs=logs)
            for logs in (False, True)
            for name, store in stores.items()
        ]
        contenders.insert(0, _nginx(running, contenders[0]))
        require_same_answers(contenders)
        measure(bench, reads.BY_ID, contenders)


def ids(bench: Bench) -> None:
    """Any of all incidents."""
    with ExitStack() as running:
        contenders = [_reading(running, *each) for each in _stores(bench, bench.store).items()]
        nginx = _nginx(running, contenders[0])
        require_same_answers([nginx, *contenders])
        anywhere = [
            Contender(name=each.name, server=each.server, load=reads.any_incident(each.load, bench.store))
            for each in contenders
        ]
        measure(bench, reads.IDS, [nginx, *anywhere])


def lists(bench: Bench) -> None:
    """A list of 100."""
    with ExitStack() as running:
        contenders = []
        for name, store in _stores(bench, bench.store).items():
            server = running.enter_context(serving_store(store))
            load = reads.list_load(store, server, reads.LIST)
            contenders.append(Contender(name=name, server=server, load=load))
        page = answer_of(contenders[0].server, contenders[0].load)
        contenders.insert(0, reads.list_from_nginx(running, contenders[0].load, page))
        require_same_answers(contenders)
        measure(bench, reads.LISTS, contenders)


def updates(bench: Bench) -> None:
    """32 updates at once. What nginx sends in between tells whether the machine is quiet."""
    with ExitStack() as running:
        stores = _stores(bench, bench.store)
        nginx = _nginx(running, _reading(running, THIS, stores[THIS]))
        writes.measure_updates(bench, stores, [nginx])


def import_alone(bench: Bench) -> None:
    """Each revision's own file into an empty tenant."""
    writes.measure_imports(bench, _stores(bench, bench.small_store))


def import_beside(bench: Bench) -> None:
    """The same while a server of that revision answers reads."""
    writes.measure_imports_beside(bench, _stores(bench, bench.small_store))


def start(bench: Bench) -> None:
    """From the start of the program to the first answer, on a filled database."""
    life.measure_starts(bench, _stores(bench, bench.store))


def memory(bench: Bench) -> None:
    """Idle, and after reads."""
    life.measure_memory(bench, _stores(bench, bench.store))


def disk(bench: Bench) -> None:
    """What an incident of three alerts takes in the file: by how much a store is larger than a smaller one."""
    for name, store in _stores(bench, bench.store).items():
        fewer = filled_store(bench.small_store.incident_count, store.program)
        count = store.incident_count - fewer.incident_count
        _add_bytes(bench, f"{name}, {PER_INCIDENT}", (_file_bytes(store) - _file_bytes(fewer)) / count)
        large, small = _table_bytes(store), _table_bytes(fewer)
        for part, prefixes in _PARTS.items():
            more = _bytes_of(large, prefixes) - _bytes_of(small, prefixes)
            _add_bytes(bench, f"{name}, {part}", more / count)


def _stores(bench: Bench, store: Store) -> dict[str, Store]:
    """A store of this revision and the older revision's store of the same incidents."""
    return {OLDER: filled_store(store.incident_count, _older(bench)), THIS: store}


def _older(bench: Bench) -> Program:
    if bench.older is None:
        raise ValueError("there is no older revision to compare with")
    return bench.older


def _reading(running: ExitStack, name: str, store: Store, *, logs: bool = False) -> Contender:
    """A server of a store, asked for one incident."""
    log_name = f"vigie{LOGGED if logs else ''}"
    server = running.enter_context(serving_store(store, logs=logs, name=log_name))
    load = reads.load_on(store, server, reads.incident(store.chosen.whole))
    return Contender(name=f"{name}{LOGGED if logs else ''}", server=server, load=load)


def _nginx(running: ExitStack, like: Contender) -> Contender:
    """nginx with the bytes that a contender answers."""
    server: Server = running.enter_context(
        serving_files({like.load.target: answer_of(like.server, like.load)})
    )
    return Contender(name="nginx", server=server, load=like.load)


def _file_bytes(store: Store) -> int:
    """The size of a store when its log has been written back; nothing is compacted."""
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return store.size_bytes


def _table_bytes(store: Store) -> dict[str, int]:
    """The bytes of each table with its indexes."""
    with closing(sqlite3.connect(store.path)) as connection:
        return dict(
            connection.execute(
                "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name)"
                " WHERE aggregate = TRUE GROUP BY tbl_name"
            )
        )


def _bytes_of(tables: Mapping[str, int], prefixes: tuple[str, ...]) -> int:
    return sum(size for name, size in tables.items() if name.startswith(prefixes))


def _add_bytes(bench: Bench, name: str, value: float) -> None:
    bench.results.add(Figure(row=DISK, name=name, value=value, unit="bytes"))
