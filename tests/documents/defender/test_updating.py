"""An update applied to a document: keys, order, grading, comments."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.builders import Document, an_incident, json_values, texts, to_json
from vigie.api.defender.update_body import (
    COMMENT_LENGTH_MAX,
    parse_update,
)
from vigie.core.errors import InvalidBody
from vigie.core.instants import Instant, format_instant, parse_instant
from vigie.documents.defender.updating import updated

AT = parse_instant("2026-03-04T16:20:31.1234567Z")
AUTHOR = "ines@contoso.example"


def after(head: Document, **body: object) -> Document:
    """What an update makes of an incident's own keys."""
    return updated(head, parse_update(to_json(body)), at=AT, author=AUTHOR)


def test_the_other_keys_and_their_order_stay() -> None:
    head = {"z": 1, **an_incident(), "a": None}

    changed = after(head, status="Resolved", tags=["a"], assignedTo="ana@contoso.example")

    assert list(changed) == list(head)
    assert changed == {
        **head,
        "status": "Resolved",
        "tags": ["a"],
        "assignedTo": "ana@contoso.example",
        "lastUpdateTime": "2026-03-04T16:20:31.1234567Z",
    }


def test_keys_that_are_missing_come_before_the_alerts() -> None:
    least = {
        "incidentId": 1,
        "status": "Active",
        "lastUpdateTime": "",
        "createdTime": "",
        "alerts": [],
        "x": 1,
    }

    changed = after(least, assignedTo="ana", tags=["a"], comment="Seen.", classification="TruePositive")

    missing = ["classification", "assignedTo", "tags", "comments"]
    assert list(changed) == [*list(least)[:4], *missing, "alerts", "x"]


def test_a_comment_comes_behind_the_others_with_its_author_and_the_moment() -> None:
    earlier = {"comment": "First.", "createdBy": "joao", "createdTime": "2026-01-01T00:00:00Z", "more": 1}

    comments = after(an_incident(comments=[earlier]), comment="Second.")["comments"]

    moment = format_instant(AT)
    assert comments == [earlier, {"comment": "Second.", "createdBy": AUTHOR, "createdTime": moment}]


@pytest.mark.parametrize("comments", [None, "none", 7])
def test_a_comment_has_a_list_to_be_in(comments: object) -> None:
    assert len(after(an_incident(comments=comments), comment="First.")["comments"]) == 1


def test_an_incident_has_room_for_so_many_comments() -> None:
    # An emoji has four bytes.
    full = [{"comment": "\U0001f600" * COMMENT_LENGTH_MAX}] * 53

    with pytest.raises(InvalidBody, match="at most 2 MiB together"):
        after(an_incident(comments=full), comment="One more.")
    with pytest.raises(InvalidBody, match="at most 1000 comments"):
        after(an_incident(comments=[{}] * 1000), comment="One more.")
    assert after(an_incident(comments=full), status="Resolved")["comments"] == full
    assert len(after(an_incident(comments=full[1:]), comment="One more.")["comments"]) == 53


@pytest.mark.parametrize("nobody", ["", None])
def test_unassigned_is_null(nobody: str | None) -> None:
    assert after(an_incident(assignedTo="ana"), assignedTo=nobody)["assignedTo"] is None


GRADED = {"classification": "TruePositive", "determination": "Malware"}


@pytest.mark.parametrize(
    ("stored", "body", "expected"),
    [
        ({}, {"classification": "TruePositive"}, ("TruePositive", "NotAvailable")),
        ({}, {"determination": "NotAvailable"}, ("Unknown", "NotAvailable")),
        ({}, GRADED, ("TruePositive", "Malware")),
        (GRADED, {"determination": "Phishing"}, ("TruePositive", "Phishing")),
        (GRADED, {"determination": "CompromisedUser"}, ("TruePositive", "CompromisedAccount")),
        (GRADED, {"classification": "TruePositive"}, ("TruePositive", "Malware")),
        (GRADED, {"classification": "FalsePositive"}, ("FalsePositive", "NotAvailable")),
        (GRADED, {"classification": "Unknown"}, ("Unknown", "NotAvailable")),
        (
            {**GRADED, "determination": "Other"},
            {"classification": "FalsePositive"},
            ("FalsePositive", "Other"),
        ),
        (GRADED, {"classification": "FalsePositive", "determination": "Clean"}, ("FalsePositive", "Clean")),
        (
            GRADED,
            {"classification": "Informational, expected activity", "determination": "ConfirmedUserActivity"},
            ("InformationalExpectedActivity", "ConfirmedActivity"),
        ),
        ({**GRADED, "determination": "Apt"}, {"classification": "TruePositive"}, ("TruePositive", "Apt")),
        (
            {**GRADED, "determination": "CompromisedUser"},
            {"classification": "TruePositive"},
            ("TruePositive", "CompromisedUser"),
        ),
        ({**GRADED, "determination": "Apt"}, {"classification": "Unknown"}, ("Unknown", "NotAvailable")),
        (
            {**GRADED, "determination": "New"},
            {"classification": "TruePositive"},
            ("TruePositive", "NotAvailable"),
        ),
    ],
)
def test_classification_and_determination_stay_a_pair(
    stored: Document, body: Document, expected: tuple[str, str]
) -> None:
    changed = after(an_incident(**stored), **body)

    assert (changed["classification"], changed["determination"]) == expected


@pytest.mark.parametrize(
    ("stored", "body"),
    [
        ({}, {"determination": "Malware"}),
        ({"classification": None, "determination": None}, {"determination": "Malware"}),
        (GRADED, {"determination": "Clean"}),
        (GRADED, {"classification": "FalsePositive", "determination": "Malware"}),
        (GRADED, {"classification": "Unknown", "determination": "Malware"}),
        ({"classification": "SomethingNew"}, {"determination": "Malware"}),
    ],
)
def test_what_is_no_pair_is_refused(stored: Document, body: Document) -> None:
    with pytest.raises(InvalidBody, match="The determination"):
        after(an_incident(**stored), **body)


def test_grading_that_was_not_asked_for_stays_as_it_is_stored() -> None:
    ungraded: Document = {"classification": None, "determination": "New"}

    changed = after(an_incident(**ungraded), comment="Seen.", status="Active")

    assert {key: changed[key] for key in ungraded} == ungraded
    assert "determination" not in after({"alerts": []}, classification="TruePositive")
    assert "classification" not in after({"alerts": []}, determination="NotAvailable")


bodies = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["Active", "InProgress", "Resolved"]),
        "assignedTo": st.sampled_from(["", None, "ana@contoso.example"]),
        "classification": st.sampled_from(["Unknown", "TruePositive", "FalsePositive"]),
        "tags": st.lists(st.sampled_from(["a", "b"]), max_size=3),
        "comment": st.sampled_from(["x", "y\nz"]),
    },
).filter(bool)


@given(st.dictionaries(texts, json_values), bodies, st.integers(0, 2**60).map(Instant))
def test_only_what_was_asked_for_changes(head: Document, body: Document, at: Instant) -> None:
    assume("determination" not in head)
    before = to_json(head)

    changed = updated(head, parse_update(to_json(body)), at=at, author=AUTHOR)

    written: dict[str, Any] = {"comment": "comments"}
    touched = {"lastUpdateTime", *(written.get(key, key) for key in body)}
    assert {key: value for key, value in changed.items() if key not in touched} == {
        key: value for key, value in head.items() if key not in touched
    }
    assert to_json(head) == before
    assert touched <= changed.keys()
