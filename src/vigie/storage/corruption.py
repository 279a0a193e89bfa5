"""Damaged rows: bytes in the database that are not what was stored. Reading one is an outage, not an answer."""

from contextlib import AbstractContextManager
from types import TracebackType

import msgspec

from vigie.core.access import Exposure
from vigie.core.errors import StoreUnavailable
from vigie.documents.defender.redaction import visible_document
from vigie.documents.lossless import NotJson

DAMAGED = (msgspec.DecodeError, NotJson, UnicodeDecodeError)
"""The errors of reading a row that something else has overwritten."""


class _UnavailableWhenDamaged:
    # Every update enters it several times, and a generator would cost more than what it guards.
    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if isinstance(error, DAMAGED):
            raise StoreUnavailable(f"an incident in the database is damaged: {error}") from error


_UNAVAILABLE_WHEN_DAMAGED = _UnavailableWhenDamaged()


def unavailable_when_damaged() -> AbstractContextManager[None]:
    """A row that cannot be read back is a refusal."""
    return _UNAVAILABLE_WHEN_DAMAGED


def visible(document: bytes, alerts_at: int, spans: bytes, exposure: Exposure) -> bytes | None:
    """As `visible_document`. Raises StoreUnavailable for a row that is damaged, where that is seen."""
    with unavailable_when_damaged():
        return visible_document(document, alerts_at, spans, exposure)
