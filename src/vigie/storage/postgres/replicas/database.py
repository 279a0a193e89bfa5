"""The primary together with its replicas: which of them answers a read.

A replica may answer a caller if it has come as far as the caller's last change, and if it has everything that the
primary had at some moment within the stated age. A caller without a position is answered by the primary, and so is
one for whom no replica may answer, or whose replica fails.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Literal, TypeVar

from vigie.core.replication import ReplicationPosition
from vigie.storage.database import Change, Lookup, Observer, OnLost, ReplicaFailed, Row, Snapshot, Values
from vigie.storage.postgres.database import PostgresDatabase
from vigie.storage.postgres.replicas.replica import Replica

T = TypeVar("T")
Place = Literal["primary", "standby"]
"""Where a read was answered, as the label of a metric says it."""


class DatabaseWithReplicas:
    """Reads incidents from replicas where that is allowed, and everything else from the primary."""

    def __init__(
        self,
        primary: PostgresDatabase,
        replicas: Sequence[Replica],
        *,
        age_seconds_max: float,
        count_read: Callable[[Place], None] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._primary = primary
        self._replicas = list(replicas)
        self._age_seconds_max = age_seconds_max
        self._count_read = count_read
        self._clock = clock
        self.dialect = primary.dialect
        self.observe: Observer = primary.observe
        self.scan_seconds_max = primary.scan_seconds_max
        self.on_lost: OnLost = primary.on_lost

    def check_file(self) -> None:
        """As the primary says."""
        self._primary.check_file()

    async def row(self, statement: str, values: Values) -> Row | None:
        """The first row, as of now."""
        self._count_read("primary")
        return await self._primary.row(statement, values)

    def prepare_lookup(self, statement: str, *names: str) -> Lookup:
        """As the primary does: a function without an answer."""
        return self._primary.prepare_lookup(statement, *names)

    async def find_incident(
        self, tenant_id: int, incident_id: int, *, min_position: ReplicationPosition | None = None
    ) -> Row | None:
        """The row of one incident, as of now; or as of `min_position`, from a replica if one may."""
        replica = self._find_replica(min_position)
        if replica is not None:
            started_seconds = perf_counter()
            try:
                found = await replica.find_incident(tenant_id, incident_id)
            except ReplicaFailed:
                pass
            else:
                self.observe("find_incident", perf_counter() - started_seconds)
                self._count_read("standby")
                return found
        self._count_read("primary")
        return await self._primary.find_incident(tenant_id, incident_id)

    def submit_lookup(self, _tenant_id: int, _incident_id: int) -> None:
        """Nothing: a caller who may read from a replica has to wait for its position first, and so waits anyway."""

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row, as of now."""
        return await self._primary.rows(statement, values)

    @asynccontextmanager
    async def snapshot(self, *, min_position: ReplicationPosition | None = None) -> AsyncIterator[Snapshot]:
        """One view for reads that may take long: as of now, or on a replica, where they may raise ReplicaFailed."""
        replica = self._find_replica(min_position)
        self._count_read("primary" if replica is None else "standby")
        opening = self._primary.snapshot() if replica is None else replica.snapshot(self.scan_seconds_max)
        async with opening as view:
            yield view

    async def write(self, change: Change[T], *, is_retryable: bool = True) -> T:
        """Run a change and return once it is durable."""
        return await self._primary.write(change, is_retryable=is_retryable)

    async def close(self) -> None:
        """Nothing: its opener closes the primary, and the lag monitor closes the replicas."""

    def _find_replica(self, min_position: ReplicationPosition | None) -> Replica | None:
        """The next one, in rotation, of those that may answer."""
        if min_position is None:
            return None
        since_seconds = self._clock() - self._age_seconds_max
        for index, replica in enumerate(self._replicas):
            if replica.may_answer(min_position, since_seconds=since_seconds):
                self._replicas.append(self._replicas.pop(index))
                return replica
        return None
