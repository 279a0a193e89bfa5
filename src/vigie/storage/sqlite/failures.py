"""The errors of SQLite: an outage of the file or its disk, or an internal error."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from vigie.core.errors import StoreUnavailable


@contextmanager
def unavailable_when_it_fails() -> Iterator[None]:
    """Raise StoreUnavailable for what the file or the disk refuses; a misuse of ours stays the error that it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
