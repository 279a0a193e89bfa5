"""The reference of lists that does the same work: a C program that sends the rows of the same statement."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from bench.c_programs import compiled
from bench.processes import Server, free_port, running
from bench.stores import TENANT, Store
from vigie.api.defender.query_options import parse_page_request
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.scope import WHOLE

PAGE_OPTIONS = "$top=100"
_BEFORE_ROWS = b'"value":['


@contextmanager
def serving_rows(store: Store, page: bytes) -> Iterator[Server]:
    """The program on the servers' core; it answers with a page that begins as Vigie's does.

    Raises BenchError where it cannot be compiled.
    """
    program, port = compiled("list_loop"), free_port()
    statement = Listing(_tenant_id(store), WHOLE, parse_page_request(PAGE_OPTIONS.encode())).page()
    before, found, _ = page.partition(_BEFORE_ROWS)
    values = [f":{name}={_typed(value)}" for name, value in statement.values.items()]
    command = [str(program), str(port), str(store.path), statement.text, (before + found).decode(), *values]
    with running("list loop", command, port, ready_path="/") as server:
        yield server


def _typed(value: object) -> str:
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, str):
        return f"t{value}"
    raise TypeError(f"the C program binds numbers and texts, and no {type(value).__name__}")


def _tenant_id(store: Store) -> int:
    with closing(sqlite3.connect(store.path)) as connection:
        (tenant_id,) = connection.execute(
            "SELECT tenant_id FROM tenant WHERE domain = ?", (TENANT,)
        ).fetchone()
        return int(tenant_id)
