"""Bytes in the database that are not what was kept: no defect of ours, and no reason for a wrong answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from vigie.core.access import Exposure
from vigie.core.errors import StoreUnavailable
from vigie.documents.defender.redaction import visible_document
from vigie.documents.lossless import NotJson

NOT_AS_KEPT = (msgspec.DecodeError, NotJson, UnicodeDecodeError)
"""What is raised by reading a row that something else has written over."""


@contextmanager
def unavailable_when_damaged() -> Iterator[None]:
    """A row that cannot be read back is a refusal."""
    try:
        yield
    except NOT_AS_KEPT as error:
        raise StoreUnavailable(f"an incident in the database is damaged: {error}") from error


def visible(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """As `visible_document`. Raises StoreUnavailable for a row that is damaged, where that is seen."""
    with unavailable_when_damaged():
        return visible_document(document, alerts_at, spans, exposure)
