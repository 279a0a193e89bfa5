"""Moments in time: whole ticks of 100 ns since 1970 UTC, and the one way to and from their written form."""

import re
from datetime import date, datetime
from typing import NewType

Instant = NewType("Instant", int)
"""Ticks of 100 ns since 1970-01-01T00:00:00Z. `datetime` keeps six decimals only, the wire has seven."""

TICKS_PER_SECOND = 10_000_000
TICKS_PER_DAY = 86_400 * TICKS_PER_SECOND
EXAMPLE_TIME = "2026-02-11T07:41:09.3066667Z"

_SECONDS_PER_DAY = 86_400
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  of UTC, as all that it is compared with
_EPOCH_DAY = _EPOCH.toordinal()
_FIRST_SECOND = (1 - _EPOCH_DAY) * _SECONDS_PER_DAY
_LAST_SECOND = (date.max.toordinal() - _EPOCH_DAY + 1) * _SECONDS_PER_DAY - 1
_SHAPE = re.compile(
    r"(\d{4}-\d\d-\d\dT(\d\d):(\d\d):(\d\d))(?:\.(\d{1,7}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)


def parse_instant(text: str) -> Instant:
    """Read a time as documents write it: `Z` or an offset, 0 to 7 decimals of a second.

    Raises ValueError, with a sentence that says what is wrong, for anything else, leap seconds included.
    """
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:60]!r} is not a time such as {EXAMPLE_TIME}")
    whole, hour, minute, second, fraction, sign, *offset = found.groups()
    if hour > "23" or minute > "59" or second > "59":
        raise ValueError(f"{text!r} is not a time of day")
    try:
        since_epoch = datetime.fromisoformat(whole) - _EPOCH
    except ValueError as error:
        raise ValueError(f"{text!r} is not a day of the calendar") from error
    seconds = since_epoch.days * _SECONDS_PER_DAY + since_epoch.seconds
    if sign is not None:
        seconds -= _offset_seconds(sign, *map(int, offset), text=text)
        if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
            raise ValueError(f"{text!r} is outside the years 1 to 9999 in UTC")
    return Instant(seconds * TICKS_PER_SECOND + (int(fraction.ljust(7, "0")) if fraction else 0))


def format_instant(instant: Instant) -> str:
    """Write a time as documents do: UTC, up to seven decimals, trailing zeros and an empty fraction left out.

    Source: docs/api/incident-document.md, "Times".
    """
    seconds, ticks = divmod(instant, TICKS_PER_SECOND)
    days, of_day = divmod(seconds, _SECONDS_PER_DAY)
    hour, rest = divmod(of_day, 3600)
    minute, second = divmod(rest, 60)
    fraction = f".{ticks:07}".rstrip("0") if ticks else ""
    return f"{date.fromordinal(days + _EPOCH_DAY)}T{hour:02}:{minute:02}:{second:02}{fraction}Z"


def instant_from_unix(seconds: float) -> Instant:
    """The instant of a Unix time, as clocks and token claims give it."""
    return Instant(round(seconds * TICKS_PER_SECOND))


def _offset_seconds(sign: str, hours: int, minutes: int, *, text: str) -> int:
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} has an impossible offset")
    return (hours * 3600 + minutes * 60) * (-1 if sign == "-" else 1)
