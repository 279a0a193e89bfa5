"""The alerts of an incident that are new, changed or gone, told apart by their ids."""

from collections.abc import Iterable, Mapping

import msgspec

from vigie.documents.defender.alerts import alert_id_of


class AlertDifferences(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of alerts that were added, changed or removed; alerts without an id are not among them."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def alert_differences(before: Iterable[bytes], after: Iterable[bytes]) -> AlertDifferences:
    """The differences between two lists of alerts; one that has only another place is none."""
    old, new = _by_id(before), _by_id(after)
    return AlertDifferences(
        added=tuple(each for each in new if each not in old),
        changed=tuple(each for each in new if each in old and new[each] != old[each]),
        removed=tuple(each for each in old if each not in new),
    )


def _by_id(alerts: Iterable[bytes]) -> Mapping[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for text in alerts:
        alert_id = alert_id_of(text)
        if alert_id is not None:
            found.setdefault(alert_id, []).append(text)
    return found
