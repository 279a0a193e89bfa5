"""One replica: how far it is known to have come, and reads on it for as long as that is far enough.

A replica is a hot standby, in PostgreSQL's words.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import msgspec

from vigie.core.errors import StoreUnavailable
from vigie.core.replication import ReplicationPosition
from vigie.storage.database import ReplicaFailed, Row
from vigie.storage.postgres.batched_lookup import BatchedLookup
from vigie.storage.postgres.connection import open_pool, shown
from vigie.storage.postgres.failures import is_connection_lost, reason_of
from vigie.storage.postgres.read_pool import READERS_MAX, ReadPool
from vigie.storage.postgres.scans import SCANS_MAX, ConnectionSnapshot, Scans
from vigie.storage.postgres.session import PostgresSession

# Short: the primary answers instead, so that nobody waits long for a replica.
_READ_SECONDS_MAX = 1.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replica has come: everything the primary had at `as_of_seconds`, and its log up to `offset`.

    `server_id` stays the same for as long as one server process runs on one machine, and is found nowhere else.
    """

    as_of_seconds: float
    position: ReplicationPosition
    offset: int
    server_id: str

    def continues(self, earlier: "Progress") -> bool:
        """Whether this is the same server as before, and it has not been set back."""
        return self.server_id == earlier.server_id and self.offset >= earlier.offset


class Replica:
    """Reads on one replica. It is ejected when a read fails, until the lag monitor finds it far enough again."""

    def __init__(
        self, url: str, *, on_ejected: Callable[[str, str], None], on_back: Callable[[str], None]
    ) -> None:
        self.url = url
        self.name = shown(url)
        self._on_ejected = on_ejected
        self._on_back = on_back
        self._progress: Progress | None = None
        self._was_reported_up: bool | None = None
        self._connections: _Connections | None = None

    @property
    def is_up(self) -> bool:
        """Whether it is read from at present."""
        return self._progress is not None

    def may_answer(self, min_position: ReplicationPosition, *, since_seconds: float) -> bool:
        """Whether it has all that the primary had at `since_seconds`, and has come as far as `min_position`."""
        progress = self._progress
        return (
            progress is not None
            and progress.as_of_seconds >= since_seconds
            and progress.position >= min_position
        )

    async def update(self, progress: Progress) -> None:
        """Note how far it has come, and read from it from now on."""
        # Reads that are under way were promised what the server had before: they must not go on with less.
        if self._connections is not None and not progress.continues(self._connections.progress):
            self._disconnect()
        if self._connections is None:
            self._connections = await _connect(self.url, progress)
        self._connections.progress = self._progress = progress
        if self._was_reported_up is False:
            self._on_back(self.name)
        self._was_reported_up = True

    def eject(self, reason: str, *, is_gone: bool = False) -> None:
        """Read from it no more, for now. When it is gone, the reads that wait there go to the primary at once."""
        self._progress = None
        if self._was_reported_up is not False:
            self._on_ejected(self.name, reason)
        self._was_reported_up = False
        if is_gone:
            self._disconnect()

    async def find_incident(self, tenant_id: int, incident_id: int) -> Row | None:
        """The row of one incident, fetched with others. Raises ReplicaFailed."""
        connections = self._connected()
        try:
            return await connections.incidents.find(tenant_id, incident_id)
        # Whatever went wrong, the primary is asked next, and reports its own failures.
        except (StoreUnavailable, asyncpg.PostgresError) as error:
            raise self._failed(connections, error) from error

    @asynccontextmanager
    async def snapshot(self, seconds_max: float) -> AsyncIterator[ConnectionSnapshot]:
        """One view for reads that may take long. Raises ReplicaFailed, also for what fails within."""
        connections = self._connected()
        try:
            scans = Scans(connections.scanners, seconds_max, opened_in_seconds=_READ_SECONDS_MAX)
            async with scans.snapshot() as view:
                yield view
        except (StoreUnavailable, asyncpg.PostgresError) as error:
            raise self._failed(connections, error) from error

    def close(self) -> None:
        """Read from it no more, for good."""
        self._progress = None
        self._disconnect()

    def _disconnect(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.terminate()

    def _connected(self) -> "_Connections":
        if self._connections is None:
            raise ReplicaFailed(f"{self.name} is ejected")
        return self._connections

    def _failed(self, connections: "_Connections", error: Exception) -> ReplicaFailed:
        cause = error.__cause__ or error
        # Only a lost connection says something about the next read. A conflict with the replay, a full pool, or
        # connections that have been replaced meanwhile do not.
        if is_connection_lost(cause) and connections is self._connections:
            self.eject(reason_of(cause))
        return ReplicaFailed(f"{self.name}: {reason_of(cause)}")


class _Connections:
    """The pools that are open to a replica for as long as its progress continues."""

    readers: asyncpg.Pool
    scanners: asyncpg.Pool
    incidents: BatchedLookup

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    async def check_server(self, connection: asyncpg.Connection) -> None:
        """Refuse a new connection that leads to another server than the one measured, or to one set back.

        A replica that has crashed starts behind where it was, and an address may lead to another machine.
        """
        offset, server_id = await PostgresSession(connection).row("replayed", {}) or (None, "")
        if server_id != self.progress.server_id:
            raise asyncpg.InterfaceError("it leads to another machine, or to one that has been started anew")
        if offset is None or offset < self.progress.offset:
            raise asyncpg.InterfaceError("the replica has been set back")

    def terminate(self) -> None:
        """Close at once: reads that are under way fail."""
        self.readers.terminate()
        self.scanners.terminate()


async def _connect(url: str, progress: Progress) -> _Connections:
    connections = _Connections(progress)
    check = connections.check_server
    connections.readers = await open_pool(url, connections_max=READERS_MAX, init=check)
    connections.scanners = await open_pool(url, connections_max=SCANS_MAX, init=check)
    reader = ReadPool(connections.readers, seconds_max=_READ_SECONDS_MAX, tries_max=1)
    connections.incidents = BatchedLookup(reader.fetch_incidents)
    return connections
