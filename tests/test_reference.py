"""The API reference: an OpenAPI document that is whole and true, and a page that shows all of it safely."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, get_args

import msgspec
import pytest
import schemathesis
import yaml
from building.reference_page import page_of
from jsonschema_rs import Draft202012Validator

from tests.captured import CAPTURED
from tests.shown_page import ShownPage
from vigie import __version__
from vigie.core.access import READ_PERMISSIONS, WRITE_PERMISSIONS, CallerKind
from vigie.core.filters import STATUSES
from vigie.core.grading import (
    CLASSIFICATION_ALIASES,
    DETERMINATION_ALIASES,
    DETERMINATIONS,
    classification_named,
    determination_named,
)
from vigie.core.incident import IncidentShape, NotAnIncident, keep_document
from vigie.core.refusals import BodyTooLarge, IncidentNotFound, Refusal, RouteNotFound
from vigie.core.update import COMMENT_LENGTH_MAX, TAGS_COUNT_MAX, TEXT_LENGTH_MAX, UPDATABLE
from vigie.web.problems import JSON_TYPE, PROBLEMS, TOKEN_PROBLEMS
from vigie.web.query_options import OPTIONS
from vigie.web.reference import openapi_document, reference_page, reference_style

API: dict[str, Any] = yaml.safe_load(openapi_document())
OPERATIONS = {
    f"{method.upper()} {path}": (path, operation)
    for path, item in API["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
}
SCHEMAS = API["components"]["schemas"]

LEAST_INCIDENT = {
    "incidentId": 5127,
    "createdTime": "2026-03-04T16:20:31Z",
    "lastUpdateTime": "2026-03-04T17:02:09.6086127+01:00",
    "status": "Active",
    "alerts": [{}],
}


PAGE = ShownPage(page_of(API))


def every_object(node: object) -> Iterator[dict[str, Any]]:
    """Every object of the document, at any depth."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from every_object(value)
    elif isinstance(node, list):
        for value in node:
            yield from every_object(value)


def followed(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = API
        for step in steps:
            node = node[step]
    return node


def faults(schema: dict[str, Any], value: object) -> list[str]:
    """What the schema has against a value; formats count."""
    validator = Draft202012Validator(schema | {"components": API["components"]}, validate_formats=True)
    return [str(error) for error in validator.iter_errors(value)]


def faults_of_answer(incident: dict[str, Any]) -> list[str]:
    context = "https://vigie.example/api/$metadata#Incidents/$entity"
    return faults({"$ref": "#/components/schemas/Incident"}, {"@odata.context": context, **incident})


def test_the_document_is_openapi_3_1() -> None:
    assert API["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(API).validate()


def test_the_document_has_the_version_of_the_program() -> None:
    assert API["info"]["version"] == __version__


def test_the_document_holds_nothing_that_json_does_not_have() -> None:
    assert json.loads(json.dumps(API)) == API


def test_every_reference_points_at_something_and_every_component_is_pointed_at() -> None:
    pointed_at = {node["$ref"] for node in every_object(API) if "$ref" in node}
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in API["components"].items()
        for name in named
        if kind != "securitySchemes"
    }

    assert pointed_at == components


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_is_who_may_call_it_and_what_it_answers(name: str) -> None:
    path, operation = OPERATIONS[name]

    assert operation["operationId"]
    assert operation["summary"]
    assert operation["description"]
    assert operation["responses"]["200"]
    assert set(operation["tags"]) <= {tag["name"] for tag in API["tags"]}
    schemes = {scheme for each in operation["security"] for scheme in each}
    assert schemes <= API["components"]["securitySchemes"].keys()
    parameters = map(followed, API["paths"][path].get("parameters", []))
    in_path = {each["name"] for each in parameters if each["in"] == "path"}
    assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_no_two_operations_share_an_id() -> None:
    ids = Counter(operation["operationId"] for _, operation in OPERATIONS.values())

    assert max(ids.values()) == 1


def test_the_answers_under_api_have_one_media_type_and_the_refusals_one_envelope() -> None:
    for name, (path, operation) in OPERATIONS.items():
        for status, response in operation["responses"].items():
            content = followed(response).get("content", {})
            entity = "Incident" if "{id}" in path else "IncidentPage"
            schema = entity if status == "200" else "Error"
            if name.startswith("HEAD"):
                assert content == {}
            elif path.startswith("/api/"):
                assert list(content) == [JSON_TYPE]
                assert content[JSON_TYPE]["schema"] == {"$ref": f"#/components/schemas/{schema}"}


@pytest.mark.parametrize(
    ("name", "never"),
    [
        ("GET /api/incidents", {IncidentNotFound, BodyTooLarge}),
        ("GET /api/incidents/{id}", {BodyTooLarge}),
        ("PATCH /api/incidents/{id}", set()),
    ],
)
def test_a_call_is_refused_with_every_status_there_is_but_those_that_cannot_be(
    name: str, never: set[type[Refusal]]
) -> None:
    stated = {int(status) for status in OPERATIONS[name][1]["responses"]}

    # A path that nothing answers at is no call.
    possible = {each.status for kind, each in PROBLEMS.items() if kind not in {*never, RouteNotFound}}
    assert stated == {200} | possible


# Codes for devices are bounded by address, but nobody proves anything for one.
NEVER_SAID = {"token": 429, "devicecode": 401}


@pytest.mark.parametrize("version", ["/v2.0", ""])
@pytest.mark.parametrize("endpoint", NEVER_SAID)
def test_a_token_is_refused_with_every_status_there_is(version: str, endpoint: str) -> None:
    path = f"/{{tenant}}/oauth2{version}/{endpoint}"
    stated = {int(status) for status in API["paths"][path]["post"]["responses"]}

    every = {200, PROBLEMS[BodyTooLarge].status, *(status for status, _ in TOKEN_PROBLEMS.values())}
    assert stated == every - {NEVER_SAID[endpoint]}


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "405", "413", "429", "503"])
@pytest.mark.parametrize("call", ["GET /api/incidents", "PATCH /api/incidents/{id}"])
def test_every_example_of_a_refusal_has_a_code_of_its_status(call: str, status: str) -> None:
    if (stated := OPERATIONS[call][1]["responses"].get(status)) is None:
        return
    body = followed(stated)["content"][JSON_TYPE]
    examples = (
        [body["example"]] if "example" in body else [each["value"] for each in body["examples"].values()]
    )

    codes = {example["error"]["code"] for example in examples}
    assert codes
    assert codes <= {each.code for each in PROBLEMS.values() if each.status == int(status)}


