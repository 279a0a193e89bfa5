"""The lines of exported history, one for each entry, which imports recognise and skip.

It is not taken in again: what it says was done here, and by whom, nobody shall be able to write from outside.
"""

import re
from typing import Any

import msgspec

from vigie.core.audit import HistoryEntry
from vigie.core.instants import format_instant
from vigie.documents import lossless

_HEAD = re.compile(rb'\{[ \t\r\n]*+"history"[ \t\r\n]*+:')


def history_value(entry: HistoryEntry) -> dict[str, Any]:
    """An entry as programs read it."""
    return {
        "incident_id": entry.incident_id,
        "entry": entry.entry,
        "at": format_instant(entry.at),
        "action": entry.action,
        "actor": entry.actor,
        "request_id": entry.request_id,
        "changes": entry.changes,
    }


def history_line(entry: HistoryEntry) -> bytes:
    """An entry among the lines of an export."""
    return lossless.encode({"history": history_value(entry)})


def is_history_line(text: bytes) -> bool:
    """Whether this is an entry of a history, and so no incident."""
    # Looking at the start costs next to nothing, and no incident starts so.
    if not _HEAD.match(text):
        return False
    try:
        msgspec.json.decode(text, type=_HistoryLine)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


class _Entry(msgspec.Struct):
    incident_id: int
    entry: int


class _HistoryLine(msgspec.Struct, forbid_unknown_fields=True):
    history: _Entry
