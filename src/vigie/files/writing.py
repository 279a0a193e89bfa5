"""New files that appear whole or not at all: they are written under a temporary name, then renamed."""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = re.compile(r"\.vigie-[0-9a-f]{16}\.part")
# The files that SQLite creates beside a database.
_BESIDE_PART = ("-journal", "-wal", "-shm")


@contextmanager
def new_file(path: Path, *, replaces: bool, mode: int = 0o600) -> Iterator[Path]:
    """A temporary file for the block to write, which then becomes `path`.

    A failure leaves no file. Files that a killed process left in the same folder are removed. Without
    `replaces`, raises FileExistsError if the path exists by then, as a link too.
    """
    sweep(path.parent)
    part, descriptor = _new_part(path.parent, mode)
    try:
        yield part
        os.fsync(descriptor)
        if replaces:
            part.replace(path)
        else:
            os.link(part, path)
    finally:
        _remove(part)
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed. Those still being written stay.

    In a folder such as /tmp others may use such names; files that cannot be removed stay too.
    """
    if not os.access(folder, os.R_OK | os.W_OK):
        return
    for file in folder.iterdir():
        if _PART.fullmatch(file.name) and file.is_file() and not file.is_symlink():
            # Another process is removing or still writing it, or it belongs to another user.
            with suppress(OSError):
                _remove_if_left(file)


def _remove_if_left(part: Path) -> None:
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        # The process that writes it holds this lock for as long as it lives.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(part)
    finally:
        os.close(descriptor)


def _new_part(folder: Path, mode: int) -> tuple[Path, int]:
    """An empty file and its descriptor, which holds a lock on it."""
    while True:
        part = folder / f".vigie-{secrets.token_hex(8)}.part"
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        # Another process swept between the two lines.
        os.close(descriptor)


def _remove(part: Path) -> None:
    # The file itself last: without it, the others would not be found.
    for end in (*_BESIDE_PART, ""):
        part.with_name(f"{part.name}{end}").unlink(missing_ok=True)
