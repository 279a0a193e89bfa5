"""Handlers of Vigie's own API: the change feed. docs/api/changes.md describes it."""

from typing import Any

import msgspec
from msgspec import Struct

from vigie.api.gate import Gate
from vigie.api.vigie.change_query import LATEST, OLDEST, ChangeQuery, SealedText, parse_change_query
from vigie.api.vigie.cursors import CursorSealer, digest_of
from vigie.application.change_feed import ChangeReader, ToldChanges
from vigie.core.access import Caller, Exposure
from vigie.core.changes import Change
from vigie.core.errors import ChangesGone, InvalidInput, ViewChanged
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant
from vigie.core.quotas import Quota
from vigie.http.exchange import SAFETY_HEADERS, Exchange, chosen_coding, compressed
from vigie.http.profile import OpenApiPart, Route

API_NAME = "vigie"
ROOT = "/api/vigie"
CHANGES_ROUTE = "/api/vigie/changes"

OPENAPI = OpenApiPart(
    package="vigie.api.vigie", sample_queries={CHANGES_ROUTE: {"after": "latest", "limit": "100"}}
)

JSON_TYPE = (b"content-type", b"application/json; charset=utf-8")
COMMON_HEADERS = (
    *SAFETY_HEADERS,
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept, Accept-Encoding"),
)

_COMPRESSED_FROM_BYTES = 256
# An import writes for as long as it takes, and all its changes have the moment at which it began.
_GONE_EARLIER_TICKS = 3_600 * TICKS_PER_SECOND


class Reader(Struct, frozen=True, kw_only=True):
    """Who reads the feed, and as far as what."""

    caller: Caller
    exposure: Exposure

    @property
    def gets_numbers(self) -> bool:
        """Numbers say how many changes there were; a reader of the whole tenant is told all of them anyway."""
        return self.exposure.whole_tenant


class ChangeHandlers:
    """Answers the change feed. `retention_ticks` is how long changes are kept; 0: for ever."""

    def __init__(
        self,
        gate: Gate,
        changes: ChangeReader,
        cursors: CursorSealer,
        quota: Quota,
        *,
        retention_ticks: int,
    ) -> None:
        self._gate = gate
        self._changes = changes
        self._cursors = cursors
        self._quota = quota
        self._retention_ticks = retention_ticks

    async def changes(self, exchange: Exchange) -> None:
        """Answer `/api/vigie/changes`."""
        # Read from the primary alone, and so as of now: what the position of a caller is for.
        caller, exposure, _ = await self._gate.admit(exchange, self._quota)
        reader = Reader(caller=caller, exposure=exposure)
        query = parse_change_query(exchange.scope["query_string"])
        await self._cursors.load()
        told = await self._first_changes(reader, query, exchange.at)
        await _answer_json(
            exchange,
            {
                "value": [shown(change, reader) for change in told.changes],
                "next": self._place(reader, told.position, exchange.at),
            },
        )

    async def _first_changes(self, reader: Reader, query: ChangeQuery, now: Instant) -> ToldChanges:
        tenant_id = reader.caller.tenant_id
        if query.after == LATEST:
            return ToldChanges(changes=(), position=await self._changes.latest(tenant_id))
        position = None if query.after == OLDEST else self._position(reader, query.after, now)
        return await self._changes.changes_after(tenant_id, reader.exposure, position, query.limit)

    def _position(self, reader: Reader, after: int | SealedText | str, now: Instant) -> int:
        """The place that a reader names. Raises InvalidInput, ChangesGone, ViewChanged."""
        if not isinstance(after, SealedText):
            # As the reader of the whole tenant it may have been, it was told what it cannot know any more.
            if not reader.gets_numbers:
                raise ViewChanged
            return int(after)
        cursor = self._cursors.unseal(reader.caller, after.text)
        if cursor is None:
            raise InvalidInput(
                "after is no cursor of this caller; send the `next` of an earlier answer to the same caller, or "
                "begin with after=latest."
            )
        if cursor.exposure != digest_of(reader.exposure):
            raise ViewChanged
        # By its age, and before anything behind it is removed: that would say that there was something.
        if self._retention_ticks and cursor.at < now - self._retention_ticks + _GONE_EARLIER_TICKS:
            raise ChangesGone(cursor.position)
        return cursor.position

    def _place(self, reader: Reader, position: int, now: Instant) -> int | str:
        """How a reader names a place: by its number, or by a cursor."""
        if reader.gets_numbers:
            return position
        return self._cursors.seal(reader.caller, reader.exposure, position, now)


ROUTES: tuple[Route, ...] = (
    Route(path=CHANGES_ROUTE, handler=ChangeHandlers.changes, methods=("GET", "HEAD")),
)
"""Every route of the API."""


def shown(change: Change, reader: Reader) -> dict[str, Any]:
    """A change as its reader is told it."""
    number = {"number": change.number} if reader.gets_numbers else {}
    return number | {
        "at": format_instant(change.at),
        "kind": change.kind.value,
        "incidentId": change.incident_id,
        "alertId": change.alert_id,
        "actor": change.actor,
    }


async def _answer_json(exchange: Exchange, value: object) -> None:
    headers = [JSON_TYPE, *COMMON_HEADERS]
    body = msgspec.json.encode(value)
    coding = chosen_coding(exchange.header(b"accept-encoding"))
    if coding is not None and len(body) >= _COMPRESSED_FROM_BYTES:
        body = await compressed(body, coding)
        headers.append((b"content-encoding", coding.encode()))
    await exchange.answer(200, headers, body)
