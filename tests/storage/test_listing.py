"""Pages out of the database: for any incidents, exposure, filter and order the same as worked out without it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.builders import Document, a_device, an_alert, an_entity, an_incident
from tests.support.house import House, RunningHouse
from tests.support.naive_lists import NAMES, listed
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.audit import AuditContext
from vigie.core.conditions import And, Comparison, Expression, Not, Operator, Or, Property
from vigie.core.enums import Status
from vigie.core.instants import Instant, format_instant, parse_instant
from vigie.core.queries import DEFAULT_ORDER, Order, PageRequest
from vigie.documents.defender.reading import keep_document
from vigie.documents.defender.redaction import visible_document
from vigie.storage.database import Row, Statement
from vigie.storage.listing.access_paths import AccessPath
from vigie.storage.listing.counting import Count
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.scope import WHOLE, Scope, read_scope, visible_sets

UPDATED, CREATED, STATUS, ASSIGNED = Property
NOON = parse_instant("2026-02-11T12:00:00Z")
SOMEBODY = AuditContext(actor="tests", request_id="", at=NOON)

# Few of each, so that much is equal and much meets. Names of groups without a number come as they are.
GROUPS = ("laptops", "servers", "kiosks", "branch", "", None)
ASSIGNEES = (None, "", "ana", "Ana", "anb", "élise", "o'neill", "\x00", "😀")

instants = st.integers(-3, 3).map(lambda ticks: Instant(NOON + ticks))
exposures = st.just(WHOLE_TENANT) | st.builds(
    Exposure,
    device_groups=st.frozensets(
        st.sampled_from([11, 12, 13, "laptops", "branch", "Ungrouped devices", "", "*", "#11"]), max_size=4
    ),
    every_stub=st.booleans(),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the store says to a request: the page in the way it chose, and in every other."""

    count: int | None
    pages: Sequence[list[Document]]


@st.composite
def incidents(draw: st.DrawFn) -> list[Document]:
    numbers = draw(st.lists(st.integers(1, 10_000), max_size=12, unique=True))
    targets = st.none() | st.sampled_from([*numbers, 10_001])
    return [{**draw(incident_of(number)), "redirectIncidentId": draw(targets)} for number in numbers]


@st.composite
def incident_of(draw: st.DrawFn, number: int) -> Document:
    groups = draw(st.lists(st.lists(st.sampled_from(GROUPS), max_size=2), max_size=3))
    alerts = [an_alert(devices=[a_device(group) for group in each]) for each in groups]
    for alert in alerts:
        alert["entities"] = [an_entity(device) for device in alert["devices"]]
    return {
        **an_incident(),
        "incidentId": number,
        "createdTime": format_instant(draw(instants)),
        "lastUpdateTime": format_instant(draw(instants)),
        "status": draw(st.sampled_from(Status)),
        "assignedTo": draw(st.sampled_from(ASSIGNEES)),
        "alerts": alerts,
    }


comparisons = st.one_of(
    st.builds(Comparison, st.sampled_from([UPDATED, CREATED]), st.sampled_from(Operator), instants),
    st.builds(
        Comparison,
        st.just(STATUS),
        st.sampled_from([Operator.EQ, Operator.NE]),
        st.sampled_from([*Status, None]),
    ),
    st.builds(
        Comparison,
        st.just(ASSIGNED),
        st.sampled_from(Operator),
        st.sampled_from([each for each in ASSIGNEES if each is not None]),
    ),
    st.builds(Comparison, st.just(ASSIGNED), st.sampled_from([Operator.EQ, Operator.NE]), st.none()),
)


@st.composite
def memberships(draw: st.DrawFn) -> Expression:
    """`in` a list: of one property, and equal each time."""
    property_ = draw(st.sampled_from(list(Property)))
    values: st.SearchStrategy[Any] = {
        STATUS: st.sampled_from(Status),
        ASSIGNED: st.sampled_from(ASSIGNEES),
    }.get(property_, instants)
    members = draw(st.lists(values, min_size=1, max_size=3))
    return Or(tuple(Comparison(property_, Operator.EQ, member) for member in members))


