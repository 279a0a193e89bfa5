"""The command line: `python -m bench all`, `against`, `quick`, `gate` or `report`; `--help` says more."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import gmtime, strftime

from bench import against, appends, changes, life, postgres, reads, writes
from bench.driver import Bench
from bench.gate import judge
from bench.goals import GOALS_AGAINST
from bench.plots import draw
from bench.processes import BenchError, require_programs
from bench.programs import WORK, built
from bench.report import (
    figures_table,
    goals_table,
    machine_text,
    replaced,
    revisions_table,
    rows_tables,
    skipped_text,
    tables,
)
from bench.results import ROOT, Results, read_results, this_machine
from bench.stores import filled_store

ROWS: dict[str, Callable[[Bench], None]] = {
    "by-id": reads.by_id,
    "one-connection": reads.one_connection,
    "large": reads.large,
    "callers": reads.callers,
    "ids": reads.ids,
    "tokens": reads.tokens_never_seen,
    "lists": reads.lists,
    "updates": writes.updates,
    "import": writes.import_alone,
    "beside": writes.import_beside,
    "start": life.start,
    "memory": life.memory,
    "size": life.size,
    "c-loop": life.c_loop,
    "postgres": postgres.by_id,
    "changes": changes.changes,
    "appends": appends.appends,
}

ROWS_AGAINST: dict[str, Callable[[Bench], None]] = {
    "by-id": against.by_id,
    "ids": against.ids,
    "lists": against.lists,
    "updates": against.updates,
    "import": against.import_alone,
    "beside": against.import_beside,
    "start": against.start,
    "memory": against.memory,
    "disk": against.disk,
}

DOCUMENT = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"

_SMALL_STORE_INCIDENTS = 2_000


def main() -> int:
    """Run what was asked for; 1 when it could not be, or when the gate is not passed."""
    options = _options()
    try:
        if options.command == "report":
            return _report(options.file)
        # Debian has nginx where only root looks for programs.
        os.environ["PATH"] += ":/usr/sbin"
        require_programs("nginx", "wrk", "taskset")
        if options.command == "gate":
            return judge(_bench(options, Results()))
        return _run(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    everything = commands.add_parser("all", help="every row: about ten minutes")
    quick = commands.add_parser("quick", help="the ratios that are stable on any machine: under a minute")
    commands.add_parser("gate", help="the same two ratios, held against half of the goals")
    report = commands.add_parser("report", help="bring docs/performance.md up to the results of a run")
    report.add_argument("file", type=Path, help="the results, as `all` wrote them")
    older = commands.add_parser("against", help="an older revision, built beside this one, in turns with it")
    older.add_argument("revision", help="as git names it")
    for each, rows in ((everything, ROWS), (older, ROWS_AGAINST)):
        each.add_argument("--rows", nargs="+", choices=list(rows), default=list(rows))
        each.add_argument("--incidents", type=int, default=200_000, help="of three alerts, in the store")
        each.add_argument("--reads", type=int, default=1_000_000, help="how many make a load on memory")
        each.add_argument("--imports", type=int, default=100_000, help="incidents in the imported file")
    for each in (everything, older, quick):
        each.add_argument("--rounds", type=int, default=5)
        each.add_argument("--seconds", type=int, default=1, help="how long a slice is")
        each.add_argument("--out", type=Path, help="where the results go, a line of JSON for each")
    return parser.parse_args()


def _run(options: argparse.Namespace) -> int:
    out = options.out or WORK / f"results-{strftime('%Y%m%d-%H%M%S', gmtime())}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    older = built(options.revision) if options.command == "against" else None
    results = Results(file=out)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    results.add(this_machine(command, older_revision=older.mark if older else None))
    bench = replace(_bench(options, results), older=older)
    for row in _rows(options):
        row(bench)
    print(f"\n{tables(results)}\nThe results are in {os.path.relpath(out)}.")
    return 0


def _rows(options: argparse.Namespace) -> list[Callable[[Bench], None]]:
    if options.command == "quick":
        return [reads.quick]
    rows = ROWS if options.command == "all" else ROWS_AGAINST
    return [rows[name] for name in options.rows]


def _bench(options: argparse.Namespace, results: Results) -> Bench:
    small = filled_store(_SMALL_STORE_INCIDENTS)
    return Bench(
        store=filled_store(options.incidents) if "incidents" in options else small,
        small_store=small,
        results=results,
        rounds=getattr(options, "rounds", 5),
        seconds=getattr(options, "seconds", 1),
        reads=getattr(options, "reads", 0),
        imports=getattr(options, "imports", 0),
    )


def _report(file: Path) -> int:
    results = read_results(file)
    text = DOCUMENT.read_text(encoding="utf-8")
    is_against = results.machine is not None and results.machine.older_revision is not None
    for name, content in (_sections_against(results) if is_against else _sections(results)).items():
        text = replaced(text, name, content)
    DOCUMENT.write_text(text, encoding="utf-8")
    if not is_against:
        for path in draw(results, PLOTS):
            print(os.path.relpath(path))
    return 0


def _sections(results: Results) -> dict[str, str]:
    return {
        "machine": machine_text(results),
        "goals": goals_table(results),
        "rows": rows_tables(results),
        "figures": figures_table(results),
        "skipped": skipped_text(results),
    }


def _sections_against(results: Results) -> dict[str, str]:
    return {
        "machine against": machine_text(results),
        "goals against": goals_table(results, GOALS_AGAINST),
        "ratios against": revisions_table(results),
        "figures against": figures_table(results),
    }


if __name__ == "__main__":
    sys.exit(main())
