"""The row of an incident, as changes read it: with its answer, which is assembled where it is absent."""

from typing import NamedTuple

from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.changes import Labels
from vigie.core.incident import Spans, decode_spans
from vigie.core.instants import Instant
from vigie.core.redaction import is_visible
from vigie.documents.defender.alerts import alert_id_of
from vigie.documents.defender.redaction import visible_alerts
from vigie.documents.splitting import SplitDocument, split_document
from vigie.storage.alert_rows import assembled_from
from vigie.storage.corruption import unavailable_when_damaged, visible
from vigie.storage.database import Session, Values
from vigie.storage.visibility import label_set, labels_of_alert


class IncidentRow(NamedTuple):
    """The columns of an incident that a change needs."""

    document: bytes
    alerts_at: int
    spans: bytes
    last_update_at: Instant

    def known_spans(self) -> Spans:
        """The spans. Raises StoreUnavailable if they are damaged."""
        with unavailable_when_damaged():
            return decode_spans(self.spans)

    def is_visible_to(self, exposure: Exposure) -> bool:
        """Whether an exposure knows about it at all. Raises StoreUnavailable if the spans are damaged."""
        return exposure.whole_tenant or is_visible(self.known_spans(), exposure)

    def labels(self) -> Labels:
        """The labels under which scoped callers find it. Raises StoreUnavailable if the spans are damaged."""
        return label_set(self.known_spans())

    def labels_of_alerts(self) -> dict[str | None, Labels]:
        """The labels of the alerts by their ids: of several of one id, those of all of them.

        Raises StoreUnavailable if it is damaged.
        """
        found: dict[str | None, Labels] = {}
        for text, span in zip(self.alerts(), self.known_spans().alerts, strict=True):
            alert_id = alert_id_of(text)
            found[alert_id] = found.get(alert_id, frozenset()) | labels_of_alert(span)
        return found

    def split(self) -> SplitDocument:
        """The document in two. Raises StoreUnavailable if it is damaged."""
        with unavailable_when_damaged():
            return split_document(self.document, self.alerts_at, decode_spans(self.spans))

    def alerts(self) -> list[bytes]:
        """The text of each alert. Raises StoreUnavailable if the spans are damaged."""
        return [text for _, text in self.alerts_visible_to(WHOLE_TENANT)]

    def alerts_visible_to(self, exposure: Exposure) -> list[tuple[int, bytes]]:
        """The alerts that this exposure may know, each with its place. Raises StoreUnavailable if it is damaged."""
        with unavailable_when_damaged():
            return visible_alerts(self.document, self.alerts_at, self.spans, exposure)

    def visible_to(self, exposure: Exposure) -> bytes | None:
        """The document as this exposure may know it; None for nothing. Raises StoreUnavailable if it is damaged."""
        return visible(self.document, self.alerts_at, self.spans, exposure)


def key_of(tenant_id: int, incident_id: int) -> dict[str, int]:
    """How statements name one incident."""
    return {"tenant_id": tenant_id, "incident_id": incident_id}


async def find_row(session: Session, key: Values) -> IncidentRow | None:
    """One incident's row, with its answer."""
    row = await session.row("find_incident", key)
    if row is not None and not row[0]:
        row = assembled_from(await session.rows("parts_of_incident", key))
    return None if row is None else IncidentRow(*row)


async def put_answer(session: Session, key: Values) -> None:
    """Put the answer of an incident back, if it is absent."""
    row = assembled_from(await session.rows("parts_of_incident", key))
    if row is not None:
        document, alerts_at, spans, _ = row
        await session.run("put_answer", {**key, "document": document, "alerts_at": alerts_at, "spans": spans})
