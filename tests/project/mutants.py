"""Fails when a mutant of the rules survives that tests/project/surviving_mutants.toml does not explain.

Run by `make mutants`, after mutmut: `mutmut show NAME` shows what a mutant changes.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

EXPLAINED = Path(__file__).with_name("surviving_mutants.toml")
# One that never ends is noticed: its test is stopped.
_LIVED = ("survived", "no tests", "suspicious")


def survivors() -> dict[str, str]:
    """The names of the mutants that no test noticed, and how each of them lived."""
    command = [str(Path(sys.executable).with_name("mutmut")), "results"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    named = (line.strip().partition(": ") for line in lines)
    return {name: fate for name, _, fate in named if fate in _LIVED}


def main() -> int:
    """Say which mutants are not explained, and which explanations are of no use any more."""
    explained: dict[str, str] = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["survivors"]
    alive = survivors()
    for name in sorted(alive.keys() - explained.keys()):
        print(f"{name}: {alive[name]}, and tests/project/surviving_mutants.toml does not say why")
    for name in sorted(explained.keys() - alive.keys()):
        print(f"{name}: explained, but a test notices it now; take it off the list")
    print(f"{len(alive)} survivors, {len(explained)} explained")
    return int(alive.keys() != explained.keys())


if __name__ == "__main__":
    sys.exit(main())
