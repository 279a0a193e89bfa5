"""The change feed as server-sent events: for as long as the reader may have them, and the server runs.

The format is that of the HTML standard, "Server-sent events". An event without data only sets the id with which
a client resumes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec

from vigie.api.gate import Gate
from vigie.api.vigie.places import Places, Reader
from vigie.api.vigie.shown_changes import shown
from vigie.application.change_feed import ChangeReader, ToldChanges
from vigie.application.latest_changes import LatestChanges, TenantWatch
from vigie.core.access import Caller, Principal
from vigie.core.errors import ChangesGone, Refusal, StoreUnavailable, TooManyStreams
from vigie.core.instants import Instant
from vigie.http.exchange import Exchange

EVENT_STREAM = "text/event-stream"
HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2_000

_CHECK_EVERY_SECONDS = 1.0
_EVENTS_AT_ONCE = 250

Batch = list[bytes]


class OpenStreams:
    """The streams that are open, bounded for each caller and in all."""

    def __init__(self, *, per_caller_max: int, count_max: int) -> None:
        self._per_caller_max = per_caller_max
        self._count_max = count_max
        self._of_caller: Counter[Principal] = Counter()

    @property
    def count(self) -> int:
        """How many there are."""
        return self._of_caller.total()

    @contextmanager
    def opened(self, caller: Caller) -> Iterator[None]:
        """Count one more while the block lasts. Raises TooManyStreams, StoreUnavailable."""
        key = caller.principal
        if self._of_caller[key] >= self._per_caller_max:
            raise TooManyStreams(self._per_caller_max)
        if self.count >= self._count_max:
            raise StoreUnavailable(
                f"{self._count_max} change streams are open",
                message=f"{self._count_max} change streams are open, and no more are served. Try again later.",
                retry_after_seconds=30,
            )
        self._of_caller[key] += 1
        try:
            yield
        finally:
            self._of_caller[key] -= 1
            if not self._of_caller[key]:
                del self._of_caller[key]


class ChangeStreamer:
    """Makes the events of a stream."""

    def __init__(
        self,
        gate: Gate,
        changes: ChangeReader,
        latest: LatestChanges,
        places: Places,
        *,
        clock: Callable[[], Instant],
    ) -> None:
        self._gate = gate
        self._changes = changes
        self._latest = latest
        self._places = places
        self._clock = clock

    async def batches(
        self, exchange: Exchange, reader: Reader, told: ToldChanges
    ) -> AsyncGenerator[Batch, None]:
        """The events of a stream that begins with `told`, in batches; something in between when there are none.

        It ends when a request would be refused, or answered with another view; when changes that it was too slow
        for are not kept any more; and when the server stops.
        """
        if told.changes:
            await self._gate.note_told(reader.caller)
        yield [b"retry: %d\n\n" % RETRY_MILLISECONDS, *self._events(reader, told)]
        loop = asyncio.get_running_loop()
        said_at = loop.time()
        with self._latest.watching(reader.caller.tenant_id) as watch, suppress(ChangesGone):
            while await self._goes_on(exchange, reader, watch, told.position):
                told = await self._read(reader, watch, told.position)
                if told.changes:
                    await self._gate.note_told(reader.caller)
                    yield self._events(reader, told)
                elif loop.time() - said_at >= HEARTBEAT_SECONDS:
                    yield [b": nothing new\n", *self._events(reader, told)]
                else:
                    continue
                said_at = loop.time()

    async def _goes_on(self, exchange: Exchange, reader: Reader, watch: TenantWatch, position: int) -> bool:
        """Wait for news, not too long. Whether the reader may still hear of it."""
        if not self._latest.is_closed:
            await watch.wait_beyond(position, seconds_max=_CHECK_EVERY_SECONDS)
        if self._latest.is_closed:
            return False
        try:
            caller, exposure = await self._gate.recheck(exchange, self._clock())
        except Refusal:
            return False
        return exposure == reader.exposure and caller.principal == reader.caller.principal

    async def _read(self, reader: Reader, watch: TenantWatch, position: int) -> ToldChanges:
        """What there is behind a position. Raises ChangesGone."""
        nothing = ToldChanges(changes=(), position=position)
        if watch.latest == position:
            return nothing
        try:
            return await self._changes.changes_after(
                reader.caller.tenant_id, reader.exposure, position, _EVENTS_AT_ONCE
            )
        except StoreUnavailable:
            # A browser would not come back after a 503.
            await asyncio.sleep(_CHECK_EVERY_SECONDS)
            return nothing

    def _events(self, reader: Reader, told: ToldChanges) -> Batch:
        """An event for each change, and the place behind all that was looked at."""
        now = self._clock()
        events = [
            b"id: %s\nevent: %s\ndata: %s\n\n"
            % (
                _text(self._places.at(reader, change.number, now)),
                change.kind.value.encode(),
                msgspec.json.encode(shown(change, reader)),
            )
            for change in told.changes
        ]
        return [*events, b"id: %s\n\n" % _text(self._places.at(reader, told.position, now))]


def _text(place: int | str) -> bytes:
    return str(place).encode()
