"""Incidents written one per line, to a file or to stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vigie.application.transfer.exporting import open_target
from vigie.cli.common import Common, counted, emit
from vigie.cli.output import one_line, print_status


class IncidentWriter:
    """A writer of incidents, one per line, optionally as the elements of a JSON array."""

    def __init__(self, file: BinaryIO, *, as_array: bool) -> None:
        self._file = file
        self._is_array = as_array
        self._is_empty = True
        self.count = 0

    def write(self, document: bytes) -> None:
        """Write an incident."""
        self.write_uncounted(document)
        self.count += 1

    def write_uncounted(self, line: bytes) -> None:
        """Write a line that is not an incident and is not counted."""
        if self._is_array:
            self._file.write(b"[" if self._is_empty else b",")
        self._file.write(line + b"\n")
        self._is_empty = False

    def end(self) -> None:
        """Write the end of the array, if there is one."""
        if self._is_array:
            self._file.write(b"[]\n" if self._is_empty else b"]\n")
        self._file.flush()


@contextmanager
def written(common: Common, out: Path | None, done: str) -> Iterator[IncidentWriter]:
    """A writer to stdout, or to a file, which is reported at the end. `done` is the past participle."""
    if out is None or out == Path("-"):
        lines = IncidentWriter(sys.stdout.buffer, as_array=common.json)
        yield lines
        lines.end()
        return
    with open_target(out) as file:
        lines = IncidentWriter(file, as_array=False)
        yield lines
    print_status(f"{done} {counted(lines.count, 'incident')} to {out}")
    emit(common, {done: lines.count, "file": one_line(str(out))})
