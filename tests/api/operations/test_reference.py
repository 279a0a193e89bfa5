"""The API reference: an OpenAPI document that is whole and true, and what the page shows of it."""

import ast
import gzip
import json
import shlex
import tomllib
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import schemathesis
from jsonschema_rs import Draft202012Validator

import vigie.api.operations
from tests.support.captured import CAPTURED
from tests.support.openapi import DESCRIPTION, openapi_document
from tests.support.paths import ROOT
from vigie import __version__
from vigie.api.defender.error_responses import ERROR_RESPONSES, JSON_TYPE
from vigie.api.defender.update_body import COMMENT_LENGTH_MAX, TAGS_COUNT_MAX, TEXT_LENGTH_MAX, UPDATABLE
from vigie.api.oauth.error_responses import TOKEN_ERRORS
from vigie.api.operations.code_samples import ORIGIN
from vigie.api.operations.reference import ShownDocument, renderer
from vigie.api.vigie.handlers import CHANGES_ROUTE
from vigie.core.access import READ_PERMISSIONS, WRITE_PERMISSIONS, CallerKind
from vigie.core.classification import SETTABLE
from vigie.core.enums import Classification
from vigie.core.errors import (
    BodyTooLarge,
    ChangesGone,
    IncidentNotFound,
    Refusal,
    RouteNotFound,
    ViewChanged,
)
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, STATUSES
from vigie.documents.defender.reading import NotAnIncident, keep_document
from vigie.documents.defender.shapes import IncidentShape
from vigie.odata.options import OPTIONS

API = openapi_document()
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

VENDORED = Path(vigie.api.operations.__file__).parent / "vendored"


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


ERROR_SCHEMA = {"$ref": "#/components/schemas/Error"}


@pytest.mark.parametrize(
    ("path", "entity"), [("/api/incidents/{id}", "Incident"), ("/api/incidents", "IncidentPage")]
)
def test_an_incident_and_a_page_of_them_are_described(path: str, entity: str) -> None:
    content = followed(API["paths"][path]["get"]["responses"]["200"])["content"]

    assert content[JSON_TYPE]["schema"] == {"$ref": f"#/components/schemas/{entity}"}


def test_no_two_operations_share_an_id() -> None:
    ids = Counter(operation["operationId"] for _, operation in OPERATIONS.values())

    assert max(ids.values()) == 1


def test_the_answers_under_api_have_one_media_type_and_the_refusals_one_envelope() -> None:
    for name, (path, operation) in OPERATIONS.items():
        for status, response in operation["responses"].items():
            content = followed(response).get("content", {})
            is_refusal = status != "200"
            if name.startswith("HEAD"):
                assert content == {}
            elif path.startswith(CHANGES_ROUTE) and not is_refusal:
                assert list(content) == ["application/json; charset=utf-8", "text/event-stream"]
            elif path.startswith("/api/") and not path.endswith("$metadata"):
                assert list(content) == [JSON_TYPE]
                assert (content[JSON_TYPE]["schema"] == ERROR_SCHEMA) == is_refusal


@pytest.mark.parametrize(
    ("name", "never"),
    [
        ("GET /api/incidents", {IncidentNotFound, BodyTooLarge, ChangesGone, ViewChanged}),
        ("GET /api/incidents/{id}", {BodyTooLarge, ChangesGone, ViewChanged}),
        ("PATCH /api/incidents/{id}", {ChangesGone, ViewChanged}),
    ],
)
def test_a_call_is_refused_with_every_status_there_is_but_those_that_cannot_be(
    name: str, never: set[type[Refusal]]
) -> None:
    stated = {int(status) for status in OPERATIONS[name][1]["responses"]}

    # A path that nothing answers at is no call.
    possible = {each.status for kind, each in ERROR_RESPONSES.items() if kind not in {*never, RouteNotFound}}
    assert stated == {200} | possible


# Codes for devices are bounded by address, but nobody proves anything for one.
NEVER_SAID = {"token": 429, "devicecode": 401}


