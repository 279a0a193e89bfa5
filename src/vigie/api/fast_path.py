"""The short way of a plain `GET /api/incidents/{id}`, answered in the protocol without a task or a scope.

It answers one thing: a connection that asks again, in the very bytes of an earlier request but for the number
in the path, for an incident that can be read on the spot and sent whole. Equal bytes mean equal host, token,
headers and wishes, so what the plain way made of them holds as long as the gate still honours it; the number is
decimal digits. Where the store is another machine, its answer is waited for with nothing but the request in hand.
Everything else, and whatever would be refused, hidden, compressed or large, goes the plain way:
until the lane has decided to answer it counts nothing, spends nothing and logs nothing, and what it then counts,
spends, logs and sends is the same. tests/api/test_fast_path.py holds both ways equal.

The row is read before the call is counted: whoever is over the quota costs a read every other time, for the plain
way, which refuses it, makes no habit.
"""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, NamedTuple, cast

from vigie.api.defender.handlers import COMMON_HEADERS, INCIDENT_ROUTE, in_context
from vigie.api.gate import CachedAdmission, Gate
from vigie.application.incidents import IncidentService
from vigie.core.access import require_read
from vigie.core.errors import BadRequest
from vigie.core.instants import Instant
from vigie.core.quotas import Quota
from vigie.http.exchange import CLIENT_REQUEST_ID, Scope, chosen_coding, client_request_id_of
from vigie.http.forwarded import Origins
from vigie.http.protocol import LimitedProtocol, Limits, within_limits
from vigie.observability.access_log import AccessLog, LogTemplate, RequestIds
from vigie.observability.metrics import Metrics
from vigie.storage.database import Row

_PATH = "/api/incidents/"
_ASKS = b"GET " + _PATH.encode()
_TAIL_STARTS = b" HTTP/1.1\r\n"
_TAIL_BYTES_MAX = 8 * 1024
_ID_DIGITS_MAX = 18
_ANSWER_BYTES_MAX = 64 * 1024
_NEEDS_STANDARD_PATH = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})

DatedHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """What a connection says each time: how its requests end, and what follows from that.

    `own_headers` end the head of each answer, blank line included.
    """

    tail: bytes
    given: CachedAdmission
    own_headers: bytes
    opening: bytes
    wording: LogTemplate


class Asked(NamedTuple):
    """A request that waits for its row."""

    template: RequestTemplate
    digits: bytes
    at: Instant
    started_seconds: float
    row: Future[Row | None]

    @property
    def data(self) -> bytes:
        """The request as it came."""
        return _ASKS + self.digits + self.template.tail


