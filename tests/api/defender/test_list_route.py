"""`GET /api/incidents` over HTTP: what is on a page, who sees what of it, and how real clients page through."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any
from urllib.parse import quote, quote_plus, urlencode, urlsplit

import pytest

from tests.support.builders import Document, a_redirected_stub, an_alert, an_incident
from tests.support.client_filters import ZERO_TRUST_ASSESSMENT, ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES
from tests.support.house import INCIDENTS_API, Answer, Clock, House, RunningHouse
from tests.support.naive_lists import listed
from vigie.api.defender.query_options import parse_filter
from vigie.config.settings import QuotaSettings, RetentionSettings
from vigie.core.access import WHOLE_TENANT
from vigie.core.audit import AuditContext
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.core.queries import PageRequest
from vigie.documents.defender.reading import keep_document

NOON = parse_instant("2026-02-11T12:00:00Z")
SOMEBODY = AuditContext(actor="tests", request_id="", at=NOON)
MINUTE = 60 * TICKS_PER_SECOND


def put(house: House, documents: Sequence[Document]) -> None:
    """Put many incidents in at once."""
    store = house.running.installation.incidents
    house.running.run(store.put_incidents(house.tenant.tenant_id, map(keep_document, documents), SOMEBODY))


def at(minutes: float) -> str:
    """A moment so many minutes after noon."""
    return format_instant(Instant(NOON + round(minutes * MINUTE)))


def aging(count: int, *alerts: Document, **changes: object) -> list[Document]:
    """Incidents a minute apart, the newest first, each updated a tick after it was created."""
    return [
        an_incident(
            *alerts,
            createdTime=at(-minutes),
            lastUpdateTime=format_instant(Instant(NOON - minutes * MINUTE + 1)),
            **changes,
        )
        for minutes in range(count)
    ]


def numbers_of(value: Iterable[Document] | Answer) -> list[int]:
    documents = value.json["value"] if isinstance(value, Answer) else value
    return [each["incidentId"] for each in documents]


def list_of(house: House, token: str, **options: object) -> Answer:
    """A list by its options, encoded as most clients do."""
    return house.get(path_of(**options), token)


def path_of(**options: object) -> str:
    return "/api/incidents?" + urlencode({f"${name}": value for name, value in options.items()})


# The envelope


def test_a_list_is_an_envelope_around_whole_incidents(house: House) -> None:
    documents = [
        an_incident(an_alert("laptops"), lastUpdateTime=at(2)),
        a_redirected_stub(1, lastUpdateTime=at(1)),
        an_incident(lastUpdateTime=at(0), unknownKey={"kept": [1, 2.50, None]}),
    ]
    put(house, documents)

    answer = house.get("/api/incidents", house.a_token())

    assert answer.status == 200
    assert list(answer.json) == ["@odata.context", "value"]
    assert answer.json["@odata.context"] == f"{house.running.url}/api/$metadata#Incidents"
    assert answer.json["value"] == documents
    assert answer.header("content-type") == (
        "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
    )
    assert answer.header("odata-version") == "4.0"


def test_an_incident_in_a_list_is_the_one_that_is_read_alone(house: House) -> None:
    put(house, aging(3, an_alert("laptops", "servers")))
    token = house.a_token_exposed_to("servers")

    for incident in house.get("/api/incidents", token).json["value"]:
        alone = house.get(incident["incidentId"], token).json
        assert alone == {"@odata.context": alone["@odata.context"], **incident}


@pytest.mark.parametrize("host", ["api-us.vigie.example", "vigie.example:8443", "[::1]:8400"])
def test_context_and_next_link_are_on_the_origin_that_was_called(house: House, host: str) -> None:
    put(house, aging(101))
    headers = [("Authorization", f"Bearer {house.a_token()}")]

    answer = house.running.request("GET", "/api/incidents", headers, host=host)

    assert answer.json["@odata.context"] == f"http://{host}/api/$metadata#Incidents"
    assert answer.json["@odata.nextLink"] == f"http://{host}/api/incidents?$skip=100"


@pytest.mark.parametrize(
    "path",
    [
        "/api/incidents",
        "/api/incidents/",
        "/api/v1.0/incidents",
        "/api/v1.0/incidents/",
        "//api//incidents",
        "/api//v1.0///incidents//",
        "/api/incidents?",
        "/api/incidents/?$top=5",
    ],
)
def test_it_answers_at_every_spelling_of_its_path(house: House, path: str) -> None:
    put(house, aging(2))

    assert len(house.get(path, house.a_token()).json["value"]) == 2


@pytest.mark.parametrize("path", ["/api/incidents/$count", "/api/v2.0/incidents", "/incidents"])
def test_it_answers_nowhere_else(house: House, path: str) -> None:
    assert house.get(path, house.a_token()).status in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_other_methods_are_told_which_there_are(house: House, method: str) -> None:
    answer = house.get("/api/incidents", house.a_token(), method=method)

    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


# Order, pages, counts


def test_the_newest_update_comes_first_and_equals_by_number(house: House) -> None:
    documents = [
        an_incident(lastUpdateTime=moment)
        for moment in (at(0), "2026-02-11T12:00:00.0000001Z", at(0), "2026-02-11T13:00:00+01:00", at(1))
    ]
    put(house, documents)

    answer = house.get("/api/incidents", house.a_token())

    a, b, c, d, e = numbers_of(documents)
    assert numbers_of(answer) == [e, b, a, c, d]


@pytest.mark.parametrize(
    ("orderby", "expected"),
    [
        ("lastUpdateTime", "cab"),
        ("lastUpdateTime desc", "bac"),
        ("createdTime asc", "bca"),
        ("createdTime desc", "acb"),
        ("status", "bac"),
        ("status desc, createdTime", "cba"),
        ("assignedTo", "bac"),
        ("assignedTo desc", "cab"),
    ],
)
def test_it_is_ordered_by_what_is_asked_for(house: House, orderby: str, expected: str) -> None:
    a = an_incident(createdTime=at(3), lastUpdateTime=at(5), status="Active", assignedTo="ana")
    b = an_incident(createdTime=at(1), lastUpdateTime=at(6), status="Active", assignedTo=None)
    c = an_incident(createdTime=at(2), lastUpdateTime=at(4), status="Resolved", assignedTo="bo")
    put(house, [a, b, c])

    answer = list_of(house, house.a_token(), orderby=orderby)

    names = {a["incidentId"]: "a", b["incidentId"]: "b", c["incidentId"]: "c"}
    assert "".join(names[number] for number in numbers_of(answer)) == expected


def test_top_and_skip_cut_a_page_out_of_the_list(house: House) -> None:
    documents = aging(12)
    put(house, documents)
    token = house.a_token()

    for top, skip in product((0, 1, 5, 100), (0, 4, 11, 12, 500)):
        answer = list_of(house, token, top=top, skip=skip)
        assert numbers_of(answer) == numbers_of(documents[skip : skip + top])
        assert "@odata.nextLink" not in answer.json


@pytest.mark.parametrize(
    ("top", "status"), [(0, 200), (1, 200), (100, 200), (101, 400), (-1, 400), ("x", 400)]
)
def test_a_page_has_up_to_100(house: House, top: object, status: int) -> None:
    answer = list_of(house, house.a_token(), top=top)

    assert (answer.status, answer.code) == (status, "ODataError" if status == 400 else None)


@pytest.mark.parametrize(
    "options", [{}, {"skip": 3}, {"orderby": "status"}, {"filter": f"createdTime gt {at(-9)}"}]
)
@pytest.mark.parametrize("groups", [(), ("laptops", "servers")])
def test_a_page_of_none_is_empty_and_may_be_counted(
    house: House, options: dict[str, object], groups: tuple[str, ...]
) -> None:
    put(house, aging(7, an_alert("laptops")))
    token = house.a_token_exposed_to(*groups)

    answer = list_of(house, token, top=0, **options)
    counted = list_of(house, token, top=0, count="true", **options)

    context = house.running.url + "/api/$metadata#Incidents"
    assert (answer.status, answer.json) == (200, {"@odata.context": context, "value": []})
    assert counted.json == {"@odata.context": context, "@odata.count": 7, "value": []}


def test_a_count_is_of_all_that_match_and_stands_before_them(house: House) -> None:
    put(house, aging(7, status="Active") + aging(5, status="Resolved"))
    token = house.a_token()

    answers = [
        list_of(house, token, count="true"),
        list_of(house, token, count="true", top=2, skip=3),
        list_of(house, token, count="true", filter="status eq 'Active'", top=1),
        list_of(house, token, count="true", filter="assignedTo eq 'nobody'"),
        list_of(house, token, count="false"),
    ]

    assert [answer.json.get("@odata.count") for answer in answers] == [12, 12, 7, 0, None]
    assert list(answers[0].json) == ["@odata.context", "@odata.count", "value"]


# The next link


def follow(house: House, path: str, token: str) -> Iterator[Answer]:
    """Every page, by the links."""
    while True:
        answer = house.get(path, token)
        yield answer
        if "@odata.nextLink" not in answer.json:
            return
        link = urlsplit(answer.json["@odata.nextLink"])
        assert f"{link.scheme}://{link.netloc}" == house.running.url
        path = f"{link.path}?{link.query}"


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 250])
def test_links_lead_to_every_incident_once(house: House, count: int) -> None:
    documents = aging(count)
    put(house, documents)

    pages = list(follow(house, "/api/incidents", house.a_token()))

    assert [number for page in pages for number in numbers_of(page)] == numbers_of(documents)
    assert [len(page.json["value"]) for page in pages[:-1]] == [100] * (len(pages) - 1)
    assert len(pages) == max(1, (count + 99) // 100)


def test_links_keep_filter_order_and_count(house: House) -> None:
    wanted = aging(120, assignedTo="o'neill+é@contoso.example")
    put(house, wanted + aging(5))
    path = path_of(
        filter="assignedTo eq 'o''neill+é@contoso.example' and createdTime gt 2000-01-01T01:00:00+01:00",
        orderby="createdTime asc",
        count="true",
        skip=10,
    )

    pages = list(follow(house, path, house.a_token()))

    assert [number for page in pages for number in numbers_of(page)] == numbers_of(wanted[::-1][10:])
    assert [page.json["@odata.count"] for page in pages] == [120, 120]


def test_who_says_how_many_gets_no_link(house: House) -> None:
    put(house, aging(101))

    assert "@odata.nextLink" not in list_of(house, house.a_token(), top=100).json


# Filters


def test_a_status_may_be_asked_for_as_a_client_made_from_the_metadata_does(house: House) -> None:
    resolved = an_incident(status="Resolved")
    put(house, [an_incident(status="Active"), resolved])

    answer = list_of(house, house.a_token(), filter="status eq vigie.Status'Resolved'")

    assert numbers_of(answer) == [resolved["incidentId"]]


@pytest.mark.parametrize(
    ("filter_", "found"),
    [
        ("createdTime gt 2026-02-11", 2),
        ("createdTime ge 2026-02-11 and createdTime lt 2026-02-12", 1),
        ("createdTime in (2026-02-12, 2026-02-11)", 1),
        ("createdTime ge 2026-02-11T12:00Z", 2),
        ("createdTime in (2026-02-11T12:00Z)", 1),
        ("createdTime eq 2026-02-11T12:00:00.000000099Z", 1),
        ("createdTime in (2026-02-11T12:00:00.000000099Z)", 1),
    ],
)
def test_times_may_be_as_short_or_as_long_as_odata_has_them(house: House, filter_: str, found: int) -> None:
    put(house, [an_incident(createdTime=at(0)), an_incident(createdTime="2026-02-12T00:00:00Z")])

    answer = list_of(house, house.a_token(), filter=filter_)

    assert (answer.status, len(answer.json["value"])) == (200, found)


def test_a_filter_is_answered_as_worked_out_without_a_database(house: House) -> None:
    documents = [
        an_incident(status=status, assignedTo=assignee, createdTime=at(created), lastUpdateTime=at(updated))
        for status in ("Active", "InProgress", "Resolved", "Redirected")
        for assignee in (None, "ana", "o'neill")
        for created, updated in ((0, 1), (2, 3))
    ]
    put(house, documents)
    token = house.a_token()

    for filter_ in (
        "status eq 'active'",
        "status ne 'Redirected' and assignedTo eq null",
        "status in ('Resolved', 'INPROGRESS')",
        "assignedTo eq 'o''neill' or createdTime ge 2026-02-11T12:02:00Z",
        "not (assignedTo ne 'ana') and lastUpdateTime lt 2026-02-11T14:03:00+02:00",
        "createdTime gt 2026-02-11T12:01:59.9999999Z",
        "assignedTo gt 'ana'",
        "'ana' ge assignedTo",
    ):
        expected = listed(documents, WHOLE_TENANT, PageRequest(filter=parse_filter(filter_)))
        assert expected != documents
        assert numbers_of(list_of(house, token, filter=filter_)) == numbers_of(expected) != []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("$filter=severity+eq+'High'", "the property 'severity' cannot be used"),
        ("$filter=contains(assignedTo,'a')", "the function 'contains' cannot be used"),
        ("$filter=status+eq+'New'", "there are 'Active', 'InProgress', 'Resolved', 'Redirected'"),
        ("$filter=status+eq", "it ends at character 10"),
        ("$filter=" + "x" * 4001, "at most 4000 are allowed"),
        ("$orderby=severity", "the property 'severity' cannot be used"),
        ("$select=status", "the query option '$select' cannot be used"),
        ("%24expand=alerts", "the query option '$expand' cannot be used"),
        ("$count=maybe", "$count must be true or false"),
        ("$skip=-1", "$skip must be a whole number"),
        ("$filter=assignedTo+eq+'%FF'", "the query option '$filter' is not UTF-8"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_the_apis_envelope(
    house: House, query: str, message: str
) -> None:
    answer = house.get(f"/api/incidents?{query}", house.a_token())

    assert (answer.status, answer.code) == (400, "ODataError")
    assert message in answer.json["error"]["message"]
    assert set(answer.json["error"]) == {"code", "message", "target"}
    assert "json" in str(answer.header("content-type"))


@pytest.mark.parametrize("dollar", ["$", "%24"])
@pytest.mark.parametrize("blank", ["+", "%20"])
@pytest.mark.parametrize("encode", [str, quote, quote_plus])
def test_every_spelling_of_a_query_is_the_same_query(
    house: House, dollar: str, blank: str, encode: Any
) -> None:
    put(house, aging(2, status="Active") + aging(1, status="Resolved"))
    filter_ = blank.join(encode(word) for word in ("status", "eq", "'Active'"))

    answer = house.get(
        f"/api/incidents?x=&{dollar}filter={filter_}&{dollar}skip=&=y&api-version=1", house.a_token()
    )

    assert len(answer.json["value"]) == 2


def test_the_zero_trust_assessment_is_refused_and_answered_rightly_without_its_grades(house: House) -> None:
    moments = {"created": {300: at(0), 40: at(30)}}
    documents = [
        an_incident(status=status, assignedTo=assignee, createdTime=at(minute), lastUpdateTime=at(minute + 1))
        for status in ("Active", "InProgress", "Resolved", "Redirected")
        for assignee in (None, "ana")
        for minute in (-1, 0, 15, 30, 45)
    ]
    put(house, documents)
    token = house.a_token()

    refused = list_of(house, token, filter=ZERO_TRUST_ASSESSMENT.format_map(moments), count="true", top=10)
    filter_ = ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES.format_map(moments)
    answer = list_of(house, token, filter=filter_, count="true", top=10)

    expected = [
        each
        for each in documents
        if parse_instant(each["createdTime"]) >= NOON
        and (
            (each["assignedTo"] is None and each["status"] != "Redirected")
            or (each["status"] == "Active" and parse_instant(each["createdTime"]) < NOON + 30 * MINUTE)
            or each["status"] == "Resolved"
        )
    ]
    assert (refused.status, refused.code) == (400, "ODataError")
    assert "the property 'severity' cannot be used" in refused.json["error"]["message"]
    assert answer.json["@odata.count"] == len(expected) == 18
    assert set(numbers_of(answer)) < set(numbers_of(expected))


# Who sees what


def test_pages_are_full_and_counts_true_whatever_is_hidden_in_between(house: House) -> None:
    documents = [
        an_incident(an_alert("laptops" if place % 3 == 0 else "servers"), lastUpdateTime=at(-place))
        for place in range(330)
    ]
    put(house, documents)
    token = house.a_token_exposed_to("laptops")
    seen = documents[::3]

    answer = list_of(house, token, count="true")
    skipped = list_of(house, token, top=7, skip=50)

    assert numbers_of(answer) == numbers_of(seen[:100])
    assert answer.json["@odata.count"] == 110
    assert answer.json["@odata.nextLink"].endswith("$skip=100")
    assert numbers_of(skipped) == numbers_of(seen[50:57])
    assert [len(page.json["value"]) for page in follow(house, "/api/incidents", token)] == [100, 10]


def test_of_an_incident_only_what_is_in_scope_is_listed(house: House) -> None:
    laptops, servers, nowhere = an_alert("laptops"), an_alert("servers"), an_alert()
    both = an_alert("laptops", "servers")
    put(house, [an_incident(laptops, servers, nowhere, both)])

    (incident,) = house.get("/api/incidents", house.a_token_exposed_to("laptops")).json["value"]

    assert [each["alertId"] for each in incident["alerts"]] == [
        each["alertId"] for each in (laptops, nowhere, both)
    ]
    assert [device["rbacGroupName"] for device in incident["alerts"][2]["devices"]] == ["laptops"]


def test_what_is_hidden_cannot_be_told_from_what_is_not_there(house: House) -> None:
    put(house, [an_incident(an_alert("servers"), assignedTo="ana", status="Resolved")])
    token = house.a_token_exposed_to("laptops")

    for options in (
        {},
        {"filter": "assignedTo eq 'ana'"},
        {"filter": "status eq 'Resolved'", "orderby": "createdTime"},
        {"filter": "createdTime gt 2000-01-01T00:00:00Z"},
        {"orderby": "status"},
        {"skip": 0, "top": 1},
    ):
        answer = list_of(house, token, count="true", **options)
        assert (answer.json["@odata.count"], answer.json["value"]) == (0, [])
        assert "@odata.nextLink" not in answer.json


def test_a_user_without_any_device_group_sees_what_is_open_to_every_reader(house: House) -> None:
    put(
        house,
        [
            open_ := an_incident(an_alert()),
            stub := a_redirected_stub(open_["incidentId"]),
            an_incident(an_alert("laptops")),
        ],
    )
    house.grant(user := house.add_user(role=None), "security-reader", "kiosks")

    answer = house.get("/api/incidents", house.token_of(user, "Incident.Read"))

    assert set(numbers_of(answer)) == set(numbers_of([stub, open_]))


def test_another_tenants_incidents_are_never_listed(house: House) -> None:
    put(house, aging(3))
    other = house.add_tenant()
    theirs = house.takes(an_incident(), tenant=other)

    answer = house.get("/api/incidents?$count=true", house.a_token(tenant=other))

    assert (answer.json["@odata.count"], numbers_of(answer)) == (1, [theirs])


def test_what_is_past_its_retention_is_neither_listed_nor_counted(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    clock = Clock()
    with RunningHouse(
        tmp_path_factory.mktemp("retention"), clock=clock, retention=RetentionSettings(days=10)
    ) as running:
        house = House(running)
        day = 86_400 * TICKS_PER_SECOND
        first_kept = Instant(clock.now() - 10 * day)
        documents = [
            an_incident(lastUpdateTime=format_instant(moment))
            for moment in (first_kept, Instant(first_kept - 1), Instant(first_kept + day))
        ]
        put(house, documents)

        answers = [
            list_of(house, house.a_token(), count="true", orderby=order)
            for order in ("lastUpdateTime", "createdTime", "status")
        ]

    for answer in answers:
        assert answer.json["@odata.count"] == 2
        assert set(numbers_of(answer)) == set(numbers_of([documents[0], documents[2]]))


# Refusals and quotas


@pytest.fixture(scope="module")
def strict(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house where two lists a minute are allowed, and time stands still."""
    quotas = QuotaSettings(list_per_minute=2, list_per_hour=5)
    with RunningHouse(tmp_path_factory.mktemp("strict"), clock=Clock(), quotas=quotas) as running:
        yield House(running)


