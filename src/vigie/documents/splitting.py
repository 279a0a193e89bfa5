"""An incident document taken apart into its head and its alerts, and put together again."""

from typing import Any

import msgspec

from vigie.core.incident import Spans
from vigie.documents import lossless

CONTEXT_KEY = "@odata.context"


class SplitDocument(msgspec.Struct, frozen=True):
    """A kept document in two: the incident's own keys in their order, with an empty list of alerts, and these."""

    head: dict[str, Any]
    alerts: bytes


def split_document(document: bytes, alerts_at: int, spans: Spans) -> SplitDocument:
    """Take a document apart without decoding its alerts."""
    end = end_of_alerts(alerts_at, spans)
    head = lossless.decode_unchecked(document[:alerts_at] + document[end:])
    return SplitDocument(head, document[alerts_at:end])


def end_of_alerts(alerts_at: int, spans: Spans) -> int:
    """Where the last alert of a document ends, given where the first one starts."""
    return alerts_at + sum(span.length + 1 for span in spans.alerts) - bool(spans.alerts)


def join_document(split: SplitDocument) -> tuple[bytes, int]:
    """Put it together again; also where its first alert starts."""
    return encode_document(split.head, [split.alerts] if split.alerts else [])


def encode_document(incident: dict[str, Any], alerts: list[bytes]) -> tuple[bytes, int]:
    """The document, and where its first alert starts: around the alerts the other keys keep their order."""
    array = b"[%b]" % b",".join(alerts)
    whole = {**incident, "alerts": msgspec.Raw(array)}
    whole.pop(CONTEXT_KEY, None)
    document = lossless.encode(whole)
    keys = list(whole)
    behind = keys[keys.index("alerts") + 1 :]
    tail = lossless.encode({key: whole[key] for key in behind}) if behind else b"}"
    return document, len(document) - len(tail) - len(array) + 1
