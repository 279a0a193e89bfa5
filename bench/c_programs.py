"""The programs in C that are the floor under reads: compiled when they are needed."""

import shutil
import subprocess
from pathlib import Path

from bench.processes import BenchError
from bench.programs import WORK
from bench.results import ROOT


def compiled(name: str) -> Path:
    """The program of `bench/NAME.c`. Raises BenchError where it cannot be made."""
    if shutil.which("gcc") is None:
        raise BenchError("gcc is missing")
    program, source = WORK / name, ROOT / "bench" / f"{name}.c"
    command: list[str | Path] = ["gcc", "-O2", "-o", program, source, "-lsqlite3"]
    completed = subprocess.run(command, capture_output=True, check=False)
    if completed.returncode:
        raise BenchError("sqlite3.h is missing (libsqlite3-dev)")
    return program
