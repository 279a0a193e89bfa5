"""Handlers of the Defender XDR incidents API: paths, headers and envelopes. They translate and do not decide.

The calls are described in docs/api/.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256

import msgspec

from vigie.api.defender.error_responses import BODY_HEADERS, JSON_TYPE, ODATA_VERSION
from vigie.api.defender.metadata import metadata_document, service_document
from vigie.api.defender.query_options import parse_page_request, refuse_query_options
from vigie.api.defender.update_body import parse_update
from vigie.api.gate import Gate
from vigie.application.incidents import IncidentService
from vigie.core.access import Caller, Principal
from vigie.core.audit import AuditContext, actor_of
from vigie.core.errors import InvalidBody, InvalidInput, StoreUnavailable, user_text
from vigie.core.incident import INCIDENT_ID_MAX
from vigie.core.queries import PageRequest
from vigie.core.quotas import Quota
from vigie.core.update import IdempotencyKey
from vigie.http.exchange import SAFETY_HEADERS, Exchange, chosen_coding, compressed, public_answer, read_body
from vigie.http.profile import Match, OpenApiPart, Route
from vigie.http.response_budget import ResponseBudget
from vigie.http.streaming import SLOWEST_BYTES_PER_SECOND, ClientTooSlow, streaming
from vigie.odata.options import query_of_next_page
from vigie.storage.database import LARGE_ROW_BYTES
from vigie.storage.listing.reading import Page

API_NAME = "defender"
INCIDENT_ROUTE = "/api/incidents/{id}"
LIST_ROUTE = "/api/incidents"
LISTS_AT_ONCE_MAX = 8
UPDATE_BYTES_MAX = 256 * 1024

OPENAPI = OpenApiPart(
    package="vigie.api.defender",
    alias_prefixes=("/api/v1.0/",),
    sample_queries={LIST_ROUTE: {"$filter": "status eq 'Active'", "$top": "10"}},
)

COMMON_HEADERS = (*BODY_HEADERS, *SAFETY_HEADERS)

_INCIDENTS = b"/api/incidents/"
_INCIDENTS_OTHERWISE = re.compile(rb"/api/(?:v1\.0/)?incidents(?:/([^/]*))?", re.IGNORECASE)
_ID = re.compile(rb"[0-9]{1,19}")
_COMPRESSED_FROM_BYTES = 256


class DefenderQuotas(msgspec.Struct, frozen=True, kw_only=True):
    """A quota for each call."""

    get: Quota
    list: Quota
    update: Quota


def incident_segment(path: bytes) -> bytes | None:
    """What stands behind the path of the list, as it came: nothing for the list itself. None for another path.

    Letter case does not matter, and neither does the version.
    """
    if path.startswith(_INCIDENTS):
        segment = path[len(_INCIDENTS) :]
        return None if b"/" in segment else segment
    found = _INCIDENTS_OTHERWISE.fullmatch(path)
    return None if found is None else found[1] or b""


class DefenderHandlers:
    """Answers the calls of the incidents API."""

    def __init__(
        self,
        gate: Gate,
        incident_service: IncidentService,
        quotas: DefenderQuotas,
        *,
        write_seconds: float,
        determinations_as_sent: bool,
    ) -> None:
        self._gate = gate
        self._incident_service = incident_service
        self._quotas = quotas
        self._write_seconds = write_seconds
        self._determinations_as_sent = determinations_as_sent
        self._lists_under_way: Counter[Principal] = Counter()
        self._response_budget = ResponseBudget()

    async def one_incident(self, exchange: Exchange, segment: bytes) -> None:
        """Answer `/api/incidents/{id}`; `segment` is the last part of the path as it came."""
        if exchange.method == "PATCH":
            return await self._update_incident(exchange, segment)
        return await self._get_incident(exchange, segment)

    async def list_incidents(self, exchange: Exchange) -> None:
        """Answer `/api/incidents`."""
        caller, exposure, min_position = await self._gate.admit(exchange, self._quotas.list)
        request = parse_page_request(exchange.scope["query_string"])
        async with (
            self._list_under_way(caller),
            streaming(exchange, grace_seconds=self._write_seconds) as answer,
            self._incident_service.list_incidents(
                caller.tenant_id, exposure, request, exchange.at, min_position=min_position
            ) as page,
        ):
            headers = [*COMMON_HEADERS, (b"vary", b"Accept-Encoding")]
            await answer.send(headers, _list_batches(exchange, request, page))

    @asynccontextmanager
    async def _list_under_way(self, caller: Caller) -> AsyncIterator[None]:
        """A slow reader must leave the database's snapshots to others, users of the same application among them."""
        key = caller.principal
        if self._lists_under_way[key] >= LISTS_AT_ONCE_MAX:
            raise StoreUnavailable(
                f"{LISTS_AT_ONCE_MAX} lists of the caller are under way",
                message=f"The caller reads {LISTS_AT_ONCE_MAX} lists already. Try again when one has ended.",
            )
        self._lists_under_way[key] += 1
        try:
            yield
        finally:
            self._lists_under_way[key] -= 1
            if not self._lists_under_way[key]:
                del self._lists_under_way[key]

    async def service(self, exchange: Exchange) -> None:
        """Answer the service document: what there is under `/api`, for OData clients."""
        body = service_document(exchange.origin)
        await public_answer(exchange, JSON_TYPE.encode(), body, ODATA_VERSION, (b"vary", b"Host"))

    async def metadata(self, exchange: Exchange) -> None:
        """Answer `$metadata`: the types of the service."""
        await public_answer(exchange, b"application/xml", metadata_document(), ODATA_VERSION)

    async def _get_incident(self, exchange: Exchange, segment: bytes) -> None:
        caller, exposure, min_position = await self._gate.admit(exchange, self._quotas.get)
        incident_id = _incident_id(segment)
        refuse_query_options(exchange.scope["query_string"])
        document = await self._incident_service.get_incident(
            caller.tenant_id, exposure, incident_id, exchange.at, min_position=min_position
        )
        if len(document) >= LARGE_ROW_BYTES:
            self._response_budget.require_room(caller.principal, len(document))
            await self._answer_large(exchange, caller, document)
        else:
            await answer_json(exchange, in_context(document, exchange.origin))

    async def _update_incident(self, exchange: Exchange, segment: bytes) -> None:
        async with self._gate.admit_change(exchange, self._quotas.update) as (
            caller,
            exposure,
        ):
            incident_id = _incident_id(segment)
            refuse_query_options(exchange.scope["query_string"])
            _require_json(exchange)
            # What is done must be answered, so there must be room before.
            self._response_budget.require_room(caller.principal)
            body = await read_body(exchange, UPDATE_BYTES_MAX)
            document = await self._incident_service.update_incident(
                caller,
                exposure,
                incident_id,
                parse_update(body, determinations_as_sent=self._determinations_as_sent),
                AuditContext(actor=actor_of(caller), request_id=exchange.request_id, at=exchange.at),
                idempotency_key=_idempotency_key(exchange, caller, incident_id, body),
            )
        if len(document) >= LARGE_ROW_BYTES:
            await self._answer_large(exchange, caller, document)
        else:
            await answer_json(exchange, in_context(document, exchange.origin))

    async def _answer_large(self, exchange: Exchange, caller: Caller, document: bytes) -> None:
        """As `answer_json`, without a second copy, and only as long as a client needs that reads.

        Raises ClientTooSlow.
        """
        headers = [*COMMON_HEADERS, (b"vary", b"Accept-Encoding")]
        opening, rest = in_context(b"{", exchange.origin), memoryview(document)[1:]
        coding = chosen_coding(exchange.header(b"accept-encoding"))
        with self._response_budget.under_way(caller.principal, len(document)):
            if coding is not None:
                headers.append((b"content-encoding", coding.encode()))
                opening, rest = await compressed(b"".join((opening, rest)), coding), memoryview(b"")
            try:
                async with asyncio.timeout(self._write_seconds + len(document) / SLOWEST_BYTES_PER_SECOND):
                    await exchange.answer(200, headers, opening, rest)
            except TimeoutError:
                raise ClientTooSlow from None


