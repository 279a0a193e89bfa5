"""An address in front of PostgreSQL servers that tests lead elsewhere, hold up or cut off: the network between."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

from tests.support.postgres_server import PostgresServer

_SOCKET = ".s.PGSQL.5432"


class Address:
    """Where connections lead: to each of some servers in turn."""

    def __init__(self, folder: Path, *servers: PostgresServer) -> None:
        self._folder = folder
        self._next: Iterator[PostgresServer] = cycle(servers)
        self.opens = asyncio.Event()
        self.opens.set()
        self.answers = asyncio.Event()
        self.answers.set()
        self.answer_seconds = 0.0
        self._leading: set[asyncio.Task[None]] = set()

    def url(self, database: str) -> str:
        """How Vigie is told of a database that is found here."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def lead_to(self, *servers: PostgresServer) -> None:
        """Connections that are opened from now on lead to these."""
        self._next = cycle(servers)

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Lead a connection to the next server."""
        self._leading.add(asyncio.create_task(self._lead(next(self._next), reader, writer)))

    async def end(self) -> None:
        """Cut off what is there."""
        for each in self._leading:
            each.cancel()
        await asyncio.gather(*self._leading, return_exceptions=True)

    async def _lead(
        self, server: PostgresServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ends = [writer]
        try:
            await self.opens.wait()
            answers, questions = await asyncio.open_unix_connection(server.folder / _SOCKET)
            ends.append(questions)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_carry(reader, questions))
                ways.create_task(_carry(answers, writer, self._hold_up))
        except (OSError, ExceptionGroup):
            pass
        finally:
            for end in ends:
                end.transport.abort()
            # The transports let go of their sockets a turn later.
            await asyncio.sleep(0)

    async def _hold_up(self) -> None:
        await asyncio.sleep(self.answer_seconds)
        await self.answers.wait()


async def _at_once() -> None:
    pass


async def _carry(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    hold_up: Callable[[], Awaitable[None]] = _at_once,
) -> None:
    while said := await source.read(64 * 1024):
        await hold_up()
        sink.write(said)
    sink.close()


@asynccontextmanager
async def an_address(*servers: PostgresServer) -> AsyncIterator[Address]:
    """One on a socket of its own, gone at the end."""
    # Not in the tests' own folders: the path of a socket is short.
    with tempfile.TemporaryDirectory(prefix="vigie-pg-", dir="/tmp") as folder:
        address = Address(Path(folder), *servers)
        listening = await asyncio.start_unix_server(address.connect, Path(folder) / _SOCKET)
        try:
            yield address
        finally:
            listening.close()
            await address.end()