@pytest.mark.parametrize("version", ["/v2.0", ""])
@pytest.mark.parametrize("endpoint", NEVER_SAID)
def test_a_token_is_refused_with_every_status_there_is(version: str, endpoint: str) -> None:
    path = f"/{{tenant}}/oauth2{version}/{endpoint}"
    stated = {int(status) for status in API["paths"][path]["post"]["responses"]}

    every = {
        200,
        ERROR_RESPONSES[BodyTooLarge].status,
        *(row.status for row in TOKEN_ERRORS.values()),
    }
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
    assert codes <= {each.code for each in ERROR_RESPONSES.values() if each.status == int(status)}


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
    assert keys["status"]["enum"] == [each for each in STATUSES.members if each != "Redirected"]
    assert {CLASSIFICATIONS.member(each) for each in keys["classification"]["enum"]} == set(Classification)
    assert {DETERMINATIONS.member(each) for each in keys["determination"]["enum"]} == set(SETTABLE)
    assert set(keys["classification"]["enum"]) >= CLASSIFICATIONS.aliases.keys()
    assert set(keys["determination"]["enum"]) >= DETERMINATIONS.aliases.keys()
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


# In JSON, and as the page shows it


def test_in_json_it_is_the_same_document() -> None:
    assert json.loads(DESCRIPTION.json) == API, "`make setup` makes it anew"


SHOWN: dict[str, Any] = json.loads(
    ShownDocument(DESCRIPTION).for_origin("https://vigie.lindenhof.example:8443")
)


def test_the_page_shows_every_call_once() -> None:
    shown = {f"{method.upper()} {path}" for path, item in SHOWN["paths"].items() for method in item}

    calls = {name for name in OPERATIONS if not name.startswith("HEAD ") and "/api/v1.0/" not in name}
    assert {name for name in shown if not name.startswith("PARAMETERS ")} == calls


def shown_operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in SHOWN["paths"].items():
        for method in item.keys() - {"parameters"}:
            yield path, method, item[method]


def test_every_call_that_is_shown_is_as_the_document_has_it_but_for_samples_and_permissions() -> None:
    for path, method, operation in shown_operations():
        written = API["paths"][path][method]
        assert operation == written | {key: operation[key] for key in ("description", "x-codeSamples")}
        assert operation["description"].startswith(written.get("description", ""))


@pytest.mark.parametrize(("method", "permissions"), [("get", READ_PERMISSIONS), ("patch", WRITE_PERMISSIONS)])
def test_the_page_says_which_permissions_open_a_call(
    method: str, permissions: dict[CallerKind, tuple[str, ...]]
) -> None:
    description = SHOWN["paths"]["/api/incidents/{id}"][method]["description"]

    said = description.rpartition("One of these permissions is needed: ")[2]
    assert said == ", ".join(f"`{each}`" for kind in CallerKind for each in permissions[kind]) + "."


def test_every_sample_calls_this_server_and_is_code() -> None:
    for path, method, operation in shown_operations():
        curl, python = operation["x-codeSamples"]
        calls = [node for node in ast.walk(ast.parse(python["source"])) if isinstance(node, ast.Call)]
        words = shlex.split(curl["source"].replace("\\\n", " "))

        assert [curl["label"], python["label"]] == ["curl", "Python"]
        assert any(isinstance(call.func, ast.Attribute) and call.func.attr == method for call in calls)
        assert words[0] == "curl"
        assert words[-1].startswith("https://vigie.lindenhof.example:8443/")
        needs_token = any("bearer" in each for each in operation["security"])
        assert (
            ("Authorization: Bearer $TOKEN" in words) is ("Bearer {token}" in python["source"]) is needs_token
        )
        assert "{" not in words[-1], path


def test_the_document_speaks_of_no_server_that_samples_stand_for() -> None:
    assert ORIGIN.encode() not in DESCRIPTION.yaml


# The renderer


def test_the_renderer_is_the_file_that_was_published() -> None:
    recorded = tomllib.loads(VENDORED.joinpath("vendored.toml").read_text(encoding="utf-8"))["redoc"]
    published = renderer(packed=False)

    assert sha256(published).hexdigest() == recorded["sha256"]
    assert gzip.decompress(renderer(packed=True)) == published
    assert (
        f'Version: "{recorded["version"]}"'
        in VENDORED.joinpath("redoc.standalone.js.LICENSE.txt").read_text()
    )


def test_its_licence_goes_with_it() -> None:
    recorded = tomllib.loads(VENDORED.joinpath("vendored.toml").read_text(encoding="utf-8"))["redoc"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")

    assert f"Redoc {recorded['version']}" in notice
    assert VENDORED.joinpath("redoc.LICENSE").read_text().splitlines()[0] == "The MIT License (MIT)"


def test_no_file_that_is_vendored_is_larger_than_a_megabyte() -> None:
    assert max(file.stat().st_size for file in VENDORED.iterdir()) < 1_000_000
