"""Envelopes around incidents, as captured responses and test data have them."""

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from vigie.application.transfer.format_detection import NOT_JSON

_LEVELS_MAX: Final = 12
_ALERT_KEYS: Final = frozenset({"alertId", "alertWebUrl"})
_INCIDENT_KEYS: Final = ("incidentId", "incidentWebUrl")
_GRAPH_KEYS: Final = frozenset({"incidentWebUrl", "displayName"})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A list of incidents, or one by itself, inside a document: its path and its text."""

    path: str
    text: bytes

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return self.text.startswith(b"[")


def places_of_incidents(document: bytes, path: str = "$") -> list[Place]:
    """Every list of incidents in an object that is none itself, in order; none in an incident."""
    if not any(b'"%b"' % key.encode() in document for key in _INCIDENT_KEYS):
        return []
    return list(_places(document, path, _LEVELS_MAX))


def is_graph_form(text: bytes) -> bool:
    """Whether this is what Microsoft Graph's security API answers: an incident or alert, or a list of them."""
    members = _members(text)
    kinds = (_text(members.get(key)) for key in ("@odata.type", "@odata.context"))
    return any("microsoft.graph" in kind or "graph.microsoft" in kind for kind in kinds) or bool(
        members.keys() & _GRAPH_KEYS
    )


def _places(text: bytes, path: str, levels: int) -> Iterator[Place]:
    if levels == 0:
        return
    if text.startswith(b"{"):
        if _is_incident(members := _members(text)):
            yield Place(path=path, text=text)
            return
        for name, value in members.items():
            yield from _places(bytes(value), f"{path}.{name}", levels - 1)
    elif text.startswith(b"["):
        elements = [bytes(each) for each in _elements(text)]
        if any(_is_incident(_members(each)) for each in elements):
            yield Place(path=path, text=text)
            return
        for index, each in enumerate(elements):
            yield from _places(each, f"{path}[{index}]", levels - 1)


def _is_incident(members: dict[str, Raw]) -> bool:
    return any(key in members for key in _INCIDENT_KEYS) and not members.keys() & _ALERT_KEYS


def _members(text: bytes) -> dict[str, Raw]:
    if not text.startswith(b"{"):
        return {}
    try:
        return msgspec.json.decode(text, type=dict[str, Raw])
    except NOT_JSON:
        return {}


def _elements(text: bytes) -> list[Raw]:
    try:
        return msgspec.json.decode(text, type=list[Raw])
    except NOT_JSON:
        return []


def _text(value: Raw | None) -> str:
    try:
        return "" if value is None else msgspec.json.decode(value, type=str)
    except NOT_JSON:
        return ""
