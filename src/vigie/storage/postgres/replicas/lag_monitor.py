"""The lag of replicas, measured by heartbeats that are written to the primary and looked for in each.

A replica that has a heartbeat has all that was committed before the heartbeat was begun, whatever has become of
the primary since. A number in its log alone would not prove that: a replica that missed a promotion counts on by
itself.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import asyncpg
import msgspec

from vigie.core.replication import replication_position_of
from vigie.storage.database import Row
from vigie.storage.postgres.connection import open_connection
from vigie.storage.postgres.failures import is_outage, reason_of
from vigie.storage.postgres.replicas.replica import Progress, Replica
from vigie.storage.postgres.session import PostgresSession

T = TypeVar("T")

INTERVAL_SECONDS = 0.5
_ANSWER_SECONDS_MAX = 2.0


class _Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A heartbeat in the primary: from when it was begun, and on which timeline."""

    begun_seconds: float
    timeline: int


class LagMonitor:
    """Writes heartbeats to the primary and looks for them in the replicas, twice a second."""

    def __init__(
        self,
        url: str,
        replicas: Sequence[Replica],
        *,
        age_seconds_max: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._primary = _Probe(url)
        self._probes = [(replica, _Probe(replica.url)) for replica in replicas]
        self._age_seconds_max = age_seconds_max
        self._clock = clock
        self._writer_id = uuid.uuid4()
        self._number = 0
        self._heartbeats: dict[int, _Heartbeat] = {}
        self._started_seconds = clock()

    async def run(self) -> None:
        """Measure until this is cancelled; afterwards no replica is read from."""
        steps: list[Callable[[], Awaitable[None]]] = [self._beat]
        steps += [partial(self._measure, replica, probe) for replica, probe in self._probes]
        try:
            async with asyncio.TaskGroup() as group:
                for step in steps:
                    group.create_task(_repeat(step))
        finally:
            for replica, probe in self._probes:
                probe.disconnect()
                replica.close()
            self._primary.disconnect()

    # The primary

    async def _beat(self) -> None:
        begun_seconds = self._clock()
        self._number += 1
        number = self._number
        try:
            timeline = await self._primary.query(self._write_heartbeat)
        # The earlier heartbeats count until they are too old.
        except _NoAnswer:
            return
        oldest_seconds = begun_seconds - self._age_seconds_max
        self._heartbeats = {
            key: beat for key, beat in self._heartbeats.items() if beat.begun_seconds >= oldest_seconds
        }
        self._heartbeats[number] = _Heartbeat(begun_seconds=begun_seconds, timeline=timeline)

    async def _write_heartbeat(self, session: PostgresSession) -> int:
        heartbeat = {"writer_id": self._writer_id, "change": self._number}
        written = await session.row("write_heartbeat", heartbeat)
        if written is None:
            await session.run("add_writer", {"writer_id": self._writer_id})
            written = await session.row("write_heartbeat", heartbeat)
        if written is None:
            raise asyncpg.InterfaceError("the writer is no longer known to the database")
        return int(written[0])

    # The replicas

    async def _measure(self, replica: Replica, probe: "_Probe") -> None:
        oldest_seconds = self._clock() - self._age_seconds_max
        try:
            progress = self._progress(await probe.query(self._find_heartbeat), oldest_seconds)
        except _NoAnswer as error:
            # Right after the start it has had no time to get a heartbeat, nor perhaps the table for it.
            if replica.is_up or self._started_seconds < oldest_seconds:
                replica.eject(str(error), is_gone=error.is_gone)
        else:
            await replica.update(progress)

    def _progress(self, row: Row | None, oldest_seconds: float) -> Progress:
        number, is_replica, offset, server_id = row or (0, True, None, "")
        heartbeat = self._newest_heartbeat(number)
        if not is_replica:
            raise _NoAnswer("it is no hot standby")
        if heartbeat is None or heartbeat.begun_seconds < oldest_seconds or offset is None:
            raise _NoAnswer(f"it has no heartbeat of the last {self._age_seconds_max:g} s")
        return Progress(
            as_of_seconds=heartbeat.begun_seconds,
            position=replication_position_of(heartbeat.timeline, offset),
            offset=offset,
            server_id=server_id,
        )

    def _newest_heartbeat(self, number: int) -> _Heartbeat | None:
        """The newest heartbeat that is proven by this number.

        The number's own may be missing here: the primary's answer to it may be on its way, or lost.
        """
        return self._heartbeats.get(max((each for each in self._heartbeats if each <= number), default=0))

    async def _find_heartbeat(self, session: PostgresSession) -> Row | None:
        return await session.row("find_heartbeat", {"writer_id": self._writer_id})


async def _repeat(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await step()
        await asyncio.sleep(INTERVAL_SECONDS)


class _NoAnswer(Exception):
    """A database did not answer, or not as it should; the message says why."""

    def __init__(self, reason: str, *, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.is_gone = is_gone


class _Probe:
    """A connection to one database, opened anew after each failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def query(self, run: Callable[[PostgresSession], Coroutine[Any, Any, T]]) -> T:
        """The answer. Raises _NoAnswer."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS_MAX):
                if self._connection is None:
                    self._connection = await open_connection(self._url)
                return await run(PostgresSession(self._connection))
        except ValueError as error:
            # Without its text: that may repeat parts of the URL.
            raise _NoAnswer("it has no address that asyncpg understands") from error
        except Exception as error:
            self.disconnect()
            if not (is_outage(error) or isinstance(error, asyncpg.PostgresError)):
                raise
            raise _NoAnswer(reason_of(error), is_gone=True) from error

    def disconnect(self) -> None:
        """Close the connection at once, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
