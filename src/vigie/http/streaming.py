"""Answers that are sent while they are read: nothing is held but what is on its way."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from tempfile import SpooledTemporaryFile
from time import perf_counter
from typing import Any

from vigie.http.chunk_writer import ChunkWriter
from vigie.http.exchange import ClientGone, Exchange, chosen_coding

SLOWEST_BYTES_PER_SECOND = 64 * 1024

Pieces = Sequence[bytes]

_GZIP_WINDOW = 31
_COMPRESSION_LEVEL = 4
# glibc returns fresh pages for every larger write, which costs four times the CPU.
_PART_BYTES = 80 * 1024
# A write costs as much as to copy tens of kilobytes.
_WRITTEN_FROM_BYTES = 1024
# Most answers are sent before, and need no task that looks after their client.
_WATCHED_AFTER_SECONDS = 0.005
_SPOOLED_IN_MEMORY_BYTES = 1024 * 1024


class ClientTooSlow(ClientGone):
    """The client takes so little at a time that others would have to wait for it."""


class StreamedAnswer:
    """The answer 200 to one request, as it is sent.

    A client may keep us waiting for `grace_seconds` with each part of about 80 KiB, and over all of them for
    that and as long as what it has taken would need at SLOWEST_BYTES_PER_SECOND; then ClientTooSlow is raised.
    Reading from the database does not count.
    """

    def __init__(self, exchange: Exchange, grace_seconds: float) -> None:
        self._exchange = exchange
        self._grace_seconds = grace_seconds
        self._waited_seconds = 0.0
        self._sent_bytes = 0
        self._holds_small_batches = True
        self._chunks = ChunkWriter(exchange.send)
        self.rest: list[bytes] = []
        """What is left to send with the end of the answer."""

    async def send(self, headers: list[tuple[bytes, bytes]], batches: AsyncIterator[Pieces]) -> None:
        """Send batches of pieces as they come. The answer begins with the first: what fails before can be refused.

        What fails later must come out of `streaming`: the server then ends the connection, never the body.
        """
        coding = chosen_coding(self._exchange.header(b"accept-encoding"))
        if coding is not None:
            headers.append((b"content-encoding", coding.encode()))
            batches = _compressed(batches, coding)
        if self._exchange.scope["http_version"] == "1.0" and self._exchange.method != "HEAD":
            await self._send_at_once(headers, batches)
            return
        await self._send(headers, batches)

    async def send_as_it_comes(
        self, headers: list[tuple[bytes, bytes]], batches: AsyncIterator[Pieces]
    ) -> None:
        """Send batches that a client waits for one by one: nothing is compressed or held back, however small.

        The answer begins with the first batch.
        """
        self._holds_small_batches = False
        await self._send(headers, batches)

    async def _send(self, headers: list[tuple[bytes, bytes]], batches: AsyncIterator[Pieces]) -> None:
        first = await anext(batches)
        if self._exchange.method == "HEAD":
            await self._exchange.begin(200, headers)
            return
        await self._chunks.begin(self._exchange.begin(200, headers))
        await self._send_batch(first)
        del first
        async for batch in batches:
            await self._send_batch(batch)

    async def _send_at_once(self, headers: list[tuple[bytes, bytes]], batches: AsyncIterator[Pieces]) -> None:
        """For HTTP/1.0, which knows no chunks: a body that just broke off could be taken for a whole one."""
        with SpooledTemporaryFile(_SPOOLED_IN_MEMORY_BYTES) as spool:
            async for batch in batches:
                spool.writelines(batch)
            headers.append((b"content-length", str(spool.tell()).encode()))
            spool.seek(0)
            await self._exchange.begin(200, headers)
            for part in iter(partial(spool.read, _PART_BYTES), b""):
                await self._send_batch([part])

    async def _send_batch(self, batch: Pieces) -> None:
        if self.rest:
            batch, self.rest = [*self.rest, *batch], []
        size = sum(map(len, batch))
        is_small = size < _WRITTEN_FROM_BYTES and self._sent_bytes
        if is_small and self._holds_small_batches and self._chunks.is_ready:
            self.rest = list(batch)
        elif self._chunks.write(batch, size):
            self._sent_bytes += size
        else:
            await self._send_parts(batch)

    async def _send_parts(self, batch: Pieces) -> None:
        for part in _parts(batch):
            size = sum(map(len, part))
            if not self._chunks.write(part, size):
                await self._wait_for(
                    {"type": "http.response.body", "body": b"".join(part), "more_body": True}
                )
            self._sent_bytes += size

    async def _wait_for(self, message: dict[str, Any]) -> None:
        saved_seconds = self._sent_bytes / SLOWEST_BYTES_PER_SECOND - self._waited_seconds
        started_seconds = perf_counter()
        try:
            async with asyncio.timeout(self._grace_seconds + min(saved_seconds, 0)):
                await self._exchange.send(message)
        except TimeoutError:
            raise ClientTooSlow from None
        self._waited_seconds += perf_counter() - started_seconds


@asynccontextmanager
async def streaming(exchange: Exchange, *, grace_seconds: float) -> AsyncIterator[StreamedAnswer]:
    """Answer while the block lasts, and only as long as the client is there. The body ends after the block.

    What the block holds is thus let go of before the client hears the end. Raises ClientGone.
    """
    answer = StreamedAnswer(exchange, grace_seconds)
    async with _while_connected(exchange):
        yield answer
    await exchange.send({"type": "http.response.body", "body": b"".join(answer.rest)})


def _parts(batch: Pieces) -> Iterator[Pieces]:
    """The pieces by as many as are sent at a time; one that is too much for that by itself comes in slices.

    Each slice is a copy: a view would keep all of the piece until the client has taken it.
    """
    if sum(map(len, batch)) <= _PART_BYTES:
        if any(batch):
            yield batch
        return
    part: list[bytes] = []
    size = 0
    for piece in filter(None, batch):
        if part and size + len(piece) > _PART_BYTES:
            yield part
            part, size = [], 0
        if len(piece) > _PART_BYTES:
            yield from ([piece[at : at + _PART_BYTES]] for at in range(0, len(piece), _PART_BYTES))
        else:
            part.append(piece)
            size += len(piece)
    if part:
        yield part


async def _compressed(batches: AsyncIterator[Pieces], coding: str) -> AsyncIterator[Pieces]:
    window = _GZIP_WINDOW if coding == "gzip" else zlib.MAX_WBITS
    compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=window)
    async for batch in batches:
        yield [await asyncio.to_thread(compressor.compress, b"".join(batch))]
    yield [compressor.flush()]


@asynccontextmanager
async def _while_connected(exchange: Exchange) -> AsyncIterator[None]:
    """Stop what the block does as soon as the client is gone. Raises ClientGone then."""
    working = asyncio.current_task()
    watching: asyncio.Task[None] | None = None
    has_stopped = is_over = False

    def stop(_: asyncio.Task[None]) -> None:
        nonlocal has_stopped
        if working is not None and not is_over:
            has_stopped = working.cancel()

    def watch() -> None:
        nonlocal watching
        watching = asyncio.create_task(_until_gone(exchange))
        watching.add_done_callback(stop)

    watch_later = asyncio.get_running_loop().call_later(_WATCHED_AFTER_SECONDS, watch)
    try:
        yield
    except asyncio.CancelledError:
        if working is None or not has_stopped or working.uncancel():
            raise
        raise ClientGone from None
    finally:
        is_over = True
        watch_later.cancel()
        if watching is not None:
            watching.cancel()


async def _until_gone(exchange: Exchange) -> None:
    while (await exchange.receive())["type"] != "http.disconnect":
        pass