class FastPath:
    """Answers what it can answer at once, with the parts that the plain way is made of."""

    def __init__(
        self,
        gate: Gate,
        incident_service: IncidentService,
        quota: Quota,
        *,
        origins: Origins,
        metrics: Metrics,
        access_log: AccessLog,
        request_ids: RequestIds,
        clock: Callable[[], Instant],
    ) -> None:
        self._gate = gate
        self._casework = incident_service
        self._quota = quota
        self._origins = origins
        self._observe_store = metrics.store_observer("find_incident")
        self._observe_request = metrics.request_observer(INCIDENT_ROUTE, 200)
        self._request_log = access_log
        self._id_prefix = request_ids.prefix
        self._next_number = request_ids.next_number
        self._clock = clock
        self._dated: DatedHeaders = []
        self._head = b""

    def template_of(self, tail: bytes, scope: Scope) -> RequestTemplate | None:
        """What can be known from a request that went the plain way about others that end like it."""
        if len(tail) > _TAIL_BYTES_MAX or scope["method"] != "GET" or scope["http_version"] != "1.1":
            return None
        headers = scope["headers"]
        if any(name in _NEEDS_STANDARD_PATH or _wants_coding(name, value) for name, value in headers):
            return None
        given = self._gate.cached_admission(scope, require_read, self._clock())
        if given is None:
            return None
        try:
            address, origin = self._origins.address_of(scope), self._origins.of(scope)
        except BadRequest:
            return None
        caller, called = given.known.caller, client_request_id_of(scope)
        wording = LogTemplate(
            id_prefix=self._id_prefix,
            client_request_id=called.decode() or None,
            method="GET",
            route=INCIDENT_ROUTE,
            path=_PATH,
            status=200,
            tenant=caller.tenant_guid,
            application=caller.application_id,
            caller_kind=caller.kind.value,
            remote=address or None,
        )
        own_headers = b"%b: %b\r\n\r\n" % (CLIENT_REQUEST_ID, called) if called else b"\r\n"
        opening = in_context(b"{", origin)
        return RequestTemplate(
            tail=tail, given=given, own_headers=own_headers, opening=opening, wording=wording
        )

    def answer(self, template: RequestTemplate, digits: bytes, dated: DatedHeaders) -> bytes | None:
        """The whole answer to a request of this habit, head and body; None leaves it to the plain way."""
        at = self._clock()
        given = template.given
        if not self._gate.is_valid(given, at):
            return None
        tenant_id = given.known.caller.tenant_id
        # What came before it takes less than the clock shows.
        started_seconds = perf_counter()
        document = self._casework.try_get_incident(tenant_id, given.exposure, int(digits), at)
        if document is None:
            return None
        store_seconds = perf_counter() - started_seconds
        return self._admitted(template, digits, at, started_seconds, document, store_seconds, dated)

    def ask(self, template: RequestTemplate, digits: bytes) -> "Asked | None":
        """Ask the store for what cannot be answered on the spot; None leaves the request to the plain way."""
        started_seconds = perf_counter()
        at = self._clock()
        if not self._gate.is_valid(template.given, at):
            return None
        row = self._casework.ask_for_incident(template.given.known.caller.tenant_id, int(digits))
        return None if row is None else Asked(template, digits, at, started_seconds, row)

    def answer_to(self, asked: "Asked", dated: DatedHeaders) -> bytes | None:
        """What `answer` would have answered, now that the store has; None leaves it to the plain way."""
        row = asked.row
        if row.exception() is not None or not self._gate.is_valid(asked.template.given, asked.at):
            return None
        document = self._casework.try_incident(row.result(), asked.template.given.exposure, asked.at)
        if document is None:
            return None
        store_seconds = perf_counter() - asked.started_seconds
        return self._admitted(*asked[:4], document, store_seconds, dated)

    def _admitted(
        self,
        template: RequestTemplate,
        digits: bytes,
        at: Instant,
        started_seconds: float,
        document: bytes,
        store_seconds: float,
        dated: DatedHeaders,
    ) -> bytes | None:
        """The answer, counted and logged, if the call is within its quota."""
        if len(document) > _ANSWER_BYTES_MAX or not self._gate.readmit(template.given, self._quota):
            return None
        length = b"%d\r\n%b" % (len(template.opening) + len(document) - 1, template.own_headers)
        answer = b"".join((self._head_of(dated), length, template.opening, memoryview(document)[1:]))
        seconds = perf_counter() - started_seconds
        self._observe_store(store_seconds)
        self._observe_request(seconds)
        self._request_log.record_again(template.wording, at, self._next_number(), digits, seconds)
        return answer

    def _head_of(self, dated: DatedHeaders) -> bytes:
        """The head up to the length; the server makes the list anew whenever the date changes."""
        if dated is not self._dated:
            headers = (*dated, *COMMON_HEADERS, (b"vary", b"Accept-Encoding"), (b"content-length", b""))
            lines = b"\r\n".join(b"%b: %b" % header for header in headers)
            self._dated, self._head = dated, b"HTTP/1.1 200 OK\r\n" + lines
        return self._head


def _wants_coding(name: bytes, value: bytes) -> bool:
    return name == b"accept-encoding" and chosen_coding(value.decode("latin-1")) is not None