@pytest.mark.parametrize("faults", list(product([False, True], repeat=5)))
@pytest.mark.sqlite_alone
def test_of_several_faults_the_first_is_told(strict: House, faults: tuple[bool, ...]) -> None:
    has_token, has_audience, has_quota, has_permission, has_query = (not fault for fault in faults)
    claims = strict.claims()
    if not has_quota:
        while list_of(strict, strict.sign(claims)).status != 429:
            pass
    if not has_audience:
        claims["aud"] = "https://graph.microsoft.com"
    if not has_permission:
        claims["roles"] = ["Alert.Read.All"]
    token = strict.sign(claims) + ("" if has_token else "x")

    answer = strict.get("/api/incidents" + ("" if has_query else "?$filter=severity+eq+5"), token)

    expected = [
        (has_token, (401, "Unauthorized")),
        (has_audience, (401, "Unauthorized")),
        (has_quota, (429, "429")),
        (has_permission, (403, "Forbidden")),
        (has_query, (400, "ODataError")),
    ]
    assert (answer.status, answer.code) == next((each for ok, each in expected if not ok), (200, None))


def test_fifty_lists_a_minute_are_allowed(house: House) -> None:
    token = house.a_token()

    statuses = [house.get("/api/incidents?$top=1", token).status for _ in range(50)]
    refused = house.get("/api/incidents?$top=1", token)

    assert statuses == [200] * 50
    assert (refused.status, refused.code) == (429, "429")
    allowed, seconds = refused.stated_wait
    assert allowed == "50 per 00:01:00"
    assert 40 <= int(seconds) <= 60


