"""The interface of both databases: they answer named statements, and run a change as a whole or not at all."""

from asyncio import Future
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import msgspec

from vigie.core.replication import ReplicationPosition
from vigie.storage.listing.dialect import Dialect

Row = tuple[Any, ...]
Values = Mapping[str, object]
T = TypeVar("T")


class StoreError(Exception):
    """The database cannot be opened or used at all; the message is one line that says what to do."""


class ReplicaFailed(Exception):
    """A read from a replica failed. The same read from the primary may succeed."""


class Session(Protocol):
    """Statements by name. Inside a change, all of them or none take effect.

    `deferred` is what is written at the end, by `write_deferred`: changes that share a transaction share it.
    A change leaves something there only behind what it has written itself: one that fails earlier has nothing to be
    undone.
    """

    deferred: "dict[object, Deferred]"

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, None when there is none."""

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row."""

    async def run(self, statement: str, values: Values) -> int:
        """Run a change and say how many rows it touched."""

    async def run_many(self, statement: str, values: Iterable[Values]) -> None:
        """Run a change once for each set of values."""


class Deferred(Protocol):
    """What changes leave to be written before they are committed."""

    async def write(self, session: Session) -> None:
        """Write it."""


async def write_deferred(session: Session) -> None:
    """Write what changes have left to the end, which is now."""
    for each in session.deferred.values():
        await each.write(session)
    session.deferred.clear()


Change = Callable[[Session], Coroutine[Any, Any, T]]
"""A step of writing: it awaits nothing but the session it is given."""


class Statement(msgspec.Struct, frozen=True):
    """A statement built for one request: a text of a fixed vocabulary, and the values bound to it.

    One that `is_short` reads hardly more rows than it returns, along an index: it is no scan.
    """

    text: str
    values: Values
    is_short: bool = False


Search = Generator[Statement, list[Row], T]
"""Runs one statement after the other, each chosen by the rows of those before, and returns what it finds."""


class Snapshot(Protocol):
    """One view of the database for several long reads. Raises QueryTooSlow when its time is up."""

    async def number(self, statement: Statement) -> int:
        """The one number that a statement returns."""

    async def numbers(self, statement: Statement) -> list[int]:
        """The one number of each row of a statement that is short."""

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row of a named statement. For results that are known to be short."""

    async def search(self, search: Search[T]) -> T:
        """What a search finds; it is given all rows of each of its statements."""

    def batches(self, statement: Statement, read: Callable[[Row], bytes]) -> AsyncIterator[list[bytes]]:
        """What `read` makes of each row, a few at a time."""


LARGE_ROW_BYTES = 256 * 1024
"""A row of this size takes too long to redact on the event loop."""

Observer = Callable[[str, float], None]
"""Called with the name of a statement that was read, and the seconds that it took."""


def unobserved(_statement: str, _seconds: float, /) -> None:
    """The observer that counts nothing."""


OnLost = Callable[[str], None]
"""Called, on any thread, with the reason why what is written would be lost from now on."""


def ignore_loss(_reason: str, /) -> None:
    """The callback that does nothing."""


Lookup = Callable[..., Row | None]
"""Returns the first row of one statement at once, from values in a fixed order. None says nothing."""


class Database(Protocol):
    """SQLite or PostgreSQL. Raises StoreUnavailable when it cannot answer now."""

    dialect: Dialect
    observe: Observer
    scan_seconds_max: float
    on_lost: OnLost

    def check_file(self) -> None:
        """Raises StoreUnavailable when what is written now would be lost; that also reaches `on_lost`."""

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, as of now."""

    def prepare_lookup(self, statement: str, *names: str) -> Lookup:
        """A function that returns the first row of a statement at once, given the values of `names` in order.

        It is not observed. Its None says nothing: there may be no row, or the row has to be waited for.
        """

    async def find_incident(
        self, tenant_id: int, incident_id: int, *, min_position: ReplicationPosition | None = None
    ) -> Row | None:
        """The row of one incident, as of now; or at least as of `min_position`, where a replica may answer."""

    def submit_lookup(self, tenant_id: int, incident_id: int) -> Future[Row | None] | None:
        """Request the row of one incident without waiting here. Others may wait for the future: do not cancel it.

        Not observed. None where that gains nothing over `find_incident`, or `prepare_lookup` answers at once.
        """

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row, as of now. For results that are known to be short."""

    def snapshot(
        self, *, min_position: ReplicationPosition | None = None
    ) -> AbstractAsyncContextManager[Snapshot]:
        """One view for reads that may take long; they block no others.

        It is as of now; or at least as of `min_position`, where a replica may answer. Then opening it, and all of
        its reads, may raise ReplicaFailed.
        """

    async def write(self, change: Change[T], *, is_retryable: bool = True) -> T:
        """Run a change and return once it is durable. What it raises undoes it and comes out here.

        A change that reads from an iterator, or reports its progress, must not run again when it was undone through
        no fault of its own: it is not `is_retryable`.
        """

    async def close(self) -> None:
        """Finish the changes that wait, and close the connections."""
