"""An update: what a caller asks to change of an incident."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """The changes that are asked for; None leaves as it is.

    `assigned_to` is the empty text to unassign. `tags` replace all of them.
    """

    status: str | None = None
    assigned_to: str | None = None
    classification: str | None = None
    determination: str | None = None
    tags: tuple[str, ...] | None = None
    comment: str | None = None
