"""An incident as the holder of alerts: its own keys and its spans, without decoding or assembling its answer."""

from typing import Any

import msgspec

from vigie.core.changes import Labels
from vigie.core.incident import Spans, decode_spans
from vigie.core.instants import Instant
from vigie.documents import lossless
from vigie.documents.splitting import split_document
from vigie.storage.corruption import unavailable_when_damaged
from vigie.storage.database import Session, Values
from vigie.storage.visibility import label_set

_SMALL_ANSWER_BYTES_MAX = 64 * 1024


class IncidentHolder(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of an incident that a change of its alerts needs. `head` is None where the answer is there.

    `labels` are those under which scoped callers find it.
    """

    incident_id: int
    document: bytes
    alerts_at: int
    spans: Spans
    labels: Labels
    last_update_at: Instant
    head: bytes | None
    created_at: Instant
    status: str
    assigned_to: str | None

    def own_keys(self) -> dict[str, Any]:
        """The incident's own keys in their order, with an empty list of alerts."""
        with unavailable_when_damaged():
            if self.head is None:
                return split_document(self.document, self.alerts_at, self.spans).head
            keys: dict[str, Any] = lossless.decode_unchecked(self.head)
            return keys

    @property
    def is_small(self) -> bool:
        """Whether its answer is there, and written again with the change more cheaply than later."""
        return 0 < len(self.document) <= _SMALL_ANSWER_BYTES_MAX


async def find_holder(session: Session, key: Values) -> IncidentHolder | None:
    """One incident; None for none. Raises StoreUnavailable if its spans are damaged."""
    row = await session.row("incident_with_head", key)
    if row is None:
        return None
    incident_id, document, alerts_at, stored_spans, last_update_at, head, created_at, status, assigned_to = (
        row
    )
    with unavailable_when_damaged():
        spans = decode_spans(stored_spans)
    return IncidentHolder(
        incident_id=incident_id,
        document=document,
        alerts_at=alerts_at,
        spans=spans,
        labels=label_set(spans),
        last_update_at=last_update_at,
        head=head,
        created_at=created_at,
        status=status,
        assigned_to=assigned_to,
    )
