"""Where commands write incidents, one on each line: a file or stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vigie.application.transfer.exporting import open_target
from vigie.cli.common import Common, counted, emit
from vigie.cli.output import one_line, print_status


class Lines:
    """Incidents written one on each line, if wanted as the elements of one JSON array."""

    def __init__(self, file: BinaryIO, *, as_array: bool) -> None:
        self._file = file
        self._is_array = as_array
        self._is_empty = True
        self.count = 0

    def write(self, document: bytes) -> None:
        """Write one more."""
        self.write_beside(document)
        self.count += 1

    def write_beside(self, line: bytes) -> None:
        """Write something that is no incident, and does not count as one."""
        if self._is_array:
            self._file.write(b"[" if self._is_empty else b",")
        self._file.write(line + b"\n")
        self._is_empty = False

    def end(self) -> None:
        """Write what belongs behind the last."""
        if self._is_array:
            self._file.write(b"[]\n" if self._is_empty else b"]\n")
        self._file.flush()


@contextmanager
def writing(common: Common, out: Path | None, done: str) -> Iterator[Lines]:
    """A place for incidents: the file, about which a word is said at the end, or stdout."""
    if out is None or out == Path("-"):
        lines = Lines(sys.stdout.buffer, as_array=common.json)
        yield lines
        lines.end()
        return
    with open_target(out) as file:
        lines = Lines(file, as_array=False)
        yield lines
    print_status(f"{done} {counted(lines.count, 'incident')} to {out}")
    emit(common, {done: lines.count, "file": one_line(str(out))})
