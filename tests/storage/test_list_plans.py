"""Lists cost the page and what is skipped, and not the size of the store: read off plans and counted steps."""

import asyncio
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.client_filters import ASSIGNEE, CLIENT_QUERIES, CREATION, LAST_UPDATE, STATUS, ClientQuery
from tests.support.house import settings_in
from tests.support.many_incidents import fill, moments_in
from vigie.api.defender.query_options import parse_page_request
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.queries import PageRequest
from vigie.runtime.installation import opened
from vigie.storage.database import Statement
from vigie.storage.listing.access_paths import AccessPath
from vigie.storage.listing.planner import Listing

EXPOSURES = {
    "the whole tenant": WHOLE_TENANT,
    "half of it": Exposure(device_groups=frozenset({11})),
    "two groups": Exposure(device_groups=frozenset({11, 12, "laptops"})),
    "a rare group": Exposure(device_groups=frozenset({13})),
    "no group": Exposure(),
}

ONE_PROPERTY = tuple(
    ClientQuery(
        client=f"{filter_} {orderby}",
        filter=filter_,
        top=20,
        orderby=orderby,
        index=index,
        range_index=range_index,
    )
    for filter_, orderby, index, range_index in (
        ("lastUpdateTime eq {updated[7]}", "", LAST_UPDATE, None),
        ("lastUpdateTime ne {updated[7]}", "", LAST_UPDATE, None),
        ("lastUpdateTime gt {updated[700]}", "", LAST_UPDATE, None),
        ("lastUpdateTime ge {updated[700]}", "", LAST_UPDATE, None),
        ("lastUpdateTime lt {updated[700]}", "", LAST_UPDATE, None),
        ("lastUpdateTime le {updated[700]}", "", LAST_UPDATE, None),
        ("lastUpdateTime in ({updated[7]}, {updated[700]})", "", LAST_UPDATE, None),
        ("createdTime eq {created[7]}", "", LAST_UPDATE, CREATION),
        ("createdTime ne {created[7]}", "", LAST_UPDATE, None),
        ("createdTime gt {created[700]}", "", LAST_UPDATE, CREATION),
        ("createdTime ge {created[700]}", "", LAST_UPDATE, CREATION),
        ("createdTime lt {created[700]}", "createdTime", CREATION, None),
        ("createdTime le {created[700]}", "createdTime desc", CREATION, None),
        ("createdTime gt {created[700]}", "createdTime", CREATION, None),
        ("createdTime ge {created[700]}", "createdTime desc", CREATION, None),
        ("lastUpdateTime lt {updated[100]}", "createdTime", CREATION, LAST_UPDATE),
        ("lastUpdateTime ge {updated[300]}", "createdTime desc", CREATION, LAST_UPDATE),
        ("createdTime lt {created[100]}", "", LAST_UPDATE, CREATION),
        ("createdTime le {created[100]}", "lastUpdateTime asc", LAST_UPDATE, CREATION),
        ("createdTime in ({created[7]}, {created[700]})", "", LAST_UPDATE, CREATION),
        ("status eq 'Active'", "", STATUS, None),
        ("status eq 'InProgress'", "", STATUS, None),
        ("status ne 'Resolved'", "", STATUS, None),
        ("status in ('InProgress', 'Redirected')", "", STATUS, None),
        ("not (status eq 'Redirected')", "", STATUS, None),
        ("status eq 'InProgress'", "lastUpdateTime asc", STATUS, None),
        ("assignedTo eq 'ana0@contoso.example'", "", ASSIGNEE, None),
        ("assignedTo eq 'rare@contoso.example'", "lastUpdateTime asc", ASSIGNEE, None),
        ("assignedTo eq 'nobody@contoso.example'", "", ASSIGNEE, None),
        ("assignedTo eq null", "", ASSIGNEE, None),
        ("assignedTo ne null", "", LAST_UPDATE, None),
        ("assignedTo ne 'rare@contoso.example'", "", LAST_UPDATE, None),
        ("assignedTo gt 'ana1'", "", LAST_UPDATE, None),
        ("assignedTo in ('ana1@contoso.example', 'rare@contoso.example', null)", "", ASSIGNEE, None),
        ("", "lastUpdateTime asc", LAST_UPDATE, None),
        ("", "lastUpdateTime desc", LAST_UPDATE, None),
        ("", "createdTime asc", CREATION, None),
        ("", "createdTime desc", CREATION, None),
        ("", "lastUpdateTime desc, status, createdTime desc", LAST_UPDATE, None),
        ("", "status asc", STATUS, None),
        ("", "status desc", STATUS, None),
        ("", "assignedTo asc", ASSIGNEE, None),
        ("", "assignedTo desc", ASSIGNEE, None),
        ("status eq 'InProgress'", "status", STATUS, None),
        ("status in ('InProgress', 'Redirected')", "status desc", STATUS, None),
        ("assignedTo eq 'ana0@contoso.example'", "assignedTo", ASSIGNEE, None),
        ("assignedTo eq null", "assignedTo", ASSIGNEE, None),
        ("assignedTo gt 'ana1'", "assignedTo", ASSIGNEE, None),
        ("assignedTo le 'ana1'", "assignedTo desc", ASSIGNEE, None),
    )
)
EVERY_QUERY = (*CLIENT_QUERIES, *ONE_PROPERTY)