def test_values_are_shown_as_json_writes_them() -> None:
    assert "Example: true" in PAGE.text
    assert "Example: True" not in PAGE.text


@pytest.mark.parametrize("path", ["/api/incidents", "/api/incidents/{id}"])
def test_the_versioned_path_is_described_alike(path: str) -> None:
    first, second = API["paths"][path], API["paths"][path.replace("/api/", "/api/v1.0/")]

    assert first.keys() == second.keys()
    assert first["parameters"] == second["parameters"]
    for method in first.keys() - {"parameters"}:
        for part in ("responses", "security", "parameters", "requestBody"):
            assert first[method].get(part) == second[method].get(part)


@pytest.mark.parametrize(
    ("name", "permissions"),
    [
        ("GET /api/incidents", READ_PERMISSIONS),
        ("GET /api/incidents/{id}", READ_PERMISSIONS),
        ("PATCH /api/incidents/{id}", WRITE_PERMISSIONS),
    ],
)
def test_a_call_needs_the_permissions_that_the_core_asks_for(
    name: str, permissions: dict[CallerKind, tuple[str, ...]]
) -> None:
    stated = [each["bearer"] for each in OPERATIONS[name][1]["security"]]

    assert stated == [[each] for kind in CallerKind for each in permissions[kind]]


def test_the_options_of_a_list_are_those_that_it_reads() -> None:
    parameters = map(followed, API["paths"]["/api/incidents"]["parameters"])

    assert [each["name"] for each in parameters] == list(OPTIONS)


def test_an_update_may_say_what_the_core_takes() -> None:
    body = SCHEMAS["IncidentUpdate"]
    keys = body["properties"]

    assert list(keys) == list(UPDATABLE)
    assert keys["status"]["enum"] == [each for each in STATUSES if each != "Redirected"]
    assert {classification_named(each) for each in keys["classification"]["enum"]} == DETERMINATIONS.keys()
    assert {determination_named(each) for each in keys["determination"]["enum"]} == {
        "NotAvailable",
        *(each for row in DETERMINATIONS.values() for each in row),
    }
    assert set(keys["classification"]["enum"]) >= CLASSIFICATION_ALIASES.keys()
    assert set(keys["determination"]["enum"]) >= DETERMINATION_ALIASES.keys()
    assert keys["tags"]["maxItems"] == TAGS_COUNT_MAX
    assert keys["tags"]["items"]["maxLength"] == keys["assignedTo"]["maxLength"] == TEXT_LENGTH_MAX
    assert keys["comment"]["maxLength"] == COMMENT_LENGTH_MAX


def test_every_example_fits_its_schema() -> None:
    examples = [
        (node["schema"], example)
        for node in every_object(API)
        if "schema" in node
        for example in (
            *([node["example"]] if "example" in node else []),
            *(each["value"] for each in node.get("examples", {}).values()),
        )
    ]

    assert len(examples) > 10
    assert [faults(schema, example) for schema, example in examples if faults(schema, example)] == []


