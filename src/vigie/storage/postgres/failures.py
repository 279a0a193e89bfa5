"""Errors of PostgreSQL by kind: a connection lost, a transaction undone by others, an outage, or a bug."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum

import asyncpg

from vigie.core.errors import StoreUnavailable


class FailureKind(Enum):
    """What an error says of the next try. Of several, the first in this order decides."""

    INTERNAL_ERROR = "the statement, or its use, is wrong"
    LOST = "the connection has ended, or none was had: another one may be had at once"
    UNDONE = "others undid the transaction: it may be run again"
    UNAVAILABLE = "the server refuses until an administrator intervenes"


KINDS: Mapping[str, FailureKind] = {
    # Successful completion, warning, no data, statement not yet complete: none of them is an error.
    **dict.fromkeys(("00", "01", "02", "03"), FailureKind.INTERNAL_ERROR),
    # Connection exception.
    "08": FailureKind.LOST,
    # Triggered action, feature, transaction initiation, locator, grantor, role, diagnostics, XQuery, case.
    **dict.fromkeys(("09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20"), FailureKind.INTERNAL_ERROR),
    # Cardinality, data, integrity constraint, cursor state.
    **dict.fromkeys(("21", "22", "23", "24"), FailureKind.INTERNAL_ERROR),
    # Transaction state: read only says that the primary has become a standby; the last two end the session.
    "25": FailureKind.INTERNAL_ERROR,
    "25006": FailureKind.UNDONE,
    "25P03": FailureKind.LOST,
    "25P04": FailureKind.LOST,
    # A pooler has led to a connection that does not know what was prepared on another.
    "26": FailureKind.UNDONE,
    "42P05": FailureKind.UNDONE,
    "27": FailureKind.INTERNAL_ERROR,
    # Authorization: the password, the role, pg_hba.conf.
    "28": FailureKind.UNAVAILABLE,
    # Privilege descriptors, transaction termination, routines, cursor names, savepoints.
    **dict.fromkeys(("2B", "2D", "2F", "34", "38", "39", "3B"), FailureKind.INTERNAL_ERROR),
    # The database or the schema is not there, or is called otherwise.
    "3D": FailureKind.UNAVAILABLE,
    "3F": FailureKind.UNAVAILABLE,
    # Deadlock, serialization.
    "40": FailureKind.UNDONE,
    # Syntax is ours; rights are withdrawn by others, and what is missing is being restored, or was dropped.
    "42": FailureKind.INTERNAL_ERROR,
    "42501": FailureKind.UNAVAILABLE,
    "42703": FailureKind.UNAVAILABLE,
    "42704": FailureKind.UNAVAILABLE,
    "42883": FailureKind.UNAVAILABLE,
    "42P01": FailureKind.UNAVAILABLE,
    "44": FailureKind.INTERNAL_ERROR,
    # Disk, memory, connections.
    "53": FailureKind.UNAVAILABLE,
    "54": FailureKind.INTERNAL_ERROR,
    # Locks, and databases that take no connections.
    "55": FailureKind.UNAVAILABLE,
    # An operator intervenes: cancels, shuts down, starts, drops the database.
    "57": FailureKind.LOST,
    "57000": FailureKind.UNAVAILABLE,
    "57014": FailureKind.UNAVAILABLE,
    # The system below PostgreSQL; snapshots that are too old; its configuration.
    "58": FailureKind.UNAVAILABLE,
    "72": FailureKind.UNDONE,
    "F0": FailureKind.UNAVAILABLE,
    # Foreign data, and functions in PL/pgSQL: not used here.
    "HV": FailureKind.UNAVAILABLE,
    "P0": FailureKind.UNAVAILABLE,
    # Internal error, damaged data, a damaged index.
    "XX": FailureKind.UNAVAILABLE,
}
"""By class of SQLSTATE (its first two characters), and by the whole code where that differs from its class."""


class NoHostTaken(Exception):
    """Of several hosts none took the connection; the message has a reason for each, in their order."""

    def __init__(self, failures: Sequence[tuple[str, Exception]]) -> None:
        super().__init__("; ".join(f"{host}: {reason_of(error)}" for host, error in failures))
        self.kinds = [kind_of(error) for _, error in failures]


FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, NoHostTaken)
"""What asyncpg raises, the system below it, and the search for a host; `kind_of` says what each means."""


def kind_of(error: BaseException) -> FailureKind:
    """What an error says of the next try."""
    match error:
        case NoHostTaken():
            return next(kind for kind in FailureKind if kind in error.kinds)
        # A newer server has changed a table; asyncpg prepares it again from then on.
        case asyncpg.InvalidCachedStatementError():
            return FailureKind.UNDONE
        case asyncpg.PostgresError(sqlstate=str(code)):
            return KINDS.get(code) or KINDS.get(code[:2], FailureKind.INTERNAL_ERROR)
        # The URL was checked: what is wrong now is a certificate, or a file that it names.
        case ssl.SSLError() | asyncpg.ClientConfigurationError():
            return FailureKind.UNAVAILABLE
        # asyncpg says by InterfaceError, and ValueError, that a value does not fit.
        case ValueError():
            return FailureKind.INTERNAL_ERROR
        # A connection that is closed already, or one that ended while it was idle.
        case OSError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return FailureKind.LOST
        case _:
            return FailureKind.INTERNAL_ERROR


def is_connection_lost(error: BaseException) -> bool:
    """Whether the server has gone, or goes."""
    return kind_of(error) is FailureKind.LOST


def is_transient(error: BaseException) -> bool:
    """Whether another try, on another connection, may well succeed: nothing is wrong with the statement."""
    return kind_of(error) in (FailureKind.LOST, FailureKind.UNDONE)


def is_outage(error: BaseException) -> bool:
    """Whether the server, or the network, refuses; everything else is an internal error."""
    return kind_of(error) is not FailureKind.INTERNAL_ERROR


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def unavailable(error: BaseException) -> StoreUnavailable:
    """An outage as the refusal that it becomes."""
    return StoreUnavailable(f"{type(error).__name__}: {reason_of(error)}")


@contextmanager
def unavailable_when_it_fails() -> Iterator[None]:
    """An outage is a refusal, a broken promise of ours is a defect."""
    try:
        yield
    except FAILURES as error:
        if is_outage(error):
            raise unavailable(error) from error
        raise