def test_lists_have_a_quota_of_their_own(strict: House) -> None:
    token = strict.a_token()
    number = strict.takes(an_incident())

    lists = [list_of(strict, token).status for _ in range(3)]
    reads = [strict.get(number, token).status for _ in range(10)]

    assert (lists, reads) == ([200, 200, 429], [200] * 10)


@pytest.mark.parametrize(
    "path",
    [
        "/api/incidents?$top=-1",
        "/api/incidents?$top=0",
        "/api/v1.0/incidents",
        "//api/incidents/",
        "/api/incidents?$skip=100",
    ],
)
def test_every_list_is_counted_also_one_that_is_refused(strict: House, path: str) -> None:
    token = strict.a_token()

    for _ in range(2):
        strict.get(path, token)

    assert list_of(strict, token).status == 429


def test_each_page_behind_a_link_is_counted(strict: House) -> None:
    other = strict.add_tenant()
    strict.running.run(
        strict.running.installation.incidents.put_incidents(
            other.tenant_id, map(keep_document, aging(250)), SOMEBODY
        )
    )

    pages = follow(strict, "/api/incidents", strict.a_token(tenant=other))

    assert [page.status for page in pages] == [200, 200, 429]


# Clients: docs/api/clients.md


def test_xsoar_pages_until_a_page_is_short_and_goes_on_from_the_newest_time_it_saw(house: House) -> None:
    documents = aging(230, assignedTo=None)
    put(house, documents)
    token = house.a_token()

    def fetch(since: str) -> list[Document]:
        found: list[Document] = []
        while True:
            # `$skip` is left out when it is 0; blanks are `+`, and `$` is `%24`.
            options = {"$top": "100", "$filter": f"createdTime gt {since}"} | (
                {"$skip": str(len(found))} if found else {}
            )
            page = house.get(f"/api/incidents?{urlencode(options)}", token).json["value"]
            found += page
            if len(page) < 100:
                return found

    first = fetch("2016-11-23T10:57:28Z")
    newest = max((each["createdTime"] for each in first), key=parse_instant)
    second = fetch(newest)
    late = an_incident(createdTime=format_instant(Instant(NOON + 1)))
    put(house, [late])
    third = fetch(newest)

    assert sorted(numbers_of(first)) == sorted(numbers_of(documents))
    assert (second, numbers_of(third)) == ([], numbers_of([late]))


