"""The size of the write-ahead log of a database file, and how it is kept small.

Changes go to the log first, and from there into the file. The log is restarted only when no reader uses it any
more: one reader that takes long lets it grow.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path

LOG_BYTES_MAX = 128 * 1024 * 1024
"""The log stays below this, except for what a single transaction writes."""

READERS_STOPPED_FROM_BYTES = 96 * 1024 * 1024
"""From this size on, open scans are stopped."""

_TRUNCATED_FROM_BYTES = 64 * 1024 * 1024
_TRIED_AGAIN_AFTER_BYTES = 8 * 1024 * 1024
_WAIT_FOR_READERS_SECONDS = 1.0


def log_bytes(path: Path) -> int:
    """How long the log of the file at this path is."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    # It is not there, or nothing that it lies on can be had: the next change says so.
    except OSError:
        return 0


class LogTruncation:
    """Truncates the log when it has become long, and waits a moment for its readers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._from_bytes = _TRUNCATED_FROM_BYTES

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Do it if it is time. What it cannot do now, it does after a later commit."""
        length_bytes = log_bytes(self._path)
        if length_bytes < self._from_bytes:
            return
        is_done = _is_truncated(connection)
        self._from_bytes = _TRUNCATED_FROM_BYTES if is_done else length_bytes + _TRIED_AGAIN_AFTER_BYTES


def _is_truncated(connection: sqlite3.Connection) -> bool:
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * _WAIT_FOR_READERS_SECONDS)}")
    try:
        # A disk that is full, or fails, or a file that is damaged, says so to the next change.
        with suppress(sqlite3.DatabaseError):
            return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")
