"""Servers that start at the same moment on a database where nothing is yet."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.cluster import TENANT, Node, settings_file_in
from tests.faults.load import ask
from tests.support.commands import done
from tests.support.stores import the_postgres_server
from vigie.storage.statements import migrations

NODES_COUNT = 4


@pytest.fixture
def database() -> str:
    """An empty database that notes in the server's log what makes and changes tables in it."""
    server = the_postgres_server()
    name = server.new_database()
    server.sql(f"ALTER DATABASE {name} SET log_statement = 'ddl'")
    return name


@pytest.fixture
def nodes(database: str, tmp_path: Path) -> Iterator[list[Node]]:
    settings_file = settings_file_in(tmp_path, the_postgres_server().url(database))
    with ExitStack() as stack:
        nodes = [Node(settings_file=settings_file) for _ in range(NODES_COUNT)]
        for node in nodes:
            stack.callback(node.kill)
        yield nodes


def test_four_servers_that_start_at_once_migrate_once_and_all_serve(
    database: str, nodes: list[Node], tmp_path: Path
) -> None:
    server = the_postgres_server()
    began_at = (server.folder / "log").stat().st_size

    for node in nodes:
        node.begin()
    for node in nodes:
        node.wait()

    at = ("--config", tmp_path / "vigie.toml")
    done("tenant", "add", "Contoso", "--domain", TENANT, *at)
    done("app", "add", "reader", "--tenant", "Contoso", "--permission", "Incident.Read.All", *at)
    token = done("token", "--app", "reader", "--tenant", "Contoso", *at)["access_token"]
    assert [ask(node.port, token, "/api/incidents") for node in nodes] == [
        (200, {"@odata.context": f"http://127.0.0.1:{node.port}/api/$metadata#Incidents", "value": []})
        for node in nodes
    ]
    with (server.folder / "log").open(encoding="utf-8") as log:
        log.seek(began_at)
        made = log.read().count("statement: CREATE TABLE vigie_schema")
    assert made == 1
    assert server.sql("SELECT version FROM vigie_schema", database=database) == str(
        migrations("postgres")[-1][0]
    )
    # Each is called by a port of its own, and the first one settled the issuer.
    warned = [json.loads(line)["event"] for node in nodes for line in node.log.splitlines()]
    assert set(warned) == {"issuer_mismatch"}
