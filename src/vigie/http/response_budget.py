"""The budget of large answers on their way at once: a client that does not read holds only so much.

An answer is held whole until its client has taken it, so that its length can be said in front.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vigie.core.access import Principal
from vigie.core.errors import StoreUnavailable

CALLER_BYTES_MAX = 64 * 1024 * 1024
"""Of one caller. One answer is let go always, however large, while it is the only one."""

ALL_BYTES_MAX = 256 * 1024 * 1024
"""Of all callers together; likewise."""


class ResponseBudget:
    """Counts what is on its way."""

    def __init__(self) -> None:
        self._bytes: Counter[Principal] = Counter()

    def require_room(self, caller: Principal, size_bytes: int = 1) -> None:
        """Raise StoreUnavailable if so many bytes more would be too many."""
        of_caller, of_all = self._bytes[caller], self._bytes.total()
        if of_caller and of_caller + size_bytes > CALLER_BYTES_MAX:
            raise StoreUnavailable(
                f"{of_caller} bytes of large incidents are on their way to the caller",
                message="The caller has large incidents under way already. Try again when it has read them.",
            )
        if of_all and of_all + size_bytes > ALL_BYTES_MAX:
            raise StoreUnavailable(f"{of_all} bytes of large incidents are on their way")

    @contextmanager
    def under_way(self, caller: Principal, size_bytes: int) -> Iterator[None]:
        """Count an answer while the block lasts."""
        self._bytes[caller] += size_bytes
        try:
            yield
        finally:
            self._bytes[caller] -= size_bytes
            if not self._bytes[caller]:
                del self._bytes[caller]
