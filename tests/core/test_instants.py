"""Moments in time: read in every shape the API writes, kept to 100 ns, written as it writes them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.core.instants import (
    TICKS_PER_SECOND,
    Instant,
    format_instant,
    instant_from_unix,
    parse_instant,
)

FIRST = parse_instant("0001-01-01T00:00:00Z")
LAST = parse_instant("9999-12-31T23:59:59.9999999Z")

instants = st.integers(FIRST, LAST).map(Instant)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(instants)
def test_a_time_comes_back_to_the_tick(instant: Instant) -> None:
    assert parse_instant(format_instant(instant)) == instant


@given(instants, st.integers(0, 7))
def test_zeros_at_the_end_of_a_fraction_do_not_matter(instant: Instant, digits: int) -> None:
    whole, _, fraction = format_instant(instant).rstrip("Z").partition(".")
    padded = f"{whole}.{fraction.ljust(max(digits, 1), '0')}Z"

    assert parse_instant(padded) == instant


@given(st.integers(-50_000_000_000_000_000, 250_000_000_000_000_000), offsets)
def test_an_offset_is_read_as_the_standard_library_writes_it(microseconds: int, offset: timezone) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

    assert parse_instant(moment.astimezone(offset).isoformat()) == microseconds * 10


@given(instants, instants)
def test_later_times_are_greater_numbers(one: Instant, other: Instant) -> None:
    def parts(instant: Instant) -> tuple[datetime, str]:
        whole, _, fraction = format_instant(instant).rstrip("Z").partition(".")
        return datetime.fromisoformat(f"{whole}Z"), fraction.ljust(7, "0")

    assert (one < other) == (parts(one) < parts(other))


@pytest.mark.parametrize(
    "text",
    [
        # The shapes seen on the wire: docs/api/incident-document.md, "Times".
        "2026-02-11T07:41:59Z",
        "2026-02-11T07:41:57.29Z",
        "2026-02-11T07:41:22.088Z",
        "2026-02-11T07:41:20.52207Z",
        "2026-02-11T07:41:16.330582Z",
        "2026-02-11T07:41:57.0733333Z",
        "2026-02-11T07:41:55.7182276Z",
        "2024-02-29T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.9999999Z",
        "9999-12-31T23:59:59.9999999Z",
    ],
)
def test_a_time_is_written_as_it_was_captured(text: str) -> None:
    assert format_instant(parse_instant(text)) == text


@pytest.mark.parametrize(
    ("text", "as_written"),
    [
        ("2026-02-11T07:41:09.5000000Z", "2026-02-11T07:41:09.5Z"),
        ("2026-02-11T07:41:09.0000000Z", "2026-02-11T07:41:09Z"),
        ("2021-02-01T00:00:00+00:00", "2021-02-01T00:00:00Z"),
        ("2021-02-01T00:30:00-05:30", "2021-02-01T06:00:00Z"),
        ("2021-01-01T01:00:00.0000001+02:00", "2020-12-31T23:00:00.0000001Z"),
    ],
)
def test_a_time_is_written_without_what_says_nothing(text: str, as_written: str) -> None:
    assert format_instant(parse_instant(text)) == as_written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-02-11",
        "2026-02-11 07:41:09Z",
        "2026-02-11t07:41:09z",
        "2026-02-11T07:41Z",
        "2026-02-11T07:41:09",
        "2026-02-11T07:41:09.Z",
        "2026-02-11T07:41:09,5Z",
        "2026-02-11T07:41:09.12345678Z",
        "2026-02-11T07:41:09Z\n",
        " 2026-02-11T07:41:09Z",
        "2026-02-11T07:41:09+0100",
        "2026-02-11T07:41:09+1:00",
        "2026-02-11T07:41:09+24:00",
        "2026-02-11T07:41:09+01:60",
        "2026-02-11T24:00:00Z",
        "2026-02-11T07:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-02-30T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "\u0662\u0660\u0662\u0666-02-11T07:41:09Z",
        "2026-02-11T07:41:09.\uff11Z",
        "/Date(1770795669000)/",
        "9" * 5000,
    ],
)
def test_what_is_no_time_is_refused_in_one_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|impossible offset|outside the years") as refused:
        parse_instant(text)

    assert len(str(refused.value)) < 150


@given(st.integers(-62_135_596_800, 100_000_000_000))
def test_whole_unix_seconds_are_exact(seconds: int) -> None:
    assert instant_from_unix(seconds) == seconds * TICKS_PER_SECOND


def test_unix_seconds_may_have_a_fraction() -> None:
    assert format_instant(instant_from_unix(1770795669.5)) == "2026-02-11T07:41:09.5Z"
