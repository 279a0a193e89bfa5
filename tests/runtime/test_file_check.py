"""The look through the database file, beside the first answers of a server."""

import threading
from pathlib import Path

import pytest

from tests.support.house import RunningHouse


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