def expressions(depth: int) -> st.SearchStrategy[Expression]:
    simple: st.SearchStrategy[Expression] = comparisons | memberships()
    if not depth:
        return simple
    inner = expressions(depth - 1)
    several = st.lists(inner, min_size=2, max_size=4).map(tuple)
    return st.one_of(simple, st.builds(And, several), st.builds(Or, several), st.builds(Not, inner))


orders = st.just(DEFAULT_ORDER) | st.lists(
    st.builds(Order, st.sampled_from(Property), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda term: term.property,
).map(tuple)

requests = st.builds(
    PageRequest,
    filter=st.none() | expressions(2),
    order=orders,
    top=st.none() | st.integers(1, 5),
    skip=st.sampled_from([0, 0, 0, 1, 2, 5, 20]),
    count=st.booleans(),
)


def put(house: House, documents: Sequence[Document], tenant_id: int | None = None) -> int:
    """Put incidents into a new tenant, or one that there is; its number."""
    tenant_id = house.add_tenant().tenant_id if tenant_id is None else tenant_id
    store = house.running.installation.incidents
    house.running.run(store.put_incidents(tenant_id, map(keep_document, documents), SOMEBODY))
    return tenant_id


def reader_of(exposure: Exposure) -> Callable[[Row], bytes]:
    """What an exposure sees of the row of a page."""

    def visible(row: Row) -> bytes:
        if exposure.whole_tenant:
            return bytes(row[0])
        document, alerts_at, spans, _ = row
        return visible_document(document, alerts_at, spans, exposure) or b"null"

    return visible


def answers_of(
    house: House,
    tenant_id: int,
    exposure: Exposure,
    request: PageRequest,
    retained_since: Instant | None = None,
) -> Answered:
    installation = house.running.installation

    async def ask() -> Answered:
        async with installation.incidents.page(
            tenant_id, exposure, request, retained_since=retained_since
        ) as page:
            pages = [[json.loads(each) async for batch in page.batches for each in batch]]
        dialect = installation.database.dialect
        async with installation.database.snapshot() as snapshot:
            scope = await read_scope(snapshot, tenant_id, exposure)
            counting = Count(tenant_id, scope, request.filter, retained_since, dialect=dialect)
            counts = {await snapshot.number(each.count) for each in counting.probes()}
        assert counts <= {page.count or 0} or not request.count
        listing = Listing(tenant_id, scope, request, retained_since, dialect=dialect)
        for path in {probe.path for probe in listing.probes()}:
            async with installation.database.snapshot() as snapshot:
                batches = snapshot.batches(listing.page(path), reader_of(exposure))
                pages.append([json.loads(each) async for batch in batches for each in batch])
        return Answered(count=page.count, pages=pages)

    return house.running.run(ask())


@settings(max_examples=150)
@given(data=st.data(), documents=incidents())
def test_a_page_is_what_is_worked_out_without_a_database(
    running_house: RunningHouse, data: st.DataObject, documents: list[Document]
) -> None:
    house = House(running_house)
    tenant_id = put(house, documents)

    for _ in range(8):
        exposure, request = data.draw(exposures), data.draw(requests)
        retained_since = data.draw(st.none() | instants)
        everything = listed(documents, exposure, request, retained_since=retained_since)

        answered = answers_of(house, tenant_id, exposure, request, retained_since)

        assert answered.count == (len(everything) if request.count else None)
        for page in answered.pages:
            assert page == everything[request.skip : request.skip + request.size]


def test_incidents_that_are_equal_come_by_ascending_number_whatever_the_order(house: House) -> None:
    documents = [an_incident(an_alert("laptops", "servers")) for _ in range(5)]
    tenant_id = put(house, documents[::-1])
    numbers = sorted(each["incidentId"] for each in documents)

    for exposure in (WHOLE_TENANT, Exposure(device_groups=frozenset({11, 12}))):
        for property_ in Property:
            for is_descending in (False, True):
                request = PageRequest(order=(Order(property_, is_descending),))
                pages = answers_of(house, tenant_id, exposure, request).pages
                assert [[each["incidentId"] for each in page] for page in pages] == [numbers] * len(pages)


@pytest.mark.parametrize("count", [100, 101, 250])
def test_one_more_is_read_only_to_tell_that_there_are_more(house: House, count: int) -> None:
    tenant_id = put(house, [an_incident() for _ in range(count)])

    def read(request: PageRequest) -> int:
        return len(answers_of(house, tenant_id, WHOLE_TENANT, request).pages[0])

    assert read(PageRequest()) == min(count, 101)
    assert read(PageRequest(top=100)) == 100
    assert read(PageRequest(top=5, skip=98)) == min(count - 98, 5)


def test_an_incident_visible_for_several_reasons_counts_once(house: House) -> None:
    documents = [an_incident(an_alert("laptops"), an_alert("servers"), an_alert()) for _ in range(3)]
    tenant_id = put(house, documents)
    exposure = Exposure(device_groups=frozenset({11, 12, "laptops"}))

    answered = answers_of(house, tenant_id, exposure, PageRequest(top=2, skip=1, count=True))

    assert answered.count == 3
    assert [each["incidentId"] for each in answered.pages[0]] == [
        each["incidentId"] for each in documents[1:]
    ]


def test_groups_that_only_look_like_labels_make_nothing_visible(house: House) -> None:
    tenant_id = put(house, [an_incident(an_alert("laptops"))])

    for group in ("*", "#11", "=laptops", "11", ""):
        exposure = Exposure(device_groups=frozenset({group}))
        assert answers_of(house, tenant_id, exposure, PageRequest()).pages == [[]]


@pytest.mark.parametrize("exposure", [WHOLE_TENANT, Exposure(device_groups=frozenset({11}))])
def test_another_tenants_incidents_are_not_there(house: House, exposure: Exposure) -> None:
    put(house, [an_incident(an_alert("laptops"))])
    other = house.add_tenant().tenant_id

    answered = answers_of(house, other, exposure, PageRequest(count=True))

    assert (answered.count, answered.pages) == (0, [[]])


@pytest.mark.parametrize(
    "incident",
    [
        an_incident(
            an_alert("servers"), status="Resolved", assignedTo="ana", createdTime="2026-02-01T00:00:00Z"
        ),
        an_incident(an_alert(), status="Active", assignedTo=None, lastUpdateTime="2026-03-01T00:00:00Z"),
    ],
)
def test_an_incident_that_is_put_again_is_found_by_what_it_is_now(house: House, incident: Document) -> None:
    before = {**an_incident(an_alert("laptops")), "incidentId": incident["incidentId"]}
    tenant_id = put(house, [before])
    put(house, [incident], tenant_id)

    for exposure in (WHOLE_TENANT, *(Exposure(device_groups=frozenset({each})) for each in (11, 12))):
        for property_ in Property:
            for order in (DEFAULT_ORDER, (Order(CREATED),)):
                value = incident[NAMES[property_]]
                value = parse_instant(value) if property_ in (UPDATED, CREATED) else value
                request = PageRequest(
                    filter=Comparison(property_, Operator.EQ, value), order=order, count=True
                )
                everything = listed([incident], exposure, request)
                answered = answers_of(house, tenant_id, exposure, request)
                assert (answered.count, answered.pages[0]) == (len(everything), everything)


# One moment


def test_a_page_and_its_count_are_of_one_moment(house: House) -> None:
    tenant_id = put(house, [an_incident() for _ in range(3)])
    store = house.running.installation.incidents

    async def ask() -> tuple[int | None, int]:
        request = PageRequest(count=True)
        async with store.page(tenant_id, WHOLE_TENANT, request) as page:
            await store.put_incidents(tenant_id, [keep_document(an_incident())], SOMEBODY)
            return page.count, sum([len(batch) async for batch in page.batches])

    assert house.running.run(ask()) == (3, 3)
    assert len(answers_of(house, tenant_id, WHOLE_TENANT, PageRequest()).pages[0]) == 4


def test_a_page_that_is_left_before_its_end_keeps_nothing_of_its_moment(house: House) -> None:
    tenant_id = put(house, [an_incident(*(an_alert("laptops") for _ in range(40))) for _ in range(8)])
    store = house.running.installation.incidents

    async def leave_early() -> object:
        async with store.page(tenant_id, WHOLE_TENANT, PageRequest()) as page:
            return page.batches, await anext(page.batches)

    # What is left is held on to: nothing must hang on when it is collected.
    left = [house.running.run(leave_early()) for _ in range(6)]
    put(house, [an_incident()], tenant_id)

    seen = [answers_of(house, tenant_id, WHOLE_TENANT, PageRequest()).pages[0] for _ in range(6)]
    assert left
    assert [len(page) for page in seen] == [9] * 6


def test_many_pages_are_read_at_once(house: House) -> None:
    tenant_id = put(house, [an_incident(*(an_alert("laptops") for _ in range(20))) for _ in range(30)])
    store = house.running.installation.incidents

    async def read() -> int:
        async with store.page(tenant_id, WHOLE_TENANT, PageRequest()) as page:
            return sum([len(batch) async for batch in page.batches])

    async def ask() -> list[int]:
        return await asyncio.gather(*(read() for _ in range(40)))

    assert house.running.run(ask()) == [30] * 40


# What is skipped


def incidents_of_few_moments(count: int) -> list[Document]:
    """The later ones mostly active, the earlier ones mostly resolved; and many in the middle at one moment."""
    rng = Random(count)
    documents = []
    for number in range(1, count + 1):
        is_late = number > count // 2
        weights = (0.8, 0.05, 0.15, 0) if is_late else (0.1, 0.005, 0.8, 0.095)
        moment = 0 if count // 3 < number < count // 2 else number // 20 - count // 40
        document = {
            **an_incident(an_alert(devices=[a_device(rng.choice(GROUPS[:2]))])),
            "incidentId": number,
            "createdTime": format_instant(Instant(NOON - rng.randrange(50))),
            "lastUpdateTime": format_instant(Instant(NOON + moment)),
            "status": rng.choices(list(Status), weights)[0],
            "assignedTo": rng.choice(ASSIGNEES[:4]),
        }
        documents.append(document)
    rng.shuffle(documents)
    return documents


def of_assignees(*names: str | None) -> Expression:
    return Or(tuple(Comparison(ASSIGNED, Operator.EQ, name) for name in names))


UNASSIGNED = Comparison(ASSIGNED, Operator.EQ, None)


def counted_page(
    house: House, tenant_id: int, exposure: Exposure, request: PageRequest, retained_since: Instant
) -> list[Document]:
    """A page before which rows are counted where a database would still merge them."""
    database = house.running.installation.database
    dialect = copy(database.dialect)
    dialect.merged_rows_max = 100

    async def ask() -> list[Document]:
        async with database.snapshot() as snapshot:
            scope = await read_scope(snapshot, tenant_id, exposure)
            listing = Listing(tenant_id, scope, request, retained_since, dialect=dialect)
            batches = snapshot.batches(await snapshot.search(listing.search()), reader_of(exposure))
            return [json.loads(each) async for batch in batches for each in batch]

    return house.running.run(ask())


FAR_DOWN = (
    PageRequest(),
    PageRequest(order=(Order(UPDATED),)),
    PageRequest(order=(Order(UPDATED), Order(STATUS, is_descending=True), Order(CREATED))),
    PageRequest(filter=Comparison(STATUS, Operator.NE, "InProgress")),
    PageRequest(filter=Comparison(UPDATED, Operator.LT, Instant(NOON + 40))),
    PageRequest(filter=Comparison(UPDATED, Operator.GE, Instant(NOON - 40)), order=(Order(UPDATED),)),
    PageRequest(filter=Comparison(UPDATED, Operator.EQ, NOON)),
    PageRequest(filter=Or((UNASSIGNED, Comparison(ASSIGNED, Operator.EQ, "ana")))),
)


@pytest.mark.parametrize("request_", FAR_DOWN)
@pytest.mark.parametrize("exposure", [WHOLE_TENANT, Exposure(device_groups=frozenset({11, 12}))])
def test_a_page_far_down_is_what_is_worked_out_without_a_database(
    house: House, exposure: Exposure, request_: PageRequest
) -> None:
    documents = incidents_of_few_moments(2_000)
    tenant_id = put(house, documents)
    expected = listed(documents, exposure, request_, retained_since=Instant(NOON - 45))

    for skip in (150, 1_001, 1_250, 1_500, 1_890):
        request = replace(request_, skip=skip, top=3)
        page = answers_of(house, tenant_id, exposure, request, Instant(NOON - 45)).pages[0]
        counted = counted_page(house, tenant_id, exposure, request, Instant(NOON - 45))

        assert page == counted == expected[skip:][:3]


# Access paths


def probes_of(house: House, tenant_id: int, request: PageRequest) -> list[tuple[AccessPath, int]]:
    async def ask() -> list[tuple[AccessPath, int]]:
        database = house.running.installation.database
        probes = Listing(tenant_id, WHOLE, request, dialect=database.dialect).probes()
        async with database.snapshot() as snapshot:
            return [(probe.path, await snapshot.number(probe.statement)) for probe in probes]

    return house.running.run(ask())


CREATED_SINCE = Comparison(CREATED, Operator.GE, NOON)


def test_where_there_are_few_incidents_to_walk_is_short(house: House) -> None:
    tenant_id = put(house, [an_incident() for _ in range(3)])

    assert probes_of(house, tenant_id, PageRequest(filter=CREATED_SINCE))[0] == (AccessPath.IN_ORDER, 1)


def test_a_walk_past_many_that_do_not_match_is_long_and_a_short_range_is_taken(house: House) -> None:
    old = [an_incident(createdTime="2026-02-01T00:00:00Z") for _ in range(510)]
    new = [
        an_incident(createdTime="2026-02-12T00:00:00Z", lastUpdateTime="2026-02-11T00:00:00Z")
        for _ in range(2)
    ]
    tenant_id = put(house, [*old, *new])

    assert probes_of(house, tenant_id, PageRequest(filter=CREATED_SINCE))[:2] == [
        (AccessPath.IN_ORDER, 0),
        (AccessPath.SORTED_RANGE, 1),
    ]
    assert answers_of(house, tenant_id, WHOLE_TENANT, PageRequest(filter=CREATED_SINCE)).pages == [new] * 3


@pytest.mark.parametrize(
    "request_",
    [
        PageRequest(),
        PageRequest(filter=Comparison(UPDATED, Operator.GE, NOON)),
        PageRequest(filter=Comparison(CREATED, Operator.NE, NOON)),
        PageRequest(filter=Not(CREATED_SINCE)),
        PageRequest(filter=Or((CREATED_SINCE, Comparison(STATUS, Operator.EQ, "Active")))),
        PageRequest(filter=Or(())),
        PageRequest(filter=CREATED_SINCE, order=(Order(CREATED),)),
        PageRequest(filter=CREATED_SINCE, order=(Order(STATUS),)),
    ],
)
def test_without_a_bound_on_the_other_time_there_is_no_choice(request_: PageRequest) -> None:
    assert list(Listing(1, WHOLE, request_, NOON).probes()) == []


# Text


scopes = st.sampled_from(
    [
        WHOLE,
        Scope(),
        Scope(labels=("", "#11"), set_ids=(987_654_322,)),
        Scope(labels=("", "#11"), set_ids=tuple(range(987_654_322, 987_654_422))),
        Scope(labels=("", "=';--"), set_ids=None),
    ]
)


@given(request=requests, scope=scopes)
@example(request=PageRequest(filter=Comparison(ASSIGNED, Operator.EQ, "';--")), scope=WHOLE)
def test_no_value_is_ever_part_of_the_text(request: PageRequest, scope: Scope) -> None:
    listing = Listing(987_654_321, scope, request, NOON)
    counting = Count(987_654_321, scope, request.filter, NOON)

    statements = [
        listing.page(),
        *(probe.statement for probe in listing.probes()),
        counting.statement(),
        *(statement for probe in counting.probes() for statement in (probe.statement, probe.count)),
        visible_sets(987_654_321, ("", "=';--")),
    ]
    far_down = Listing(987_654_321, scope, replace(request, skip=5_000), NOON)
    statements += [each for each in (next(far_down.search(), None),) if isinstance(each, Statement)]

    for statement in statements:
        assert "987654" not in statement.text
        assert str(NOON)[:8] not in statement.text
        assert not set("'\"#\x00") & set(statement.text)
        assert statement.text.isascii()


def test_a_list_of_ten_times_as_many_assignees_is_ten_times_as_much_to_plan() -> None:
    few, many = (
        Listing(1, WHOLE, PageRequest(filter=of_assignees(*map(str, range(10, 10 + count))), skip=5_000))
        for count in (9, 90)
    )

    for one, other in ((few.page(), many.page()), (next(few.search()), next(many.search()))):
        assert len(other.text) <= 12 * len(one.text)


RECENT = Comparison(Property.LAST_UPDATE_TIME, Operator.GE, Instant(1))
ACTIVE = Comparison(Property.STATUS, Operator.EQ, "Active")
FROM_ANA, FROM_BOB = (Comparison(ASSIGNED, Operator.GE, name) for name in ("ana", "bob"))
AT_ONE_OF_TWO = Or(tuple(Comparison(UPDATED, Operator.EQ, Instant(moment)) for moment in (3, 7)))


@pytest.mark.parametrize(
    ("scope", "request_", "is_short"),
    [
        (WHOLE, PageRequest(), True),
        (WHOLE, PageRequest(filter=RECENT, skip=1_000), True),
        (WHOLE, PageRequest(filter=RECENT, order=(Order(Property.LAST_UPDATE_TIME),)), True),
        (WHOLE, PageRequest(skip=1_001), False),
        (WHOLE, PageRequest(filter=ACTIVE), True),
        (WHOLE, PageRequest(filter=And((RECENT, ACTIVE))), True),
        (WHOLE, PageRequest(filter=RECENT, order=(Order(Property.CREATED_TIME),)), False),
        (WHOLE, PageRequest(filter=And((ACTIVE, Comparison(CREATED, Operator.NE, NOON)))), False),
        (WHOLE, PageRequest(filter=Or((RECENT, ACTIVE))), False),
        (WHOLE, PageRequest(filter=Comparison(ASSIGNED, Operator.EQ, None)), True),
        (WHOLE, PageRequest(filter=Comparison(ASSIGNED, Operator.NE, None)), False),
        (WHOLE, PageRequest(filter=Or((UNASSIGNED, Comparison(ASSIGNED, Operator.EQ, "ana")))), False),
        (WHOLE, PageRequest(order=(Order(Property.STATUS),)), True),
        (WHOLE, PageRequest(order=(Order(Property.ASSIGNED_TO),)), False),
        (WHOLE, PageRequest(filter=ACTIVE, order=(Order(Property.ASSIGNED_TO),)), False),
        (WHOLE, PageRequest(filter=FROM_ANA, order=(Order(ASSIGNED),)), True),
        (WHOLE, PageRequest(filter=And((FROM_ANA, FROM_BOB)), order=(Order(ASSIGNED),)), False),
        (WHOLE, PageRequest(filter=And((UNASSIGNED, FROM_ANA))), False),
        (WHOLE, PageRequest(filter=Or((And((UNASSIGNED, FROM_ANA)), And((UNASSIGNED, FROM_BOB))))), False),
        (WHOLE, PageRequest(filter=And((RECENT, Comparison(UPDATED, Operator.GT, NOON)))), True),
        (WHOLE, PageRequest(filter=And((RECENT, Comparison(UPDATED, Operator.LT, NOON)))), True),
        (WHOLE, PageRequest(filter=And((RECENT, AT_ONE_OF_TWO))), False),
        (WHOLE, PageRequest(filter=AT_ONE_OF_TWO), True),
        (WHOLE, PageRequest(order=(*DEFAULT_ORDER, Order(Property.STATUS))), False),
        (Scope(), PageRequest(), False),
        (Scope(set_ids=(1,)), PageRequest(), True),
        (Scope(set_ids=(1,)), PageRequest(order=(Order(Property.CREATED_TIME),)), False),
        (Scope(set_ids=(1, 2)), PageRequest(), False),
        (Scope(set_ids=None), PageRequest(), False),
    ],
)
def test_a_page_is_short_where_no_row_is_read_in_vain(
    scope: Scope, request_: PageRequest, is_short: bool
) -> None:
    assert Listing(1, scope, request_).page().is_short == is_short
