"""The times of generated documents, rounded as their sources round them."""

from functools import lru_cache

from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant

SECOND = TICKS_PER_SECOND
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

FIRST_DAY = parse_instant("2026-01-01T00:00:00Z")
INCIDENTS_OPEN_FOR = 175 * DAY
"""The stretch in which incidents are opened; the last of them are done by the end of June."""

_MINUTE_AND_SECOND = tuple(f"{second // 60:02}:{second % 60:02}" for second in range(3600))


def written(moment: int) -> str:
    """What `format_instant` writes, in a third of the time: the text of each hour is kept."""
    seconds, ticks = divmod(moment, SECOND)
    hour, second = divmod(seconds, 3600)
    text = f"{_up_to_the_hour(hour)}{_MINUTE_AND_SECOND[second]}"
    return f"{text}.{ticks:07}".rstrip("0") + "Z" if ticks else text + "Z"


def database_rounded(moment: int) -> int:
    """The first point at or after the moment on the 1/300 s grid of the service's database.

    Source: docs/api/incident-document.md, "Times".

    Rounding goes up only, so that what follows a rounded moment in a story also follows it in print.
    """
    steps = -((moment * 3 - 1) // -100_000)
    return (steps * 100_000 + 1) // 3


@lru_cache(maxsize=8_192)
def _up_to_the_hour(hour: int) -> str:
    return format_instant(Instant(hour * HOUR))[:14]
