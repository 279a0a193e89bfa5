"""The metadata for OData clients: the service document and the CSDL, read by a client of others."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import requests

import odata
from tests.support.builders import Document, a_redirected_stub, an_alert, an_incident
from tests.support.house import House, RunningHouse
from tests.support.openapi import openapi_document
from vigie.config.settings import UpdateSettings
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, SEVERITIES, STATUSES
from vigie.synthetic.generator import generate

ROOTS = ("/api", "/api/", "/api/v1.0", "/api/v1.0/")
METADATA = ("/api/$metadata", "/api/%24metadata", "/API/$Metadata", "/api/v1.0/$metadata")
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
SCHEMAS = openapi_document()["components"]["schemas"]
ENUMERATIONS = {
    "Status": SCHEMAS["Incident"]["properties"]["status"]["enum"],
    **{name: SCHEMAS[name]["anyOf"][0]["enum"] for name in ("Classification", "Determination", "Severity")},
    "AlertStatus": SCHEMAS["Alert"]["properties"]["status"]["anyOf"][0]["enum"],
    "InvestigationState": SCHEMAS["Alert"]["properties"]["investigationState"]["anyOf"][0]["enum"],
}
"""The words that the OpenAPI document names, by the name of their type."""


@pytest.fixture(scope="module")
def house(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own: what is listed is known."""
    updates = UpdateSettings(determinations="as-sent")
    with RunningHouse(tmp_path_factory.mktemp("odata"), updates=updates) as running:
        yield House(running)


@pytest.fixture(scope="module")
def schema(house: House) -> ET.Element:
    """The schema in the CSDL that is served."""
    document = ET.fromstring(house.get("/api/$metadata", None).body)
    (found,) = document.iter(f"{EDM}Schema")
    return found


def properties_in(schema: ET.Element) -> dict[str, dict[str, str]]:
    """The type of every property, by the names of the types they are in."""
    types = [*schema.iter(f"{EDM}EntityType"), *schema.iter(f"{EDM}ComplexType")]
    return {
        each.attrib["Name"]: {
            found.attrib["Name"]: found.attrib["Type"] for found in each.iter(f"{EDM}Property")
        }
        for each in types
    }


def members_in(schema: ET.Element) -> dict[str, list[str]]:
    return {
        each.attrib["Name"]: [member.attrib["Name"] for member in each.iter(f"{EDM}Member")]
        for each in schema.iter(f"{EDM}EnumType")
    }


# The addresses


@pytest.mark.parametrize("path", ROOTS)
def test_the_service_document_names_the_set_and_where_it_is(house: House, path: str) -> None:
    answer = house.get(path, None)

    assert answer.status == 200
    assert answer.json == {
        "@odata.context": f"{house.running.url}/api/$metadata",
        "value": [{"name": "Incidents", "kind": "EntitySet", "url": "incidents"}],
    }
    assert (answer.header("odata-version"), answer.header("content-type")) == (
        "4.0",
        house.get("/api/incidents", house.a_token()).header("content-type"),
    )


@pytest.mark.parametrize("accept", [None, "application/json", "application/xml", "*/*"])
@pytest.mark.parametrize("path", [*METADATA, "/api/$metadata?$format=xml"])
def test_the_metadata_are_xml_whatever_is_asked_for(house: House, path: str, accept: str | None) -> None:
    answer = house.running.request("GET", path, [("Accept", accept)] if accept else [])

    assert (answer.status, answer.header("content-type")) == (200, "application/xml")
    assert answer.header("odata-version") == "4.0"
    assert ET.fromstring(answer.body).attrib["Version"] == "4.0"


