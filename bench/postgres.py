"""The row of PostgreSQL: one incident by its number, beside nginx, SQLite and pgbench."""

import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.support.postgres_server import PostgresServer, a_postgres_server, find_binaries

from bench.driver import Bench, Contender, answer_of, measure, require_same_answers
from bench.nginx import serving_files
from bench.processes import GENERATOR_CORE, BenchError, pinned
from bench.programs import WORK
from bench.reads import incident, load_on
from bench.results import Figure, Skipped
from bench.stores import Store
from bench.vigie_server import serving_store

POSTGRES = "PostgreSQL"
ON_POSTGRES, ON_SQLITE = "vigie on PostgreSQL", "vigie on SQLite"
SELECTS = "pgbench, select only"

_CLIENTS = 8
_TRANSACTIONS_A_SECOND = re.compile(r"tps = ([\d.]+)")
# As large as a database server of its own has it; what is read is in memory in every row of this benchmark.
_OPTIONS = ("-c", "shared_buffers=512MB")


def by_id(bench: Bench) -> None:
    """The same incident in both stores; and how often PostgreSQL alone can answer a select."""
    binaries = find_binaries()
    if binaries is None or not (binaries / "pgbench").exists():
        bench.results.add(Skipped(row=POSTGRES, reason="PostgreSQL is missing; `apt-get install postgresql`"))
        return
    with ExitStack() as running:
        server = running.enter_context(a_postgres_server(binaries, *_OPTIONS))
        store = running.enter_context(_copied_into(server, bench.small_store))
        on_postgres = running.enter_context(serving_store(store, name="vigie-postgres"))
        on_sqlite = running.enter_context(serving_store(bench.small_store))
        there = load_on(store, on_postgres, incident(store.chosen.whole))
        here = load_on(bench.small_store, on_sqlite, there.target)
        nginx = running.enter_context(serving_files({there.target: answer_of(on_postgres, there)}))
        contenders = [
            Contender(name="nginx", server=nginx, load=there),
            Contender(name=ON_SQLITE, server=on_sqlite, load=here),
            Contender(name=ON_POSTGRES, server=on_postgres, load=there),
        ]
        require_same_answers(contenders)
        measure(bench, POSTGRES, contenders)
        _measure_selects(bench, server)


@contextmanager
def _copied_into(server: PostgresServer, store: Store) -> Iterator[Store]:
    """The same store in a database of the server."""
    with TemporaryDirectory(dir=WORK) as name:
        folder = Path(name)
        shutil.copy(store.folder / "chosen.json", folder)
        secret = folder / "secret"
        secret.write_text(secrets.token_hex(32), encoding="ascii")
        secret.chmod(0o600)
        copy = Store(
            folder=folder,
            incident_count=store.incident_count,
            database_url=server.url(server.new_database()),
            secret_file=secret,
        )
        copy.program.run("copy", "--from", store.url, "--to", copy.url, environ=copy.environ)
        yield copy


def _measure_selects(bench: Bench, server: PostgresServer) -> None:
    """pgbench in slices as long as the others, from the core of the load."""
    name = server.new_database()
    server.run("pgbench", "-q", "-i", "-h", server.folder, name)
    options = ["-S", "-n", "-M", "prepared", "-c", _CLIENTS, "-T", bench.seconds, "-h", server.folder, name]
    command = pinned(GENERATOR_CORE, [str(server.binaries / "pgbench"), *map(str, options)])
    found = [_TRANSACTIONS_A_SECOND.search(server.run_command(command)) for _ in range(bench.rounds)]
    rates = [float(each[1]) for each in found if each]
    if not rates:
        raise BenchError("pgbench did not say how many transactions it made")
    bench.results.add(Figure(row=POSTGRES, name=SELECTS, value=median(rates), unit="1/s"))
