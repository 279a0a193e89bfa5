"""The export of incidents to a file, one per line; the file appears when it is complete."""

import errno
import gzip
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from vigie.files.writing import new_file

_BUFFER_BYTES = 1024 * 1024
_COMPRESSION = 6
_PLACES_OF_DEVICES = tuple(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))


@contextmanager
def open_target(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which only its owner can read; compressed when its name ends in `.gz`.

    It is written beside its place and put there at the end, over what was there; what is broken off leaves
    nothing. A link is replaced and not followed: incidents must not go where somebody else has it lead. A device
    or a pipe is written as it is. Raises OSError, always with the name that was given.
    """
    try:
        target = path.open("wb") if _is_device(path) else _new_file(path)
        with target as file, _packed(path, file) as lines:
            yield lines
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _is_device(path: Path) -> bool:
    # Such as /dev/stdout, a link that may lead to a file and must stay.
    if path.absolute().parent in _PLACES_OF_DEVICES:
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with new_file(path, replaces=True) as part, part.open("wb", _BUFFER_BYTES) as file:
        yield file


def _packed(path: Path, file: BinaryIO) -> AbstractContextManager[BinaryIO]:
    if path.suffix != ".gz":
        return nullcontext(file)
    # No name and no time in it: the same incidents make the same file.
    return cast("AbstractContextManager[BinaryIO]", gzip.GzipFile("", "wb", _COMPRESSION, file, mtime=0))
