"""The change feed for a reader: the changes of what the reader's exposure may know about."""

import asyncio
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from vigie.core.access import Exposure
from vigie.core.changes import Change, ChangeKind, Labels
from vigie.core.errors import ChangesGone
from vigie.storage.change_feed import ChangeFeed
from vigie.storage.visibility import labels_of

LOOKED_AT_MAX = 5_000
"""How many changes are looked at for one answer; most of them may be hidden from its reader."""

_READ_AT_ONCE = 250


class ToldChanges(Struct, frozen=True, kw_only=True):
    """The changes that a reader is told, in their order. `position` is the last number that was looked at."""

    changes: tuple[Change, ...]
    position: int


class ChangeReader:
    """Reads the feed as far as an exposure may know of it."""

    def __init__(self, feed: ChangeFeed) -> None:
        self._feed = feed

    async def latest(self, tenant_id: int) -> int:
        """The number of the last change, visible or hidden; 0 for none."""
        return await self._feed.latest(tenant_id)

    async def changes_after(
        self, tenant_id: int, exposure: Exposure, position: int | None, limit: int
    ) -> ToldChanges:
        """At most `limit` changes behind a position; None begins with the oldest change that is kept.

        Fewer do not mean that there are no more: only so many are looked at. Raises ChangesGone when any of them
        is not kept any more, or when the feed has never come as far: an older backup has been restored then.
        """
        if position is not None:
            return await self._read(tenant_id, exposure, position, limit)
        while True:
            first = await self._feed.first(tenant_id)
            try:
                return await self._read(tenant_id, exposure, first - 1, limit)
            except ChangesGone:
                # The oldest has been removed meanwhile.
                continue

    async def _read(self, tenant_id: int, exposure: Exposure, position: int, limit: int) -> ToldChanges:
        told: list[Change] = []
        end = position + LOOKED_AT_MAX
        while len(told) < limit and position < end:
            count = min(_READ_AT_ONCE, end - position)
            changes = await self._feed.changes_after(tenant_id, position, count)
            if not changes and position > await self._feed.latest(tenant_id):
                raise ChangesGone(await self._feed.first(tenant_id))
            position = _tell(changes, exposure, limit, told) or position
            if len(changes) < count:
                break
            # Others on the loop wait no longer than for one turn.
            await asyncio.sleep(0)
        return ToldChanges(changes=tuple(told), position=position)


def _tell(changes: list[Change], exposure: Exposure, limit: int, told: list[Change]) -> int | None:
    """Add what the reader hears, up to a limit. The number of the last change that was looked at; None for none."""
    position = None
    for change in changes:
        if len(told) == limit:
            break
        position = change.number
        if heard := told_to(change, exposure):
            told.append(heard)
    return position


def told_to(change: Change, exposure: Exposure) -> Change | None:
    """What a reader of this exposure hears of a change; None for nothing.

    An incident that comes into the reader's view is created for it, and one that leaves it is removed; who
    did that is not told. A change of an alert is told where the alert itself is visible. That more or fewer groups
    see an incident is not told within the view: it stays as it is there, and says that something is hidden.
    """
    if exposure.whole_tenant:
        return change
    labels = _labels(exposure)
    was_visible, is_visible = _sees(labels, change.visible_before), _sees(labels, change.visible_after)
    if was_visible != is_visible:
        kind = ChangeKind.CREATED if is_visible else ChangeKind.REMOVED
        return replace(change, kind=kind, alert_id=None, actor="", request_id="")
    is_hidden_alert = change.alert_visible is not None and not _sees(labels, change.alert_visible)
    if not is_visible or is_hidden_alert:
        return None
    return None if change.kind is ChangeKind.VISIBILITY_CHANGED else change


@lru_cache(maxsize=1_024)
def _labels(exposure: Exposure) -> Labels:
    return frozenset(labels_of(exposure))


def _sees(labels: Labels, visible: Labels | None) -> bool:
    return visible is not None and not labels.isdisjoint(visible)