def test_xsoar_stops_on_a_short_page_also_when_the_last_one_is_full(house: House) -> None:
    put(house, aging(200))
    token = house.a_token()

    lengths = [len(list_of(house, token, top=100, skip=skip).json["value"]) for skip in (0, 100, 200)]

    assert lengths == [100, 100, 0]


def test_xsoar_mirrors_what_was_updated_since(house: House) -> None:
    documents = aging(5)
    put(house, documents)

    answer = list_of(
        house, house.a_token(), filter=f"lastUpdateTime gt {documents[2]['lastUpdateTime']}", top=100
    )

    assert numbers_of(answer) == numbers_of(documents[:2])


def test_off_broadway_never_skips_and_goes_on_from_the_last_time_it_saw(house: House) -> None:
    documents = aging(30)
    put(house, documents)
    token = house.a_token()
    seen: set[int] = set()

    since = at(-100)
    for _ in range(3):
        page = house.get(f"/api/incidents?$filter=lastUpdateTime%20ge%20{since}&$top=100", token).json[
            "value"
        ]
        seen |= set(numbers_of(page))
        since = max((each["lastUpdateTime"] for each in page), key=parse_instant)

    assert seen == set(numbers_of(documents))
    assert numbers_of(page) == numbers_of(documents[:1])