FIRST_PROBES_STEPS = 5_000
"""What the first probes cost where there are enough rows for them: a small database may have fewer."""

all_queries = pytest.mark.parametrize("query", EVERY_QUERY, ids=lambda query: query.client)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """A store of many incidents, looked at from below."""

    tenant_id: int
    connection: sqlite3.Connection
    moments: Mapping[str, Mapping[int, str]]

    def listing(self, query: ClientQuery, exposure: Exposure = WHOLE_TENANT) -> Listing:
        request = parse_page_request(urlencode(query.options(self.moments)).encode())
        return self.listing_of(request, exposure)

    def listing_of(self, request: PageRequest, exposure: Exposure) -> Listing:
        return Listing(self.tenant_id, exposure, request)

    def number(self, statement: Statement) -> int:
        return int(self.connection.execute(statement.text, statement.values).fetchone()[0])

    def path(self, listing: Listing) -> AccessPath:
        """The path that the database would take."""
        return next(
            (probe.path for probe in listing.probes() if self.number(probe.statement)), AccessPath.IN_ORDER
        )

    def plan(self, statement: Statement) -> list[tuple[int, int, str]]:
        """The steps of a plan as number, number of the step they belong to, text."""
        rows = self.connection.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
        return [(number, parent, text) for number, parent, _, text in rows]

    def steps(self, listing: Listing) -> int:
        """How many steps of SQLite's machine a page costs, with all that is looked at before."""
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        self.connection.set_progress_handler(step, 1)
        page = listing.page(self.path(listing))
        assert len(self.connection.execute(page.text, page.values).fetchall()) <= 101
        self.connection.set_progress_handler(None, 0)
        return count


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    yield from filled(tmp_path_factory.mktemp("small"), 2_000)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    yield from filled(tmp_path_factory.mktemp("large"), 40_000)


def filled(folder: Path, count: int) -> Iterator[Filled]:
    settings = settings_in(folder)

    async def make() -> int:
        async with opened(settings, create=True) as installation:
            tenant = await installation.directory.add_tenant("Contoso", guid=None, domain=None)
            await fill(installation, tenant.tenant_id, count)
            return tenant.tenant_id

    tenant_id = asyncio.run(make())
    with closing(sqlite3.connect(settings.database.path)) as connection:
        yield Filled(tenant_id=tenant_id, connection=connection, moments=moments_in(connection, tenant_id))


# Plans


def is_search_by(index: str, text: str) -> bool:
    named = rf"SEARCH incident_visibility USING (COVERING )?(INDEX )?{index} \(tenant_id=\? AND label=\?"
    return re.match(named, text) is not None


def branches_of(plan: list[tuple[int, int, str]]) -> list[tuple[str, set[str]]]:
    """Each reading of the visibility table, and what else happens at the same place."""
    return [
        (text, {beside for number, place, beside in plan if place == parent and number != branch})
        for branch, parent, text in plan
        if "incident_visibility" in text
    ]


