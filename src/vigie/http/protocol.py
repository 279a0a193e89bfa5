"""The limits of a connection: uvicorn's HTTP protocol with bounds on bytes, time, waiting and number."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import ClassVar, TypeVar
from uuid import uuid4

import httptools
import msgspec
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may cost before it is closed.

    Deadlines are kept by a sweep every `sweep_seconds`: never early, and late by two sweeps at most. They do
    not run while the server itself has stopped reading.
    """

    head_bytes: int = 32 * 1024
    header_count: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    discarded_bytes: int = 1024 * 1024
    write_seconds: float = 30.0
    pipelined_count: int = 16
    connections_max: int = 5_000
    sweep_seconds: float = 1.0

    def __post_init__(self) -> None:
        if min(msgspec.structs.astuple(self)) <= 0:
            raise ValueError(f"Every limit must be above zero: {self}")


class Reason(StrEnum):
    """Why a connection was closed on its caller."""

    HEAD_TOO_LONG = "head_too_long"
    TOO_MANY_HEADERS = "too_many_headers"
    MALFORMED = "malformed"
    UPGRADE_WITH_BODY = "upgrade_with_body"
    PLAIN_HTTP = "plain_http"
    HEAD_TOO_SLOW = "head_too_slow"
    SILENT = "silent"
    BODY_TOO_SLOW = "body_too_slow"
    BODY_UNWANTED = "body_unwanted"
    ANSWER_UNREAD = "answer_unread"
    PIPELINED = "pipelined"
    EVICTED = "evicted"
    FULL = "full"


# The other reasons close without a word.
_ANSWERS = {
    Reason.HEAD_TOO_LONG: (431, "The request line and headers may be at most {0.head_bytes} bytes."),
    Reason.TOO_MANY_HEADERS: (431, "A request may have at most {0.header_count} header fields."),
    Reason.MALFORMED: (400, "The request is not valid HTTP/1.1."),
    Reason.UPGRADE_WITH_BODY: (400, "A request to upgrade the connection may have a body only for h2c."),
    Reason.PLAIN_HTTP: (400, "This port speaks HTTPS: call it with https:// in front."),
    Reason.HEAD_TOO_SLOW: (408, "The request line and headers must arrive in {0.head_seconds:g} seconds."),
}


OnRefused = Callable[[str], None]
"""Counts a connection closed on its caller, under the reason."""

OnAnswered = Callable[[str, int, Reason, str | None], None]
"""Hears of an answer to what never became a request: its `target`, its status, why, and where it went."""


def _unheard(_target: str, _status: int, _reason: Reason, _address: str | None, /) -> None:
    """Where nobody wants to hear it."""


def is_disconnected(send: object) -> bool:
    """Whether the connection that an answer is for is closed. uvicorn is then let know that nobody waits."""
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or not cycle.transport.is_closing():
        return False
    cycle.disconnected = True
    return True


class LimitedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, within limits. Made by `limited_protocol`, one class for each server.

    Holds for uvicorn 0.54: `cycle`, `pipeline`, `flow`, `timeout_keep_alive_task` and `_start_asgi_task` are
    its internals.
    """

    limits: ClassVar[Limits]
    connections_open: ClassVar["OpenConnections"]
    refuses: Reason | None = None

    # Instances share the names of at most 30 attributes, and uvicorn has 28; past that each one is slower.
    __slots__ = (
        "_awaits_body",
        "_awaits_since",
        "_discarded_bytes",
        "_under_way",
        "_unparsed_bytes",
        "_unsent_bytes",
        "_unsent_since",
    )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.headers = []
        self._unparsed_bytes = 0  # came since the last whole head, piece of body or end of message
        self._discarded_bytes = 0  # came for a request that has been answered
        self._unsent_bytes = 0
        self._unsent_since = 0.0
        self._awaits_body = False
        self._awaits_since: float | None = None  # None until a sweep has seen it wait
        self._under_way: RequestResponseCycle | None = None  # the request that was begun last
        if self.refuses is not None:
            self.connections_open.on_refused(self.refuses)
            self._answer(self.refuses, *_ANSWERS[self.refuses])
            self.transport.close()
        elif not self.connections_open.admit(self):
            self.abort(Reason.FULL)

    @property
    def address(self) -> str | None:
        """Where it comes from; None where that has no address."""
        return self.client[0] if self.client else None

    @property
    def body_owed_since(self) -> float | None:
        """Since when, as sweeps saw it, the body of the request in progress is owed."""
        return self._awaits_since if self._awaits_body else None

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections_open.forget(self)
        self._let_go_of_answers()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._under_way = cycle
        HttpToolsProtocol._start_asgi_task(self, cycle, app)

    def _let_go_of_answers(self) -> None:
        """Tell the requests that nobody waits for their answers: uvicorn tells only the one that came last."""
        for cycle in (self._under_way, *(waiting for waiting, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if len(data) <= self.limits.head_bytes - self._unparsed_bytes:
            self._parse(data)
            return
        # A head is never handed more than it may still have, so that one byte over the limit is noticed.
        rest = memoryview(data)
        while rest and not self.transport.is_closing():
            room = self.limits.head_bytes - self._unparsed_bytes
            self._parse(rest[:room])
            rest = rest[room:]

    def _parse(self, data: bytes | memoryview) -> None:
        self._unparsed_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            refused = error.__context__
            self.logger.debug("A request was refused.", exc_info=error)
            self.refuse(refused.reason if isinstance(refused, _Refused) else Reason.MALFORMED)
        else:
            if self._unparsed_bytes or self.headers or self._awaits_body:
                self._bound_unfinished(len(data))

    def _should_upgrade(self) -> bool:
        # Asked only where a request wants an upgrade. Yes makes uvicorn ignore the head; we read it again.
        if self.scope["method"] == "CONNECT":
            raise _Refused(Reason.MALFORMED)
        headers = dict(self.scope["headers"])
        # Java's HttpClient and `curl --http2` ask for h2c with every first request, a form or an update too.
        if headers.get(b"upgrade") != b"h2c" and _announces_body(headers):
            raise _Refused(Reason.UPGRADE_WITH_BODY)
        return True

    def _parse_without_upgrade(self, rest: bytes | memoryview) -> None:
        """Read the head again as if it had not asked for an upgrade.

        The parser takes what follows such a head for another protocol: a body would be read as a request. And
        behind a head that lets the connection be closed it reads nothing at all: another one has to.
        """
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        version = self.scope["http_version"].encode()
        lines = [b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.scope["headers"] if header[0] != b"upgrade"]
        self._parse(b"\r\n".join([*lines, b"", rest]))

    def _bound_unfinished(self, read_bytes: int) -> None:
        if self._unparsed_bytes >= self.limits.head_bytes:
            self.refuse(Reason.HEAD_TOO_LONG)
        elif len(self.headers) > self.limits.header_count:
            self.refuse(Reason.TOO_MANY_HEADERS)
        elif self._awaits_body and self.cycle.response_complete:
            self._discarded_bytes += read_bytes
            if self._discarded_bytes > self.limits.discarded_bytes:
                self.refuse(Reason.BODY_UNWANTED)

    # The next three run for every request, as does _start_asgi_task; super() would cost each 0.1 µs more on
    # Python 3.11.

    def on_headers_complete(self) -> None:
        if len(self.headers) > self.limits.header_count:
            raise _Refused(Reason.TOO_MANY_HEADERS)
        if len(self.pipeline) >= self.limits.pipelined_count:
            raise _Refused(Reason.PIPELINED)
        HttpToolsProtocol.on_headers_complete(self)
        self.connections_open.idle.pop(self, None)
        self._unparsed_bytes = self._discarded_bytes = 0
        self._awaits_body = True
        self._awaits_since = None
        # Trailers of a chunked body come as headers too; the request must not see them.
        self.headers = []

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._awaits_body = False
        self._awaits_since = None
        HttpToolsProtocol.on_message_complete(self)

    def on_response_complete(self) -> None:
        HttpToolsProtocol.on_response_complete(self)
        if self.cycle.response_complete:
            self.connections_open.idle[self] = None

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def resume_writing(self) -> None:
        # Between two sweeps a fast caller can empty the buffer and the app fill it again.
        self._unsent_bytes = 0
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops: close the connection now, or with the answer that is under way."""
        self.connections_open.is_closing = True
        super().shutdown()

    def check_deadlines(self, now: float) -> None:
        """Close the connection if something about it is overdue. `now` is the loop's time."""
        if self._leaves_answer_unread(now):
            self.abort(Reason.ANSWER_UNREAD)
        elif self.connections_open.is_closing and self.transport.is_closing() and not self._unsent_bytes:
            # Over TLS it waits for the client's farewell, and an idle client says none.
            self.transport.abort()
        elif self.flow.read_paused or not (self._awaits_body or self._owes_a_head()):
            self._awaits_since = None
        elif self._awaits_since is None:
            self._awaits_since = now
        elif not self.transport.is_closing():
            self._refuse_if_late(now - self._awaits_since)

    def _leaves_answer_unread(self, now: float) -> bool:
        # Looked at even when the transport is closing: it stays open until its buffer is empty.
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes < self._unsent_bytes or not self._unsent_bytes:
            self._unsent_since = now
        self._unsent_bytes = unsent_bytes
        return now - self._unsent_since > self.limits.write_seconds

    def _owes_a_head(self) -> bool:
        # Between requests uvicorn's keep-alive timer watches; any byte disarms it, and from there on we do.
        return self.timeout_keep_alive_task is None and self in self.connections_open.idle

    def _refuse_if_late(self, waited_seconds: float) -> None:
        if self._awaits_body and waited_seconds > self.limits.body_seconds:
            self.refuse(Reason.BODY_TOO_SLOW)
        elif not self._awaits_body and waited_seconds > self.limits.head_seconds:
            self.refuse(Reason.HEAD_TOO_SLOW if self._unparsed_bytes else Reason.SILENT)

    def refuse(self, reason: Reason) -> None:
        """Close the connection, with an answer where there is one to give.

        A caller who waits for the answer to an earlier request gets none: it would be taken for that answer.
        """
        self.connections_open.on_refused(reason)
        if reason in _ANSWERS and self in self.connections_open.idle:
            self._answer(reason, *_ANSWERS[reason])
        self._let_go_of_answers()
        self.transport.close()

    def abort(self, reason: Reason) -> None:
        """Drop the connection and what is still to be sent on it."""
        self.connections_open.on_refused(reason)
        self._let_go_of_answers()
        self.transport.abort()

    def _answer(self, reason: Reason, status: int, message: str) -> None:
        target = str(uuid4())
        self.connections_open.on_answered(target, status, reason, self.address)
        body = _error_body(message.format(self.limits), target)
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))


