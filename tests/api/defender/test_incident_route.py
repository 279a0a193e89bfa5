"""GET /api/incidents/{id}: what came in comes out, to those who may see it, in Microsoft's envelope."""

import gzip
import json
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import (
    GROUP_NUMBERS,
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_entity,
    an_incident,
    exactly,
    generated_incidents,
    to_json,
)
from tests.support.captured import CAPTURED
from tests.support.database_access import without_table
from tests.support.house import Answer, Clock, House, RunningHouse
from vigie.api.defender.handlers import in_context
from vigie.config.settings import QuotaSettings, RetentionSettings
from vigie.core.access import Exposure
from vigie.core.instants import format_instant, parse_instant
from vigie.documents.defender.reading import keep_incident
from vigie.documents.defender.redaction import visible_document

CONTEXT = "/api/$metadata#Incidents/$entity"
UNKNOWN = 987_654_321

BASIC_HEADERS = {
    "content-type": "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8",
    "odata-version": "4.0",
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
}


def headers_of(answer: Answer) -> dict[str, str]:
    """The headers, without those of the connection and the moment."""
    assert len({name for name, _ in answer.headers}) == len(answer.headers)
    return {name: value for name, value in answer.headers if name not in ("date", "connection")}


def without_target(answer: Answer, number: int) -> Answer:
    """A refusal without what names the request and the incident."""
    target = answer.json["error"]["target"].encode()
    body = answer.body.replace(target, b"T").replace(str(number).encode(), b"N")
    headers = tuple(pair for pair in answer.headers if pair[0] not in ("date", "content-length"))
    return replace(answer, body=body, headers=headers)


