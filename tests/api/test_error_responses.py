"""Every refusal has one row in the tables of error responses and one heading in the documents."""

import importlib
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from inspect import signature
from string import Formatter

import pytest

import vigie
from tests.support.paths import DOCS
from vigie.api.defender.error_responses import ERROR_RESPONSES, INTERNAL_ERROR, error_body
from vigie.api.oauth.error_responses import OAUTH_ERRORS, TOKEN_ERRORS
from vigie.core import errors as refusals
from vigie.core.errors import AlertNotFound, MethodNotAllowed, QuotaExceeded, Refusal, StoreUnavailable
from vigie.core.instants import TICKS_PER_SECOND
from vigie.core.quotas import Quota, QuotaExcess, Window
from vigie.http.protocol import Reason
from vigie.identity.clients.refusals import ApplicationNotFound
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in.refusals import SignInRefused
from vigie.ui.sign_in.error_pages import PAGE_ERROR_STATUSES

ERRORS = DOCS / "errors.md"
HEADING = re.compile(r"^### (\w+) · (\d{3}) · (\w+)$", re.MULTILINE)

# docs/api/README.md, "Errors"; and DisabledFeature, which Microsoft documents and Vigie never answers.
CODES_OF_THE_API = {
    400: {"BadRequest", "ODataError", "InvalidInput", "InvalidRequestBody"},
    401: {"Unauthorized"},
    403: {"Forbidden", "DisabledFeature", "DisallowedOperation"},
    404: {"NotFound", "ResourceNotFound"},
    405: {"MethodNotAllowed"},
    410: {"Gone"},
    413: {"BadRequest"},
    429: {"429"},
    500: {"InternalServerError"},
    503: {"ServiceUnavailable"},
}


# The bases of others.
NEVER_RAISED = (OAuthRefusal, SignInRefused)

# Of the application alone, as long as no API has single alerts.
OF_NO_API = (AlertNotFound,)


def every_refusal(base: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    for refusal in base.__subclasses__():
        if refusal not in (*NEVER_RAISED, *OF_NO_API):
            yield refusal
        yield from every_refusal(refusal)


def headings() -> list[tuple[str, int, str]]:
    found = HEADING.findall(ERRORS.read_text(encoding="utf-8"))
    return [(name, int(status), code) for name, status, code in found]


@pytest.fixture(scope="module", autouse=True)
def _every_module_of_vigie() -> None:
    """A refusal may be written anywhere."""
    for module in pkgutil.walk_packages(vigie.__path__, "vigie."):
        importlib.import_module(module.name)


def test_every_refusal_has_one_row() -> None:
    assert Counter(every_refusal()) == Counter([*ERROR_RESPONSES, *OAUTH_ERRORS])


def test_the_refusals_of_an_api_are_written_in_one_place() -> None:
    assert {refusal.__module__ for refusal in ERROR_RESPONSES} == {refusals.__name__}


@pytest.mark.parametrize("refusal", OAUTH_ERRORS, ids=lambda refusal: refusal.__name__)
def test_the_facts_of_a_refusal_are_the_gaps_in_its_sentence(refusal: type[OAuthRefusal]) -> None:
    needed = [
        each.name for each in signature(refusal).parameters.values() if each.kind is not each.VAR_KEYWORD
    ]

    facts = refusal(**{name: f"a {name}" for name in needed}).facts

    gaps = {name for _, name, _, _ in Formatter().parse(OAUTH_ERRORS[refusal].sentence) if name}
    assert gaps == set(facts)


def test_token_errors_of_one_number_are_answered_alike() -> None:
    rows = [row for row in OAUTH_ERRORS.values() if row.error]

    assert len({(row.number, row.status, row.error) for row in rows}) == len(TOKEN_ERRORS)


def test_what_came_with_an_oauth_request_goes_back_to_the_client_and_not_into_the_log() -> None:
    refusal = ApplicationNotFound("{client_id} s3cret", "contoso.example")

    row = OAUTH_ERRORS[ApplicationNotFound]

    assert row.message(refusal) == (
        "Application with identifier '{client_id} s3cret' was not found in the directory 'contoso.example'."
    )
    assert row.detail(refusal) == "Application with identifier '…' was not found in the directory '…'."


def test_every_row_has_a_status_and_a_code_of_the_api() -> None:
    rows = [(row.status, row.code) for row in ERROR_RESPONSES.values()]

    for status, code in [*rows, (INTERNAL_ERROR.status, INTERNAL_ERROR.code)]:
        assert code in CODES_OF_THE_API[status]


def test_every_refusal_has_one_heading_with_its_status_and_code() -> None:
    rows = [
        *((refusal.__name__, row.status, row.code) for refusal, row in ERROR_RESPONSES.items()),
        *((row.code, row.status, row.error) for row in TOKEN_ERRORS.values()),
        *((name, status, "page") for name, status in PAGE_ERROR_STATUSES.items()),
        ("InternalError", INTERNAL_ERROR.status, INTERNAL_ERROR.code),
    ]

    assert Counter(headings()) == Counter(rows)


def test_every_heading_says_when_it_comes_and_what_to_do() -> None:
    _, *texts = re.split(r"^### ", ERRORS.read_text(encoding="utf-8"), flags=re.MULTILINE)

    for text in texts:
        assert len(re.findall(r"^\*\*(?:When|Do):\*\* ", text, re.MULTILINE)) == 2, text


def test_every_reason_for_closing_a_connection_is_documented() -> None:
    documented = re.findall(
        r"^\| (?:\d{3}|none) \| `(\w+)` \|", ERRORS.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert Counter(documented) == Counter(reason.value for reason in Reason)


def test_a_spent_quota_and_a_store_that_is_away_say_when_to_come_back() -> None:
    window = Window(calls=100, seconds=60)
    excess = QuotaExcess(window=window, wait_ticks=17 * TICKS_PER_SECOND)
    quota = QuotaExceeded(Quota(name="get", windows=(window,)), excess)
    store = StoreUnavailable("locked", retry_after_seconds=3)

    assert ERROR_RESPONSES[QuotaExceeded].headers(quota, "http://a.example") == (("retry-after", "17"),)
    assert ERROR_RESPONSES[StoreUnavailable].headers(store, "http://a.example") == (("retry-after", "3"),)


def test_a_refused_method_says_which_are_answered() -> None:
    refused = MethodNotAllowed("PUT", ("GET", "HEAD"))

    assert ERROR_RESPONSES[MethodNotAllowed].headers(refused, "http://a.example") == (("allow", "GET, HEAD"),)


def test_what_is_for_the_log_never_leaves() -> None:
    refused = StoreUnavailable("disk I/O error in /var/lib/vigie")

    body = error_body(ERROR_RESPONSES[StoreUnavailable].code, refused.message, "|a.1.")

    assert json.loads(body) == {
        "error": {
            "code": "ServiceUnavailable",
            "message": "The store cannot answer at the moment. Try again.",
            "target": "|a.1.",
        }
    }