ROUTES: tuple[Route, ...] = (
    Route(
        path=INCIDENT_ROUTE,
        handler=DefenderHandlers.one_incident,
        methods=("GET", "HEAD", "PATCH"),
        is_direct=True,
    ),
    Route(path=LIST_ROUTE, handler=DefenderHandlers.list_incidents, methods=("GET", "HEAD"), is_direct=True),
    *(
        Route(path=root + path, handler=handler)
        for root in ("/api", "/api/v1.0")
        for path, handler in (
            ("", DefenderHandlers.service),
            ("/", DefenderHandlers.service),
            ("/$metadata", DefenderHandlers.metadata),
        )
    ),
)
"""Every route of the API; `HEAD` is stated where the description of the API has it."""


def matcher(routes: tuple[Route, ...]) -> Callable[[bytes], Match | None]:
    """What finds the two direct routes among the routes of the API."""
    incident, incidents = (each for each in routes if each.is_direct)

    def match(path: bytes) -> Match | None:
        segment = incident_segment(path)
        if segment is None:
            return None
        return (incident, {"segment": segment}) if segment else (incidents, {})

    return match


def in_context(document: bytes, origin: str) -> bytes:
    """An entity with its context in front, on the origin that was called. docs/api/get-incident.md."""
    return b'{"@odata.context":"%s/api/$metadata#Incidents/$entity",%s' % (origin.encode(), document[1:])


