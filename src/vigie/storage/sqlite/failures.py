"""The errors of SQLite: an outage of the file or its disk, or an internal error."""

import sqlite3
from contextlib import AbstractContextManager
from types import TracebackType

from vigie.core.errors import StoreUnavailable

_MISUSE = (sqlite3.IntegrityError, sqlite3.ProgrammingError)


class _UnavailableWhenItFails:
    # Every read and change enters it, and a generator would cost more than what it guards.
    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _MISUSE):
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


_UNAVAILABLE_WHEN_IT_FAILS = _UnavailableWhenItFails()


def unavailable_when_it_fails() -> AbstractContextManager[None]:
    """Raise StoreUnavailable for what the file or the disk refuses; a misuse of ours stays the error that it is."""
    return _UNAVAILABLE_WHEN_IT_FAILS
