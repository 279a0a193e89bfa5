"""The rules by which tests are chosen: what they name is there."""

from importlib import import_module

import pytest

from tests.support.needs import FIXTURES, FOLDERS
from tests.support.paths import ROOT
from tests.support.stores import ON_EVERY_STORE, OPENS_A_STORE

TESTS = ROOT / "tests"


def test_every_module_that_is_to_run_on_every_store_is_there_and_opens_one() -> None:
    opens_none = [
        name
        for name in sorted(ON_EVERY_STORE)
        if not any(hasattr(import_module(f"tests.{name}"), each) for each in OPENS_A_STORE)
    ]

    assert opens_none == []


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
