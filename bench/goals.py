"""Goals, and whether a run has reached them. No I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bench import against, appends, changes, life, postgres, reads, writes
from bench.figures import (
    Measure,
    Slice,
    cpu,
    duration,
    is_noisy,
    of_contender,
    p99,
    ratio,
    spread,
    throughput,
)
from bench.in_process import ON_POSTGRES
from bench.results import Results

LOAD_BEFORE_MAX = 1.0
"""How many programs may have wanted a core in the minute before a run: a build that has just ended has had one."""


class Verdict(StrEnum):
    """What a run says of a goal."""

    REACHED = "reached"
    MISSED = "not reached"
    UNSURE = "noisy, not judged"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A bound on one value of a run.

    `of_time` goals are not judged where the machine was noisy: CPU can be told from what others did, time cannot.
    """

    path: str
    value: Callable[[Results], float | None]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "times"
    of_time: bool = False

    @property
    def bound(self) -> str:
        """The bound as it is printed."""
        if self.at_most is not None:
            return f"<= {self.at_most:,g} {self.unit}"
        return f">= {self.at_least:,g} {self.unit}"

    def verdict(self, results: Results) -> Verdict:
        """Whether a run has reached it."""
        value = self.value(results)
        if value is None:
            return Verdict.NOT_RUN
        if self.of_time and was_noisy(results):
            return Verdict.UNSURE
        is_low_enough = self.at_most is None or value <= self.at_most
        is_high_enough = self.at_least is None or value >= self.at_least
        return Verdict.REACHED if is_low_enough and is_high_enough else Verdict.MISSED


def was_noisy(results: Results) -> bool:
    """Whether others used the machine: it was busy before, or nginx varied too much in any row."""
    rows = {each.row for each in results.slices}
    was_busy = results.machine is not None and results.machine.load_average > LOAD_BEFORE_MAX
    return was_busy or any(is_noisy(_nginx_slices(results.slices, row)) for row in rows)


def _nginx_slices(slices: list[Slice], row: str) -> list[Slice]:
    return [each for each in slices if each.row == row and each.contender.startswith("nginx")]


def _times(row: str, one: str, other: str, measure: Measure = cpu) -> Callable[[Results], float | None]:
    """How many times the other's value the one has: the median of the ratios round by round."""
    return lambda results: ratio(
        of_contender(results.slices, row, one), of_contender(results.slices, row, other), measure
    )


def _newer(row: str, measure: Measure) -> Callable[[Results], float | None]:
    """How many times the older revision's value this one has."""
    return _times(row, against.THIS, against.OLDER, measure)


def _figure(row: str, name: str) -> Callable[[Results], float | None]:
    return lambda results: results.figure(row, name)


def _figures(row: str, one: str, other: str) -> Callable[[Results], float | None]:
    """How many times the other figure the one is."""

    def value(results: Results) -> float | None:
        of_one, of_other = results.figure(row, one), results.figure(row, other)
        return of_one / of_other if of_one is not None and of_other else None

    return value


def _median(row: str, contender: str, measure: Measure) -> Callable[[Results], float | None]:
    def value(results: Results) -> float | None:
        slices = of_contender(results.slices, row, contender)
        return spread([measure(each) for each in slices]).median if slices else None

    return value


def _beside_the_signature(results: Results) -> float | None:
    """What a token never seen costs more than one seen before, without the check of its signature."""
    fresh = _median(reads.UNSEEN, "vigie, tokens never seen", cpu)(results)
    seen = _median(reads.UNSEEN, "vigie, tokens seen before", cpu)(results)
    check = results.figure(reads.UNSEEN, "signature check")
    if fresh is None or seen is None or check is None:
        return None
    return fresh - seen - check


def _beside_pgbench(results: Results) -> float | None:
    """How many reads by id there are for one select of PostgreSQL by itself."""
    reads_a_second = _median(postgres.POSTGRES, postgres.ON_POSTGRES, throughput)(results)
    selects = results.figure(postgres.POSTGRES, postgres.SELECTS)
    return reads_a_second / selects if reads_a_second and selects else None


def _scoped(results: Results) -> float | None:
    """The dearer of the two ways that need no parsing."""
    pairs = (
        ("scoped user, sees all of it", "application"),
        ("scoped user, alerts spliced out", "application, the incident spliced below"),
    )
    found = [_times(reads.CALLERS, *pair)(results) for pair in pairs]
    return max((value for value in found if value is not None), default=None)


def _grown(which: str) -> Callable[[Results], float | None]:
    """What reads have added to the memory, if there were as many as the goal says."""

    def value(results: Results) -> float | None:
        reads_made = results.figure(life.MEMORY, "reads") or 0
        return results.figure(life.MEMORY, f"more after reads {which}") if reads_made >= _READS else None

    return value


def _any_incident(results: Results) -> float | None:
    """Any incident against a hot one, if there are as many as the goal says."""
    count = results.figure(reads.IDS, reads.COUNT) or 0
    times = _times(reads.IDS, reads.ANY_INCIDENT, reads.ONE_INCIDENT)
    return times(results) if count >= _INCIDENTS else None


_READS = 1_000_000
_INCIDENTS = 200_000
_PEER_GOALS = (("fastapi-relational", 110), ("fastapi-json", 40), ("flask", 80), ("drf", 160))

