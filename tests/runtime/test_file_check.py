"""The look through the database file, beside the first answers of a server."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.support.house import RunningHouse
from vigie.storage.database import StoreError
from vigie.storage.sqlite.database import open_sqlite
from vigie.storage.sqlite.file import check_whole


def test_requests_are_answered_while_the_file_is_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def check_whole(_: Path, *, seconds_max: float) -> bool:
        begun.set()
        return may_end.wait(20 * seconds_max)

    monkeypatch.setattr("vigie.runtime.installation.check_whole", check_whole)

    with RunningHouse(tmp_path) as house:
        assert begun.wait(20)
        assert house.request("GET", "/readyz").status == 200
        may_end.set()


@pytest.mark.parametrize("kept_bytes", [100, 1000, 4096, 40_000])
def test_a_file_that_was_cut_anywhere_is_damaged(tmp_path: Path, kept_bytes: int) -> None:
    path = tmp_path / "vigie.sqlite3"
    asyncio.run(open_sqlite(path, create=True).close())
    os.truncate(path, kept_bytes)

    with pytest.raises(StoreError, match=r"is damaged: .*restore a backup"):
        check_whole(path, seconds_max=10)
