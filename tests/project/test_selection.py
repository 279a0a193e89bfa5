"""The rules by which tests are chosen: what they name is there."""

from importlib import import_module

import pytest

from tests.support.needs import FIXTURES, FOLDERS
from tests.support.paths import ROOT
from tests.support.stores import OF_POSTGRES, ON_EVERY_STORE, ON_SQLITE_ALONE, OPENS_A_STORE

TESTS = ROOT / "tests"


def test_every_module_that_opens_a_store_is_in_exactly_one_list() -> None:
    files = (file.relative_to(TESTS).with_suffix("") for file in TESTS.rglob("test_*.py"))
    names = (".".join(file.parts) for file in files)

    opening = [
        name
        for name in names
        if not name.startswith(OF_POSTGRES)
        if any(hasattr(import_module(f"tests.{name}"), each) for each in OPENS_A_STORE)
    ]

    assert sorted(opening) == sorted([*ON_EVERY_STORE, *ON_SQLITE_ALONE])


def test_every_folder_with_a_mark_is_there() -> None:
    assert [folder for folder in FOLDERS if not (TESTS / folder).is_dir()] == []


def test_every_mark_is_registered_and_left_out_of_the_quick_run(pytestconfig: pytest.Config) -> None:
    registered = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    (line,) = (
        each
        for each in (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
        if each.startswith("BESIDES")
    )
    left_out = set(line.partition(":=")[2].split()) - {"or"}

    assert {*FOLDERS.values(), *FIXTURES.values(), "programs"} == left_out
    assert left_out <= registered
