"""The TLS listener: connections are accepted, and handed on once the handshake is done."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from vigie.http.protocol import Reason
from vigie.observability.event_log import log

HANDSHAKES_MAX = 500

# What the system calls "no more files": waiting for some to be closed is all there is to do.
_PAUSE_SECONDS = 1.0
_PLAIN_BYTES = 64 * 1024


class TlsListenerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may cost before it is one. `close_seconds` bounds the farewell of TLS as well."""

    handshake_seconds: float = 10.0
    handshakes_max: int = HANDSHAKES_MAX
    close_seconds: float = 30.0


class Spoken(Protocol):
    """The protocol of a connection once its handshake is done."""

    refuses: Reason | None
    """Why a connection that has yet to be made is refused, with an answer and before anything of it is read."""


class TlsListener:
    """Listens and shakes hands. Looks to uvicorn like one of asyncio's servers.

    asyncio's own would neither count the connections that have not finished their handshake nor, as uvicorn
    starts it, cut them before a minute. When there are too many, the oldest makes room: a real
    client is through in a few milliseconds, and one that only holds the place waits longest.
    """

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        limits: TlsListenerLimits,
        on_refused: Callable[[str], None],
    ) -> None:
        self._context = context
        self._limits = limits
        self._on_refused = on_refused
        # In the order in which they came.
        self._handshakes: dict[asyncio.Task[None], None] = {}
        # A Spoken, of which asyncio's types want to hear that it is a protocol as well.
        self._protocol: Callable[[], Any]
        self._accepting: asyncio.Task[None] | None = None

    def open(self, listener: socket.socket, protocol: Callable[[], Spoken], backlog: int) -> None:
        """Begin to take connections in, with a protocol for each."""
        self._protocol = protocol
        listener.settimeout(0)
        listener.listen(backlog)
        self._accepting = asyncio.create_task(self._accept(listener))

    def close(self) -> None:
        """Take in no more, and drop those that have not finished their handshake."""
        for task in (self._accepting, *self._handshakes):
            if task is not None:
                task.cancel()

    async def wait_closed(self) -> None:
        """Wait until nothing of that goes on any more."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except ConnectionError:
                # It was gone before we came to it.
                continue
            except OSError as error:
                log.warning("connection_not_accepted", reason=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._take_in(connection)

    def _take_in(self, connection: socket.socket) -> None:
        if len(self._handshakes) >= self._limits.handshakes_max:
            oldest = next(iter(self._handshakes))
            del self._handshakes[oldest]
            oldest.cancel()
            self._on_refused(Reason.EVICTED)
        task = asyncio.create_task(self._shake_hands(connection))
        self._handshakes[task] = None
        task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _shake_hands(self, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(self._limits.handshake_seconds):
                if await _speaks_plainly(connection):
                    await self._refuse_plain(connection)
                else:
                    await self._let_in(connection)
        # Refused by either side, too slow, or gone. ssl.SSLError is one of these.
        except OSError as error:
            log.debug("handshake_failed", reason=str(error) or "too slow")

    async def _let_in(self, connection: socket.socket) -> None:
        await asyncio.get_running_loop().connect_accepted_socket(
            self._protocol,
            connection,
            ssl=self._context(),
            ssl_handshake_timeout=self._limits.handshake_seconds,
            ssl_shutdown_timeout=self._limits.close_seconds,
        )

    async def _refuse_plain(self, connection: socket.socket) -> None:
        # What is closed unread takes the answer with it, on some systems.
        connection.recv(_PLAIN_BYTES)
        spoken = self._protocol()
        spoken.refuses = Reason.PLAIN_HTTP
        await asyncio.get_running_loop().connect_accepted_socket(lambda: spoken, connection)


async def _speaks_plainly(connection: socket.socket) -> bool:
    """Whether what comes begins as a method of HTTP does; a handshake begins with 22. It is left to be read."""
    try:
        await _readable(connection)
        return connection.recv(1, socket.MSG_PEEK).isalpha()
    except BaseException:
        connection.close()
        raise


async def _readable(connection: socket.socket) -> None:
    loop, has_come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, has_come.set)
    try:
        await has_come.wait()
    finally:
        loop.remove_reader(connection)
