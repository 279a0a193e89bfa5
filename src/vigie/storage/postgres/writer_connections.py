"""The few connections that changes are written on, and the outcome of a commit whose answer was lost.

Each connection has a row in `installation_writer`, and each transaction writes its own number there. A commit that
was interrupted has taken place if, and only if, the row has that number.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from vigie.core.errors import StoreUnavailable
from vigie.storage.postgres.connection import open_connection
from vigie.storage.postgres.failures import is_connection_lost
from vigie.storage.postgres.schema import ADVISORY_SPACE
from vigie.storage.postgres.session import PostgresSession

_CONNECTIONS_MAX = 4
_BEGIN_SECONDS_MAX = 5.0
_FORGOTTEN_AFTER_SECONDS = 86_400
_OUTCOME_UNKNOWN = (
    "It is not known whether the change was made. Send it again under the same Idempotency-Key if it had one, "
    "else look first."
)


class WriterConnection(msgspec.Struct):
    """A connection to write on, and the number of the last transaction that was begun there."""

    connection: asyncpg.Connection
    writer_id: uuid.UUID
    number: int = 0

    async def begin(self, lock_key: int) -> PostgresSession:
        """Begin a transaction and wait for the advisory lock of that key, which ends with it."""
        # BEGIN waits for no lock, so its own short limit tells soon whether the server is there at all.
        await self.connection.execute("BEGIN", timeout=_BEGIN_SECONDS_MAX)
        session = PostgresSession(self.connection)
        self.number += 1
        note = {"writer_id": self.writer_id, "change": self.number}
        # Advisory locks are numbered in 32 bits. Tenants whose keys collide wait for each other, no more.
        lock = {"space": ADVISORY_SPACE, "tenant": lock_key % 2**31}
        if await session.row("begin_change", {**note, **lock}) is None:
            raise asyncpg.InterfaceError("the writer is no longer known to the database")
        return session


class WriterConnections:
    """Opens connections when they are needed, and keeps those that work."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._free = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._idle: list[WriterConnection] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[WriterConnection]:
        """A connection to oneself. It is used again unless the block raises."""
        async with self._free:
            writer = self._find_idle() or await self._open()
            try:
                yield writer
            except BaseException as error:
                writer.connection.terminate()
                if is_connection_lost(error):
                    self._drop_idle()
                raise
            self._idle.append(writer)

    async def commit(self, writer: WriterConnection) -> None:
        """Commit, and find out the outcome where its answer is lost. Raises StoreUnavailable if that fails."""
        try:
            answer = await writer.connection.execute("COMMIT")
        except Exception as error:
            if not is_connection_lost(error):
                raise
            writer.connection.terminate()
            if not await self._is_committed(writer):
                raise
            return
        # PostgreSQL answers ROLLBACK to the COMMIT of a transaction that has failed before.
        if answer != "COMMIT":
            raise RuntimeError(f"the transaction was given up: {answer}")

    async def close(self) -> None:
        """Close the connections; nothing may be under way."""
        for writer in self._idle:
            await writer.connection.close()

    async def _is_committed(self, lost: WriterConnection) -> bool:
        """Whether the last transaction of a connection was committed. Raises StoreUnavailable if nobody can say."""
        try:
            connection = await open_connection(self._url)
            try:
                session = PostgresSession(connection)
                row = await session.row("committed_change", {"writer_id": lost.writer_id})
            finally:
                connection.terminate()
        except Exception as error:
            raise StoreUnavailable(
                f"the outcome of a change is not known: {error}", message=_OUTCOME_UNKNOWN
            ) from error
        return row is not None and row[0] == lost.number

    def _drop_idle(self) -> None:
        """Close the idle connections: they lead to the server that the lost one led to."""
        while self._idle:
            self._idle.pop().connection.terminate()

    def _find_idle(self) -> WriterConnection | None:
        while self._idle:
            writer = self._idle.pop()
            if not writer.connection.is_closed():
                return writer
        return None

    async def _open(self) -> WriterConnection:
        writer = WriterConnection(await open_connection(self._url), uuid.uuid4())
        session = PostgresSession(writer.connection)
        await session.run("forget_writers", {"seconds": _FORGOTTEN_AFTER_SECONDS})
        await session.run("add_writer", {"writer_id": writer.writer_id})
        return writer
