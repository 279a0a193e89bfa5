"""Vigie as it is installed: this tree's, and that of an older revision, built beside it and kept."""

import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from bench.processes import BenchError, clean_environment
from bench.results import ROOT
from vigie.storage.statements import migrations

WORK = ROOT / ".bench"
UV = ROOT / ".tools" / "bin" / "uv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """An installed Vigie. Its `mark` names the databases that are made with it and kept."""

    path: Path
    mark: str

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.path.with_name("python")

    def run(self, *arguments: object, environ: Mapping[str, str] | None = None) -> str:
        """What a command says on stdout. Raises BenchError when it fails."""
        command = [str(self.path), *map(str, arguments)]
        environ = clean_environment() | dict(environ or {})
        completed = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
        if completed.returncode:
            raise BenchError(f"{' '.join(command)}: {completed.stderr.strip()}")
        return completed.stdout


def _schema_mark() -> str:
    """A database of another schema is made anew: an old one would come without what a new release writes."""
    scripts = "".join(migration.script for migration in migrations())
    return f"v{migrations()[-1].number}-{crc32(scripts.encode()):08x}"


VIGIE = Program(path=Path(sys.executable).with_name("vigie"), mark=_schema_mark())


def require_uv() -> None:
    """Raise BenchError when the program that installs is missing."""
    if not UV.exists():
        raise BenchError("uv is missing; `make setup` brings it")


def built(revision: str) -> Program:
    """The program of a revision, from its own sources and lock file, built when it is not there yet."""
    commit = short_commit(revision)
    tree = WORK / "revisions" / commit
    is_built = tree / ".built"
    if not is_built.exists():
        require_uv()
        print(f"building revision {commit}, once", flush=True)
        _extract(commit, tree)
        _install(tree)
        is_built.touch()
    return Program(path=tree / ".venv" / "bin" / "vigie", mark=commit)


def short_commit(revision: str) -> str:
    """A name of a commit that is the same for every name of the revision. Raises BenchError for an unknown one."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--short=10", f"{revision}^{{commit}}"]
    completed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if completed.returncode:
        raise BenchError(f"{revision!r} is no revision of this repository; `git log` shows them")
    return completed.stdout.strip()


def _extract(commit: str, tree: Path) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", commit], capture_output=True, cwd=ROOT, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")


def _install(tree: Path) -> None:
    command: list[str | Path] = [UV, "sync", "--quiet", "--frozen", "--no-dev", "--all-extras"]
    environ = clean_environment() | {"UV_PROJECT_ENVIRONMENT": str(tree / ".venv")}
    completed = subprocess.run(
        [*command, "--python", sys.executable],
        cwd=tree,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise BenchError(f"the revision cannot be installed: {completed.stderr.strip()}")