class FastPathProtocol(LimitedProtocol):
    """uvicorn's protocol within limits, with the lane beside it."""

    lane: ClassVar[FastPath]

    __slots__ = ("_answered_at", "_asked", "_ended", "_habit", "_held")

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._habit: RequestTemplate | None = None
        self._ended = 0  # the hash of how the last request ended that went the plain way
        self._answered_at = 0.0
        self._asked: Asked | None = None
        self._held: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        template = self._habit
        if self._asked is not None:
            self._hold(data)
            return
        is_free = self in self.connections_open.idle and not self._unparsed_bytes and not self._awaits_body
        if not is_free or not data.startswith(_ASKS):
            super().data_received(data)
        elif template is None or not data.endswith(template.tail):
            super().data_received(data)
            self._learn(data)
        elif not (digits := data[len(_ASKS) : -len(template.tail)]).isdigit() or len(digits) > _ID_DIGITS_MAX:
            super().data_received(data)
        elif not self._takes(template, digits):
            self._habit = None
            super().data_received(data)

    def _takes(self, template: RequestTemplate, digits: bytes) -> bool:
        if self.flow.write_paused or self.transport.is_closing():
            return False
        answer = self.lane.answer(template, digits, self.server_state.default_headers)
        if answer is None:
            return self._asks(template, digits)
        self._send(answer)
        return True

    def _send(self, answer: bytes) -> None:
        self.transport.write(answer)
        self._answered_at = self.loop.time()
        self.connections_open.idle.move_to_end(self)
        self.server_state.total_requests += 1

    # What the store does not have on the spot: until it answers, the connection has a request in progress.

    def _asks(self, template: RequestTemplate, digits: bytes) -> bool:
        self._asked = asked = self.lane.ask(template, digits)
        if asked is None:
            return False
        self.connections_open.idle.pop(self, None)
        asked.row.add_done_callback(self._on_row)
        return True

    def _on_row(self, row: Future[Row | None]) -> None:
        asked = self._asked
        if asked is None or asked.row is not row:
            return
        try:
            answer = self.lane.answer_to(asked, self.server_state.default_headers)
        # Nobody is above a callback: the plain way meets the same defect, and says so to both sides.
        except Exception:  # noqa: BLE001
            answer = None
        if self.transport.is_closing():
            self._asked = None
        elif answer is None:
            self._take_standard_path(asked)
        else:
            self._asked = None
            self.connections_open.idle[self] = None
            self._send(answer)
        if self._held:
            self._let_go()

    def _take_standard_path(self, asked: Asked) -> None:
        self._asked = self._habit = None
        self.connections_open.idle[self] = None
        super().data_received(asked.data)

    def _hold(self, data: bytes) -> None:
        """Keep what came behind a request that waits, and read no more: it must not be answered first."""
        self._held.append(data)
        self.flow.pause_reading()

    def _let_go(self) -> None:
        held, self._held = b"".join(self._held), []
        self.flow.resume_reading()
        if not self.transport.is_closing():
            self.data_received(held)

    def shutdown(self) -> None:
        """The server stops: what waits is answered as any other request under way."""
        if self._asked is not None:
            self._take_standard_path(self._asked)
        super().shutdown()

    def _learn(self, data: bytes) -> None:
        """Take up the habit of the request under way, if it was the only one in these bytes and all of them.

        What has been met once is no habit: whoever asks once on each connection shall not pay for one.
        """
        tail = data[data.find(_TAIL_STARTS) :]
        before, self._ended = self._ended, hash(tail)
        if before != self._ended:
            return
        is_under_way = self not in self.connections_open.idle and not self.pipeline
        is_whole = not (self._unparsed_bytes or self._awaits_body) and data.find(b"\r\n\r\n") == len(data) - 4
        if is_under_way and is_whole and self.scope is self.cycle.scope and self.cycle.keep_alive:
            self._habit = self.lane.template_of(tail, cast("Scope", self.scope))

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, unless the lane has answered on it since the timer was set."""
        left_seconds = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if self._asked is not None:
            left_seconds = self.timeout_keep_alive
        if left_seconds <= 0:
            super().timeout_keep_alive_handler()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(left_seconds, self.timeout_keep_alive_handler)


def fast_path_protocol(
    lane: FastPath, limits: Limits, on_refused: Callable[[str], None]
) -> type[FastPathProtocol]:
    """The protocol of one server, within limits and with this lane."""
    made = within_limits(FastPathProtocol, limits, on_refused)
    made.lane = lane
    return made