def test_every_error_example_fits_the_envelope_and_no_more_does() -> None:
    schema = {"$ref": "#/components/schemas/Error"}
    error = {"code": "429", "message": "", "target": "|0.1."}

    assert faults(schema, {"error": error}) == []
    assert faults(schema, {"error": error | {"details": []}})
    assert faults(schema, {"error": error, "more": 1})


def test_the_incident_that_import_takes_with_the_least_in_it_fits() -> None:
    keep_document(LEAST_INCIDENT)

    assert faults_of_answer(LEAST_INCIDENT) == []


@pytest.mark.parametrize("key", LEAST_INCIDENT)
def test_what_import_insists_on_is_required_and_nothing_else(key: str) -> None:
    without = {name: value for name, value in LEAST_INCIDENT.items() if name != key}

    with pytest.raises(NotAnIncident):
        keep_document(without)
    assert faults_of_answer(without)


def test_keys_nobody_has_heard_of_fit_everywhere() -> None:
    more = {"newKey": [{"a": 1.5}], "newerKey": None}
    alert = more | {"devices": [more], "entities": [more]}

    assert faults_of_answer(LEAST_INCIDENT | more | {"alerts": [alert], "comments": [more]}) == []


@pytest.mark.parametrize("name", ["Incident", "Alert", "Device", "Entity", "Comment"])
def test_every_key_may_be_null_where_import_lets_it_be(name: str) -> None:
    nulls = {key: None for key in SCHEMAS[name]["properties"] if key not in SCHEMAS[name].get("required", [])}
    required = LEAST_INCIDENT | {"@odata.context": "http://[::1]:8400/api/$metadata#Incidents/$entity"}

    assert (
        faults({"$ref": f"#/components/schemas/{name}"}, nulls | (required if name == "Incident" else {}))
        == []
    )


def test_values_nobody_has_heard_of_fit_but_for_the_status_of_an_incident() -> None:
    new = {"severity": "Critical", "classification": "Odd", "determination": "Odder"}
    alert = new | {"status": "Parked", "investigationState": "New", "entities": [{"entityType": "AiAgent"}]}

    assert faults_of_answer(LEAST_INCIDENT | new | {"alerts": [alert]}) == []
    assert faults_of_answer(LEAST_INCIDENT | {"status": "Parked"})


def test_the_statuses_are_those_that_import_takes() -> None:
    status = next(field for field in msgspec.structs.fields(IncidentShape) if field.name == "status")

    assert SCHEMAS["Incident"]["properties"]["status"]["enum"] == list(get_args(status.type))


@pytest.mark.skipif(not CAPTURED.is_dir(), reason="the captured answers are not here")
def test_real_answers_fit_and_use_no_key_that_the_document_does_not_name() -> None:
    documents = [json.loads(file.read_bytes()) for file in sorted(CAPTURED.glob("*.json"))]
    incidents = [incident for each in documents for incident in each.get("value", [each])]
    alerts = [alert for incident in incidents for alert in incident["alerts"]]
    seen = {
        "Incident": incidents,
        "Comment": [comment for incident in incidents for comment in incident["comments"]],
        "Alert": alerts,
        "Device": [device for alert in alerts for device in alert["devices"]],
        "Entity": [entity for alert in alerts for entity in alert["entities"]],
    }
    artefacts = {"Incident": {"entities"}}

    assert incidents
    assert [faults_of_answer(incident) for incident in incidents if faults_of_answer(incident)] == []
    for name, values in seen.items():
        keys = {key for value in values for key in value}
        assert keys - artefacts.get(name, set()) <= SCHEMAS[name]["properties"].keys()


def test_the_page_that_is_served_is_the_one_of_the_document_as_it_is() -> None:
    assert reference_page() == page_of(API), "`make setup` makes it anew"


def test_the_page_shows_every_operation_with_all_its_answers() -> None:
    for name, (_, operation) in OPERATIONS.items():
        assert f"operation-{operation['operationId']}" in PAGE.values_of("id")
        assert name in PAGE.text
        assert operation["summary"] in PAGE.text
    shown = Counter(text for text in PAGE.texts if text.isdecimal() and len(text) == 3)
    stated = Counter(status for _, operation in OPERATIONS.values() for status in operation["responses"])
    assert shown & stated == stated


def test_the_page_shows_every_schema_with_all_its_keys_and_known_values() -> None:
    for name, schema in SCHEMAS.items():
        assert f"schema-{name}" in PAGE.values_of("id")
        values = {value for node in every_object(schema) for value in node.get("enum", [])}
        assert {*schema.get("properties", {}), *values} <= set(PAGE.texts)


