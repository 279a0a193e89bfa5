"""The pauses of a background task while the database fails: each is twice the one before."""

_SECONDS_MAX = 60.0


class BackOff:
    """Counts the failures of one task since its last success."""

    def __init__(self, first_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._next_seconds = first_seconds

    def succeed(self) -> None:
        """Begin with the first pause again."""
        self._next_seconds = self._first_seconds

    def fail(self) -> float:
        """The seconds to wait now."""
        pause_seconds = self._next_seconds
        self._next_seconds = min(2 * pause_seconds, _SECONDS_MAX)
        return pause_seconds
