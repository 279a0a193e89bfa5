"""How far the standbys have come: found out by marks that are left in the primary, and looked for in each of them.

A standby that has a mark has all that was committed before the mark was begun, whatever has become of the primary
since; a number in its log alone would not say so, because a standby that missed a promotion counts on by itself.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, TypeVar

import asyncpg

from vigie.core.replication import replication_position_of
from vigie.storage.database import Row
from vigie.storage.postgres.connection import open_connection
from vigie.storage.postgres.failures import is_outage, reason_of
from vigie.storage.postgres.replicas.replica import Reached, Replica
from vigie.storage.postgres.session import PostgresSession

T = TypeVar("T")

Look = Callable[[], Awaitable[None]]

LOOK_EVERY_SECONDS = 0.5
_LOOK_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A mark in the primary: from when it was begun, and on which timeline."""

    begun_seconds: float
    timeline: int


class Watch:
    """Leaves marks and looks for them, twice a second."""

    def __init__(
        self,
        url: str,
        replicas: Sequence[Replica],
        *,
        age_seconds_max: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._primary = _Line(url)
        self._lines = [(replica, _Line(replica.url)) for replica in replicas]
        self._age_seconds_max = age_seconds_max
        self._clock = clock
        self._writer_id = uuid.uuid4()
        self._number = 0
        self._marks: dict[int, _Mark] = {}
        self._started_seconds = clock()

    async def run(self) -> None:
        """Look until this is cancelled; then nobody is read from any more."""
        looks: list[Look] = [self._leave_mark]
        looks += [partial(self._look_at, replica, line) for replica, line in self._lines]
        try:
            async with asyncio.TaskGroup() as group:
                for look in looks:
                    group.create_task(_again_and_again(look))
        finally:
            for replica, line in self._lines:
                line.drop()
                replica.close()
            self._primary.drop()

    # The primary

    async def _leave_mark(self) -> None:
        begun_seconds = self._clock()
        self._number += 1
        number = self._number
        try:
            timeline = await self._primary.ask(self._mark)
        # What is older is as good as before, until it is too old.
        except _NoAnswer:
            return
        oldest_seconds = begun_seconds - self._age_seconds_max
        self._marks = {key: mark for key, mark in self._marks.items() if mark.begun_seconds >= oldest_seconds}
        self._marks[number] = _Mark(begun_seconds=begun_seconds, timeline=timeline)

    async def _mark(self, session: PostgresSession) -> int:
        mark = {"writer_id": self._writer_id, "change": self._number}
        found = await session.row("leave_mark", mark)
        if found is None:
            await session.run("add_writer", {"writer_id": self._writer_id})
            found = await session.row("leave_mark", mark)
        if found is None:
            raise asyncpg.InterfaceError("the writer is no longer known to the database")
        return int(found[0])

    # The standbys

    async def _look_at(self, replica: Replica, line: "_Line") -> None:
        oldest_seconds = self._clock() - self._age_seconds_max
        try:
            reached = self._reached(await line.ask(self._find_mark), oldest_seconds)
        except _NoAnswer as error:
            # At the start it has had no time to get a mark, nor perhaps the table for it.
            if replica.is_up or self._started_seconds < oldest_seconds:
                replica.eject(str(error), is_gone=error.is_gone)
        else:
            await replica.see(reached)

    def _reached(self, row: Row | None, oldest_seconds: float) -> Reached:
        number, is_standby, offset, machine = row or (0, True, None, "")
        mark = self._newest_mark(number)
        if not is_standby:
            raise _NoAnswer("it is no standby")
        if mark is None or mark.begun_seconds < oldest_seconds or offset is None:
            raise _NoAnswer(f"it has none of the marks of the last {self._age_seconds_max:g} s")
        position = replication_position_of(mark.timeline, offset)
        return Reached(as_of_seconds=mark.begun_seconds, position=position, offset=offset, machine=machine)

    def _newest_mark(self, number: int) -> _Mark | None:
        """What a standby surely has that has this mark, whose own answer may be on its way yet, or lost."""
        return self._marks.get(max((each for each in self._marks if each <= number), default=0))

    async def _find_mark(self, session: PostgresSession) -> Row | None:
        return await session.row("find_mark", {"writer_id": self._writer_id})


async def _again_and_again(look: Look) -> None:
    while True:
        await look()
        await asyncio.sleep(LOOK_EVERY_SECONDS)


class _NoAnswer(Exception):
    """A database did not answer, or not what it should; the message says why."""

    def __init__(self, reason: str, *, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.is_gone = is_gone


class _Line:
    """The way to a database: a connection of its own, which is opened anew after each failure."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None

    async def ask(self, question: Callable[[PostgresSession], Coroutine[Any, Any, T]]) -> T:
        """The answer. Raises _NoAnswer."""
        try:
            async with asyncio.timeout(_LOOK_SECONDS_MAX):
                if self._connection is None:
                    self._connection = await open_connection(self._url)
                return await question(PostgresSession(self._connection))
        except ValueError as error:
            # Not its text: it may repeat what was given to it.
            raise _NoAnswer("it has no address that asyncpg understands") from error
        except Exception as error:
            self.drop()
            if not (is_outage(error) or isinstance(error, asyncpg.PostgresError)):
                raise
            raise _NoAnswer(reason_of(error), is_gone=True) from error

    def drop(self) -> None:
        """Let go at once."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
