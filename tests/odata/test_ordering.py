"""`$orderby`: what each form means, and what is refused in which words."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.api.defender.properties import PROPERTIES
from vigie.core.conditions import Property
from vigie.core.queries import DEFAULT_ORDER, Order
from vigie.odata import ordering
from vigie.odata.errors import InvalidOption

NAMES = {described.property: name for name, described in PROPERTIES.items()}


def parse_order(text: str) -> tuple[Order, ...]:
    return ordering.parse_order(text, PROPERTIES)


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidOption) as refused:
        parse_order(text)
    return str(refused.value)


@pytest.mark.parametrize("property_", Property)
def test_each_property_can_be_ordered_by_both_ways(property_: Property) -> None:
    name = NAMES[property_]

    assert parse_order(name) == parse_order(f"{name} asc") == (Order(property_),)
    assert parse_order(f"{name} desc") == (Order(property_, is_descending=True),)


@pytest.mark.parametrize("text", ["lastUpdateTime DESC", "lastUpdateTime Desc", "  lastUpdateTime \t desc  "])
def test_a_direction_may_be_written_in_any_case_and_with_any_blanks(text: str) -> None:
    assert parse_order(text) == DEFAULT_ORDER


@pytest.mark.parametrize("properties", list(permutations(Property, 3)))
def test_terms_count_from_the_left(properties: tuple[Property, ...]) -> None:
    text = ", ".join(f"{NAMES[each]} desc" for each in properties)

    assert parse_order(text) == tuple(Order(each, is_descending=True) for each in properties)


@pytest.mark.parametrize(
    "name", ["severity", "incidentId", "LastUpdateTime", "lastUpdateDateTime", "desc", "$it"]
)
def test_another_property_is_named_and_those_allowed_too(name: str) -> None:
    assert refusal_of(f"{name} desc") == (
        f"$orderby: the property '{name}' cannot be used;"
        " allowed: lastUpdateTime, createdTime, status, assignedTo"
    )


@pytest.mark.parametrize(
    "text", ["status up", "status asc desc", "status,", ",status", "", "  ", ",", "status;desc asc x"]
)
def test_what_is_no_order_is_told_what_one_is(text: str) -> None:
    assert refusal_of(text) == (
        "$orderby: it is a list of properties, each with 'asc' or 'desc' behind it or nothing"
    )


@pytest.mark.parametrize("text", ["status,status", "status asc, createdTime, status desc"])
def test_a_property_stands_once(text: str) -> None:
    assert refusal_of(text) == "$orderby: a property stands twice"


@given(st.text() | st.lists(st.sampled_from(["status", " ", ",", "desc", "asc", "x"])).map("".join))
def test_a_text_is_an_order_or_is_refused(text: str) -> None:
    try:
        order = parse_order(text)
    except InvalidOption:
        return

    assert 1 <= len(order) <= len(Property)
