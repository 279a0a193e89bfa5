"""Paths of claims: found, not there, or of a type that they cannot have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import json_values
from vigie.core.errors import InvalidToken
from vigie.identity.federation.claim_paths import first_name, is_path, name_at, texts_at, value_at

CLAIMS: dict[str, Any] = {
    "scp": "Incident.Read  openid",
    "roles": ["a b", "c"],
    "realm_access": {"roles": ["soc"]},
    "resource_access": {"my.app": {"roles": ["reader"]}},
    "https://vigie.example/roles": ["x"],
    "empty": None,
}


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("scp", ["Incident.Read", "openid"]),
        ("roles", ["a b", "c"]),
        ("realm_access.roles", ["soc"]),
        (r"resource_access.my\.app.roles", ["reader"]),
        ("resource_access.my.app.roles", []),
        (r"https://vigie\.example/roles", ["x"]),
        ("empty", []),
        ("none", []),
        ("scp.none", []),
        ("roles.0", []),
    ],
)
def test_texts_are_found_at_a_path(path: str, texts: list[str]) -> None:
    assert texts_at(CLAIMS, [path]) == texts


def test_texts_of_several_paths_come_together_and_a_name_is_the_first() -> None:
    assert texts_at(CLAIMS, ["scp", "roles"]) == ["Incident.Read", "openid", "a b", "c"]
    assert first_name({"b": "two", "c": "three"}, ["a", "b", "c"]) == "two"
    assert first_name({}, ["a"]) is None


@pytest.mark.parametrize("value", [1, True, 1.5, {}, {"a": "b"}, [1], ["a", None], [["a"]]])
def test_what_cannot_be_texts_is_refused(value: object) -> None:
    with pytest.raises(InvalidToken) as caught:
        texts_at({"a": value}, ["a"])
    assert caught.value.detail == "claim a is neither a text nor a list of texts"


@pytest.mark.parametrize("value", ["", "a\nb", "\0", "x" * 257, 1, True, [], ["a"], {}])
def test_what_cannot_be_a_name_is_refused(value: object) -> None:
    with pytest.raises(InvalidToken) as caught:
        name_at({"a": value}, "a")
    assert caught.value.detail.startswith("claim a is not a printable text")


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a\n"])
def test_a_path_has_a_name_between_its_dots(text: str) -> None:
    assert not is_path(text)


@given(
    claims=st.dictionaries(st.sampled_from("abc"), json_values),
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join),
)
def test_whatever_the_claims_a_path_leads_to_a_value_or_nothing(claims: dict[str, Any], path: str) -> None:
    expected: Any = claims
    for name in path.split("."):
        expected = expected.get(name) if isinstance(expected, dict) else None

    assert value_at(claims, path) == expected