def test_ibm_soar_reads_one_page_in_whole_seconds(house: House) -> None:
    documents = aging(150)
    put(house, documents)

    answer = list_of(house, house.a_token(), filter="lastUpdateTime ge 2026-02-11T11:30:00Z")

    assert numbers_of(answer) == numbers_of(documents[:31])


def test_rapid7_joins_three_terms_and_does_not_page(house: House) -> None:
    active, resolved = aging(40, status="Active"), aging(40, status="Resolved")
    put(house, active + resolved)
    since = "2026-02-11T11:40:00.000000Z"

    answer = list_of(
        house,
        house.a_token(),
        filter=f"status eq 'Active' and createdTime ge {since} and lastUpdateTime ge {since}",
    )

    assert numbers_of(answer) == numbers_of(active[:21])


def test_powershell_that_lost_its_filter_gets_the_newest(house: House) -> None:
    documents = aging(3)
    put(house, documents)

    answer = house.get("/api/incidents?=lastUpdateTime+ge+2021-02-01T03:00:00.1234567Z", house.a_token())

    assert numbers_of(answer) == numbers_of(documents)


def test_opencti_sends_an_offset_and_follows_links_without_a_bearer(house: House) -> None:
    documents = aging(120)
    put(house, documents)
    headers = [("Authorization", house.a_token(audience=INCIDENTS_API))]
    path = "/api/incidents?$filter=lastUpdateTime%20gt%202021-02-01T00:00:00%2B00:00"

    first = house.running.request("GET", path, headers)
    link = urlsplit(first.json["@odata.nextLink"])
    second = house.running.request("GET", f"{link.path}?{link.query}", headers)

    assert numbers_of(first) + numbers_of(second) == numbers_of(documents)
    assert "@odata.nextLink" not in second.json


def test_elastic_goes_up_and_skips_while_pages_are_full(house: House) -> None:
    documents = aging(120)
    put(house, documents)
    token = house.a_token()
    found: list[int] = []

    for skip in range(0, 500, 50):
        options = {"filter": f"lastUpdateTime ge {at(-200)}", "orderby": "lastUpdateTime asc", "top": 50}
        page = numbers_of(list_of(house, token, skip=skip, **options))
        found += page
        if len(page) < 50:
            break

    assert found == numbers_of(documents[::-1])
