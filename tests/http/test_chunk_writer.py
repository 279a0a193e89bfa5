"""Chunks are written straight to the connection of uvicorn, in as few writes as there can be."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvicorn

from vigie.core.instants import Instant
from vigie.http.exchange import Exchange, Receive, Scope, Send
from vigie.http.protocol import Limits, limited_protocol
from vigie.http.streaming import streaming

Batches = Callable[[], AsyncIterator[list[bytes]]]


async def heard(batches: Batches) -> list[bytes]:
    """What a client reads of an answer made of these batches: one item for each write that came alone."""
    released = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, request_id="", at=Instant(0), started_seconds=0.0)
        async with streaming(exchange, grace_seconds=5.0) as answer:
            await answer.send([], batches())
        released.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config: Any = uvicorn.Config(
            app, http=limited_protocol(Limits()), lifespan="off", log_config=None, loop="none"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pieces: list[bytes] = []
        while not b"".join(pieces).endswith(b"\r\n0\r\n\r\n"):
            pieces.append(await reader.read(1024 * 1024))
        writer.close()
        server.should_exit = True
        await serving
    assert released.is_set()
    return pieces


def test_the_head_comes_with_the_first_chunk_and_a_small_last_one_with_the_end() -> None:
    async def batches() -> AsyncIterator[list[bytes]]:
        yield [b"a" * 3_000]
        await asyncio.sleep(0.05)
        yield [b"b" * 3_000, b"c"]
        await asyncio.sleep(0.05)
        yield [b"z"]

    first, second, last = asyncio.run(heard(batches))

    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"\r\n\r\nbb8\r\n" + b"a" * 3_000 + b"\r\n")
    assert second == b"bb9\r\n" + b"b" * 3_000 + b"c\r\n"
    assert last == b"1\r\nz\r\n0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 1024, 80 * 1024 + 1, 300 * 1024])
def test_pieces_of_every_size_arrive_whole_and_in_order(size: int) -> None:
    async def batches() -> AsyncIterator[list[bytes]]:
        for letter in (b"a", b"b", b"c", b"d"):
            yield [letter * size, b","]

    body = b"".join(asyncio.run(heard(batches))).partition(b"\r\n\r\n")[2]

    assert unchunked(body) == b"".join(letter * size + b"," for letter in (b"a", b"b", b"c", b"d"))


def unchunked(body: bytes) -> bytes:
    whole = b""
    while True:
        length, _, body = body.partition(b"\r\n")
        if length == b"0":
            return whole
        whole, body = whole + body[: int(length, 16)], body[int(length, 16) + 2 :]
