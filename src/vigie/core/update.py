"""An update: what a caller asks to change of an incident."""

from typing import NewType

import msgspec

from vigie.core.enums import Classification, Determination, Status

IdempotencyKey = NewType("IdempotencyKey", bytes)
"""Tells a request that is to be done once only from all others of its tenant."""


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that are asked for; None leaves as it is.

    `assigned_to` is the empty text to unassign. `tags` replace all of them. `determination_word` spells the
    determination where the documented word is not to be used.
    """

    status: Status | None = None
    assigned_to: str | None = None
    classification: Classification | None = None
    determination: Determination | None = None
    determination_word: str | None = None
    tags: tuple[str, ...] | None = None
    comment: str | None = None
