"""The change feed for a reader: the changes of what the reader's exposure may know about."""

from msgspec.structs import replace

from vigie.core.access import Exposure
from vigie.core.changes import Change, ChangeKind, Labels
from vigie.storage.visibility import labels_of


def told_to(change: Change, exposure: Exposure) -> Change | None:
    """What a reader of this exposure hears of a change; None for nothing.

    An incident that comes into the reader's view is created for it, and one that leaves it is removed; who
    did that is not told. A change of an alert is told where the alert itself is visible.
    """
    if exposure.whole_tenant:
        return change
    labels = frozenset(labels_of(exposure))
    was_visible, is_visible = _sees(labels, change.visible_before), _sees(labels, change.visible_after)
    if was_visible != is_visible:
        kind = ChangeKind.CREATED if is_visible else ChangeKind.REMOVED
        return replace(change, kind=kind, alert_id=None, actor="", request_id="")
    is_hidden_alert = change.alert_visible is not None and not _sees(labels, change.alert_visible)
    if not is_visible or is_hidden_alert:
        return None
    if change.kind is ChangeKind.VISIBILITY_CHANGED:
        return replace(change, kind=ChangeKind.UPDATED, actor="", request_id="")
    return change


def _sees(labels: Labels, visible: Labels | None) -> bool:
    return visible is not None and not labels.isdisjoint(visible)