@pytest.fixture(scope="module")
def generous_server(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A server without a quota to speak of, for properties and long tables."""
    quotas = QuotaSettings(get_per_minute=10**6, get_per_hour=10**6)
    with RunningHouse(tmp_path_factory.mktemp("generous"), quotas=quotas) as running:
        yield running


@pytest.fixture
def generous(generous_server: RunningHouse) -> House:
    """A tenant of its own on it."""
    return House(generous_server)


@pytest.fixture(scope="module")
def examples(generous_server: RunningHouse) -> House:
    """A tenant for the examples of properties, which replace each other. It has met all device groups before."""
    house = House(generous_server)
    house.takes(an_incident(*map(an_alert, GROUP_NUMBERS)))
    return house


@pytest.fixture(scope="module")
def token(examples: House) -> str:
    """One token for all examples: making an application for each would be most of the work."""
    return examples.a_token()


# The answer


def test_an_incident_comes_out_as_it_went_in_behind_its_context(house: House) -> None:
    incident = an_incident(an_alert("servers", "laptops"), an_alert())
    number = house.takes(incident)

    answer = house.get(number, house.a_token())

    expected = {"@odata.context": house.running.url + CONTEXT, **incident}
    assert answer.status == 200
    assert exactly(answer.body) == exactly(to_json(expected))


def test_the_headers_are_microsofts(house: House) -> None:
    answer = house.get(house.takes(an_incident()), house.a_token())

    assert headers_of(answer) == {
        **BASIC_HEADERS,
        "vary": "Accept-Encoding",
        "content-length": str(len(answer.body)),
    }


def test_the_alias_with_a_version_answers_alike(house: House) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    plain, versioned = house.get(number, token), house.get(f"/api/v1.0/incidents/{number}", token)

    assert (versioned.status, versioned.body) == (200, plain.body)


REGIONAL = [f"api-{each}.security.microsoft.com" for each in ("us", "eu", "uk")] + [
    f"{each}.api.security.microsoft.com" for each in ("us", "eu", "uk", "au", "swa", "ina", "aea")
]


@pytest.mark.parametrize("host", [*REGIONAL, "api.securitycenter.microsoft.com", "x:1"])
def test_every_host_name_gets_the_same_but_for_the_context(house: House, host: str) -> None:
    incident, token = an_incident(), house.a_token()
    path = f"/api/incidents/{house.takes(incident)}"

    answer = house.running.request("GET", path, [("Authorization", token)], host=host)

    assert answer.json == {"@odata.context": f"http://{host}{CONTEXT}", **incident}


@settings(max_examples=60)
@given(generated_incidents())
def test_whatever_is_imported_comes_out(examples: House, token: str, incident: Document) -> None:
    number = examples.takes(incident)

    answer = examples.get(number, token)

    expected = {"@odata.context": examples.running.url + CONTEXT, **incident}
    assert exactly(answer.body) == exactly(to_json(expected))


@pytest.mark.skipif(not CAPTURED.exists(), reason="captured answers are not here")
@pytest.mark.parametrize("name", ["captured-list", "captured-incident", "documented-example"])
def test_real_incidents_come_out_as_they_went_in(house: House, name: str) -> None:
    captured = json.loads((CAPTURED / f"{name}.json").read_bytes())
    token = house.a_token()

    for incident in captured.get("value", [captured]):
        answer = house.get(house.takes(incident), token)
        without_context = {key: value for key, value in incident.items() if key != "@odata.context"}
        expected = {"@odata.context": house.running.url + CONTEXT, **without_context}
        assert exactly(answer.body) == exactly(to_json(expected))


@pytest.mark.parametrize("title_length", [0, 200, 80 * 1024 - 1500, 80 * 1024, 160 * 1024, 3_000_000])
def test_an_incident_of_any_size_arrives_whole(house: House, title_length: int) -> None:
    token = house.a_token()
    for more in range(3):
        incident = an_incident(incidentName="é" * (title_length // 2) + "x" * more)
        assert house.get(house.takes(incident), token).json["incidentName"] == incident["incidentName"]


def test_a_later_import_replaces_the_incident(house: House) -> None:
    number, token = house.takes(an_incident(status="Active")), house.a_token()

    house.takes(an_incident(incidentId=number, status="Resolved"))

    assert house.get(number, token).json["status"] == "Resolved"


def test_a_merged_incident_answers_200_with_its_stub_alone(house: House) -> None:
    target = house.takes(an_incident())
    stub = a_redirected_stub(target)

    answer = house.get(house.takes(stub), house.a_token())

    assert answer.status == 200
    assert answer.json == {"@odata.context": house.running.url + CONTEXT, **stub}


def test_a_stub_whose_target_is_nowhere_answers_too(house: House) -> None:
    stub = a_redirected_stub(UNKNOWN)

    assert house.get(house.takes(stub), house.a_token()).json["redirectIncidentId"] == UNKNOWN


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html", "application/xml"])
def test_the_answer_is_json_whatever_is_asked_for(house: House, accept: str | None) -> None:
    headers = [] if accept is None else [("Accept", accept)]

    answer = house.get(house.takes(an_incident()), house.a_token(), headers)

    assert (answer.status, answer.header("content-type")) == (200, BASIC_HEADERS["content-type"])


def test_a_small_body_is_ignored(house: House) -> None:
    path = f"/api/incidents/{house.takes(an_incident())}"
    headers = [("Authorization", house.a_token()), ("Content-Type", "application/json")]

    assert house.running.request("GET", path, headers, body=b'{"ignored": true}').status == 200


# HEAD


@pytest.mark.parametrize(
    "path",
    ["/api/incidents/{number}", "/api/incidents/x", f"/api/incidents/{UNKNOWN}", "/api/incidents/1?$top=1"],
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_head_answers_like_get_without_the_body(house: House, path: str, coding: str) -> None:
    number, token = house.takes(an_incident(an_alert("servers"))), house.a_token()
    path, headers = path.format(number=number), [("Accept-Encoding", coding)]

    got = house.get(path, token, headers)
    head = house.get(path, token, headers, method="HEAD")

    assert (head.status, head.body) == (got.status, b"")
    assert set(headers_of(head).items()) ^ set(headers_of(got).items()) <= {
        ("content-length", str(len(got.body) + difference)) for difference in (-1, 0, 1)
    }


def test_head_without_a_token_is_refused(house: House) -> None:
    assert house.get(house.takes(an_incident()), None, method="HEAD").status == 401


# Compression

DECODERS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (None, None),
        ("", None),
        ("identity", None),
        ("br", None),
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("GZIP", "gzip"),
        ("gzip, deflate", "gzip"),
        ("deflate, gzip", "gzip"),
        ("gzip, deflate, br, zstd", "gzip"),
        ("*", "gzip"),
        ("gzip;q=0", None),
        ("gzip;q=0.0, deflate;q=0.000", None),
        ("gzip;q=0, deflate", "deflate"),
        ("gzip;q=0.5, deflate;q=0.6", "deflate"),
        ("gzip;q=0.5, deflate;q=0.5", "gzip"),
        ("gzip;q=1.0, deflate;q=0.9", "gzip"),
        ("gzip ; q = 0.2 , deflate ; q=0.3", "deflate"),
        ("gzip;q=0, *", "deflate"),
        ("gzip;q=0.1, *;q=0.5", "deflate"),
        ("*;q=0", None),
        ("*;q=0, deflate", "deflate"),
        ("gzip;q=nonsense, deflate", "deflate"),
        ("gzip;q=2", None),
        (",,;q=1", None),
        ("x" * 2000, None),
    ],
)
@pytest.mark.sqlite_alone
def test_the_body_is_compressed_as_the_client_likes(
    house: House, accepted: str | None, coding: str | None
) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    plain = house.get(number, token)
    answer = house.get(number, token, [] if accepted is None else [("Accept-Encoding", accepted)])

    assert (answer.header("content-encoding"), answer.header("vary")) == (coding, "Accept-Encoding")
    assert DECODERS[coding](answer.body) == plain.body
    assert answer.header("content-length") == str(len(answer.body))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_large_body_is_compressed_whole(house: House, coding: str) -> None:
    incident = an_incident(*(an_alert("servers") for _ in range(500)))

    answer = house.get(house.takes(incident), house.a_token(), [("Accept-Encoding", coding)])

    body = DECODERS[coding](answer.body)
    assert len(answer.body) < len(body) / 4
    assert json.loads(body)["alerts"] == incident["alerts"]


def test_a_refusal_is_not_compressed(house: House) -> None:
    answer = house.get(UNKNOWN, house.a_token(), [("Accept-Encoding", "gzip")])

    assert (answer.status, answer.header("content-encoding")) == (404, None)


# The number in the path


@pytest.mark.parametrize(
    ("segment", "status", "code"),
    [
        ("0", 404, "ResourceNotFound"),
        ("00", 404, "ResourceNotFound"),
        ("1", 404, "ResourceNotFound"),
        ("9223372036854775807", 404, "ResourceNotFound"),
        ("9223372036854775808", 400, "InvalidInput"),
        ("18446744073709551617", 400, "InvalidInput"),
        ("1" * 40, 400, "InvalidInput"),
        ("0" * 40, 400, "InvalidInput"),
        ("9" * 5000, 400, "InvalidInput"),
        ("-1", 400, "InvalidInput"),
        ("+1", 400, "InvalidInput"),
        ("-0", 400, "InvalidInput"),
        ("1.0", 400, "InvalidInput"),
        ("1e3", 400, "InvalidInput"),
        ("0x1f", 400, "InvalidInput"),
        ("1_000", 400, "InvalidInput"),
        ("1,000", 400, "InvalidInput"),
        ("abc", 400, "InvalidInput"),
        ("41877x", 400, "InvalidInput"),
        ("%20", 400, "InvalidInput"),
        ("1%20", 400, "InvalidInput"),
        ("%201", 400, "InvalidInput"),
        ("%31", 400, "InvalidInput"),
        ("1%00", 400, "InvalidInput"),
        ("1%2f", 400, "InvalidInput"),
        ("1%2F..%2F2", 400, "InvalidInput"),
        ("%2e%2e", 400, "InvalidInput"),
        ("..", 400, "InvalidInput"),
        ("1%0a", 400, "InvalidInput"),
        ("%D9%A1", 400, "InvalidInput"),
        ("%EF%BC%91", 400, "InvalidInput"),
        ("%ff", 400, "InvalidInput"),
        ("%", 400, "InvalidInput"),
        ("%zz", 400, "InvalidInput"),
        ("1;v=2", 400, "InvalidInput"),
        ("1'", 400, "InvalidInput"),
        ("1--", 400, "InvalidInput"),
        ("incidents(1)", 400, "InvalidInput"),
        ("3b0f6c1a-52d7-4c0e-9c57-0a4e6f1d2b88", 400, "InvalidInput"),
        ("$count", 400, "InvalidInput"),
        ("null", 400, "InvalidInput"),
        ("<script>", 400, "InvalidInput"),
    ],
)
@pytest.mark.parametrize("prefix", ["/api/incidents/", "/api/v1.0/incidents/"])
@pytest.mark.sqlite_alone
def test_only_decimal_digits_are_a_number(
    generous: House, prefix: str, segment: str, status: int, code: str
) -> None:
    answer = generous.get(prefix + segment, generous.a_token())

    assert (answer.status, answer.code) == (status, code)
    assert len(answer.body) < 500


def test_zeros_in_front_do_not_matter(house: House) -> None:
    number, token = house.takes(an_incident()), house.a_token()

    assert house.get(f"/api/incidents/000{number}", token).json["incidentId"] == number


@pytest.mark.parametrize("number", [1, 2**53 + 1, 2**63 - 1])
def test_numbers_of_64_bits_are_found(house: House, number: int) -> None:
    house.takes(an_incident(incidentId=number))

    assert house.get(number, house.a_token()).json["incidentId"] == number


@pytest.mark.parametrize(
    "path", ["//api/incidents/{}", "/api//incidents/{}", "/api/incidents//{}", "///api///v1.0//incidents//{}"]
)
def test_several_slashes_are_one(house: House, path: str) -> None:
    number = house.takes(an_incident())

    assert house.get(path.format(number), house.a_token()).json["incidentId"] == number


# Query options


@pytest.mark.parametrize(
    "query",
    [
        "$top=1",
        "%24top=1",
        "$select=incidentId",
        "$expand=alerts",
        "$format=json",
        "$",
        "$unknown",
        "a=1&$filter=x",
        "a=1&%24filter=x",
        "+$top=1",
        "%20$top=1",
        "$top=1&$top=2",
    ],
)
def test_no_query_option_is_known_here(house: House, query: str) -> None:
    number = house.takes(an_incident())

    answer = house.get(f"/api/incidents/{number}?{query}", house.a_token())

    assert (answer.status, answer.code) == (400, "ODataError")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "=",
        "&",
        "&&=&",
        "a=1",
        "api-version=1.0",
        "top=1",
        "a=$top",
        "=lastUpdateTime+ge+x",
        "a$b=1",
        "%2524=1",
    ],
)
def test_any_other_parameter_is_ignored(house: House, query: str) -> None:
    number = house.takes(an_incident())

    assert house.get(f"/api/incidents/{number}?{query}", house.a_token()).status == 200


# Paths and methods beside it


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "PROPFIND"])
def test_another_method_is_refused_with_those_that_are_answered(house: House, method: str) -> None:
    answer = house.get(house.takes(an_incident()), house.a_token(), method=method)

    if answer.code == "BadRequest":
        # Not even HTTP: the parser knows methods in capitals only.
        assert method == "get"
        return
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert set((answer.header("allow") or "").split(", ")) >= {"GET", "HEAD"}


@pytest.mark.parametrize(
    "path",
    [
        "/api/incidents/1/",
        "/api/incidents/1/alerts",
        "/api/incidents/1/..",
        "/api/v2.0/incidents/1",
        "/api/%69ncidents/1",
        "/incidents/1",
        "/api/incidents/$metadata/",
        "/favicon.ico",
        "/x" * 1000,
        "/%00",
        "/%ff",
        "*",
    ],
)
def test_a_path_that_nothing_answers_at_is_not_found_in_the_envelope(generous: House, path: str) -> None:
    answer = generous.get(path, generous.a_token())

    assert (answer.status, answer.code) == (404, "NotFound")
    assert "/reference" in answer.json["error"]["message"]
    assert headers_of(answer).items() >= BASIC_HEADERS.items()


# Refusals


def test_a_refusal_has_the_envelope_and_its_headers(house: House) -> None:
    answer = house.get(UNKNOWN, house.a_token())

    assert headers_of(answer) == {**BASIC_HEADERS, "content-length": str(len(answer.body))}
    assert set(answer.json) == {"error"}
    error = answer.json["error"]
    assert list(error) == ["code", "message", "target"]
    assert (error["code"], error["message"]) == ("ResourceNotFound", f"Incident {UNKNOWN} was not found")
    assert str(uuid.UUID(error["target"])) == error["target"]


def test_every_refusal_has_a_target_of_its_own(house: House) -> None:
    token = house.a_token()

    targets = {house.get(UNKNOWN, token).json["error"]["target"] for _ in range(20)}

    assert len(targets) == 20


def test_a_store_that_does_not_answer_is_503_and_then_it_is_as_before(tmp_path: Path) -> None:
    with RunningHouse(tmp_path) as running:
        house = House(running)
        number, token = house.takes(an_incident()), house.a_token()
        before = house.get(number, token).status

        with without_table(running.settings.database, "incident"):
            during = house.get(number, token)

        assert (before, during.status, during.code) == (200, 503, "ServiceUnavailable")
        assert during.header("retry-after") == "5"
        assert b"incident" not in during.body
        assert house.get(number, token).status == 200


# Who sees what


def test_a_hidden_incident_answers_exactly_like_a_missing_one(house: House) -> None:
    hidden = house.takes(an_incident(an_alert("servers"), incidentId=123_456_789))
    token = house.a_token_exposed_to("laptops")

    refused, missing = house.get(hidden, token), house.get(UNKNOWN, token)

    assert refused.status == 404
    assert without_target(refused, hidden) == without_target(missing, UNKNOWN)


@settings(max_examples=40)
@given(generated_incidents(), st.frozensets(st.sampled_from(["laptops", "servers", "kiosks"]), min_size=1))
def test_hidden_equals_missing_and_trimmed_equals_filtered(
    examples: House, incident: Document, groups: frozenset[str]
) -> None:
    number = examples.takes(incident)
    kept = keep_incident(to_json(incident))
    expected = visible_document(kept.document, kept.alerts_at, kept.spans, exposure_in(examples, groups))
    token = examples.a_token_exposed_to(*groups)

    answer = examples.get(number, token)

    if expected is None:
        assert without_target(answer, number) == without_target(examples.get(UNKNOWN, token), UNKNOWN)
    else:
        assert answer.body == in_context(expected, examples.running.url)


def exposure_in(house: House, groups: frozenset[str]) -> Exposure:
    """The labels of the groups, those included that the house has learnt from devices."""
    known = house.running.run(house.directory.device_groups(house.tenant))
    labels = {label for group in known if group.name in groups for label in (group.number, group.name)}
    return Exposure(device_groups=frozenset(label for label in labels | groups if label is not None))


def test_a_user_sees_the_alerts_devices_and_entities_in_scope_alone(house: House) -> None:
    server = a_device("servers")
    shared = an_alert(devices=[server, a_device("laptops")], entities=[an_entity(server), an_entity()])
    incident = an_incident(an_alert("servers"), shared, an_alert())
    number = house.takes(incident)

    alerts = house.get(number, house.a_token_exposed_to("laptops")).json["alerts"]

    assert [alert["alertId"] for alert in alerts] == [shared["alertId"], incident["alerts"][2]["alertId"]]
    assert [device["rbacGroupName"] for device in alerts[0]["devices"]] == ["laptops"]
    assert alerts[0]["entities"] == [shared["entities"][1]]


def test_a_user_of_the_whole_tenant_sees_what_an_application_sees(house: House) -> None:
    number = house.takes(an_incident(an_alert("servers"), an_alert("laptops")))

    bodies = {house.get(number, token).body for token in (house.a_token(), house.a_token_exposed_to())}

    assert len(bodies) == 1


def test_devices_in_no_group_are_granted_like_any_other(house: House) -> None:
    number = house.takes(an_incident(an_alert(None)))

    assert house.get(number, house.a_token_exposed_to("Ungrouped devices")).status == 200
    assert house.get(number, house.a_token_exposed_to("laptops")).status == 404


def test_head_tells_no_more_about_a_hidden_incident(house: House) -> None:
    hidden = house.takes(an_incident(an_alert("servers")))
    token = house.a_token_exposed_to("laptops")

    answers = [house.get(number, token, method="HEAD") for number in (hidden, hidden + 10**6)]

    assert [answer.status for answer in answers] == [404, 404]


# Tenants


def test_tenants_never_see_each_other(house: House) -> None:
    other = house.add_tenant()
    ours, theirs = an_incident(incidentName="ours"), an_incident(incidentName="theirs")
    house.takes(ours)
    house.takes(theirs, tenant=other)

    tokens = {"ours": house.a_token(), "theirs": house.a_token(tenant=other)}

    assert house.get(ours["incidentId"], tokens["ours"]).status == 200
    assert house.get(ours["incidentId"], tokens["theirs"]).status == 404
    assert house.get(theirs["incidentId"], tokens["ours"]).status == 404


def test_one_number_is_two_incidents_in_two_tenants(house: House) -> None:
    other = house.add_tenant()
    for tenant in (house.tenant, other):
        house.takes(an_incident(incidentId=41877, incidentName=tenant.name), tenant=tenant)

    names = [
        house.get(41877, house.a_token(tenant=tenant)).json["incidentName"]
        for tenant in (house.tenant, other)
    ]

    assert names == [house.tenant.name, other.name]


@pytest.mark.parametrize(
    "header", ["X-Tenant-Id", "X-Tenant", "tenant", "X-MS-Client-Tenant-Id", "X-Original-Tenant"]
)
def test_nothing_in_a_request_but_the_token_selects_the_tenant(house: House, header: str) -> None:
    other = house.add_tenant()
    number = house.takes(an_incident(), tenant=other)
    path = f"/api/incidents/{number}?tenantId={other.guid}&tid={other.guid}"

    assert house.get(path, house.a_token(), [(header, other.guid)]).status == 404


def test_a_group_of_one_tenant_opens_nothing_in_another(house: House) -> None:
    other = house.add_tenant()
    number = house.takes(an_incident(an_alert("servers")), tenant=other)

    assert house.get(number, house.a_token_exposed_to("servers")).status == 404


# Retention


def test_what_is_past_its_retention_answers_like_what_is_missing(tmp_path: Path) -> None:
    clock = Clock()
    with RunningHouse(tmp_path, clock=clock, retention=RetentionSettings(days=30)) as running:
        house = House(running)
        token = house.a_token(lifetime_seconds=86_400)
        # A little in the future, so that the task that removes what is old does not come first.
        touched_at = format_instant(clock.now())
        number = house.takes(an_incident(lastUpdateTime=touched_at))
        before = house.get(number, token).status

        clock.forward(seconds=30 * 86_400)
        fresh = house.a_token()
        last_moment = house.get(number, fresh).status
        clock.forward(ticks=1)
        after = house.get(number, fresh)

        assert parse_instant(touched_at) < clock.now()
        assert (before, last_moment, after.status) == (200, 200, 404)
        assert without_target(after, number) == without_target(house.get(number + 1, fresh), number + 1)
