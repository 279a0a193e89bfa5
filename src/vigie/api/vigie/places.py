"""Places in the change feed, as each reader names them: by numbers, or by sealed cursors."""

from msgspec import Struct

from vigie.api.vigie.change_query import SealedText
from vigie.api.vigie.cursors import CursorSealer, digest_of
from vigie.core.access import Caller, Exposure
from vigie.core.errors import ChangesGone, InvalidInput, ViewChanged
from vigie.core.instants import TICKS_PER_SECOND, Instant

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


class Places:
    """Reads and writes places. `retention_ticks` is how long changes are kept; 0: for ever."""

    def __init__(self, cursors: CursorSealer, *, retention_ticks: int) -> None:
        self._cursors = cursors
        self._retention_ticks = retention_ticks

    async def load(self) -> None:
        """To be awaited before the rest is called."""
        await self._cursors.load()

    def position_of(self, reader: Reader, after: int | SealedText, now: Instant) -> int:
        """The number behind which a place is. Raises InvalidInput, ChangesGone, ViewChanged."""
        if not isinstance(after, SealedText):
            # As the reader of the whole tenant it may have been, it was told what it cannot know any more.
            if not reader.gets_numbers:
                raise ViewChanged
            return after
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

    def at(self, reader: Reader, position: int, now: Instant) -> int | str:
        """How a reader names the place behind a number."""
        if reader.gets_numbers:
            return position
        return self._cursors.seal(reader.caller, reader.exposure, position, now)
