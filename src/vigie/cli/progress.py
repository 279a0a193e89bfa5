"""How far an import has come: a bar on the terminal, and nothing where there is none."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vigie.application.transfer.importing import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Whom to tell how far it is: bytes read of the files, and the tally so far."""

    on_read: Callable[[int], object]
    on_tally: Callable[[Tally], object]


@contextmanager
def watched(names: Sequence[str]) -> Iterator[Watch]:
    """Show the progress through some files, on stderr, while the block lasts."""
    if not sys.stderr.isatty():
        yield Watch(on_read=lambda _size_bytes: None, on_tally=lambda _tally: None)
        return
    # Rich only here: where nobody looks, a third of the start-up would be for nothing.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.fields[read]:,} incidents"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=_size_bytes(names), read=0)
        yield Watch(
            on_read=lambda size_bytes: progress.advance(task, size_bytes),
            on_tally=lambda tally: progress.update(task, read=tally.read),
        )


def _size_bytes(names: Sequence[str]) -> int | None:
    """How much there is to read; None when that cannot be known beforehand."""
    paths = [Path(name) for name in names]
    if not all(path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)
