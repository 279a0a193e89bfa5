"""The store with its hot standbys: who reads from which, and who from the primary.

A standby may answer a caller if it is behind the position that the caller's last change had, and if all that the
primary had at a moment no longer ago than the stated age is there. Whoever has no position is answered by the
primary, and so is whoever finds no standby that may answer, or one that fails.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic, perf_counter
from typing import Literal, TypeVar

from vigie.core.replication import ReplicationPosition
from vigie.storage.database import Change, LookUp, Observer, OnLost, ReplicaFailed, Row, Snapshot, Values
from vigie.storage.postgres.database import PostgresDatabase, numbers_of
from vigie.storage.postgres.replicas.replica import Replica

T = TypeVar("T")
Place = Literal["primary", "standby"]


class DatabaseWithReplicas:
    """A database whose incidents are read from standbys where that is allowed; all else is the primary's."""

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
        self._standbys = list(replicas)
        self._age_seconds_max = age_seconds_max
        self._count_read = count_read
        self._clock = clock
        self.dialect = primary.dialect
        self.observe: Observer = primary.observe
        self.scan_seconds_max = primary.scan_seconds_max
        self.on_lost: OnLost = primary.on_lost

    def check_place(self) -> None:
        """As the primary says."""
        self._primary.check_place()

    async def row(
        self, statement: str, values: Values, *, min_position: ReplicationPosition | None = None
    ) -> Row | None:
        """The first row, as of now; of an incident at least as of a position, if one is given."""
        replica = self._find_replica(min_position) if statement == "find_incident" else None
        if replica is not None:
            started_seconds = perf_counter()
            try:
                found = await replica.find_incident(*numbers_of(values))
            except ReplicaFailed:
                pass
            else:
                self.observe(statement, perf_counter() - started_seconds)
                self._count_read("standby")
                return found
        self._count_read("primary")
        return await self._primary.row(statement, values)

    @asynccontextmanager
    async def snapshot(self, *, min_position: ReplicationPosition | None = None) -> AsyncIterator[Snapshot]:
        """One view for reads that may take long: as of now, or on a standby, where they may raise ReplicaFailed."""
        replica = self._find_replica(min_position)
        self._count_read("primary" if replica is None else "standby")
        opening = self._primary.snapshot() if replica is None else replica.snapshot(self.scan_seconds_max)
        async with opening as view:
            yield view

    def look_up(self, statement: str, *names: str) -> LookUp:
        """Nothing is there on the spot."""
        return self._primary.look_up(statement, *names)

    def ask(self, _statement: str, _values: Values) -> None:
        """Whoever may read from a standby has asked how far it must be, and so waits anyway."""

    async def rows(self, statement: str, values: Values) -> list[Row]:
        """Every row, as of now."""
        return await self._primary.rows(statement, values)

    async def write(self, change: Change[T], *, is_retryable: bool = True) -> T:
        """Run a change and return once it is durable."""
        return await self._primary.write(change, is_retryable=is_retryable)

    async def close(self) -> None:
        """Nothing: the primary is closed by whoever has opened it, and the standbys by whoever looks at them."""

    def _find_replica(self, min_position: ReplicationPosition | None) -> Replica | None:
        """The next in turn of those that may answer."""
        if min_position is None:
            return None
        since_seconds = self._clock() - self._age_seconds_max
        for turn, replica in enumerate(self._standbys):
            if replica.may_answer(min_position, since_seconds=since_seconds):
                self._standbys.append(self._standbys.pop(turn))
                return replica
        return None
