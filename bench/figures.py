"""Figures of time slices: medians, extremes, ratios round by round, and whether the machine was quiet. No I/O."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec

CPU_VARIATION_MAX = 0.25
"""How much the reference's own CPU for a request may vary before a run is called noisy."""

THROUGHPUT_VARIATION_MAX = 0.5
"""The same of its requests a second: others who take the cores leave its CPU for a request as it is."""


class Slice(msgspec.Struct, frozen=True, kw_only=True, tag="slice"):
    """What one contender did in one stretch of time; CPU is that of its whole process tree.

    A request may also be an imported incident, which nobody waits for (its percentiles are 0), or a start.
    """

    row: str
    contender: str
    round: int
    requests: int
    seconds: float
    cpu_seconds: float
    p50_us: float
    p99_us: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for one request."""
        return self.cpu_seconds / self.requests * 1e6

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


Measure = Callable[[Slice], float]


def cpu(each: Slice) -> float:
    """Microseconds of CPU for one request."""
    return each.cpu_us


def throughput(each: Slice) -> float:
    """Requests answered in a second."""
    return each.per_second


def duration(each: Slice) -> float:
    """Seconds for one request, where there is one after the other."""
    return each.seconds / each.requests


def p50(each: Slice) -> float:
    """Half of the requests took at most so many microseconds."""
    return each.p50_us


def p99(each: Slice) -> float:
    """99 of a hundred requests took at most so many microseconds."""
    return each.p99_us


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some values, and how far they go."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Of one value or more."""
    return Spread(median(values), min(values), max(values))


def of_contender(slices: Iterable[Slice], row: str, contender: str) -> list[Slice]:
    """The slices of one contender in one row, by their rounds."""
    chosen = [each for each in slices if (each.row, each.contender) == (row, contender)]
    return sorted(chosen, key=lambda each: each.round)


def ratios(one: Iterable[Slice], other: Iterable[Slice], measure: Measure) -> list[float]:
    """Round by round, how many times the other's value the one has. A round that one of them lacks is left out.

    What happens to the machine happens to neighbours in time alike: so each is held against its own round.
    """
    by_round = {each.round: measure(each) for each in other}
    return [measure(each) / by_round[each.round] for each in one if each.round in by_round]


def ratio(one: Iterable[Slice], other: Iterable[Slice], measure: Measure) -> float | None:
    """The median of the ratios round by round; None without a round that both have."""
    found = ratios(one, other, measure)
    return median(found) if found else None


def variation(values: Sequence[float]) -> float:
    """By what share the largest value exceeds the smallest."""
    return max(values) / min(values) - 1


def is_noisy(reference: Sequence[Slice]) -> bool:
    """Whether the machine did other things too: then only CPU is judged, and times are not."""
    return bool(reference) and (
        variation([each.cpu_us for each in reference]) > CPU_VARIATION_MAX
        or variation([each.per_second for each in reference]) > THROUGHPUT_VARIATION_MAX
    )
