"""What is released: the wheel has the program, the source archive what is needed to change it, and neither more."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "src/vigie/"


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
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both, built here with nothing fetched."""
    directory = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", directory],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=100,
    )
    return directory


def test_the_wheel_has_the_program_and_nothing_else(kept: set[str], built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    program = {name for name in names if ".dist-info/" not in name}
    assert program == {name.removeprefix("src/") for name in kept if name.startswith(PACKAGE)}
    described = {name.partition(".dist-info/")[2] for name in names - program}
    assert described == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/NOTICE",
    }


def test_the_source_archive_has_what_is_named_and_nothing_else(kept: set[str], built: Path) -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = pyproject["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    (sdist,) = built.glob("*.tar.gz")
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