@pytest.mark.parametrize("path", [*ROOTS, *METADATA])
def test_head_has_the_headers_of_get(house: House, path: str) -> None:
    get, head = [house.running.request(method, path) for method in ("GET", "HEAD")]

    def dateless(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        return [pair for pair in headers if pair[0] != "date"]

    assert (head.status, head.body, dateless(head.headers)) == (200, b"", dateless(get.headers))


@pytest.mark.parametrize("path", [ROOTS[0], METADATA[0]])
def test_other_methods_are_refused(house: House, path: str) -> None:
    answer = house.running.request("POST", path, body=b"{}")

    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


def test_the_context_of_every_answer_leads_to_the_metadata(house: House, schema: ET.Element) -> None:
    number, token = house.takes(an_incident()), house.a_token()
    sets = {each.attrib["Name"] for each in schema.iter(f"{EDM}EntitySet")}

    for path in (f"/api/incidents/{number}", "/api/incidents", "/api/v1.0/incidents", "/api"):
        address, _, fragment = house.get(path, token).json["@odata.context"].partition("#")
        found = requests.get(address, timeout=20)
        assert (found.status_code, found.headers["Content-Type"]) == (200, "application/xml")
        assert not fragment or fragment.removesuffix("/$entity") in sets


def test_the_addresses_of_answers_and_of_lists_are_both_sets(house: House, schema: ET.Element) -> None:
    sets = {each.attrib["Name"]: each.attrib for each in schema.iter(f"{EDM}EntitySet")}

    assert sets.keys() == {"Incidents", "incidents"}
    assert {each["EntityType"] for each in sets.values()} == {"vigie.Incident"}
    assert sets["incidents"]["IncludeInServiceDocument"] == "false"


# What the metadata say


@pytest.mark.parametrize("name", ["Incident", "Comment", "Alert", "Device", "Entity"])
def test_every_documented_key_is_named_with_its_type(schema: ET.Element, name: str) -> None:
    documented = {
        key: value for key, value in SCHEMAS[name]["properties"].items() if not key.startswith("@odata.")
    }
    named = properties_in(schema)[name]

    assert list(named) == list(documented)
    for key, stated in documented.items():
        assert edm_of(key, stated, named[key]) == named[key]


def edm_of(key: str, stated: Document, found: str) -> str:
    """The type that CSDL has for what the OpenAPI document says; for enumerated words, the one that was found."""
    if "$ref" in stated:
        return f"vigie.{stated['$ref'].rpartition('/')[2]}"
    kind = next(each for each in [*stated["type"], stated["type"]] if each != "null" and len(each) > 1)
    if kind == "array":
        return f"Collection({edm_of(key, stated['items'], found)})"
    if found.removeprefix("vigie.") in ENUMERATIONS:
        return found if kind == "string" else ""
    if kind == "object":
        return "vigie.VmMetadata"
    return (
        {"integer": "Edm.Int64", "string": "Edm.String"}[kind]
        if "format" not in stated
        else ({"int64": "Edm.Int64", "date-time": "Edm.DateTimeOffset"}[stated["format"]])
    )


@pytest.mark.parametrize("name", ENUMERATIONS)
def test_every_documented_word_is_a_member(schema: ET.Element, name: str) -> None:
    assert set(members_in(schema)[name]) >= set(ENUMERATIONS[name])


def test_every_word_that_the_core_decides_on_is_a_member(schema: ET.Element) -> None:
    members = members_in(schema)

    assert members["Status"] == list(STATUSES.members)
    assert members["Severity"] == list(SEVERITIES.members)
    assert members["Classification"] == list(CLASSIFICATIONS.members)
    assert set(members["Determination"]) == {*DETERMINATIONS.members, *DETERMINATIONS.aliases}
    assert all(len(set(names)) == len(names) for names in members.values())


def test_generated_incidents_have_only_keys_and_words_that_are_named(schema: ET.Element) -> None:
    properties, members = properties_in(schema), members_in(schema)
    met: set[tuple[str, str]] = set()

    def check(value: Any, type_: str) -> None:
        name = type_.removeprefix("Collection(").removesuffix(")").removeprefix("vigie.")
        if isinstance(value, list):
            assert type_.startswith("Collection(")
            for each in value:
                check(each, name if name.startswith("Edm.") else f"vigie.{name}")
        elif isinstance(value, dict):
            for key, inner in value.items():
                met.add((name, key))
                check(inner, properties[name][key])
        elif value is not None and name in members:
            assert value in members[name]

    for incident in generate(300, seed=7):
        check(incident, "vigie.Incident")

    assert {name for name, _ in met} == {"Incident", "Comment", "Alert", "Device", "Entity"}


def test_what_an_incident_must_have_is_never_null(schema: ET.Element) -> None:
    (incident,) = schema.iter(f"{EDM}EntityType")
    never_null = {
        each.attrib["Name"]
        for each in incident.iter(f"{EDM}Property")
        if each.attrib.get("Nullable") == "false" and not each.attrib["Type"].startswith("Collection(")
    }

    assert never_null == set(SCHEMAS["Incident"]["required"]) - {"alerts"}
    assert [each.attrib["Name"] for each in incident.iter(f"{EDM}PropertyRef")] == ["incidentId"]


def test_keys_that_are_not_named_are_allowed(schema: ET.Element) -> None:
    types = [*schema.iter(f"{EDM}EntityType"), *schema.iter(f"{EDM}ComplexType")]

    assert [each.attrib.get("OpenType") for each in types] == ["true"] * len(types)


# A client


@pytest.mark.parametrize("root", ["/api/", "/api/v1.0/", "/API/"])
def test_an_odata_client_finds_its_way_by_the_metadata_alone(house: House, root: str) -> None:
    tenant = house.add_tenant()
    early, late = "2026-02-11T07:41:09.5Z", "2026-03-04T16:20:31Z"
    for incident in (
        an_incident(
            an_alert(), incidentId=1, createdTime=early, assignedTo="ana@contoso.example", tags=["a"]
        ),
        an_incident(incidentId=2, createdTime=late, classification="TruePositive", determination="Malware"),
        a_redirected_stub(1, incidentId=3, createdTime=late),
    ):
        house.takes(incident, tenant=tenant)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {house.a_token(tenant=tenant)}"

    service = odata.ODataService(
        house.running.url + root, session=session, reflect_entities=True, quiet_progress=True
    )

    incidents = service.entities["Incidents"]
    found = {each.incidentId: each for each in service.query(incidents).all()}
    since = datetime(2026, 3, 1, tzinfo=UTC)
    later = (
        service.query(incidents).filter(incidents.createdTime > since).order_by(incidents.createdTime.asc())
    )
    of_ana = service.query(incidents).filter(incidents.assignedTo == "ana@contoso.example")
    assert set(service.entities) == {"Incidents", "incidents"}
    assert found.keys() == {1, 2, 3}
    assert found[1].createdTime == datetime.fromisoformat(early)
    assert (found[1].tags, found[1].status.name) == (["a"], "Active")
    assert (found[2].classification.name, found[2].determination.name) == ("TruePositive", "Malware")
    assert (found[3].status.name, found[3].redirectIncidentId) == ("Redirected", 1)
    assert [each.incidentId for each in later] == [2, 3]
    assert [each.incidentId for each in of_ana] == [1]
    assert service.query(incidents).limit(0).all() == []
