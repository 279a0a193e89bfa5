"""How many bytes of large single answers are on their way at once: whoever does not read holds only so much.

An answer is held whole until its client has taken it, so that its length can be said in front.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from vigie.core.refusals import StoreUnavailable

APPLICATION_BYTES_MAX = 64 * 1024 * 1024
"""Of one application. One answer is let go always, however large, while it is the only one."""

ALL_BYTES_MAX = 256 * 1024 * 1024
"""Of all applications together; likewise."""

_Account = tuple[int, str]


class LargeAnswers:
    """Counts what is on its way."""

    def __init__(self) -> None:
        self._bytes: Counter[_Account] = Counter()

    def require_room(self, account: _Account, size_bytes: int = 1) -> None:
        """Raise StoreUnavailable if so many bytes more would be too many."""
        of_application, of_all = self._bytes[account], self._bytes.total()
        if of_application and of_application + size_bytes > APPLICATION_BYTES_MAX:
            raise StoreUnavailable(
                f"{of_application} bytes of large incidents are on their way to the application",
                message="The application has large incidents under way already. Try again when it has read them.",
            )
        if of_all and of_all + size_bytes > ALL_BYTES_MAX:
            raise StoreUnavailable(f"{of_all} bytes of large incidents are on their way")

    @contextmanager
    def under_way(self, account: _Account, size_bytes: int) -> Iterator[None]:
        """Count an answer while the block lasts."""
        self._bytes[account] += size_bytes
        try:
            yield
        finally:
            self._bytes[account] -= size_bytes
            if not self._bytes[account]:
                del self._bytes[account]
