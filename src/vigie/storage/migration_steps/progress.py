"""The progress of a step of a migration."""

from typing import NamedTuple


class Progress(NamedTuple):
    """How much of a step is done, of how much, in incidents."""

    done: int
    total: int
