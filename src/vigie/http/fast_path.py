"""The fast path: connections that answer a repeated request in the protocol, without a task or a scope.

A connection that asks again, in the very bytes of an earlier request but for the number in the path, may be
answered by the fast path of an API. Equal bytes mean equal host, token and headers, so what the standard path
found out about them holds as long as the gate still admits the caller; the number is decimal digits. Where the
database is another machine, its answer is waited for with nothing but the request in hand. Everything else, and
whatever would be refused, hidden, compressed or large, takes the standard path: until the fast path has decided
to answer it counts nothing, spends nothing and logs nothing, and what it then counts, spends, logs and sends is
the same. tests/api/test_fast_path.py holds both equal.
"""

from asyncio import Future
from typing import Any, ClassVar, Protocol, cast

from vigie.http.exchange import Scope
from vigie.http.protocol import LimitedProtocol, Limits, OnRefused, within_limits

DatedHeaders = list[tuple[bytes, bytes]]
"""The headers with the date; the server makes the list anew whenever the date changes."""

_SUFFIX_START = b" HTTP/1.1\r\n"
_ID_DIGITS_MAX = 18


class RequestTemplate(Protocol):
    """The bytes with which the requests of a connection end, and what follows from them."""

    @property
    def suffix(self) -> bytes:
        """Everything behind the number."""


class PendingRequest(Protocol):
    """A request that waits for the database."""

    @property
    def digits(self) -> bytes:
        """The number in its path."""

    @property
    def template(self) -> RequestTemplate:
        """The template that it repeats."""

    @property
    def row(self) -> Future[Any]:
        """What it waits for."""


class FastPath(Protocol):
    """Answers the requests of one route that begin with `prefix`, from templates of its own."""

    prefix: bytes

    def template_of(self, suffix: bytes, scope: Scope) -> RequestTemplate | None:
        """What a request on the standard path tells about others with its suffix; None for no template."""

    def answer(self, template: Any, digits: bytes, dated: DatedHeaders) -> bytes | None:
        """The whole response, head and body; None leaves the request to the standard path."""

    def submit(self, template: Any, digits: bytes) -> PendingRequest | None:
        """Ask the database for what cannot be answered at once; None leaves it to the standard path."""

    def answer_to(self, pending: Any, dated: DatedHeaders) -> bytes | None:
        """As `answer`, once the database has answered."""


class FastPathProtocol(LimitedProtocol):
    """uvicorn's protocol within limits, with the fast path of one API in front of it."""

    fast_path: ClassVar[FastPath]
    prefix: ClassVar[bytes]

    __slots__ = ("_answered_at", "_held", "_last_suffix", "_pending", "_template")

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._template: RequestTemplate | None = None
        self._last_suffix = 0  # the hash of the suffix of the last request on the standard path
        self._answered_at = 0.0
        self._pending: PendingRequest | None = None
        self._held: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        template = self._template
        if self._pending is not None:
            self._hold(data)
            return
        is_free = self in self.connections_open.idle and not self._unparsed_bytes and not self._awaits_body
        if not is_free or not data.startswith(self.prefix):
            super().data_received(data)
        elif template is None or not data.endswith(template.suffix):
            super().data_received(data)
            self._learn(data)
        elif (
            not (digits := data[len(self.prefix) : -len(template.suffix)]).isdigit()
            or len(digits) > _ID_DIGITS_MAX
        ):
            super().data_received(data)
        elif not self._answers(template, digits):
            self._template = None
            super().data_received(data)

    def _answers(self, template: RequestTemplate, digits: bytes) -> bool:
        if self.flow.write_paused or self.transport.is_closing():
            return False
        answer = self.fast_path.answer(template, digits, self.server_state.default_headers)
        if answer is None:
            return self._submit(template, digits)
        self._send(answer)
        return True

    def _send(self, answer: bytes) -> None:
        self.transport.write(answer)
        self._answered_at = self.loop.time()
        self.connections_open.idle.move_to_end(self)
        self.server_state.total_requests += 1

    # Until the database answers, the connection has a request in progress.

    def _submit(self, template: RequestTemplate, digits: bytes) -> bool:
        self._pending = pending = self.fast_path.submit(template, digits)
        if pending is None:
            return False
        self.connections_open.idle.pop(self, None)
        pending.row.add_done_callback(self._on_row)
        return True

    def _on_row(self, row: Future[Any]) -> None:
        pending = self._pending
        if pending is None or pending.row is not row:
            return
        try:
            answer = self.fast_path.answer_to(pending, self.server_state.default_headers)
        # Nobody is above a callback: the standard path meets the same error, and reports it.
        except Exception:  # noqa: BLE001
            answer = None
        if self.transport.is_closing():
            self._pending = None
        elif answer is None:
            self._take_standard_path(pending)
        else:
            self._pending = None
            self.connections_open.idle[self] = None
            self._send(answer)
        if self._held:
            self._release()

    def _take_standard_path(self, pending: PendingRequest) -> None:
        self._pending = self._template = None
        self.connections_open.idle[self] = None
        super().data_received(self.prefix + pending.digits + pending.template.suffix)

    def _hold(self, data: bytes) -> None:
        """Keep what came behind a request that waits, and read no more: it must not be answered first."""
        self._held.append(data)
        self.flow.pause_reading()

    def _release(self) -> None:
        held, self._held = b"".join(self._held), []
        self.flow.resume_reading()
        if not self.transport.is_closing():
            self.data_received(held)

    def shutdown(self) -> None:
        """The server stops: what waits is answered as any other request under way."""
        if self._pending is not None:
            self._take_standard_path(self._pending)
        super().shutdown()

    def _learn(self, data: bytes) -> None:
        """Make a template of the request under way, if it was the only one in these bytes and all of them.

        The second request with a suffix makes it: a connection with one request shall not pay for a template.
        """
        suffix = data[data.find(_SUFFIX_START) :]
        before, self._last_suffix = self._last_suffix, hash(suffix)
        if before != self._last_suffix:
            return
        is_under_way = self not in self.connections_open.idle and not self.pipeline
        is_whole = not (self._unparsed_bytes or self._awaits_body) and data.find(b"\r\n\r\n") == len(data) - 4
        if is_under_way and is_whole and self.scope is self.cycle.scope and self.cycle.keep_alive:
            self._template = self.fast_path.template_of(suffix, cast("Scope", self.scope))

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, unless the fast path has answered on it since the timer was set."""
        left_seconds = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._pending is not None:
            left_seconds = self.timeout_keep_alive
        if left_seconds <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left_seconds, self.timeout_keep_alive_handler)


def fast_path_protocol(fast_path: FastPath, limits: Limits, on_refused: OnRefused) -> type[FastPathProtocol]:
    """The protocol of one server, within limits and with this fast path."""
    protocol = within_limits(FastPathProtocol, limits, on_refused)
    protocol.fast_path, protocol.prefix = fast_path, fast_path.prefix
    return protocol
