"""What is a bad minute of PostgreSQL, what may be tried again, and what is a defect."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from vigie.core.refusals import StoreUnavailable

CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    # How asyncpg speaks of a connection that is closed already, and of one that ended while nobody looked.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleSessionTimeoutError,
)
"""What is raised where a server has gone; `is_connection_lost` says whether it has."""

_UNDONE_BY_OTHERS = (
    asyncpg.TransactionRollbackError,
    # The primary has become a standby.
    asyncpg.ReadOnlySQLTransactionError,
    # A newer server has changed a table; asyncpg asks anew from then on.
    asyncpg.InvalidCachedStatementError,
)

_BAD_MINUTES = (
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalServerError,
    asyncpg.InsufficientPrivilegeError,
    # The store is being restored, or is damaged.
    asyncpg.UndefinedTableError,
)


def is_connection_lost(error: BaseException) -> bool:
    """Whether the server has gone, or goes."""
    # asyncpg says by the same class, and ValueError, that a value does not fit.
    return isinstance(error, CONNECTION_LOST) and not isinstance(error, ValueError)


def may_be_tried_again(error: BaseException) -> bool:
    """Whether another try, on another connection, may well succeed: nothing is wrong with what was asked."""
    return is_connection_lost(error) or isinstance(error, _UNDONE_BY_OTHERS)


def is_bad_minute(error: BaseException) -> bool:
    """Whether the server or the way to it refuses; else it is a broken promise of ours."""
    return may_be_tried_again(error) or isinstance(error, _BAD_MINUTES)


def unavailable(error: BaseException) -> StoreUnavailable:
    """A bad minute as the refusal that it becomes."""
    return StoreUnavailable(f"{type(error).__name__}: {error}")


@contextmanager
def unavailable_when_it_fails() -> Iterator[None]:
    """A bad minute is a refusal, a broken promise of ours is a defect."""
    try:
        yield
    except (*CONNECTION_LOST, *_UNDONE_BY_OTHERS, *_BAD_MINUTES) as error:
        if is_bad_minute(error):
            raise unavailable(error) from error
        raise
