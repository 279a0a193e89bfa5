"""Pages of a list: their order and their size."""

import pytest

from vigie.core.conditions import Property
from vigie.core.queries import DEFAULT_ORDER, PAGE_SIZE_MAX, Order, PageRequest

UPDATED, CREATED, STATUS, ASSIGNED = Property


def down(property_: Property) -> Order:
    return Order(property_, is_descending=True)


def test_the_default_is_the_newest_update_first() -> None:
    assert PageRequest().order == DEFAULT_ORDER == (down(UPDATED),)


def test_a_page_has_as_many_as_are_asked_for_or_all_it_can() -> None:
    assert (PageRequest().size, PageRequest(top=7).size) == (PAGE_SIZE_MAX, 7)
    assert PAGE_SIZE_MAX == 100


@pytest.mark.parametrize(
    ("asked", "whole"),
    [
        ((Order(STATUS),), (Order(STATUS), down(UPDATED))),
        ((down(STATUS),), (down(STATUS), Order(UPDATED))),
        ((Order(ASSIGNED),), (Order(ASSIGNED), Order(STATUS), down(UPDATED))),
        ((down(ASSIGNED),), (down(ASSIGNED), down(STATUS), Order(UPDATED))),
        ((down(CREATED),), (down(CREATED),)),
        ((Order(UPDATED),), (Order(UPDATED),)),
        ((Order(STATUS), Order(CREATED)), (Order(STATUS), Order(CREATED))),
    ],
)
def test_behind_an_order_by_status_or_assignee_alone_comes_what_an_index_has(
    asked: tuple[Order, ...], whole: tuple[Order, ...]
) -> None:
    assert PageRequest(order=asked).whole_order == whole
