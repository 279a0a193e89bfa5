"""The cost of imports one by one until a server has given its first answer: `python -m bench.imports --help`.

The server is started with Python's own account of imports, several times. The time of a package is that of its
modules without what they import in turn, each the least of the starts: what others do on the machine adds to it.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.callers import first_token, token_file
from bench.life import started
from bench.processes import BenchError
from bench.report import table
from bench.stores import Store, filled_store

_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+([\w.]+)")


def main() -> int:
    """Start servers and print a table; 1 when that could not be done."""
    options = _options()
    try:
        print(imports_table(measure_imports(filled_store(0), options.starts), top=options.top))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.imports", description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="how often the server is started")
    parser.add_argument("--top", type=int, default=30, help="how many packages are listed")
    return parser.parse_args()


def measure_imports(store: Store, starts: int) -> list[dict[str, int]]:
    """Microseconds of each module by itself, for each start after one that is thrown away."""
    token = first_token(token_file(store))
    return [_modules_of_a_start(store, token) for _ in range(starts + 1)][1:]


def _modules_of_a_start(store: Store, token: str) -> dict[str, int]:
    with TemporaryDirectory() as folder:
        log = Path(folder) / "imports"
        with started(store, token, environ={"PYTHONPROFILEIMPORTTIME": "1"}, log=log):
            pass
        return modules_in(log.read_text(encoding="utf-8").splitlines())


def modules_in(lines: Iterable[str]) -> dict[str, int]:
    """Microseconds by module, from what Python writes with `-X importtime`."""
    return {found[2]: int(found[1]) for line in lines if (found := _LINE.match(line))}


def package_of(module: str) -> str:
    """What a module is counted under: its first name, and of Vigie's own modules the layer too."""
    names = module.split(".")
    return ".".join(names[:2]) if names[0] == "vigie" else names[0]


def imports_table(starts: list[dict[str, int]], *, top: int) -> str:
    """The dearest packages first, and all of them together."""
    counts, microseconds = Counter[str](), Counter[str]()
    for module in starts[-1]:
        counts[package_of(module)] += 1
        microseconds[package_of(module)] += min(each[module] for each in starts if module in each)
    whole = microseconds.total()
    rows = [
        (package, f"{counts[package]}", f"{us / 1000:.1f}", f"{us / whole:.1%}")
        for package, us in microseconds.most_common(top)
    ]
    rows.append(("all packages", f"{counts.total()}", f"{whole / 1000:.1f}", "100.0%"))
    return table(("package", "modules", "ms", "share"), rows)


if __name__ == "__main__":
    sys.exit(main())
