"""The fast path of `GET /api/incidents/{id}`: repeated requests for incidents that can be sent whole.

http/fast_path.py says when a connection uses it. The row is read before the call is counted: a caller over the
quota costs a read every other time, for the standard path, which refuses it, makes no template.
"""

from asyncio import Future
from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import msgspec

from vigie.api.defender.handlers import API_NAME, COMMON_HEADERS, INCIDENT_ROUTE, in_context
from vigie.api.gate import CachedAdmission, Gate
from vigie.application.incidents import IncidentService
from vigie.core.errors import BadRequest
from vigie.core.instants import Instant
from vigie.core.quotas import Quota
from vigie.http.exchange import CLIENT_REQUEST_ID, Scope, chosen_coding, client_request_id_of
from vigie.http.fast_path import DatedHeaders
from vigie.http.forwarded import Origins
from vigie.observability.access_log import AccessLog, LogTemplate, RequestIds
from vigie.observability.metrics import Metrics
from vigie.storage.database import Row

_PATH = "/api/incidents/"
_SUFFIX_BYTES_MAX = 8 * 1024
_ANSWER_BYTES_MAX = 64 * 1024
_NEEDS_STANDARD_PATH = frozenset({b"content-length", b"transfer-encoding", b"expect", b"upgrade"})


class IncidentTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests of a connection have in common: their suffix, and what follows from that.

    `own_headers` end the head of each answer, blank line included.
    """

    suffix: bytes
    admission: CachedAdmission
    own_headers: bytes
    opening: bytes
    log_template: LogTemplate


class PendingIncident(NamedTuple):
    """A request that waits for its row."""

    template: IncidentTemplate
    digits: bytes
    at: Instant
    started_seconds: float
    row: Future[Row | None]


class IncidentFastPath:
    """Answers what it can answer at once, with the components of the standard path."""

    prefix = b"GET " + _PATH.encode()

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
        self._incident_service = incident_service
        self._quota = quota
        self._origins = origins
        self._observe_store = metrics.store_observer("find_incident")
        self._observe_request = metrics.request_observer(API_NAME, INCIDENT_ROUTE, 200)
        self._access_log = access_log
        self._id_prefix = request_ids.prefix
        self._next_number = request_ids.next_number
        self._clock = clock
        self._dated: DatedHeaders = []
        self._head = b""

    def template_of(self, suffix: bytes, scope: Scope) -> IncidentTemplate | None:
        """What a request on the standard path tells about others with its suffix; None for no template."""
        if len(suffix) > _SUFFIX_BYTES_MAX or scope["method"] != "GET" or scope["http_version"] != "1.1":
            return None
        headers = scope["headers"]
        if any(name in _NEEDS_STANDARD_PATH or _wants_coding(name, value) for name, value in headers):
            return None
        admission = self._gate.cached_admission(scope, self._clock())
        if admission is None:
            return None
        try:
            address, origin = self._origins.address_of(scope), self._origins.of(scope)
        except BadRequest:
            return None
        called = client_request_id_of(scope)
        return IncidentTemplate(
            suffix=suffix,
            admission=admission,
            own_headers=b"%b: %b\r\n\r\n" % (CLIENT_REQUEST_ID, called) if called else b"\r\n",
            opening=in_context(b"{", origin),
            log_template=self._log_template(admission, called, address),
        )

    def _log_template(self, admission: CachedAdmission, called: bytes, address: str) -> LogTemplate:
        caller = admission.known.caller
        return LogTemplate(
            id_prefix=self._id_prefix,
            client_request_id=called.decode() or None,
            method="GET",
            api=API_NAME,
            route=INCIDENT_ROUTE,
            path=_PATH,
            status=200,
            tenant=caller.tenant_guid,
            application=caller.application_id,
            caller_kind=caller.kind.value,
            remote=address or None,
        )

    def answer(self, template: IncidentTemplate, digits: bytes, dated: DatedHeaders) -> bytes | None:
        """The whole response, head and body; None leaves the request to the standard path."""
        at = self._clock()
        admission = template.admission
        if not self._gate.is_valid(admission, at):
            return None
        tenant_id = admission.known.caller.tenant_id
        # What came before it takes less than the clock shows.
        started_seconds = perf_counter()
        document = self._incident_service.try_get_incident(tenant_id, admission.exposure, int(digits), at)
        if document is None:
            return None
        store_seconds = perf_counter() - started_seconds
        return self._admitted(template, digits, at, started_seconds, document, store_seconds, dated)

    def submit(self, template: IncidentTemplate, digits: bytes) -> PendingIncident | None:
        """Ask the database for what cannot be answered at once; None leaves it to the standard path."""
        started_seconds = perf_counter()
        at = self._clock()
        if not self._gate.is_valid(template.admission, at):
            return None
        tenant_id = template.admission.known.caller.tenant_id
        row = self._incident_service.submit_lookup(tenant_id, int(digits))
        return None if row is None else PendingIncident(template, digits, at, started_seconds, row)

    def answer_to(self, pending: PendingIncident, dated: DatedHeaders) -> bytes | None:
        """As `answer`, once the database has answered."""
        row, admission = pending.row, pending.template.admission
        if row.exception() is not None or not self._gate.is_valid(admission, pending.at):
            return None
        document = self._incident_service.try_incident(row.result(), admission.exposure, pending.at)
        if document is None:
            return None
        store_seconds = perf_counter() - pending.started_seconds
        return self._admitted(*pending[:4], document, store_seconds, dated)

    def _admitted(
        self,
        template: IncidentTemplate,
        digits: bytes,
        at: Instant,
        started_seconds: float,
        document: bytes,
        store_seconds: float,
        dated: DatedHeaders,
    ) -> bytes | None:
        """The answer, counted and logged, if the call is within its quota."""
        if len(document) > _ANSWER_BYTES_MAX or not self._gate.readmit(template.admission, self._quota):
            return None
        length = b"%d\r\n%b" % (len(template.opening) + len(document) - 1, template.own_headers)
        answer = b"".join((self._head_of(dated), length, template.opening, memoryview(document)[1:]))
        seconds = perf_counter() - started_seconds
        self._observe_store(store_seconds)
        self._observe_request(seconds)
        self._access_log.record_again(template.log_template, at, self._next_number(), digits, seconds)
        return answer

    def _head_of(self, dated: DatedHeaders) -> bytes:
        """The head up to the length, made anew with the date."""
        if dated is not self._dated:
            headers = (*dated, *COMMON_HEADERS, (b"vary", b"Accept-Encoding"), (b"content-length", b""))
            lines = b"\r\n".join(b"%b: %b" % header for header in headers)
            self._dated, self._head = dated, b"HTTP/1.1 200 OK\r\n" + lines
        return self._head


def _wants_coding(name: bytes, value: bytes) -> bool:
    return name == b"accept-encoding" and chosen_coding(value.decode("latin-1")) is not None
