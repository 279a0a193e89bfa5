"""One hot standby: what is known of how far it has come, and reads on it for as long as that is far enough."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from vigie.core.errors import StoreUnavailable
from vigie.core.replication import ReplicationPosition
from vigie.storage.database import ReplicaFailed, Row
from vigie.storage.postgres.batched_lookup import BatchedLookup
from vigie.storage.postgres.connection import open_pool, shown
from vigie.storage.postgres.failures import is_connection_lost, reason_of
from vigie.storage.postgres.read_pool import READERS_MAX, ReadPool
from vigie.storage.postgres.scans import SCANS_MAX, ConnectionSnapshot, Scans
from vigie.storage.postgres.session import PostgresSession

# The primary is asked in its place, so that nobody waits long for a standby.
_READ_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a standby has come: what the primary had at that moment, and its log up to that offset.

    `machine` is the same for as long as one server runs on one machine, and nowhere else.
    """

    as_of_seconds: float
    position: ReplicationPosition
    offset: int
    machine: str

    def goes_on_from(self, earlier: "Reached") -> bool:
        """Whether it is the same that was seen before, and has not been set back."""
        return self.machine == earlier.machine and self.offset >= earlier.offset


class Replica:
    """Reads on one standby. It is left out when one fails, until somebody who looks has seen it come far again."""

    def __init__(
        self, url: str, *, on_left_out: Callable[[str, str], None], on_back: Callable[[str], None]
    ) -> None:
        self.url = url
        self.name = shown(url)
        self._on_left_out = on_left_out
        self._on_back = on_back
        self._reached: Reached | None = None
        self._is_told_to_be_up: bool | None = None
        self._connections: _Connections | None = None

    @property
    def is_up(self) -> bool:
        """Whether it is among those that are asked."""
        return self._reached is not None

    def may_answer(self, min_position: ReplicationPosition, *, since_seconds: float) -> bool:
        """Whether it has all that the primary had at a moment, and is behind a position."""
        reached = self._reached
        return (
            reached is not None
            and reached.as_of_seconds >= since_seconds
            and reached.position >= min_position
        )

    async def see(self, reached: Reached) -> None:
        """Take over how far it has come. Whoever waits there was promised what it had before."""
        if self._connections is not None and not reached.goes_on_from(self._connections.reached):
            self._let_go()
        if self._connections is None:
            self._connections = await _connect(self.url, reached)
        self._connections.reached = self._reached = reached
        if self._is_told_to_be_up is False:
            self._on_back(self.name)
        self._is_told_to_be_up = True

    def eject(self, reason: str, *, is_gone: bool = False) -> None:
        """Ask it no more, for now. From one that is gone, whoever waits there is let go to the primary."""
        self._reached = None
        if self._is_told_to_be_up is not False:
            self._on_left_out(self.name, reason)
        self._is_told_to_be_up = False
        if is_gone:
            self._let_go()

    async def find_incident(self, tenant_id: int, incident_id: int) -> Row | None:
        """One incident, gathered with those that others ask for. Raises ReplicaFailed."""
        connections = self._connected()
        try:
            return await connections.points.find(tenant_id, incident_id)
        # Whatever it says, the primary is asked next, and says so in its own name.
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
        """Ask it no more, for good."""
        self._reached = None
        self._let_go()

    def _let_go(self) -> None:
        connections, self._connections = self._connections, None
        if connections is not None:
            connections.terminate()

    def _connected(self) -> "_Connections":
        if self._connections is None:
            raise ReplicaFailed(f"{self.name} is left out")
        return self._connections

    def _failed(self, connections: "_Connections", error: Exception) -> ReplicaFailed:
        cause = error.__cause__ or error
        # One that stood in the way of what is replayed, found no connection free, or asked what has been let go
        # of since, says nothing of the next.
        if is_connection_lost(cause) and connections is self._connections:
            self.eject(reason_of(cause))
        return ReplicaFailed(f"{self.name}: {reason_of(cause)}")


class _Connections:
    """What is open to a standby for as long as it goes on from what was seen of it."""

    readers: asyncpg.Pool
    scanners: asyncpg.Pool
    points: BatchedLookup

    def __init__(self, reached: Reached) -> None:
        self.reached = reached

    async def refuse_another(self, connection: asyncpg.Connection) -> None:
        """Of what answers on a new connection nothing is known, unless it is what was measured, and as far.

        A standby that has crashed begins behind where it was, and an address may lead to another one.
        """
        offset, machine = await PostgresSession(connection).row("replayed", {}) or (None, "")
        if machine != self.reached.machine:
            raise asyncpg.InterfaceError("it leads to another machine, or to one that has been started anew")
        if offset is None or offset < self.reached.offset:
            raise asyncpg.InterfaceError("the standby has been set back")

    def terminate(self) -> None:
        """Let go at once: what is asked there fails."""
        self.readers.terminate()
        self.scanners.terminate()


async def _connect(url: str, reached: Reached) -> _Connections:
    connections = _Connections(reached)
    check = connections.refuse_another
    connections.readers = await open_pool(url, connections_max=READERS_MAX, init=check)
    connections.scanners = await open_pool(url, connections_max=SCANS_MAX, init=check)
    reader = ReadPool(connections.readers, seconds_max=_READ_SECONDS_MAX, tries_max=1)
    connections.points = BatchedLookup(reader.fetch_incidents)
    return connections
