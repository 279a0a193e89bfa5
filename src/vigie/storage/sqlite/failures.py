"""Errors of SQLite by kind: a transient error of the database, or a bug."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from vigie.core.errors import StoreUnavailable


@contextmanager
def unavailable_when_it_fails() -> Iterator[None]:
    """What the file or the disk refuses is a bad minute; a broken promise of ours is a defect."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
