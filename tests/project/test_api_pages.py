"""The pages of docs/api against the program: calls, errors, limits, names and tables are those that it has."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.project.test_documents import DOCS, text_of
from tests.support.house import INCIDENTS_API, READ_ALL, House, from_base64
from tests.support.openapi import openapi_document
from vigie.api.defender.error_responses import ERROR_RESPONSES, INTERNAL_ERROR
from vigie.api.defender.handlers import LISTS_AT_ONCE_MAX, UPDATE_BYTES_MAX
from vigie.api.defender.resource import INCIDENTS
from vigie.api.defender.update_body import COMMENT_LENGTH_MAX, TAGS_COUNT_MAX, TEXT_LENGTH_MAX
from vigie.api.oauth.endpoints import FORM_BYTES_MAX
from vigie.api.vigie.change_query import LIMIT_DEFAULT, LIMIT_MAX
from vigie.application.change_feed import LOOKED_AT_MAX
from vigie.config.settings import QuotaSettings
from vigie.core import classification
from vigie.core.access import READ_PERMISSIONS, WRITE_PERMISSIONS, CallerKind
from vigie.core.enums import Determination
from vigie.core.incident import INCIDENT_ID_MAX
from vigie.core.queries import PAGE_SIZE_MAX, SKIP_MAX
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, SEVERITIES, STATUSES
from vigie.documents.defender.updating import COMMENTS_BYTES_MAX, COMMENTS_COUNT_MAX
from vigie.identity.clients.assertions import ASSERTION_BYTES_MAX, ASSERTION_LIFETIME_MAX_SECONDS
from vigie.identity.grants.device_code import POLL_SECONDS
from vigie.identity.tokens.audiences import GRAPH
from vigie.odata.filters import DEPTH_MAX, LENGTH_MAX, TERMS_MAX

PAGES = sorted((DOCS / "api").glob("*.md"))
INDEX = DOCS / "api" / "README.md"
CALLS = ("get-incident.md", "list-incidents.md", "update-incident.md", "changes.md")
OF_OPERATORS = {"/healthz", "/readyz", "/metrics", "/", "/openapi.yaml", "/openapi.json", "/reference"}
OF_CONNECTIONS = {(408, "BadRequest"), (431, "BadRequest")}

CODE = re.compile(r"`([^`]+)`")


def prose_of(page: str) -> str:
    """The page with its lines joined, as sentences run over their ends."""
    return " ".join(text_of(DOCS / "api" / page).split())


def table_under(page: str, heading: str) -> list[list[str]]:
    """The cells of the rows of the table under a heading, without its head."""
    section = re.split(rf"^## {re.escape(heading)}$", text_of(DOCS / "api" / page), flags=re.MULTILINE)[1]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def expanded(name: str) -> Iterator[str]:
    """A name of a resource, or several where it has a choice in braces."""
    before, brace, rest = name.partition("{")
    choices, _, after = rest.partition("}")
    yield from (f"{before}{choice}{after}" for choice in choices.split(",")) if brace else [name]


def statuses_and_codes(rows: list[list[str]]) -> set[tuple[int, str]]:
    return {
        (int(status), code)
        for statuses, codes, *_ in rows
        for status in statuses.split(", ")
        for code in CODE.findall(codes)
        if code[0].isupper() or code == "429"
        if "-" not in code and code != "Allow"
    }


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi_document()


# Calls


def test_every_call_of_the_openapi_document_is_on_a_page(described: Mapping[str, Any]) -> None:
    written = " ".join(text_of(page) for page in PAGES)
    paths = {path.replace("/api/v1.0/", "/api/") for path in described["paths"]} - OF_OPERATORS

    assert [path for path in paths if not re.search(rf"{re.escape(path)}(?=[`?\s])", written)] == []


def test_every_permission_is_in_the_table() -> None:
    of_kind = {kind: (read, update) for kind, _, read, update in table_under("README.md", "Permissions")}

    for kind in CallerKind:
        read, update = of_kind[kind.value]
        assert CODE.findall(read) == list(READ_PERMISSIONS[kind])
        assert CODE.findall(update) == list(WRITE_PERMISSIONS[kind])


def test_the_table_of_quotas_has_the_defaults() -> None:
    quotas = QuotaSettings()

    assert table_under("README.md", "Quotas") == [
        [call, f"{per_minute:,}", f"{per_hour:,}"]
        for call, per_minute, per_hour in (
            ("get one incident", quotas.get_per_minute, quotas.get_per_hour),
            ("list incidents", quotas.list_per_minute, quotas.list_per_hour),
            ("update an incident", quotas.update_per_minute, quotas.update_per_hour),
            ("read the change feed", quotas.changes_per_minute, quotas.changes_per_hour),
        )
    ]


@pytest.mark.parametrize(
    ("page", "kind"), list(zip(CALLS, ("get", "list", "update", "changes"), strict=True))
)
def test_a_page_of_a_call_says_its_quota(page: str, kind: str) -> None:
    quotas = QuotaSettings()
    per_minute, per_hour = getattr(quotas, f"{kind}_per_minute"), getattr(quotas, f"{kind}_per_hour")

    assert f"Quota: {per_minute} calls a minute and {per_hour:,} an hour" in prose_of(page)


# Errors


def test_the_index_has_every_error_of_the_api() -> None:
    answered = {(each.status, each.code) for each in ERROR_RESPONSES.values()}
    answered.add((INTERNAL_ERROR.status, INTERNAL_ERROR.code))

    assert statuses_and_codes(table_under("README.md", "Errors")) == answered | OF_CONNECTIONS


@pytest.mark.parametrize("page", CALLS)
def test_every_error_of_a_call_is_one_of_the_api(page: str) -> None:
    stated = statuses_and_codes(table_under(page, "Errors"))

    assert stated
    assert stated <= {(each.status, each.code) for each in ERROR_RESPONSES.values()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_aadsts_number_of_a_page_is_explained(page: Any) -> None:
    named = set(re.findall(r"AADSTS\d+", text_of(page)))

    assert named <= set(re.findall(r"AADSTS\d+", text_of(DOCS / "errors.md")))


# Limits


@pytest.mark.parametrize(
    ("page", "limit"),
    [
        ("get-incident.md", f"at most {INCIDENT_ID_MAX}"),
        ("list-incidents.md", f"| `$top` | 0 to {PAGE_SIZE_MAX} | {PAGE_SIZE_MAX} |"),
        ("list-incidents.md", f"| `$skip` | 0 to {SKIP_MAX} | 0 |"),
        ("list-incidents.md", f"Limits: {LENGTH_MAX:,} characters, {DEPTH_MAX} levels, {TERMS_MAX} terms"),
        ("list-incidents.md", f"more than {LISTS_AT_ONCE_MAX} lists of one caller at once"),
        ("update-incident.md", f"body {UPDATE_BYTES_MAX // 1024} KiB"),
        ("update-incident.md", f"the body is longer than {UPDATE_BYTES_MAX // 1024} KiB"),
        ("update-incident.md", f"comment 1 to {COMMENT_LENGTH_MAX:,} characters"),
        (
            "update-incident.md",
            f"{COMMENTS_COUNT_MAX:,} comments and {COMMENTS_BYTES_MAX // 2**20} MiB of them",
        ),
        ("update-incident.md", f"{TAGS_COUNT_MAX} tags; {TEXT_LENGTH_MAX} characters per tag and owner"),
        ("changes.md", f"| `limit` | 1 to {LIMIT_MAX:,} | {LIMIT_DEFAULT} |"),
        ("changes.md", f"at most {LOOKED_AT_MAX:,} changes are looked at"),
        ("tokens.md", f"at most {FORM_BYTES_MAX // 1024} KiB"),
        ("tokens.md", f"RS256 or PS256, at most {ASSERTION_BYTES_MAX // 1024} KiB"),
        ("tokens.md", f"`exp` is at most {ASSERTION_LIFETIME_MAX_SECONDS // 3600} hours ahead"),
        ("tokens.md", f"polled every {POLL_SECONDS} seconds"),
        ("sign-in.md", f'"interval": {POLL_SECONDS}'),
    ],
)
def test_a_page_says_the_limit_that_is_kept(page: str, limit: str) -> None:
    assert limit in prose_of(page)


# Tokens


def test_the_table_of_resources_has_every_name() -> None:
    rows = table_under("tokens.md", "Resources")
    named = [{name for each in CODE.findall(names) for name in expanded(each)} for _, names in rows]
    incidents, endpoint, _, graph = named

    assert incidents | endpoint == INCIDENTS.audiences
    assert not incidents & endpoint
    assert graph == GRAPH.audiences


def test_the_table_of_claims_has_every_claim_of_an_access_token(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    of_application = claims_of(house.fetch_token(application, secret))
    of_user = claims_of(house.token_of(house.add_user(), "Incident.Read"))

    documented = {
        name for cell, *_ in table_under("tokens.md", "Access token claims") for name in CODE.findall(cell)
    }
    assert documented - {"sid"} == of_application | of_user


def claims_of(token: str) -> set[str]:
    return set(yaml.safe_load(from_base64(token.split(".")[1])))


def test_a_token_answer_has_the_keys_of_its_example(house: House) -> None:
    application, secret = house.add_application(READ_ALL)
    form = {"grant_type": "client_credentials", "client_id": application.client_id, "client_secret": secret}
    tenant = house.tenant.guid

    answers = (
        house.ask_for_token({**form, "scope": f"{INCIDENTS_API}/.default"}, f"/{tenant}/oauth2/v2.0/token"),
        house.ask_for_token({**form, "resource": INCIDENTS_API}, f"/{tenant}/oauth2/token"),
    )

    examples = re.findall(
        r"```json\n(\{\"token_type\".*?)```", text_of(DOCS / "api" / "tokens.md"), re.DOTALL
    )
    assert [set(answer.json) for answer in answers] == [set(yaml.safe_load(example)) for example in examples]


# Discovery


def test_the_table_of_discovery_has_every_key(house: House) -> None:
    served = house.running.request("GET", f"/{house.tenant.guid}/v2.0/.well-known/openid-configuration").json

    documented = {key for cell in rows_under_discovery() for key in CODE.findall(cell)}
    assert documented == set(served)


def rows_under_discovery() -> list[str]:
    return [cell for cell, *_ in table_under("discovery.md", "OpenID configuration")]


def test_the_key_set_has_the_members_that_are_documented(house: House) -> None:
    (key, *_) = house.running.request("GET", f"/{house.tenant.guid}/discovery/v2.0/keys").json["keys"]

    (sentence,) = re.findall(r"Each has (.*?)\. The set", prose_of("discovery.md"))
    assert set(CODE.findall(sentence)) == set(key)


# Documents


def test_the_table_of_enumerations_has_every_word(described: Mapping[str, Any]) -> None:
    words = {row: CODE.findall(cell) for row, cell in table_under("incident-document.md", "Enumerations")}
    state = described["components"]["schemas"]["Alert"]["properties"]["investigationState"]

    assert words["incident `status`"] == list(STATUSES.members)
    assert words["`severity`"] == list(SEVERITIES.members)
    assert words["`investigationState`"] == state["anyOf"][0]["enum"]


def test_the_table_of_classifications_has_the_determinations_of_each() -> None:
    rows = table_under("update-incident.md", "Classification and determination")

    assert {CODE.findall(name)[0]: CODE.findall(cell) for name, cell in rows} == {
        CLASSIFICATIONS.word(each): [
            DETERMINATIONS.word(one) for one in determinations or (Determination.NOT_AVAILABLE,)
        ]
        for each, determinations in classification.DETERMINATIONS.items()
    }


def test_every_alias_is_named_with_its_documented_word() -> None:
    (sentence,) = re.findall(r"Aliases are accepted: (.*?)\. They are stored", prose_of("update-incident.md"))

    pairs = re.findall(r"((?:`\w+`(?:, | and )?)+) for `(\w+)`", sentence)
    assert {alias: word for aliases, word in pairs for alias in CODE.findall(aliases)} == {
        alias: DETERMINATIONS.word(member) for alias, member in DETERMINATIONS.aliases.items()
    }
    assert all(f"`{alias}`" in sentence for alias in CLASSIFICATIONS.aliases)


@pytest.mark.parametrize("schema", ["Incident", "Alert"])
def test_every_key_of_a_table_of_the_incident_document_is_in_the_openapi_document(
    described: Mapping[str, Any], schema: str
) -> None:
    cells = [cell for cell, *_ in table_under("incident-document.md", schema)]
    documented = {key for cell in cells for key in CODE.findall(cell)} - {"@odata.context"}

    assert documented == set(described["components"]["schemas"][schema]["properties"]) - {"@odata.context"}