Protocol = TypeVar("Protocol", bound=LimitedProtocol)


class OpenConnections:
    """The connections of one server, and the one sweep that looks after all of them."""

    def __init__(self, limits: Limits, on_refused: Callable[[str], None]) -> None:
        self.limits = limits
        self.on_refused = on_refused
        self.on_answered: OnAnswered = _unheard
        # Those with no request in progress, the longest idle first.
        self.idle: OrderedDict[LimitedProtocol, None] = OrderedDict()
        self.is_closing = False
        self._all: set[LimitedProtocol] = set()
        self._held: Counter[str | None] = Counter()
        self._next_sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, connection: LimitedProtocol) -> bool:
        """Take the connection in, in place of one that is idle if need be. False: all are at work."""
        if len(self._all) >= self.limits.connections_max:
            spared = self._longest_idle() or self._waiting_longest()
            if spared is None:
                return False
            self._evict(spared)
        self._all.add(connection)
        self._held[connection.address] += 1
        self.idle[connection] = None
        if self._next_sweep is None:
            self._sweep_later(connection.loop)
        return True

    def forget(self, connection: LimitedProtocol) -> None:
        if connection in self._all:
            self._all.remove(connection)
            self._held[connection.address] -= 1
            if not self._held[connection.address]:
                del self._held[connection.address]
        self.idle.pop(connection, None)
        if not self._all and self._next_sweep is not None:
            self._next_sweep.cancel()
            self._next_sweep = None

    def _longest_idle(self) -> LimitedProtocol | None:
        """Of the address that holds most, so that it does not take the place of others; else of any."""
        most = max(self._held.values(), default=0)
        of_most = (each for each in self.idle if self._held[each.address] == most)
        return next(of_most, None) or next(iter(self.idle), None)

    def _waiting_longest(self) -> LimitedProtocol | None:
        """One that owes the body of its request: it costs its caller a request, and nobody else's."""
        waiting = [each for each in self._all if each.body_owed_since is not None]
        return min(waiting, key=lambda each: each.body_owed_since or 0.0, default=None)

    def _evict(self, connection: LimitedProtocol) -> None:
        self.forget(connection)
        connection.abort(Reason.EVICTED)

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._next_sweep = loop.call_later(self.limits.sweep_seconds, self._sweep, loop)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_later(loop)
        now = loop.time()
        for connection in list(self._all):
            connection.check_deadlines(now)


def limited_protocol(limits: Limits, on_refused: OnRefused = lambda _: None) -> type[LimitedProtocol]:
    """The protocol of one server; see `within_limits`."""
    return within_limits(LimitedProtocol, limits, on_refused)


def within_limits(protocol: type[Protocol], limits: Limits, on_refused: OnRefused) -> type[Protocol]:
    """Make the class to give to `uvicorn.Config(http=...)`. Its connections share one count and one sweep.

    `on_refused` is told the `Reason` of every connection closed on its caller. A head that begins in the same
    read as the end of the request before it is counted from the next read on, so may grow to twice its limit.
    """

    open_connections = OpenConnections(limits, on_refused)
    own = {"__slots__": (), "limits": limits, "connections_open": open_connections}
    return type(protocol.__name__, (protocol,), own)


class _Refused(Exception):
    """Raised in the parser's callbacks, to stop it; comes out as the context of the parser's own error."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def _announces_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""


def _error_body(message: str, target: str) -> bytes:
    return msgspec.json.encode({"error": {"code": "BadRequest", "message": message, "target": target}})
