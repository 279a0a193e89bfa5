"""Marks of what a test needs beside the program and SQLite: `make test` leaves out whatever bears one.

CONTRIBUTING.md, "Tests", says which mark means what; pyproject.toml registers them.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

FOLDERS: Mapping[str, str] = {
    "browser": "browser",
    "clients": "clients",
    "faults": "faults",
    "project": "project",
    "storage/postgres": "postgres",
}
"""The mark of every test in a folder."""

FIXTURES: Mapping[str, str] = {
    "chromium": "browser",
    "node": "clients",
    "postgres": "postgres",
    "valkey": "valkey",
}
"""The mark of every test that asks for a fixture."""

_TESTS = Path(__file__).parents[1]
_PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"


def mark(item: pytest.Item) -> None:
    """Put on a test the marks that its folder, its fixtures and its store give it."""
    folder = item.path.parent.relative_to(_TESTS).as_posix()
    names = {FOLDERS.get(folder), *map(FIXTURES.get, getattr(item, "fixturenames", ()))}
    callspec = getattr(item, "callspec", None)
    if callspec is not None and callspec.params.get("store") == "postgres":
        names.add("postgres")
    for name in sorted(name for name in names if name is not None):
        item.add_marker(name)


def skip_without_programs(item: pytest.Item) -> None:
    """Skip a test whose mark names a program that this machine does not have."""
    for each in item.iter_markers("programs"):
        for program in each.args:
            if shutil.which(program, path=_PLACES) is None:
                pytest.skip(f"{program} is not on this machine; .ci/run installs it")
