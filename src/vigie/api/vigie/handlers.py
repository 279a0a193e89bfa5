"""Handlers of Vigie's own API: the change feed. docs/api/changes.md describes it."""

from contextlib import aclosing

import msgspec

from vigie.api.gate import Gate
from vigie.api.vigie.change_query import LATEST, OLDEST, ChangeQuery, parse_change_query
from vigie.api.vigie.change_stream import EVENT_STREAM, ChangeStreamer, OpenStreams
from vigie.api.vigie.places import Places, Reader
from vigie.api.vigie.shown_changes import shown
from vigie.application.change_feed import ChangeReader, ToldChanges
from vigie.core.errors import InvalidInput
from vigie.core.instants import Instant
from vigie.core.quotas import Quota
from vigie.http.exchange import SAFETY_HEADERS, Exchange, chosen_coding, compressed
from vigie.http.profile import OpenApiPart, Route
from vigie.http.streaming import streaming

API_NAME = "vigie"
ROOT = "/api/vigie"
CHANGES_ROUTE = "/api/vigie/changes"

OPENAPI = OpenApiPart(
    package="vigie.api.vigie", sample_queries={CHANGES_ROUTE: {"after": "latest", "limit": "100"}}
)

COMMON_HEADERS = (
    *SAFETY_HEADERS,
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept, Accept-Encoding"),
)
JSON_HEADERS = ((b"content-type", b"application/json; charset=utf-8"), *COMMON_HEADERS)
# The last one is for nginx, which would wait for more before it sends.
STREAM_HEADERS = (
    (b"content-type", EVENT_STREAM.encode()),
    *COMMON_HEADERS,
    (b"x-accel-buffering", b"no"),
)

_COMPRESSED_FROM_BYTES = 256


class ChangeHandlers:
    """Answers the change feed, as JSON or as a stream of events."""

    def __init__(
        self,
        gate: Gate,
        changes: ChangeReader,
        places: Places,
        streamer: ChangeStreamer,
        open_streams: OpenStreams,
        quota: Quota,
        *,
        write_seconds: float,
    ) -> None:
        self._gate = gate
        self._changes = changes
        self._places = places
        self._streamer = streamer
        self._open_streams = open_streams
        self._quota = quota
        self._write_seconds = write_seconds

    async def changes(self, exchange: Exchange) -> None:
        """Answer `/api/vigie/changes`."""
        # Read from the primary alone, and so as of now: what the position of a caller is for.
        caller, exposure, _ = await self._gate.admit(exchange, self._quota)
        reader = Reader(caller=caller, exposure=exposure)
        is_stream = _wants_stream(exchange.header(b"accept"))
        query = parse_change_query(
            exchange.scope["query_string"], exchange.header(b"last-event-id") if is_stream else None
        )
        await self._places.load()
        if is_stream:
            await self._stream(exchange, reader, query)
        else:
            await self._answer(exchange, reader, query)

    async def _answer(self, exchange: Exchange, reader: Reader, query: ChangeQuery) -> None:
        told = await self._first_changes(reader, query, exchange.at)
        if told.changes:
            await self._gate.note_told(reader.caller)
        answer = {
            "value": [shown(change, reader) for change in told.changes],
            "next": self._places.at(reader, told.position, exchange.at),
        }
        headers = [*JSON_HEADERS]
        body = msgspec.json.encode(answer)
        coding = chosen_coding(exchange.header(b"accept-encoding"))
        if coding is not None and len(body) >= _COMPRESSED_FROM_BYTES:
            body = await compressed(body, coding)
            headers.append((b"content-encoding", coding.encode()))
        await exchange.answer(200, headers, body)

    async def _stream(self, exchange: Exchange, reader: Reader, query: ChangeQuery) -> None:
        if exchange.scope["http_version"] == "1.0":
            raise InvalidInput(
                "A stream of events needs HTTP/1.1; in nginx, set proxy_http_version 1.1 for this location."
            )
        with self._open_streams.opened(reader.caller):
            # Before the answer begins: what is wrong with the place can still be said.
            told = await self._first_changes(reader, query, exchange.at)
            batches = self._streamer.batches(exchange, reader, told)
            async with (
                aclosing(batches),
                streaming(exchange, grace_seconds=self._write_seconds) as answer,
            ):
                await answer.send_as_it_comes([*STREAM_HEADERS], batches)

    async def _first_changes(self, reader: Reader, query: ChangeQuery, now: Instant) -> ToldChanges:
        tenant_id = reader.caller.tenant_id
        if query.after == LATEST:
            return ToldChanges(changes=(), position=await self._changes.latest(tenant_id))
        position = None if query.after == OLDEST else self._places.position_of(reader, query.after, now)
        return await self._changes.changes_after(tenant_id, reader.exposure, position, query.limit)


ROUTES: tuple[Route, ...] = (
    Route(path=CHANGES_ROUTE, handler=ChangeHandlers.changes, methods=("GET", "HEAD")),
)
"""Every route of the API."""


def _wants_stream(accept: str | None) -> bool:
    """Whether a client lists the type of event streams, with any weight but 0."""
    for part in (accept or "").split(","):
        name, *parameters = (each.strip().lower() for each in part.split(";"))
        if name == EVENT_STREAM:
            return not any(each.replace(" ", "") in _REFUSED_WEIGHTS for each in parameters)
    return False


_REFUSED_WEIGHTS = ("q=0", "q=0.0", "q=0.00", "q=0.000")
