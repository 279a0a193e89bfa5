"""Histories, read as somebody reads them who has nothing else."""

from collections.abc import Iterable
from typing import Any

from tests.support.builders import Document


def redone(before: Document, changes: Iterable[tuple[str, Any]]) -> Document:
    """A document after changes, as somebody makes it who has only the history."""
    after = dict(before)
    for key, change in changes:
        if "added" in change:
            after[key] = [*after[key], *change["added"]]
        elif "to" in change:
            after[key] = change["to"]
        else:
            del after[key]
    return after
