"""One request and its one answer, with all that is said about them afterwards."""

import gzip
import re
import zlib
from asyncio import to_thread
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from vigie.core.access import Caller
from vigie.core.errors import BodyTooLarge
from vigie.core.instants import Instant
from vigie.http.anonymous_throttle import AnonymousThrottles, AnswerKind
from vigie.http.protocol import is_disconnected

Scope = dict[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

UNMATCHED_ROUTE = "unmatched"

CLIENT_REQUEST_ID = b"client-request-id"
_CLIENT_REQUEST_ID_BYTES_MAX = 64
_NOT_IN_AN_ID = re.compile(rb"[^0-9A-Za-z._:{}-]")

# glibc returns fresh pages for every larger body, which costs four times the CPU.
_PIECE_BYTES = 80 * 1024
_COMPRESSED_IN_THREAD_BYTES = 64 * 1024
_COMPRESSION_LEVEL = 4
_NOTHING = memoryview(b"")
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")

SAFETY_HEADERS = (_HSTS, _NOSNIFF)
"""The safety headers of an API that no browser opens, whatever host was called."""

STRICT_POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What browsers may do with a public document: nothing but show it."""

_CODING = re.compile(
    r"\s*([a-z-]+|\*)\s*(?:;\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?", re.IGNORECASE
)


class Exchange:
    """A request under way. `status` is 0 until an answer has begun; `api` is None for a path of no API.

    `address` is where it came from, as far as that is known; empty when it is not. `client_request_id` is what the
    client calls the request, fit for a header and a line of the log; empty when it did not say.
    """

    __slots__ = (
        "address",
        "anonymous_throttles",
        "api",
        "at",
        "caller",
        "client_request_id",
        "detail",
        "origin",
        "receive",
        "refusal",
        "request_id",
        "route",
        "scope",
        "send",
        "started_seconds",
        "status",
        "tenant_guid",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        request_id: str,
        at: Instant,
        started_seconds: float,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.request_id = request_id
        self.at = at
        self.started_seconds = started_seconds
        self.address = ""
        self.client_request_id = client_request_id_of(scope)
        self.origin = ""
        self.api: str | None = None
        self.route = UNMATCHED_ROUTE
        self.status = 0
        self.caller: Caller | None = None
        self.anonymous_throttles: AnonymousThrottles | None = None
        self.tenant_guid: str | None = None
        self.refusal: str | None = None
        self.detail: str | None = None

    @property
    def method(self) -> str:
        """GET, HEAD and so on."""
        method: str = self.scope["method"]
        return method

    @property
    def safety_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What keeps a browser from guessing types, and from plain HTTP under this name from now on."""
        # A browser that has it for `localhost` calls every other program of the machine by HTTPS too.
        host = urlsplit(self.origin).hostname or ""
        return (_NOSNIFF,) if f".{host}".endswith(".localhost") else SAFETY_HEADERS

    def header(self, name: bytes) -> str | None:
        """The value of a header, the first if there are several."""
        return next((value.decode("latin-1") for key, value in self.scope["headers"] if key == name), None)

    async def answer(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        rest: memoryview = _NOTHING,
    ) -> None:
        """Send a whole answer; HEAD gets its headers alone.

        `rest` is what comes behind the body, where joining the two would take a copy of much. An answer to nobody
        known may have to wait, unless `anonymous_throttles` is None.
        """
        if self.caller is None and self.anonymous_throttles is not None:
            await self.wait_among(AnswerKind.ERROR if status >= 400 else AnswerKind.PAGE)
        headers.append((b"content-length", str(len(body) + len(rest)).encode()))
        if self.method == "HEAD":
            body, rest = b"", _NOTHING
        try:
            await self.begin(status, headers)
            if rest:
                await self._send_pieces(body, is_whole=False)
                await self._send_pieces(rest)
            else:
                await self._send_pieces(body)
        except RuntimeError:
            # uvloop's word for a connection that has closed meanwhile, of which uvicorn may not have said so.
            if not is_disconnected(self.send):
                raise

    async def begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer."""
        self.status = status
        if self.client_request_id:
            headers.append((CLIENT_REQUEST_ID, self.client_request_id))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def wait_among(self, kind: AnswerKind) -> None:
        """Hold back an answer to nobody known, once, if there are many of its kind."""
        anonymous_throttles, self.anonymous_throttles = self.anonymous_throttles, None
        if anonymous_throttles is not None:
            await anonymous_throttles[kind].wait()

    async def _send_pieces(self, body: bytes | memoryview, *, is_whole: bool = True) -> None:
        last = (max(0, len(body) - 1) // _PIECE_BYTES) * _PIECE_BYTES
        # Copies: a view of the last piece would keep all of them until the client has taken it.
        for start in range(0, last, _PIECE_BYTES):
            piece = bytes(body[start : start + _PIECE_BYTES])
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        await self.send({"type": "http.response.body", "body": bytes(body[last:]), "more_body": not is_whole})


async def public_answer(
    exchange: Exchange,
    content_type: bytes,
    body: bytes,
    *headers: tuple[bytes, bytes],
    policy: bytes = STRICT_POLICY,
) -> None:
    """Answer 200 with what needs no token and may be opened in a browser."""
    common = (
        (b"content-type", content_type),
        *exchange.safety_headers,
        (b"content-security-policy", policy),
        (b"referrer-policy", b"no-referrer"),
    )
    await exchange.answer(200, [*common, *headers], body)


def client_request_id_of(scope: Scope) -> bytes:
    """What the client calls a request, cut and cleaned; empty when it did not say."""
    sent: bytes = next((value for name, value in scope["headers"] if name == CLIENT_REQUEST_ID), b"")
    return _NOT_IN_AN_ID.sub(b"", sent[:_CLIENT_REQUEST_ID_BYTES_MAX]) if sent else b""


class ClientGone(Exception):
    """The client went away while it was heard or answered: there is nobody left to tell."""


async def read_body(exchange: Exchange, bytes_max: int) -> bytes:
    """The body of a request, whole. Raises BodyTooLarge once it is longer than allowed.

    Raises ClientGone for one that breaks off: what has come of it may read as something else than was meant.
    """
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > bytes_max:
            raise BodyTooLarge(f"The body may have at most {bytes_max} bytes.")
        if not message.get("more_body"):
            break
    return b"".join(pieces)


def chosen_coding(accept_encoding: str | None) -> str | None:
    """The content coding for an `Accept-Encoding`: gzip before deflate, None for as it is."""
    if not accept_encoding:
        return None
    weights: dict[str, float] = {}
    for part in accept_encoding.split(","):
        if found := _CODING.fullmatch(part):
            weights[found[1].lower()] = float(found[2] or 1)
    rest = weights.get("*", 0.0)
    weight, coding = max((weights.get("gzip", rest), "gzip"), (weights.get("deflate", rest), "deflate"))
    return coding if weight > 0 else None


async def compressed(body: bytes, coding: str) -> bytes:
    """The body in a content coding; a large one is compressed in a thread, so that nobody waits."""
    # Deflate means the zlib format: RFC 9110, 8.4.1.2.
    compress = _gzip if coding == "gzip" else _deflate
    return compress(body) if len(body) < _COMPRESSED_IN_THREAD_BYTES else await to_thread(compress, body)


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, _COMPRESSION_LEVEL, mtime=0)


def _deflate(body: bytes) -> bytes:
    return zlib.compress(body, _COMPRESSION_LEVEL)
