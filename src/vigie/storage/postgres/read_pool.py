"""Short reads on the connections of a pool."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import asyncpg

from vigie.core.errors import StoreUnavailable
from vigie.storage.database import Row
from vigie.storage.postgres.failures import is_connection_lost, unavailable_when_it_fails
from vigie.storage.postgres.session import PostgresSession

T = TypeVar("T")

READERS_MAX = 4
"""Connections of one server for them, to each database that it reads from."""


class ReadPool:
    """Reads on a connection, and on another one if that is lost: nothing is done by reading."""

    def __init__(self, pool: asyncpg.Pool, *, seconds_max: float, tries_max: int) -> None:
        self._pool = pool
        self._seconds_max = seconds_max
        self._tries_max = tries_max
        self._under_way = 0

    async def read(self, read: Callable[[PostgresSession], Awaitable[T]]) -> T:
        """What `read` answers. Raises StoreUnavailable, not because of a TimeoutError if others were in front."""
        has_to_wait = self._under_way >= self._pool.get_max_size()
        self._under_way += 1
        try:
            with unavailable_when_it_fails():
                return await self._read_in_time(read)
        except StoreUnavailable as error:
            # Whether the server answers, those will say for whom it has been waited.
            if has_to_wait and isinstance(error.__cause__, TimeoutError):
                raise StoreUnavailable(f"no connection was free for {self._seconds_max:g} s") from error
            raise
        finally:
            self._under_way -= 1

    async def fetch_incidents(self, tenant_id: int, incident_ids: Sequence[int]) -> Sequence[Row]:
        """The rows of several incidents, each with its id in front."""
        values = {"tenant_id": tenant_id, "incident_ids": incident_ids}
        return await self.read(lambda session: session.rows("find_incidents", values))

    async def _read_in_time(self, read: Callable[[PostgresSession], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._seconds_max):
            for tries_left in reversed(range(self._tries_max)):
                try:
                    return await self._read_once(read)
                except Exception as error:
                    if not (tries_left and is_connection_lost(error)):
                        raise
        raise AssertionError("the last try returns or raises")

    async def _read_once(self, read: Callable[[PostgresSession], Awaitable[T]]) -> T:
        async with self._pool.acquire() as connection:
            try:
                return await read(PostgresSession(connection))
            except Exception as error:
                if is_connection_lost(error):
                    await self._give_up(connection)
                raise
            except asyncio.CancelledError:
                # Cancelling a query on a server that does not answer would mean waiting for that server.
                await self._give_up(connection)
                raise

    async def _give_up(self, connection: asyncpg.Connection) -> None:
        """Use neither this connection again, nor those that lead where it led."""
        # Unless the pool has noticed already.
        with suppress(asyncpg.InterfaceError):
            connection.terminate()
        await self._pool.expire_connections()