async def answer_json(exchange: Exchange, body: bytes) -> None:
    """Answer 200 with a JSON body, compressed if the client likes that."""
    headers = [*COMMON_HEADERS, (b"vary", b"Accept-Encoding")]
    coding = chosen_coding(exchange.header(b"accept-encoding"))
    if coding is not None and len(body) >= _COMPRESSED_FROM_BYTES:
        body = await compressed(body, coding)
        headers.append((b"content-encoding", coding.encode()))
    await exchange.answer(200, headers, body)


def _incident_id(segment: bytes) -> int:
    """The number in the path: decimal digits as they came, never percent-encoded."""
    if not _ID.fullmatch(segment) or (incident_id := int(segment)) > INCIDENT_ID_MAX:
        shown = segment.decode("latin-1")[:60]
        raise InvalidInput(
            f"The incident id must be a whole number, at most {INCIDENT_ID_MAX}; it was {user_text(repr(shown))}."
        )
    return incident_id


async def _list_batches(exchange: Exchange, request: PageRequest, page: Page) -> AsyncIterator[list[bytes]]:
    """The envelope around the incidents. docs/api/list-incidents.md."""
    count = "" if page.count is None else f',"@odata.count":{page.count}'
    opening = f'{{"@odata.context":"{exchange.origin}/api/$metadata#Incidents"{count},"value":['.encode()
    read = 0
    async for batch in page.batches:
        # The one behind the page only says that there is one, and may come alone.
        if shown := batch[: request.size - read]:
            yield _separated(b"," if read else opening, shown)
        read += len(batch)
    link = ""
    if read > request.size:
        query = query_of_next_page(exchange.scope["query_string"], request.skip + request.size)
        link = f',"@odata.nextLink":"{exchange.origin}{LIST_ROUTE}?{query}"'
    yield [b"" if read else opening, f"]{link}}}".encode()]


def _separated(opening: bytes, incidents: list[bytes]) -> list[bytes]:
    """Incidents with commas between them."""
    pieces = [b","] * (2 * len(incidents))
    pieces[0], pieces[1::2] = opening, incidents
    return pieces


def _require_json(exchange: Exchange) -> None:
    content_type = exchange.header(b"content-type")
    if content_type is not None and "json" not in content_type.lower():
        raise InvalidBody("Request body is incorrect: its Content-Type must be application/json.")


def _idempotency_key(
    exchange: Exchange, caller: Caller, incident_id: int, body: bytes
) -> IdempotencyKey | None:
    """What makes a request the same as an earlier one, for a client that names its requests."""
    name = exchange.header(b"idempotency-key")
    if not name:
        return None
    account = caller.account[1]
    parts = (caller.kind.value, account, caller.subject or caller.name, incident_id, name)
    return IdempotencyKey(sha256(msgspec.json.encode(parts) + body).digest())
