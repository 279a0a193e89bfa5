"""The differences between two documents: enough to make the one of the other."""

import hashlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import (
    Document,
    json_values,
    texts,
)
from tests.support.history import redone
from vigie.documents import lossless
from vigie.documents.differences import added, differences, removed, replaced
from vigie.documents.splitting import SplitDocument


def digest_of(document: bytes) -> str:
    return f"sha256:{hashlib.sha256(document).hexdigest()}"


def written(document: Document) -> dict[str, bytes]:
    """Each key's value to the letter."""
    return {key: lossless.encode(value) for key, value in document.items()}


def test_of_each_key_that_changed_it_says_what_it_was_and_what_it_became() -> None:
    before, after = {"status": "Active", "same": 1, "gone": 2}, {"status": "Resolved", "same": 1, "new": 3}

    assert differences(before, after) == {
        "status": {"from": "Active", "to": "Resolved"},
        "gone": {"from": 2},
        "new": {"to": 3},
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 1}, {"a": Decimal("1.0")}),
        ({"a": 1}, {"a": True}),
        ({"a": 0}, {"a": False}),
        ({"a": [1]}, {"a": [True]}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 2, "x": 1}}),
        ({"a": Decimal("1.0")}, {"a": Decimal("1.00")}),
    ],
)
def test_what_is_equal_to_python_alone_is_a_change(before: Document, after: Document) -> None:
    assert differences(before, after) == {"a": {"from": before["a"], "to": after["a"]}}


def test_null_is_told_from_nothing() -> None:
    assert differences({"a": None}, {}) == {"a": {"from": None}}
    assert differences({}, {"a": None}) == {"a": {"to": None}}
    assert differences({}, {"a": []}) == {"a": {"to": []}}


def test_keys_in_another_order_are_told_by_the_digests_of_the_documents() -> None:
    before, after = SplitDocument({"a": 1, "alerts": []}, b""), SplitDocument({"alerts": [], "a": 1}, b"")
    digests = {"from": digest_of(b'{"a":1,"alerts":[]}'), "to": digest_of(b'{"alerts":[],"a":1}')}

    assert replaced(before, after) == {"document": digests}
    assert replaced(before, before) == {}
    assert replaced(SplitDocument({"b": 2, **before.head}, b""), after) == {
        "b": {"from": 2},
        "document": {**digests, "from": digest_of(b'{"b":2,"a":1,"alerts":[]}')},
    }


def test_of_a_list_that_grew_it_says_what_was_added() -> None:
    assert differences({"tags": ["a"]}, {"tags": ["a", "b"]}) == {"tags": {"added": ["b"]}}
    assert differences({"tags": ["a"]}, {"tags": ["b", "a"]}) == {"tags": {"from": ["a"], "to": ["b", "a"]}}
    assert differences({"tags": ["a"]}, {"tags": []}) == {"tags": {"from": ["a"], "to": []}}


@given(st.dictionaries(texts, json_values), st.dictionaries(texts, json_values))
def test_what_changed_makes_the_one_of_the_other(before: Document, after: Document) -> None:
    changes = differences(before, after)

    assert written(redone(before, changes.items())) == written(after)
    assert changes.keys() == {
        key for key in {**before, **after} if written(before).get(key) != written(after).get(key)
    }
    assert differences(after, after) == {}


def test_alerts_and_whole_documents_are_named_by_their_digest() -> None:
    before, after = SplitDocument({"a": 1}, b'{"x":1}'), SplitDocument({"a": 1}, b'{"x":2}')

    assert replaced(before, after) == {"alerts": {"from": digest_of(b'{"x":1}'), "to": digest_of(b'{"x":2}')}}
    assert added(b"{}") == {"document": {"to": digest_of(b"{}")}}
    assert removed(b"{}") == {"document": {"from": digest_of(b"{}")}}
