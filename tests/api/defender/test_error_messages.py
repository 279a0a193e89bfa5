"""The sentences of the Defender API, as its clients know them."""

import pytest

from vigie.api.defender.error_responses import ERROR_RESPONSES
from vigie.core.errors import (
    InvalidToken,
    QueryTooSlow,
    QuotaExceeded,
    Refusal,
    TokenPermissionMissing,
    WrongAudience,
)
from vigie.core.instants import TICKS_PER_SECOND, parse_instant
from vigie.core.quotas import Quota, QuotaExcess, Window


def sentence_of(refusal: Refusal) -> str:
    return ERROR_RESPONSES[type(refusal)].message(refusal)


def test_an_application_is_told_which_roles_are_missing_and_which_it_has() -> None:
    missing = TokenPermissionMissing(
        required=("Incident.Read.All", "Incident.ReadWrite.All"),
        granted=("Alert.Read.All", "Ti.ReadWrite"),
        is_application=True,
    )

    assert sentence_of(missing) == (
        "Missing application roles. API required roles: Incident.Read.All,Incident.ReadWrite.All, "
        "application roles: Alert.Read.All,Ti.ReadWrite."
    )


def test_an_application_without_any_role_ends_its_sentence_with_an_empty_list() -> None:
    missing = TokenPermissionMissing(required=("Incident.Read.All",), granted=(), is_application=True)

    assert sentence_of(missing).endswith("application roles: .")


def test_a_user_is_told_which_scopes_are_missing_and_which_the_token_has() -> None:
    missing = TokenPermissionMissing(
        required=("Incident.Read", "Incident.ReadWrite"),
        granted=("Alert.Read", "Machine.Read"),
        is_application=False,
    )

    assert sentence_of(missing) == (
        "Missing scope permissions. API required scopes: Incident.Read,Incident.ReadWrite, "
        "token scopes: Alert.Read,Machine.Read."
    )


def test_nothing_is_said_of_a_token_that_proves_nothing() -> None:
    assert sentence_of(InvalidToken("expired")) == "Invalid Authorization payload."


def test_claims_of_a_token_for_another_api_are_cut() -> None:
    wrong = WrongAudience(
        application="a" * 300,
        audience="b" * 300,
        issuer="c" * 300,
        valid_from=None,
        valid_until=parse_instant("2030-01-01T00:00:00Z"),
    )

    assert sentence_of(wrong) == (
        f"Invalid Authorization payload. AppId: {'a' * 200}, Audience: {'b' * 200}, Issuer: {'c' * 200}, "
        "Validity: valid to 2030-01-01T00:00:00Z"
    )


@pytest.mark.parametrize(("seconds", "printed"), [(60, "00:01:00"), (3600, "01:00:00"), (3661, "01:01:01")])
def test_a_spent_quota_is_told_with_its_window_and_the_wait(seconds: int, printed: str) -> None:
    window = Window(calls=50, seconds=seconds)
    excess = QuotaExcess(window=window, wait_ticks=41 * TICKS_PER_SECOND + 1)

    assert sentence_of(QuotaExceeded(Quota(name="get", windows=(window,)), excess)) == (
        f"API calls quota exceeded! maximum allowed 50 per {printed}. "
        "You can send requests again in 42 seconds."
    )


def test_a_slow_list_is_told_what_makes_it_shorter() -> None:
    assert sentence_of(QueryTooSlow("a scan took longer than 30 s")) == (
        "The query takes too long. Ask for less, for example by a range of lastUpdateTime."
    )
