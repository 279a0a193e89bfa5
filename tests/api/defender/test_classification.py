"""Determinations beside classifications: the whole table, aliases and what is stored included."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import to_json
from vigie.api.defender.update_body import parse_update
from vigie.core.enums import Classification, Determination
from vigie.core.errors import InvalidBody
from vigie.core.instants import Instant
from vigie.core.update import Update
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS
from vigie.documents.defender.updating import updated

NOT_AVAILABLE = "NotAvailable"
UNKNOWN = "Unknown"
ONCE_ALLOWED = ("Apt", "SecurityPersonnel")


def check_pair(classification: str, determination: str) -> None:
    """Set a determination, in this spelling, of an incident that has this classification."""
    update = Update(determination=DETERMINATIONS.member(determination), determination_word=determination)
    updated({"classification": classification, "alerts": []}, update, at=Instant(0), author="ana")


def may_stay(classification: str, determination: str) -> bool:
    """Whether a stored determination stays when the classification is set."""
    update = Update(classification=CLASSIFICATIONS.member(classification))
    after = updated({"determination": determination, "alerts": []}, update, at=Instant(0), author="ana")
    return bool(after["determination"] == determination)


def classification_named(name: str) -> str:
    """The word that is stored for a classification of a body."""
    found = parse_update(to_json({"classification": name})).classification
    assert found is not None
    return CLASSIFICATIONS.word(found)


def determination_named(name: str, *, as_sent: bool = False) -> str:
    """The word that is stored for a determination of a body."""
    update = parse_update(to_json({"determination": name}), determinations_as_sent=as_sent)
    assert update.determination is not None
    return update.determination_word or DETERMINATIONS.word(update.determination)


# docs/api/update-incident.md, written out once more.
PAIRS = {
    "Unknown": set(),
    "TruePositive": {
        "MultiStagedAttack",
        "MaliciousUserActivity",
        "CompromisedAccount",
        "Malware",
        "Phishing",
        "SecurityTesting",
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
def test_a_determination_goes_with_the_classifications_of_the_documentation(
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
    assert may_stay(classification, determination) is (determination in PAIRS[classification])


@pytest.mark.parametrize("determination", ONCE_ALLOWED)
def test_what_could_once_be_set_stays_but_cannot_be_set(determination: str) -> None:
    assert may_stay("TruePositive", determination)
    assert not may_stay("FalsePositive", determination)
    with pytest.raises(InvalidBody):
        check_pair("TruePositive", determination)


def test_a_stored_determination_stays_in_another_spelling_too() -> None:
    assert may_stay("TruePositive", "CompromisedUser")
    assert may_stay("FalsePositive", "InsufficientData")
    assert may_stay("FalsePositive", "notmalicious")
    assert may_stay("truepositive", "Malware")
    assert not may_stay("FalsePositive", "CompromisedUser")


def test_a_stored_classification_counts_in_another_spelling_too() -> None:
    check_pair("Informational, expected activity", "SecurityTesting")
    check_pair("falsepositive", "Clean")


@pytest.mark.parametrize("classification", PAIRS)
def test_a_classification_keeps_its_name(classification: str) -> None:
    assert classification_named(classification) == classification


@pytest.mark.parametrize("determination", [*EVERY_DETERMINATION, NOT_AVAILABLE])
def test_a_determination_keeps_its_name(determination: str) -> None:
    assert determination_named(determination) == determination


SYNONYMS = {
    "CompromisedUser": "CompromisedAccount",
    "ConfirmedUserActivity": "ConfirmedActivity",
    "InsufficientData": "NoEnoughDataToValidate",
    "NotEnoughDataToValidate": "NoEnoughDataToValidate",
    "NotMalicious": "Clean",
}


def test_other_spellings_are_taken_for_the_names_of_the_update_page() -> None:
    assert classification_named("Informational, expected activity") == "InformationalExpectedActivity"
    assert {alias: determination_named(alias) for alias in DETERMINATIONS.aliases} == SYNONYMS


@pytest.mark.parametrize("alias", SYNONYMS)
def test_an_alias_kept_as_it_was_sent_goes_where_the_documented_word_does(alias: str) -> None:
    kept = determination_named(alias.lower(), as_sent=True)

    assert kept == alias
    for classification, documented in PAIRS.items():
        if SYNONYMS[alias] in documented:
            check_pair(classification, kept)
        else:
            with pytest.raises(InvalidBody):
                check_pair(classification, kept)


def test_no_alias_stands_for_another_alias() -> None:
    assert DETERMINATIONS.aliases.keys().isdisjoint(DETERMINATIONS.members)
    assert CLASSIFICATIONS.aliases.keys().isdisjoint(CLASSIFICATIONS.members)


def test_every_member_of_an_enumeration_has_a_word() -> None:
    assert set(CLASSIFICATIONS.members.values()) == set(Classification)
    assert set(DETERMINATIONS.members.values()) == set(Determination)


def in_some_case(names: list[str]) -> st.SearchStrategy[tuple[str, str]]:
    """A name, and the same with some of its letters in the other case."""
    return st.sampled_from(names).flatmap(
        lambda name: st.tuples(
            st.just(name),
            st.lists(st.booleans(), min_size=len(name), max_size=len(name)).map(
                lambda swaps: "".join(
                    each.swapcase() if swap else each for each, swap in zip(name, swaps, strict=True)
                )
            ),
        )
    )


@given(in_some_case([*PAIRS, "Informational, expected activity"]))
def test_a_classification_may_have_any_letter_case(names: tuple[str, str]) -> None:
    canonical, written = names

    assert classification_named(written) == classification_named(canonical)


@given(in_some_case([*EVERY_DETERMINATION, NOT_AVAILABLE, *SYNONYMS]), st.booleans())
def test_a_determination_may_have_any_letter_case(names: tuple[str, str], as_sent: bool) -> None:
    canonical, written = names

    assert determination_named(written, as_sent=as_sent) == determination_named(canonical, as_sent=as_sent)


@pytest.mark.parametrize(
    "name", ["", "true positive", "Un\u212anown", "Clean", "CompromisedUser", "x" * 9999]
)
def test_what_is_no_classification_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        classification_named(name)

    assert all(each in refused.value.message for each in PAIRS)
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    "name", ["", "mal ware", "Phi\u017fhing", "Apt", "SecurityPersonnel", "TruePositive", "x" * 9999]
)
def test_what_is_no_determination_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        determination_named(name)

    assert all(each in refused.value.message for each in (*EVERY_DETERMINATION, NOT_AVAILABLE))
    assert len(refused.value.message) < 500
