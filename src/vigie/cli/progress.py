"""Progress bars on stderr, shown on a terminal alone."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from vigie.application.transfer.importing import Tally


class ImportProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The callbacks of an import: bytes read of the files, and the tally so far."""

    on_read: Callable[[int], object]
    on_tally: Callable[[Tally], object]


@contextmanager
def import_progress(names: Sequence[str]) -> Iterator[ImportProgress]:
    """Show the progress through files while the block lasts."""
    if not sys.stderr.isatty():
        yield ImportProgress(on_read=lambda _size_bytes: None, on_tally=lambda _tally: None)
        return
    # Rich only here: without a terminal, a third of the start-up would be for nothing.
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
        yield ImportProgress(
            on_read=lambda size_bytes: progress.advance(task, size_bytes),
            on_tally=lambda tally: progress.update(task, read=tally.read),
        )


@contextmanager
def copy_progress(rows_total: int) -> Iterator[Callable[[int], object]]:
    """Show the progress through the rows of a database while the block lasts."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("copy", total=rows_total)
        yield lambda count: progress.advance(task, count)


def _size_bytes(names: Sequence[str]) -> int | None:
    """The total size of files; None for one that is not a regular file, such as stdin."""
    paths = [Path(name) for name in names]
    if not all(path.is_file() for path in paths):
        return None
    return sum(path.stat().st_size for path in paths)
