"""The chunks of one answer, written straight to its connection as long as the client takes them."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_JOINED_BELOW_BYTES = 2 * 1024
# glibc returns fresh pages for every larger one, which costs four times the CPU.
_JOINED_BYTES_MAX = 80 * 1024
_CHUNK_BYTES_MAX = 256 * 1024


class ChunkWriter:
    """Writes pieces as they are, where the `send` of uvicorn would copy each of them twice.

    Holds for uvicorn 0.54, as `vigie.http.protocol` does.
    """

    def __init__(self, send: object) -> None:
        cycle = getattr(send, "__self__", None)
        self._cycle = cycle if isinstance(cycle, RequestResponseCycle) else None
        self._is_secure = self._cycle is not None and self._cycle.transport.get_extra_info("sslcontext")
        self._head: list[bytes] = []

    @property
    def is_ready(self) -> bool:
        """Whether the client is there, and has taken what came before."""
        cycle = self._cycle
        if cycle is None or cycle.flow.write_paused or cycle.disconnected:
            return False
        return not cycle.transport.is_closing()

    async def begin(self, beginning: Awaitable[None]) -> None:
        """Await the beginning of an answer, and keep its head for the first chunk: a write alone costs more."""
        cycle = self._cycle
        if cycle is None or not self.is_ready:
            await beginning
            return
        transport = cycle.transport
        cycle.transport = cast("asyncio.Transport", _KeptWrites(self._head))
        try:
            await beginning
        finally:
            cycle.transport = transport

    def write(self, pieces: Sequence[bytes], size: int) -> bool:
        """Write pieces of this size in all as one chunk.

        False leaves them to `send`: the client has yet to take what came before, the answer has no chunks, or they
        are more than should be kept until all of it is taken.
        """
        cycle = self._cycle
        if cycle is None:
            return False
        size_max = _JOINED_BYTES_MAX if self._is_secure else _CHUNK_BYTES_MAX
        if size > size_max or not cycle.chunked_encoding or not self.is_ready:
            self._write_head(cycle)
            return False
        chunk = [*self._head, b"%x\r\n" % size, *pieces, b"\r\n"]
        self._head.clear()
        # TLS makes a record of each piece, and to hand over a small one costs more than to copy it.
        if self._is_secure or size < _JOINED_BELOW_BYTES * len(pieces):
            cycle.transport.write(b"".join(chunk))
        else:
            cycle.transport.writelines(chunk)
        return True

    def _write_head(self, cycle: RequestResponseCycle) -> None:
        if self._head:
            cycle.transport.write(b"".join(self._head))
            self._head.clear()


class _KeptWrites:
    """Stands in for a transport, and keeps what is written to it."""

    def __init__(self, kept: list[bytes]) -> None:
        self.write = kept.append
