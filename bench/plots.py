"""Plots of a run for docs/performance.md, drawn by matplotlib in the environment of the peers."""

import json
import subprocess
from pathlib import Path
from typing import Any

from bench import reads, writes
from bench.figures import Measure, cpu, of_contender, p50, p99, spread
from bench.peer_servers import ENVIRONMENT, PEERS
from bench.processes import BenchError
from bench.results import Results


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the plots that the results are enough for; say where. Raises BenchError without matplotlib."""
    charts = [chart for chart in _charts(results) if chart["bars"]]
    folder.mkdir(parents=True, exist_ok=True)
    command = [ENVIRONMENT / "bin" / "python", PEERS / "draw.py", folder]
    completed = subprocess.run(command, input=json.dumps(charts), text=True, capture_output=True, check=False)
    if completed.returncode:
        raise BenchError(f"no plots: {completed.stderr.strip().rpartition(chr(10))[2]}")
    return [folder / f"{chart['name']}.svg" for chart in charts]


def _charts(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "name": "by-id",
            "title": "One incident of 8 KB by its number, 32 connections",
            "unit": "µs of CPU for a request (logarithmic)",
            "logarithmic": True,
            "bars": _bars(results, reads.BY_ID, {"": cpu}),
        },
        {
            "name": "callers",
            "title": "The same, by who asks",
            "unit": "µs of CPU for a request",
            "logarithmic": False,
            "bars": _bars(results, reads.CALLERS, {"": cpu}),
        },
        {
            "name": "beside-an-import",
            "title": "Reads at a steady rate, without and with an import beside them",
            "unit": "µs until the answer",
            "logarithmic": False,
            "bars": _bars(results, writes.BESIDE, {", p50": p50, ", p99": p99}),
        },
    ]


def _bars(results: Results, row: str, measures: dict[str, Measure]) -> list[dict[str, Any]]:
    """A bar for each contender and measure: its name, the median, the least and the most."""
    names = sorted(dict.fromkeys(each.contender for each in results.slices if each.row == row))
    bars = []
    for name in names:
        for suffix, measure in measures.items():
            found = spread([measure(each) for each in of_contender(results.slices, row, name)])
            bars.append({"name": name + suffix, "at": [found.median, found.least, found.most]})
    return sorted(bars, key=lambda bar: bar["at"][0])
