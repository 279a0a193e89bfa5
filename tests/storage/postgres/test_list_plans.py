"""Lists in PostgreSQL cost the page and what is skipped, and not the size of the store: read off plans."""

import asyncio
import json
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlencode

import asyncpg
import pytest

from tests.support.client_filters import ASSIGNEE, CLIENT_QUERIES, CREATION, LAST_UPDATE, STATUS, ClientQuery
from tests.support.house import settings_in
from tests.support.many_incidents import fill
from tests.support.stores import store_of_tests
from vigie.api.defender.query_options import parse_page_request
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.instants import Instant, format_instant
from vigie.core.queries import PageRequest
from vigie.runtime.installation import opened
from vigie.storage.database import Statement
from vigie.storage.listing.access_paths import AccessPath
from vigie.storage.listing.counting import Count
from vigie.storage.listing.dialect import POSTGRES
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.scope import WHOLE, Scope, visible_sets
from vigie.storage.postgres.scans import beginning
from vigie.storage.postgres.statement import numbered
from vigie.storage.visibility import labels_of

T = TypeVar("T")

INDEXES = {
    CREATION: {"listing_by_creation"},
    STATUS: {"listing_by_status"},
    ASSIGNEE: {"listing_by_assignee", "listing_of_unassigned"},
}
EXPOSURES = {"the whole tenant": WHOLE_TENANT, "two groups": Exposure(device_groups=frozenset({11, 12}))}

BY_ONE_PROPERTY = tuple(
    ClientQuery(client=f"{filter_} {orderby}", filter=filter_, orderby=orderby, top=20, index=index)
    for filter_, orderby, index in (
        ("", "lastUpdateTime asc", LAST_UPDATE),
        ("", "createdTime asc", CREATION),
        ("", "createdTime desc", CREATION),
        ("", "status asc", STATUS),
        ("", "status desc", STATUS),
        ("", "assignedTo asc", ASSIGNEE),
        ("", "assignedTo desc", ASSIGNEE),
        ("status eq 'InProgress'", "status desc", STATUS),
        ("assignedTo eq null", "assignedTo", ASSIGNEE),
        ("assignedTo eq 'ana0@contoso.example'", "assignedTo desc", ASSIGNEE),
        ("assignedTo gt 'ana1'", "assignedTo", ASSIGNEE),
        ("assignedTo le 'ana1'", "assignedTo desc", ASSIGNEE),
    )
)

