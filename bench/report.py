"""Results as tables: for the terminal, and for docs/performance.md. No I/O."""

import re
from collections.abc import Iterable, Sequence

from bench.against import OLDER, THIS
from bench.figures import Slice, Spread, cpu, is_noisy, of_contender, p50, p99, ratio, spread, throughput
from bench.goals import GOALS, GOALS_AGAINST, Goal, Verdict, was_noisy
from bench.life import MEMORY
from bench.results import Machine, Results

_NOISY = (
    "noisy (nginx's own CPU for a request varied by more than 25 %, or its requests a second by more than 50 %, "
    "or others wanted the cores before the run): only CPU and sizes are judged, and all of it is preliminary"
)
_HEADINGS = (
    "contender",
    "requests a second",
    "CPU µs a request",
    "p50 µs",
    "p99 µs",
    "CPU, times the first",
    "requests, times the first",
)


def tables(results: Results) -> str:
    """Every table of a run, one under the other."""
    parts = [
        machine_text(results),
        judged_goals_table(results),
        revisions_table(results),
        rows_tables(results),
        figures_table(results),
    ]
    return "\n\n".join(part for part in (*parts, skipped_text(results)) if part) + "\n"


def machine_text(results: Results) -> str:
    """Where and when a run was made."""
    machine = results.machine
    if machine is None:
        return ""
    return f"{_machine(machine)} The machine was {_NOISY if was_noisy(results) else 'quiet'}."


def goals_table(results: Results, goals: Iterable[Goal] = GOALS) -> str:
    """What was to be reached and what was."""
    rows = [
        (goal.path, goal.bound, _number(goal.value(results)), goal.verdict(results).value) for goal in goals
    ]
    return table(("path", "goal", "measured", "verdict"), rows)


def judged_goals_table(results: Results) -> str:
    """The goals that a run says something about."""
    goals = (*GOALS, *GOALS_AGAINST)
    return goals_table(results, [goal for goal in goals if goal.verdict(results) is not Verdict.NOT_RUN])


def revisions_table(results: Results) -> str:
    """What this revision has of the older one's values, the medians of the ratios round by round."""
    pairs = dict.fromkeys(
        (each.row, each.contender.removeprefix(THIS))
        for each in results.slices
        if each.contender.startswith(THIS) and each.row != MEMORY
    )
    rows = []
    for row, what in pairs:
        this, older = (of_contender(results.slices, row, f"{name}{what}") for name in (THIS, OLDER))
        times = [ratio(this, older, measure) for measure in (cpu, throughput)]
        rows.append((f"{row}{what}", *map(_number, times)))
    return (
        table(("this revision against the older one", "CPU, times", "a second, times"), rows) if rows else ""
    )


def rows_tables(results: Results) -> str:
    """A table for each row that was measured in slices; the first contender is what the others are held against."""
    names = dict.fromkeys(each.row for each in results.slices)
    return "\n\n".join(_row_table(results.slices, name) for name in names)


def figures_table(results: Results) -> str:
    """What was measured once."""
    rows = [(each.row, each.name, f"{_number(each.value)} {each.unit}".strip()) for each in results.figures]
    return table(("row", "what", "measured"), rows) if rows else ""


def skipped_text(results: Results) -> str:
    """What was not run, and why."""
    return "\n".join(
        f"- Not run: {each.row}. {each.reason[:1].upper()}{each.reason[1:]}." for each in results.skipped
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown that also reads well as text: every column as wide as its widest cell."""
    cells = [headings, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    lines = ["| " + " | ".join(map(_padded, row, widths, range(len(widths)))) + " |" for row in cells]
    rule = "|".join("-" * (width + 1) + ("-" if column == 0 else ":") for column, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def replaced(document: str, name: str, content: str) -> str:
    """The document with other content between the comments `begin: NAME` and `end: NAME`.

    Raises ValueError where there are no such comments.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise ValueError(f"the document has no place for {name}: {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", document)


def _row_table(slices: list[Slice], row: str) -> str:
    names = list(dict.fromkeys(each.contender for each in slices if each.row == row))
    # Rounds begin with different contenders; nginx, or else the plain one, is what is held against.
    names.sort(key=lambda name: not name.startswith("nginx"))
    first = of_contender(slices, row, names[0])
    noise = " (noisy)" if names[0].startswith("nginx") and is_noisy(first) else ""
    rows = [_cells(name, of_contender(slices, row, name), first) for name in names]
    return f"### {row[:1].upper()}{row[1:]}{noise}\n\n{table(_HEADINGS, rows)}"


def _cells(name: str, slices: list[Slice], first: list[Slice]) -> tuple[str, ...]:
    spreads = [spread([measure(each) for each in slices]) for measure in (throughput, cpu, p50, p99)]
    times = [ratio(slices, first, measure) for measure in (cpu, throughput)]
    return (name, *map(_spread, spreads), *map(_number, times))


def _spread(each: Spread) -> str:
    if not each.most:
        return "-"
    return f"{_number(each.median)} ({_number(each.least)} to {_number(each.most)})"


def _number(value: float | None) -> str:
    """Three digits of what is small, all of what is large."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _padded(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column == 0 else cell.rjust(width)


def _machine(machine: Machine) -> str:
    against_it = f" against {machine.older_revision}" if machine.older_revision else ""
    return (
        f"`{machine.command}` at revision {machine.revision}{against_it}, {machine.began_at} UTC; "
        f"{machine.processor}, {machine.cores} cores, servers on core {machine.server_core}, load from core "
        f"{machine.generator_core}; Python {machine.python}, {machine.system}; load average before: "
        f"{machine.load_average}."
    )
