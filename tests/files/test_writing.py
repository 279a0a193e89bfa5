"""Files appear whole or not at all, and nothing of them is left beside: not on a full disk, not after a kill."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.commands import PROGRAM, Ended, done, environment, run, served
from vigie.files.writing import new_file, sweep

LEFT = ".vigie-0123456789abcdef.part"

WRITERS: Mapping[str, tuple[str, ...]] = {
    "keys": ("keys", "rotate"),
    "backup": ("backup", "kept.sqlite3"),
    "settings": ("init", "another"),
    "export": ("export", "--tenant", "contoso", "--out", "incidents"),
    "certificates": ("serve", "--port", "0", "--tls", "auto"),
}
"""Every command that writes a file under another name first."""

each_writer = pytest.mark.parametrize("command", WRITERS.values(), ids=WRITERS)

# The program as it is, that is killed when it has written a file and not yet put it in its place.
KILLED_WHILE_WRITING = """
import os, signal, sys
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
from vigie.cli.main import run
sys.argv[0] = "vigie"
run()
"""

ROTATION = """
from pathlib import Path
from vigie.identity.keys.key_ring import rotate_keys
rotate_keys(Path(".vigie/signing-keys.json"), 0, 0)
"""


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    done("init")
    done("tenant", "add", "contoso")
    return tmp_path


def parts() -> list[Path]:
    return sorted(Path().rglob(".vigie-*.part*"))


def killed(*command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, *command], env=environment({}), timeout=60
    )
    assert ended.returncode == -signal.SIGKILL


def run_on_a_full_disk(*command: str | Path, bytes_max: int) -> Ended:
    """No file can grow beyond so many bytes: as on a full disk, writing more fails."""
    completed = subprocess.run(
        command,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_max, bytes_max)),
    )
    return Ended(code=completed.returncode, out=completed.stdout, err=completed.stderr)


@each_writer
def test_what_a_killed_process_left_is_removed_by_the_next(command: tuple[str, ...]) -> None:
    killed(*command)
    left = parts()
    assert left

    killed(*command)

    assert len(parts()) == len(left)
    assert not set(left) & set(parts())


def test_keys_that_a_killed_rotation_left_are_removed_by_the_next_start() -> None:
    before = Path(".vigie/signing-keys.json").read_bytes()
    killed("keys", "rotate")
    (left,) = parts()
    assert b'"d"' in left.read_bytes()

    with served("--port", "0"):
        pass

    assert parts() == []
    assert Path(".vigie/signing-keys.json").read_bytes() == before


def test_a_key_of_the_authority_that_a_killed_start_left_is_removed_by_the_next() -> None:
    killed("serve", "--port", "0", "--tls", "auto")
    (left,) = parts()
    assert b"PRIVATE KEY" in left.read_bytes()

    with served("--port", "0", "--tls", "auto"):
        pass

    assert parts() == []


def test_a_rotation_on_a_full_disk_leaves_the_keys_and_nothing_else() -> None:
    file = Path(".vigie/signing-keys.json")
    before = file.read_bytes()

    # Without the database, which would be the first not to fit.
    ended = run_on_a_full_disk(sys.executable, "-c", ROTATION, bytes_max=1000)

    assert "File too large" in ended.err
    assert file.read_bytes() == before
    assert parts() == []


@pytest.mark.parametrize(("name", "bytes_max"), [("backup", 100_000), ("settings", 1000)])
def test_a_full_disk_leaves_nothing(name: str, bytes_max: int) -> None:
    assert run_on_a_full_disk(PROGRAM, *WRITERS[name], bytes_max=bytes_max).code == 1

    assert parts() == []
    assert not Path("kept.sqlite3").exists()
    assert not Path("another/vigie.toml").exists()


def test_what_sqlite_put_beside_an_unfinished_backup_goes_with_it() -> None:
    for end in ("", "-journal", "-wal", "-shm"):
        Path(f"{LEFT}{end}").touch(mode=0o600)

    run("backup", "kept.sqlite3")

    assert parts() == []


def test_what_somebody_is_writing_at_the_moment_stays() -> None:
    with new_file(Path("slow"), replaces=True) as part:
        part.write_bytes(b"x")
        sweep(Path())

        assert part.read_bytes() == b"x"

    assert Path("slow").read_bytes() == b"x"


def test_nothing_else_is_swept() -> None:
    kept = [
        Path(name)
        for name in (".vigie-0123.part", f"{LEFT}s", "vigie-0123456789abcdef.part", "ca-key.pem.0123abcd")
    ]
    for file in kept:
        file.touch()
    Path(LEFT).symlink_to(kept[0])

    sweep(Path())

    assert all(file.exists() for file in kept)


def bind_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def make_folder_beside(path: Path) -> None:
    path.touch()
    path.with_name(f"{path.name}-journal").mkdir()


@pytest.mark.parametrize("make", [bind_socket, Path.mkdir, os.mkfifo, make_folder_beside])
def test_what_others_put_under_such_a_name_keeps_nothing_from_being_written(
    make: Callable[[Path], object],
) -> None:
    make(Path(LEFT))

    done("keys", "rotate")

    assert Path(LEFT).exists()
