"""Damaged rows: bytes in the database that are not what was stored. Reading one is an outage, not an answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from vigie.core.access import Exposure
from vigie.core.errors import StoreUnavailable
from vigie.documents.defender.redaction import visible_document
from vigie.documents.lossless import NotJson

DAMAGED = (msgspec.DecodeError, NotJson, UnicodeDecodeError)
"""The errors of reading a row that something else has overwritten."""


@contextmanager
def unavailable_when_damaged() -> Iterator[None]:
    """A row that cannot be read back is a refusal."""
    try:
        yield
    except DAMAGED as error:
        raise StoreUnavailable(f"an incident in the database is damaged: {error}") from error


def visible(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """As `visible_document`. Raises StoreUnavailable for a row that is damaged, where that is seen."""
    with unavailable_when_damaged():
        return visible_document(document, alerts_at, spans, exposure)