@all_queries
def test_each_branch_is_a_range_of_the_expected_index_in_order(small: Filled, query: ClientQuery) -> None:
    branches = branches_of(small.plan(small.listing(query).page(AccessPath.IN_ORDER)))

    assert branches
    for text, beside in branches:
        assert is_search_by(query.index, text)
        assert "USE TEMP B-TREE FOR ORDER BY" not in beside


@all_queries
def test_the_range_of_the_other_time_is_a_choice_where_it_is_bounded(
    small: Filled, query: ClientQuery
) -> None:
    listing = small.listing(query)
    probes = list(listing.probes())

    branches = branches_of(small.plan(listing.page(AccessPath.SORTED_RANGE))) if probes else []

    assert {probe.path for probe in probes} == (
        {AccessPath.IN_ORDER, AccessPath.SORTED_RANGE} if query.range_index else set()
    )
    assert all(is_search_by(str(query.range_index), text) for text, _ in branches)


@all_queries
def test_nothing_is_read_from_end_to_end(small: Filled, query: ClientQuery) -> None:
    for scope, exposure in EXPOSURES.items():
        listing = small.listing(query, exposure)
        statements = [
            listing.page(AccessPath.IN_ORDER),
            listing.page(AccessPath.SORTED_RANGE),
            listing.count(),
        ]
        statements += [probe.statement for probe in listing.probes()]

        texts = [text for statement in statements for _, _, text in small.plan(statement)]

        assert not [text for text in texts if re.match(r"SCAN incident", text)], scope
        assert all("(tenant_id=?" in text for text in texts if re.match(r"SEARCH incident", text)), scope


@all_queries
def test_documents_are_fetched_for_the_page_alone(small: Filled, query: ClientQuery) -> None:
    for scope, exposure in EXPOSURES.items():
        listing = small.listing(query, exposure)

        plan = small.plan(listing.page(small.path(listing)))

        fetched = [(parent, text) for _, parent, text in plan if re.match(r"\w+ incident\b", text)]
        assert fetched == [
            (0, "SEARCH incident USING INDEX sqlite_autoindex_incident_1 (tenant_id=? AND incident_id=?)")
        ], scope
        assert [text for _, parent, text in plan if parent == 0 and "TEMP B-TREE" in text] == [], scope


def test_an_assignee_and_a_status_are_looked_up_together(small: Filled) -> None:
    query = ClientQuery(
        client="", filter="assignedTo eq 'ana0@contoso.example' and status ne 'Redirected'", index=ASSIGNEE
    )

    plan = small.plan(small.listing(query).page())

    assert sum("label=? AND assigned_to=? AND status=?" in text for _, _, text in plan) == 3


def test_a_scope_of_very_many_groups_is_merged_all_the_same(small: Filled) -> None:
    request = parse_page_request(b"")
    many = Exposure(device_groups=frozenset({11, *range(1000, 1398)}))
    too_many = Exposure(device_groups=frozenset({11, *range(1000, 1600)}))

    texts = [
        small.listing_of(request, exposure).page().text.count(" UNION ") for exposure in (many, too_many)
    ]

    assert texts == [399, 0]
    pages = [small.listing_of(request, each).page() for each in (EXPOSURES["half of it"], many, too_many)]
    answers = [small.connection.execute(page.text, page.values).fetchall() for page in pages]
    assert answers[0] == answers[1] == answers[2] != []


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ("XSOAR's first fetch", AccessPath.IN_ORDER),
        ("XSOAR fetches", AccessPath.SORTED_RANGE),
        ("Rapid7", AccessPath.IN_ORDER),
    ],
)
def test_the_shorter_path_is_taken(large: Filled, client: str, path: AccessPath) -> None:
    query = next(each for each in CLIENT_QUERIES if each.client == client)

    assert large.path(large.listing(query)) is path


# Steps


@all_queries
def test_a_page_costs_the_same_where_there_are_twenty_times_as_many(
    small: Filled, large: Filled, query: ClientQuery
) -> None:
    for scope, exposure in EXPOSURES.items():
        before, after = (store.steps(store.listing(query, exposure)) for store in (small, large))

        assert after <= 1.5 * max(before, FIRST_PROBES_STEPS), scope
