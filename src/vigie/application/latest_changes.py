"""The watch over the change feeds: one look at the feed of a tenant for all who wait for its changes."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vigie.application.change_feed import ChangeReader
from vigie.core.errors import StoreUnavailable

LOOK_EVERY_SECONDS = 0.5


class TenantWatch:
    """The feed of one tenant, as of the last look at it. Those who wait need no thread and no snapshot."""

    def __init__(self, changes: ChangeReader, tenant_id: int) -> None:
        self.latest = 0
        self.watcher_count = 0
        self._changes = changes
        self._tenant_id = tenant_id
        self._news = asyncio.Event()
        self._looking = asyncio.create_task(self._look())

    async def wait_beyond(self, position: int, *, seconds_max: float) -> None:
        """Wait until the feed has come further than a position, until it is closed, or until the time is up."""
        if self._looking.done():
            self._looking.result()
        if self.latest <= position:
            news = self._news
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds_max):
                    await news.wait()

    def wake(self) -> None:
        """Let all who wait look again."""
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """Look no more."""
        self._looking.cancel()

    async def _look(self) -> None:
        while True:
            # A database that does not answer has no news.
            with suppress(StoreUnavailable):
                latest = await self._changes.latest(self._tenant_id)
                if latest != self.latest:
                    self.latest = latest
                    self.wake()
            await asyncio.sleep(LOOK_EVERY_SECONDS)


class LatestChanges:
    """The feeds that are watched. A tenant that nobody watches costs nothing."""

    def __init__(self, changes: ChangeReader) -> None:
        self._changes = changes
        self._watches: dict[int, TenantWatch] = {}
        self.is_closed = False

    @contextmanager
    def watching(self, tenant_id: int) -> Iterator[TenantWatch]:
        """The feed of a tenant, watched for as long as the block lasts."""
        watch = self._watches.get(tenant_id)
        if watch is None:
            watch = self._watches[tenant_id] = TenantWatch(self._changes, tenant_id)
        watch.watcher_count += 1
        try:
            yield watch
        finally:
            watch.watcher_count -= 1
            if not watch.watcher_count:
                watch.end()
                del self._watches[tenant_id]

    def close(self) -> None:
        """Let all who wait see that the server stops."""
        self.is_closed = True
        for watch in self._watches.values():
            watch.wake()
