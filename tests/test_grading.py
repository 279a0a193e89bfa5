"""Which determination goes with which classification: the whole table, aliases and what is stored included."""

from itertools import product

import pytest

from vigie.core.grading import (
    ALIASES,
    DETERMINATIONS,
    NOT_AVAILABLE,
    ONCE_ALLOWED,
    UNKNOWN,
    check_pair,
    classification_named,
    determination_named,
    may_stay,
)
from vigie.core.refusals import InvalidBody

# Contract 5.7, third column, written out once more.
PAIRS = {
    "Unknown": set(),
    "TruePositive": {
        "MultiStagedAttack",
        "MaliciousUserActivity",
        "CompromisedAccount",
        "Malware",
        "Phishing",
        "UnwantedSoftware",
        "Other",
    },
    "InformationalExpectedActivity": {
        "SecurityTesting",
        "LineOfBusinessApplication",
        "ConfirmedActivity",
        "Other",
    },
    "FalsePositive": {"Clean", "NoEnoughDataToValidate", "Other"},
}
EVERY_DETERMINATION = sorted(set().union(*PAIRS.values()))
EVERY_COMBINATION = list(product(PAIRS, EVERY_DETERMINATION))


@pytest.mark.parametrize(("classification", "determination"), EVERY_COMBINATION)
def test_a_determination_goes_with_the_classifications_of_the_contract(
    classification: str, determination: str
) -> None:
    if determination in PAIRS[classification]:
        check_pair(classification, determination)
        return
    with pytest.raises(InvalidBody) as refused:
        check_pair(classification, determination)
    allowed = refused.value.message.partition("allowed")[2] or refused.value.message
    assert all(each in allowed for each in PAIRS[classification])
    assert f"'{determination}'" in refused.value.message


@pytest.mark.parametrize("classification", [*PAIRS, "SomethingNew"])
def test_not_available_goes_with_every_classification(classification: str) -> None:
    check_pair(classification, NOT_AVAILABLE)


@pytest.mark.parametrize("classification", [UNKNOWN, "SomethingNew", ""])
def test_beside_a_classification_that_says_nothing_only_not_available_may_be_set(classification: str) -> None:
    with pytest.raises(InvalidBody, match="needs a classification"):
        check_pair(classification, "Malware")


def test_a_long_stored_classification_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidBody) as refused:
        check_pair("x" * 5000, "Malware")

    assert len(refused.value.message) < 300


@pytest.mark.parametrize(("classification", "determination"), EVERY_COMBINATION)
def test_a_stored_determination_stays_where_it_might_be_set(classification: str, determination: str) -> None:
    goes = determination in PAIRS[classification]
    goes = goes or (classification, determination) == ("TruePositive", "SecurityTesting")

    assert may_stay(classification, determination) is goes


@pytest.mark.parametrize("determination", ONCE_ALLOWED["TruePositive"])
def test_what_could_once_be_set_stays_but_cannot_be_set(determination: str) -> None:
    assert may_stay("TruePositive", determination)
    assert not may_stay("FalsePositive", determination)
    with pytest.raises(InvalidBody):
        check_pair("TruePositive", determination)


def test_a_stored_determination_stays_in_another_spelling_too() -> None:
    assert may_stay("TruePositive", "CompromisedUser")
    assert may_stay("FalsePositive", "InsufficientData")
    assert not may_stay("FalsePositive", "CompromisedUser")


def test_a_stored_classification_counts_in_another_spelling_too() -> None:
    check_pair("Informational, expected activity", "SecurityTesting")


@pytest.mark.parametrize("classification", PAIRS)
def test_a_classification_keeps_its_name(classification: str) -> None:
    assert classification_named(classification) == classification


@pytest.mark.parametrize("determination", [*EVERY_DETERMINATION, NOT_AVAILABLE])
def test_a_determination_keeps_its_name(determination: str) -> None:
    assert determination_named(determination) == determination


def test_other_spellings_are_taken_for_the_names_of_the_update_page() -> None:
    assert classification_named("Informational, expected activity") == "InformationalExpectedActivity"
    assert determination_named("CompromisedUser") == "CompromisedAccount"
    assert determination_named("ConfirmedUserActivity") == "ConfirmedActivity"
    assert determination_named("InsufficientData") == "NoEnoughDataToValidate"


def test_no_spelling_stands_for_another_spelling() -> None:
    assert ALIASES.keys().isdisjoint(ALIASES.values())


@pytest.mark.parametrize("name", ["", "truepositive", "TRUEPOSITIVE", "Clean", "CompromisedUser", "x" * 9999])
def test_what_is_no_classification_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        classification_named(name)

    assert all(each in refused.value.message for each in DETERMINATIONS)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize("name", ["", "malware", "Apt", "SecurityPersonnel", "TruePositive", "x" * 9999])
def test_what_is_no_determination_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        determination_named(name)

    assert all(each in refused.value.message for each in (*EVERY_DETERMINATION, NOT_AVAILABLE))
    assert len(refused.value.message) < 500
