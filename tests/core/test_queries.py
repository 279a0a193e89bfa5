"""A page of a list: its order and its size."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.core.errors import InvalidQuery
from vigie.core.filters import Property
from vigie.core.queries import DEFAULT_ORDER, PAGE_SIZE_MAX, Order, PageRequest, parse_order

UPDATED, CREATED, STATUS, ASSIGNED = Property


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidQuery) as refused:
        parse_order(text)
    return refused.value.message


@pytest.mark.parametrize("property_", Property)
def test_each_property_can_be_ordered_by_both_ways(property_: Property) -> None:
    name = property_.value

    assert parse_order(name) == parse_order(f"{name} asc") == (Order(property_),)
    assert parse_order(f"{name} desc") == (Order(property_, is_descending=True),)


@pytest.mark.parametrize("text", ["lastUpdateTime DESC", "lastUpdateTime Desc", "  lastUpdateTime \t desc  "])
def test_a_direction_may_be_written_in_any_case_and_with_any_blanks(text: str) -> None:
    assert parse_order(text) == DEFAULT_ORDER


@pytest.mark.parametrize("properties", list(permutations(Property, 3)))
def test_terms_count_from_the_left(properties: tuple[Property, ...]) -> None:
    text = ", ".join(f"{each.value} desc" for each in properties)

    assert parse_order(text) == tuple(Order(each, is_descending=True) for each in properties)


def test_the_default_is_the_newest_update_first() -> None:
    assert PageRequest().order == parse_order("lastUpdateTime desc")


@pytest.mark.parametrize(
    "name", ["severity", "incidentId", "LastUpdateTime", "lastUpdateDateTime", "desc", "$it"]
)
def test_another_property_is_named_and_those_allowed_too(name: str) -> None:
    assert refusal_of(f"{name} desc") == (
        f"Invalid OData URI query: $orderby: the property '{name}' cannot be used;"
        " allowed: lastUpdateTime, createdTime, status, assignedTo."
    )


@pytest.mark.parametrize(
    "text", ["status up", "status asc desc", "status,", ",status", "", "  ", ",", "status;desc asc x"]
)
def test_what_is_no_order_is_told_what_one_is(text: str) -> None:
    assert refusal_of(text) == (
        "Invalid OData URI query: $orderby:"
        " it is a list of properties, each with 'asc' or 'desc' behind it or nothing."
    )


@pytest.mark.parametrize("text", ["status,status", "status asc, createdTime, status desc"])
def test_a_property_stands_once(text: str) -> None:
    assert refusal_of(text) == "Invalid OData URI query: $orderby: a property stands twice."


@given(st.text() | st.lists(st.sampled_from(["status", " ", ",", "desc", "asc", "x"])).map("".join))
def test_a_text_is_an_order_or_is_refused(text: str) -> None:
    try:
        order = parse_order(text)
    except InvalidQuery:
        return

    assert 1 <= len(order) <= len(Property)


def test_a_page_has_as_many_as_are_asked_for_or_all_it_can() -> None:
    assert (PageRequest().size, PageRequest(top=7).size) == (PAGE_SIZE_MAX, 7)
    assert PAGE_SIZE_MAX == 100


@pytest.mark.parametrize(
    ("asked", "whole"),
    [
        ("status", "status, lastUpdateTime desc"),
        ("status desc", "status desc, lastUpdateTime asc"),
        ("assignedTo", "assignedTo, status, lastUpdateTime desc"),
        ("assignedTo desc", "assignedTo desc, status desc, lastUpdateTime asc"),
        ("createdTime desc", "createdTime desc"),
        ("lastUpdateTime", "lastUpdateTime"),
        ("status, createdTime", "status, createdTime"),
    ],
)
def test_behind_an_order_by_status_or_assignee_alone_comes_what_an_index_has(asked: str, whole: str) -> None:
    assert PageRequest(order=parse_order(asked)).whole_order == parse_order(whole)
