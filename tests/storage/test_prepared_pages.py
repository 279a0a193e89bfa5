"""A prepared page is the statement that planning it anew would give, whatever its moments."""

import pytest

from vigie.api.defender.query_options import parse_page_request
from vigie.core.instants import Instant, parse_instant
from vigie.core.queries import PageRequest
from vigie.storage.database import Statement
from vigie.storage.listing.dialect import POSTGRES, SQLITE, Dialect
from vigie.storage.listing.planner import Listing
from vigie.storage.listing.prepared_pages import PreparedPages
from vigie.storage.listing.scope import WHOLE

NOON = parse_instant("2026-02-11T12:00:00Z")
SHORT = (
    "",
    "$top=100",
    "$top=5&$skip=20",
    "$orderby=createdTime",
    "$filter=lastUpdateTime ge {}",
    "$filter=lastUpdateTime ge {} and lastUpdateTime lt {}&$top=10",
    "$filter=createdTime eq {} or createdTime eq {}&$orderby=createdTime desc",
    "$filter=status eq 'Active'",
    "$filter=lastUpdateTime ge {} and status ne 'Redirected'",
    "$filter=lastUpdateTime ge {} and assignedTo eq 'ann@contoso.example'",
)
LONG = (
    "$skip=5000",
    "$filter=createdTime ge {}",
    "$filter=status eq 'Active' and createdTime ge {}",
    "$filter=not (lastUpdateTime lt {})",
    "$filter=lastUpdateTime ge {} and assignedTo ne null",
)
MOMENTS = (
    ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"),
    ("2026-02-03T07:00:00.5Z", "2026-02-03T07:00:00.5Z"),
)


def a_request(text: str, moments: tuple[str, str]) -> PageRequest:
    return parse_page_request(text.format(*moments).replace(" ", "%20").encode())


def planned(request: PageRequest, since: Instant | None, dialect: Dialect) -> Statement:
    return Listing(7, WHOLE, request, since, dialect=dialect).page()


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRES])
@pytest.mark.parametrize("text", SHORT)
def test_it_is_what_planning_anew_would_give_also_the_second_time(text: str, dialect: Dialect) -> None:
    prepared = PreparedPages(dialect)

    for moments in (*MOMENTS, *MOMENTS):
        for since in (None, NOON, Instant(NOON + 1)):
            request = a_request(text, moments)
            if since is None or "createdTime" not in text:
                assert prepared.find(7, request, since) == planned(request, since, dialect)


@pytest.mark.parametrize("text", LONG)
def test_what_is_not_short_is_left_to_the_planner(text: str) -> None:
    assert PreparedPages(SQLITE).find(7, a_request(text, MOMENTS[0]), None) is None


def test_tenants_are_told_apart() -> None:
    prepared, request = PreparedPages(SQLITE), a_request("$top=3", MOMENTS[0])

    one, other = (prepared.find(tenant_id, request, None) for tenant_id in (7, 8))

    assert one is not None
    assert other is not None
    assert one.text == other.text
    assert one.values != other.values


def test_other_pages_than_it_can_keep_are_planned_as_well() -> None:
    prepared = PreparedPages(SQLITE)

    for skip in range(600):
        request = a_request(f"$top=3&$skip={skip}", MOMENTS[0])
        assert prepared.find(7, request, None) == planned(request, None, SQLITE)
