"""The packages of a release: the wheel has the program, the source archive what is needed to change it."""

import json
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT
from vigie.ui.languages import LANGUAGES, SOURCE_LANGUAGE
from vigie.ui.rendering import environment

PACKAGE = "src/vigie/"
DOCUMENTS = {
    file.with_suffix(".json").relative_to(ROOT / "src").as_posix()
    for file in (ROOT / PACKAGE).rglob("openapi.yaml")
}
CATALOGUES = {
    f"vigie/ui/locales/{each}/LC_MESSAGES/vigie.mo" for each in LANGUAGES if each != SOURCE_LANGUAGE
}
"""These are the only files of the program that are made by the build, and not kept."""


@pytest.fixture(scope="module")
def kept() -> set[str]:
    """The files that belong to the project, those included that are not committed yet."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout of git")
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, built here with nothing fetched."""
    (archive,) = built("sdist", ROOT, tmp_path_factory.mktemp("sdist"))
    return archive


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive as a release is."""
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (source,) = unpacked.iterdir()
    (made,) = built("wheel", source, tmp_path_factory.mktemp("wheel"))
    return made


def built(target: str, source: Path, directory: Path) -> list[Path]:
    """What hatchling makes of a source."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", directory],
        cwd=source,
        capture_output=True,
        check=True,
        timeout=100,
    )
    return list(directory.iterdir())


def test_the_wheel_has_the_program_and_nothing_else(kept: set[str], wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    program = {name for name in names if ".dist-info/" not in name}
    assert program - DOCUMENTS - CATALOGUES == {
        name.removeprefix("src/") for name in kept if name.startswith(PACKAGE)
    }
    assert program >= DOCUMENTS | CATALOGUES
    described = {name.partition(".dist-info/")[2] for name in names - program}
    assert described == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/NOTICE",
    }


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_the_wheel_has_its_documents_in_json_too(wheel: Path, document: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        in_json, in_yaml = archive.read(document), archive.read(document.replace(".json", ".yaml"))

    assert json.loads(in_json) == yaml.safe_load(in_yaml)


def test_the_wheel_has_every_template_and_the_texts_of_every_language(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        compiled = [archive.read(name) for name in CATALOGUES]

    assert {f"vigie/ui/templates/{name}" for name in environment(SOURCE_LANGUAGE).list_templates()} <= names
    assert all(GNUTranslations(BytesIO(each)).gettext("Password") != "Password" for each in compiled)


def test_the_source_archive_has_what_is_named_and_nothing_else(kept: set[str], sdist: Path) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    with tarfile.open(sdist) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}

    # The two that hatchling adds: the metadata, and what tells it which files are not the project's.
    assert names - {"PKG-INFO", ".gitignore"} == {
        name for name in kept if any(name == each or name.startswith(f"{each}/") for each in named)
    }


def test_everything_of_the_project_is_in_the_source_archive_or_only_for_the_repository(
    kept: set[str],
) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]

    tops = {name.partition("/")[0] for name in kept}
    assert tops - set(named) == {".ci", ".gitignore"}