all_queries = pytest.mark.parametrize(
    "query", [*CLIENT_QUERIES, *BY_ONE_PROPERTY], ids=lambda query: query.client
)

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A store of some incidents, and how it would be read."""

    runner: asyncio.Runner
    connection: asyncpg.Connection
    tenant_id: int
    moments: Mapping[str, Mapping[int, str]]

    def request(self, query: ClientQuery) -> PageRequest:
        return parse_page_request(urlencode(query.options(self.moments)).encode())

    def listing(self, query: ClientQuery, exposure: Exposure) -> Listing:
        return Listing(self.tenant_id, self.scope(exposure), self.request(query), dialect=POSTGRES)

    def counting(self, query: ClientQuery, exposure: Exposure) -> Count:
        scope = self.scope(exposure)
        return Count(self.tenant_id, scope, self.request(query).filter, dialect=POSTGRES)

    def scope(self, exposure: Exposure) -> Scope:
        if exposure.whole_tenant:
            return WHOLE
        labels = labels_of(exposure)
        statement = visible_sets(self.tenant_id, labels)
        asked = numbered(statement.text)
        rows = self.connection.fetch(asked.text, *asked.arguments(statement.values))
        return Scope(labels=labels, set_ids=tuple(number for (number,) in self.runner.run(_wait(rows))))

    def path(self, listing: Listing) -> AccessPath:
        """The path that the database would take."""
        for probe in listing.probes():
            asked = numbered(probe.statement.text)
            answer = self.connection.fetchval(asked.text, *asked.arguments(probe.statement.values))
            if self.runner.run(_wait(answer)):
                return probe.path
        return listing.paths[0]

    def nodes(self, statement: Statement) -> list[Node]:
        """The steps of a plan, each before those it is made of."""
        asked = numbered(statement.text)
        explained = self.connection.fetchval(
            f"EXPLAIN (FORMAT JSON) {asked.text}", *asked.arguments(statement.values)
        )
        return list(_flat(json.loads(self.runner.run(_wait(explained)))[0]["Plan"]))


def _flat(node: Node) -> Iterator[Node]:
    yield node
    for part in node.get("Plans", ()):
        yield from _flat(part)


async def _wait(work: Coroutine[Any, Any, T]) -> T:
    return await work


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with store_of_tests("postgres"), asyncio.Runner() as runner:
        settings = settings_in(tmp_path_factory.mktemp("plans"))

        async def make() -> Filled:
            async with opened(settings, create=True) as installation:
                tenant = await installation.directory.add_tenant("Contoso", guid=None, domain=None)
                await fill(installation, tenant.tenant_id, 4_000)
            connection = await asyncpg.connect(settings.database.url)
            await connection.execute("VACUUM (ANALYZE)")
            moments = {
                name: {
                    place: format_instant(Instant(row["at"]))
                    for place, row in enumerate(
                        await connection.fetch(
                            f"SELECT {column} AS at FROM incident ORDER BY 1 DESC LIMIT 1600"
                        )
                    )
                }
                for name, column in (("created", "created_at"), ("updated", "last_update_at"))
            }
            await connection.execute(beginning(10.0))
            return Filled(runner=runner, connection=connection, tenant_id=tenant.tenant_id, moments=moments)

        filled = runner.run(make())
        yield filled
        runner.run(filled.connection.close())


def readings(nodes: list[Node], table: str) -> list[Node]:
    return [node for node in nodes if node.get("Relation Name") == table]


@all_queries
def test_each_branch_is_a_range_of_the_expected_index_in_order(filled: Filled, query: ClientQuery) -> None:
    for scope, exposure in EXPOSURES.items():
        nodes = filled.nodes(filled.listing(query, exposure).page(AccessPath.IN_ORDER))

        branches = readings(nodes, "incident_listing")
        assert branches, scope
        assert {branch["Index Name"] for branch in branches} <= INDEXES[query.index], scope
        assert all("tenant_id = " in branch["Index Cond"] for branch in branches), scope
        sorts = [node for node in nodes if node["Node Type"] == "Sort"]
        assert not [node for sort in sorts for node in sort["Plans"] if "Relation Name" in node], scope


@all_queries
def test_the_range_of_the_other_time_is_found_first_and_then_sorted(
    filled: Filled, query: ClientQuery
) -> None:
    listing = filled.listing(query, WHOLE_TENANT)
    if filled.path(listing) is AccessPath.IN_ORDER:
        return

    branches = readings(filled.nodes(listing.page(AccessPath.SORTED_RANGE)), "incident_listing")

    assert {branch["Index Name"] for branch in branches} <= INDEXES[str(query.range_index)]


@all_queries
def test_nothing_is_read_from_end_to_end(filled: Filled, query: ClientQuery) -> None:
    for scope, exposure in EXPOSURES.items():
        listing, counting = filled.listing(query, exposure), filled.counting(query, exposure)
        statements = [
            *map(listing.page, listing.paths),
            *(probe.statement for probe in listing.probes()),
            counting.statement(),
            *(statement for probe in counting.probes() for statement in (probe.statement, probe.count)),
        ]

        kinds = {node["Node Type"] for statement in statements for node in filled.nodes(statement)}

        forbidden = {"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join", "Memoize", "Gather"}
        assert not kinds & forbidden, scope


@all_queries
def test_documents_are_fetched_one_by_one_for_the_page_alone(filled: Filled, query: ClientQuery) -> None:
    for scope, exposure in EXPOSURES.items():
        nodes = filled.nodes(filled.listing(query, exposure).page(AccessPath.IN_ORDER))

        assert nodes[0]["Node Type"] == "Nested Loop", scope
        assert [node["Index Name"] for node in readings(nodes, "incident")] == ["incident_pkey"], scope
