"""One request on a connection and its answer: uvicorn's, with heads that cost less."""

from collections.abc import Iterable
from functools import lru_cache

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

Headers = Iterable[tuple[bytes, bytes]]

_LINES_REMEMBERED = 1024
_WITHOUT_BODY = (204, 304)


class RequestCycle(RequestResponseCycle):
    """Sends the head of an answer with the first of its body, in one write.

    Answers repeat their lines, so that those are checked and joined once. An application names no `Connection` and
    no `Transfer-Encoding`. Holds for uvicorn 0.54, as `vigie.http.protocol` does.
    """

    _head = b""

    async def send(self, message: ASGISendEvent) -> None:
        """Send the head of the answer, or what comes next of its body, once the client takes it."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self._send_body(message.get("body", b""), is_whole=not message.get("more_body"))

    def take_head(self) -> bytes:
        """The head of the answer, to be sent with what follows; nothing when it has been sent."""
        head, self._head = self._head, b""
        return head

    def _begin(self, status: int, headers: Headers) -> None:
        if self.response_started:
            raise RuntimeError("The answer has begun already.")
        self.response_started, self.waiting_for_100_continue = True, False
        lines = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if name == b"content-length":
                self.chunked_encoding, self.expected_content_length = False, int(value)
            lines.append(_line(name, value))
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self.chunked_encoding is None and self.scope["method"] != "HEAD" and status not in _WITHOUT_BODY:
            self.chunked_encoding = True
            lines.append(b"transfer-encoding: chunked\r\n")
        self._head = b"".join([*lines, b"\r\n"])

    def _send_body(self, body: bytes, *, is_whole: bool) -> None:
        if not self.response_started or self.response_complete:
            raise RuntimeError("There is no answer to go on with.")
        if self.scope["method"] == "HEAD":
            body, self.expected_content_length = b"", 0
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = b"%b0\r\n\r\n" % chunk if is_whole else chunk
        else:
            self.expected_content_length -= len(body)
        if self.expected_content_length < 0 or (is_whole and self.expected_content_length):
            raise RuntimeError("The body is not as long as its Content-Length.")
        if sent := self.take_head() + body:
            self.transport.write(sent)
        if is_whole:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


@lru_cache(_LINES_REMEMBERED)
def _line(name: bytes, value: bytes) -> bytes:
    """A line of a head. Raises RuntimeError for what would be more than a line."""
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError("Invalid HTTP header.")
    return b"%b: %b\r\n" % (name.lower(), value)