def test_the_page_shows_every_description() -> None:
    for node in every_object(API):
        if isinstance(description := node.get("description"), str) and "examples" not in node:
            first_line = description.split("\n")[0].replace("`", "").removeprefix("- ")
            assert first_line in PAGE.text or node in API["servers"]


def test_every_link_of_the_page_leads_somewhere() -> None:
    ids = Counter(PAGE.values_of("id"))
    inside = {href for href in PAGE.values_of("href") if href.startswith("#")}

    assert max(ids.values()) == 1
    assert {href[1:] for href in inside} <= ids.keys()
    assert set(PAGE.values_of("href")) - inside == {"/reference.css", "/openapi.yaml"}
    assert set(PAGE.values_of("href")) - inside <= API["paths"].keys()
    for attribute in ("aria-labelledby", "aria-describedby"):
        assert set(PAGE.values_of(attribute)) <= ids.keys()


def test_the_page_needs_nothing_that_its_content_security_policy_forbids() -> None:
    forbidden = {"script", "style", "iframe", "object", "embed", "base", "form", "img", "svg"}
    attributes = {name for _, attributes in PAGE.elements for name in attributes}

    assert forbidden.isdisjoint(tag for tag, _ in PAGE.elements)
    assert attributes <= {
        *("charset", "name", "content", "rel", "href", "lang", "class", "id"),
        *("tabindex", "role", "scope", "aria-label", "aria-labelledby"),
    }
    assert b"url(" not in reference_style()
    assert b"@import" not in reference_style()


def test_the_page_can_be_read_by_ear_and_without_a_mouse() -> None:
    tags = Counter(tag for tag, _ in PAGE.elements)
    levels = [int(tag[1]) for tag, _ in PAGE.elements if tag in {"h1", "h2", "h3", "h4"}]

    assert ("html", {"lang": "en"}) in PAGE.elements
    assert [tags[landmark] for landmark in ("header", "nav", "main", "h1", "title")] == [1] * 5
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert tags["table"] == tags["caption"] == tags["thead"]
    assert all("scope" in attributes for tag, attributes in PAGE.elements if tag == "th")
    # What scrolls by itself can be reached and has a name.
    scrolling = [attributes for _, attributes in PAGE.elements if attributes.get("role") == "group"]
    assert all(
        each["tabindex"] == "0" and each.keys() & {"aria-label", "aria-labelledby"} for each in scrolling
    )
    assert len(scrolling) == tags["table"] + tags["pre"]


def test_the_style_knows_light_dark_and_small_screens() -> None:
    style = reference_style().decode()

    assert "@media (prefers-color-scheme: dark)" in style
    assert "@media (min-width:" in style
    assert style.count("{") == style.count("}")


def hostile(node: Any) -> Any:
    """The same, with an attack behind every text but those that the page follows."""
    attack = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>`</code>`&amp;"
    words = {"$ref", "operationId", "type", "format", "tags", "security", "openapi"}
    if isinstance(node, dict):
        return {key: value if key in words else hostile(value) for key, value in node.items()}
    if isinstance(node, list):
        return [hostile(value) for value in node]
    return node + attack if isinstance(node, str) else node


def test_whatever_a_description_holds_is_shown_and_not_obeyed() -> None:
    page = ShownPage(page_of(hostile(API)))

    assert "<script>alert(1)</script>" in page.text
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in PAGE.elements}
    assert {name for _, each in page.elements for name in each} == {
        name for _, each in PAGE.elements for name in each
    }
    assert set(page.values_of("href")) == set(PAGE.values_of("href"))


def test_names_are_shown_and_not_obeyed_either() -> None:
    attack = '"><script>alert(1)</script>'
    document: dict[str, Any] = {
        "info": {"title": attack, "version": attack},
        "tags": [{"name": attack}],
        "paths": {
            f"/{attack}": {
                "parameters": [{"name": attack, "in": attack, "schema": {"type": attack, "format": attack}}],
                "get": {
                    "tags": [attack],
                    "operationId": attack,
                    "summary": attack,
                    "security": [{attack: [attack]}],
                    "responses": {
                        attack: {
                            "description": attack,
                            "headers": {attack: {"description": attack, "schema": {"enum": [attack]}}},
                            "content": {attack: {"schema": {}, "examples": {attack: {"value": {attack: 1}}}}},
                        }
                    },
                },
            }
        },
        "components": {
            "schemas": {attack: {"properties": {attack: {"const": attack}}}},
            "securitySchemes": {attack: {"type": attack, "scheme": attack}},
        },
    }

    page = ShownPage(page_of(document))

    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count("<script>") > 15
