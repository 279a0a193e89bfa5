"""A client of event streams, as strict as a browser: it keeps the id with which it resumes."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPException, HTTPResponse
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit


class Event(NamedTuple):
    """One event with data."""

    kind: str
    id: str
    data: Any


class EventStream:
    """An open stream. `last_id` is what a browser would send as `Last-Event-ID`."""

    def __init__(
        self, url: str, path: str, token: str, last_id: str = "", *, receive_bytes: int | None = None
    ) -> None:
        place = urlsplit(url)
        self.last_id = last_id
        self.retry_milliseconds = 0
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(30)
        lines = [f"GET {path} HTTP/1.1", f"Host: {place.netloc}", f"Authorization: Bearer {token}"]
        lines += ["Accept: text/event-stream", *([f"Last-Event-ID: {last_id}"] if last_id else []), "", ""]
        with ExitStack() as stack:
            stack.callback(self.socket.close)
            self.socket.connect((place.hostname, place.port))
            self.socket.sendall("\r\n".join(lines).encode())
            self.response = HTTPResponse(self.socket, method="GET")
            stack.callback(self.response.close)
            self.response.begin()
            stack.pop_all()
        self.status = self.response.status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go away without a word."""
        self.response.close()
        self.socket.close()

    def wait_no_longer_than(self, seconds: float) -> None:
        """Let reading raise TimeoutError after this time."""
        self.socket.settimeout(seconds)

    def events(self) -> Iterator[Event]:
        """The events until the stream ends, whole or broken off."""
        with suppress(ConnectionError, HTTPException):
            yield from self._events()

    def take(self, count: int) -> list[Event]:
        """So many events."""
        events = self.events()
        return [next(events) for _ in range(count)]

    def read_comment(self) -> None:
        """Read on until there is a comment."""
        while not self.response.readline().startswith(b":"):
            pass

    def rest(self) -> list[Event]:
        """All events until the stream ends."""
        return list(self.events())

    def _events(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        while line := self.response.readline():
            assert line.endswith(b"\n"), "a line that broke off"
            text = line[:-1].decode()
            if text.startswith(":"):
                continue
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            else:
                yield from self._dispatched(fields)
                fields = {}

    def _dispatched(self, fields: dict[str, str]) -> Iterator[Event]:
        self.last_id = fields.get("id", self.last_id)
        self.retry_milliseconds = int(fields.get("retry", self.retry_milliseconds))
        if "data" in fields:
            yield Event(fields["event"], self.last_id, json.loads(fields["data"]))
