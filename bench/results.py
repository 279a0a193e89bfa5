"""Results of a run: one line of JSON for each thing, written when it is known, and read again for reports."""

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from time import gmtime, strftime

import msgspec

from bench.figures import Slice
from bench.processes import GENERATOR_CORE, SERVER_CORE

ROOT = Path(__file__).parent.parent


class Machine(msgspec.Struct, frozen=True, kw_only=True, tag="machine"):
    """Where and when a run was made, of what, and how busy it was there before.

    `older_revision` is what this one was held against, if it was.
    """

    began_at: str
    command: str
    revision: str
    processor: str
    cores: int
    server_core: int
    generator_core: int
    python: str
    system: str
    load_average: float
    older_revision: str | None = None


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag="figure"):
    """One value that is not of a slice."""

    row: str
    name: str
    value: float
    unit: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True, tag="skipped"):
    """A row that was not run, and why."""

    row: str
    reason: str


Record = Machine | Slice | Figure | Skipped

_decode = msgspec.json.Decoder(Record).decode
_encode = msgspec.json.Encoder().encode


class Results:
    """The records of a run, in the order in which they came; also in a file, where one is named."""

    def __init__(self, records: Iterable[Record] = (), *, file: Path | None = None) -> None:
        self.records: list[Record] = list(records)
        self._file = file

    def add(self, record: Record) -> None:
        """Keep a record, and write it down at once: a run that stops half-way has said what it knows."""
        self.records.append(record)
        if self._file is not None:
            with self._file.open("ab") as out:
                out.write(_encode(record) + b"\n")

    @property
    def machine(self) -> Machine | None:
        return next((each for each in self.records if isinstance(each, Machine)), None)

    @property
    def slices(self) -> list[Slice]:
        return [each for each in self.records if isinstance(each, Slice)]

    @property
    def figures(self) -> list[Figure]:
        return [each for each in self.records if isinstance(each, Figure)]

    @property
    def skipped(self) -> list[Skipped]:
        return [each for each in self.records if isinstance(each, Skipped)]

    def figure(self, row: str, name: str) -> float | None:
        """One value; None when it was not measured."""
        found = (each.value for each in self.figures if (each.row, each.name) == (row, name))
        return next(found, None)


def read_results(path: Path) -> Results:
    """The records of a file."""
    return Results(map(_decode, path.read_bytes().splitlines()))


def this_machine(command: str, *, older_revision: str | None = None) -> Machine:
    """The machine this runs on."""
    return Machine(
        began_at=strftime("%Y-%m-%d %H:%M", gmtime()),
        command=command,
        revision=_revision(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        server_core=SERVER_CORE,
        generator_core=GENERATOR_CORE,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        load_average=round(os.getloadavg()[0], 2),
        older_revision=older_revision,
    )


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    completed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return completed.stdout.strip() or "unknown"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