GOALS: tuple[Goal, ...] = (
    Goal(
        path="by id, SQLite, CPU per request against nginx static, metrics and request log on",
        value=_times(reads.BY_ID, "vigie, request log on", "nginx"),
        at_most=2.2,
    ),
    Goal(
        path="same, request log off",
        value=_times(reads.BY_ID, "vigie", "nginx"),
        at_most=2.0,
    ),
    Goal(
        path="same, request log on, requests per second against nginx",
        value=_times(reads.BY_ID, "vigie, request log on", "nginx", throughput),
        at_least=0.5,
        of_time=True,
    ),
    *(
        Goal(path=f"CPU of {name} against ours", value=_times(reads.BY_ID, name, "vigie"), at_least=times)
        for name, times in _PEER_GOALS
    ),
    Goal(
        path=f"any of {_INCIDENTS:,} incidents against one hot incident, CPU",
        value=_any_incident,
        at_most=1.5,
    ),
    Goal(path="scoped user against application, CPU, nothing parsed", value=_scoped, at_most=1.15),
    Goal(
        path="token never seen before, beside the check of its signature",
        value=_beside_the_signature,
        at_most=15,
        unit="µs of CPU more",
    ),
    Goal(
        path="by id, PostgreSQL, CPU against nginx",
        value=_times(postgres.POSTGRES, postgres.ON_POSTGRES, "nginx"),
        at_most=3.0,
    ),
    Goal(
        path="same, CPU against SQLite",
        value=_times(postgres.POSTGRES, postgres.ON_POSTGRES, postgres.ON_SQLITE),
        at_most=1.5,
    ),
    Goal(
        path="same, requests per second against selects of pgbench",
        value=_beside_pgbench,
        at_least=0.6,
        of_time=True,
    ),
    Goal(
        path="list of 100 against a C loop that reads and sends the same rows, CPU",
        value=_times(reads.LISTS, "vigie", reads.LIST_LOOP),
        at_most=2.5,
    ),
    Goal(
        path="`$skip` 10,000 against `$skip` 0, CPU",
        value=_times(reads.LISTS, "vigie, $skip 10,000", "vigie"),
        at_most=3.0,
    ),
    *(
        Goal(
            path=f"change feed{kind}, {changes.among(changes.MANY)} against among {changes.FEW:,}, CPU",
            value=_times(f"{changes.CHANGES}{kind}", changes.among(changes.MANY), changes.among(changes.FEW)),
            at_most=2.0,
        )
        for kind in ("", ON_POSTGRES)
    ),
    *(
        Goal(
            path=f"append an alert{kind}, {large}, against one of 3, CPU",
            value=_times(f"{appends.APPENDS}{kind}", large, appends.TO_SMALL),
            at_most=1.5,
        )
        for kind in ("", ON_POSTGRES)
        for large in (appends.TO_LARGE, appends.TO_LARGE_ABSENT)
    ),
    Goal(
        path="p99 of reads while an import runs against without",
        value=_times(writes.BESIDE, f"vigie, {writes.READS_BESIDE}", f"vigie, {writes.QUIET_READS}", p99),
        at_most=3.0,
        of_time=True,
    ),
    Goal(
        path="memory at most in an import against after a tenth of it",
        value=_figures(writes.IMPORT, f"vigie, {writes.MEMORY_MOST}", f"vigie, {writes.MEMORY_EARLY}"),
        at_most=1.1,
    ),
    *(
        Goal(
            path=f"start to first answer, {which}, against `python -c` with three of its imports",
            value=_times(life.START, f"vigie, {which}", life.IMPORTS_ALONE, duration),
            at_most=2.0,
            of_time=True,
        )
        for which in (life.EMPTY, life.FILLED)
    ),
    Goal(path="resident memory, idle", value=_figure(life.MEMORY, "idle"), at_most=60, unit="MB"),
    *(
        Goal(
            path=f"resident memory, more after {_READS:,} reads {which}",
            value=_grown(which),
            at_most=20,
            unit="MB",
        )
        for which in (life.OF_A_HUNDRED, life.OF_ALL)
    ),
    Goal(
        path="installed size without byte code",
        value=_figure(life.SIZE, "without byte code"),
        at_most=50,
        unit="MB",
    ),
    Goal(
        path="installed size with byte code",
        value=_figure(life.SIZE, "with byte code"),
        at_most=65,
        unit="MB",
    ),
)
"""Of `all`, in the order of the table in docs/performance.md."""

GOALS_AGAINST: tuple[Goal, ...] = (
    Goal(path="list of 100, CPU", value=_newer(reads.LISTS, cpu), at_most=0.7),
    Goal(
        path="update, 32 at once, updates a second",
        value=_newer(writes.UPDATES, throughput),
        at_least=2.5,
        of_time=True,
    ),
    Goal(
        path="import alone, incidents a second",
        value=_newer(writes.IMPORT, throughput),
        at_least=0.8,
        of_time=True,
    ),
    Goal(
        path="import beside a server, incidents a second",
        value=_newer(writes.IMPORT_BESIDE, throughput),
        at_least=0.8,
        of_time=True,
    ),
    Goal(
        path="bytes on disk for an incident of 3 alerts",
        value=_figures(
            against.DISK,
            f"{against.THIS}, {against.PER_INCIDENT}",
            f"{against.OLDER}, {against.PER_INCIDENT}",
        ),
        at_most=2.2,
    ),
)
"""Of `against`: what this revision has of the older one's value."""
