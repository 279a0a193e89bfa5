"""A PostgreSQL of the tests' own: from the system's binaries, on a socket in a folder that goes away."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

_BINARIES = Path("/usr/lib/postgresql")
_VERSION_MIN = 15
_RUN_SECONDS_MAX = 120
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 30.0
_names = count(1)


def find_binaries() -> Path | None:
    """The folder of the newest PostgreSQL that is installed and new enough, None when there is none."""
    versions = [int(each.name) for each in _BINARIES.glob("[0-9]*") if (each / "bin" / "initdb").exists()]
    newest = max(versions, default=0)
    return _BINARIES / str(newest) / "bin" if newest >= _VERSION_MIN else None


@dataclass(kw_only=True)
class PostgresServer:
    """One server, and what tests do to it."""

    binaries: Path
    folder: Path
    options: Sequence[str] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        """Where its files are."""
        return self.folder / "data"

    def url(self, database: str) -> str:
        """How Vigie is told of a database of this server."""
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["-k", str(self.folder), "-c", "listen_addresses=", *self.options]
        command = [str(self.binaries / "postgres"), "-D", str(self.data), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_as_postgres()
            )
        end = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            assert self.process.poll() is None, f"it ended at once:\n{self.log}"
            assert time.monotonic() < end, f"it does not answer after {START_SECONDS_MAX:g} s:\n{self.log}"
            time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "log").read_text()

    def _answers(self) -> bool:
        # It gives up by itself after three seconds.
        command = [str(self.binaries / "pg_isready"), "-q", "-h", str(self.folder)]
        return not subprocess.run(command, timeout=START_SECONDS_MAX, **_as_postgres()).returncode

    def kill(self) -> None:
        """End it as `kill -9` does, with every process of it: one that lives on keeps the next from starting."""
        for pid in self._freeze():
            os.kill(pid, signal.SIGKILL)
        assert self.process is not None
        self.process.wait(timeout=30)

    def hang(self) -> None:
        """Let it say nothing any more, as a machine does that is gone without a word."""
        for pid in self._freeze():
            os.kill(pid, signal.SIGSTOP)

    def _freeze(self) -> list[int]:
        """Every process of it, the first of which makes no more."""
        assert self.process is not None
        pid = self.process.pid
        os.kill(pid, signal.SIGSTOP)
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def stop(self) -> None:
        """End it, with its connections; by force if it does not go in time."""
        if self.process is None or self.process.poll() is not None:
            return
        # What postgres calls a fast shutdown.
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def sql(self, text: str, *, database: str = "postgres") -> str:
        """What psql answers, unaligned and without headings."""
        return self.run("psql", "-XqAt", "-h", self.folder, "-v", "ON_ERROR_STOP=1", "-c", text, database)

    def run(self, program: str, *arguments: object) -> str:
        """Run one of its programs."""
        return self.run_command([str(self.binaries / program), *map(str, arguments)])

    def run_command(self, command: Sequence[str]) -> str:
        """Run what may be more than one of its programs, as the user that it runs as."""
        done = subprocess.run(
            command,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_RUN_SECONDS_MAX,
            **_as_postgres(),
        )
        assert done.returncode == 0, done.stderr
        return str(done.stdout).strip()

    def follow(self, primary: "PostgresServer", name: str = "standby") -> None:
        """Begin anew as a hot standby of another server, and wait until it answers."""
        source = f"host={primary.folder} user=postgres application_name={name}"
        shutil.rmtree(self.data, ignore_errors=True)
        self.run("pg_basebackup", "-D", self.data, "-d", source, "-R", "-c", "fast", "--no-sync")
        self.start()

    def promote(self) -> None:
        """Make a standby the primary of a new timeline, and wait until it is."""
        self.run("pg_ctl", "promote", "-w", "-D", self.data)

    def wait_for(self, replica: "PostgresServer") -> None:
        """Wait until a standby has replayed all that is here now."""
        position = self.sql("SELECT pg_current_wal_flush_lsn()")
        end = time.monotonic() + START_SECONDS_MAX
        while replica.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != "t":
            assert time.monotonic() < end, replica.log
            time.sleep(0.02)

    def pause_replay(self) -> None:
        """Let a standby receive what the primary writes, and do nothing with it."""
        self.sql("SELECT pg_wal_replay_pause()")
        end = time.monotonic() + START_SECONDS_MAX
        while self.sql("SELECT pg_get_wal_replay_pause_state()") != "paused":
            assert time.monotonic() < end, self.log
            time.sleep(0.02)

    def resume_replay(self) -> None:
        """Let it go on."""
        self.sql("SELECT pg_wal_replay_resume()")

    def new_database(self, template: str = "template0") -> str:
        """A database of its own for a test."""
        name = f"test{next(_names)}"
        # Files are copied in half the time that writing them to the log takes.
        strategy = "" if template == "template0" else "STRATEGY FILE_COPY"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return name


@contextmanager
def a_postgres_server(binaries: Path, *options: str) -> Iterator[PostgresServer]:
    """A new server, gone at the end."""
    with _a_place(binaries, options) as server:
        server.run(
            "initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N", "--no-locale"
        )
        server.start()
        yield server


@contextmanager
def a_standby(primary: PostgresServer, *options: str, name: str = "standby") -> Iterator[PostgresServer]:
    """A hot standby that streams from a server and has its options, gone at the end.

    The primary may wait for it under its name: `synchronous_standby_names = 'replica'`.
    """
    # Some options of a standby may not be lower than the primary's.
    with _a_place(primary.binaries, [*primary.options, *options]) as server:
        server.follow(primary, name)
        yield server


@contextmanager
def _a_place(binaries: Path, options: Sequence[str]) -> Iterator[PostgresServer]:
    # Not in the tests' own folders: the path of a socket is short, and postgres must be able to walk there.
    folder = Path(tempfile.mkdtemp(prefix="vigie-pg-", dir="/tmp"))
    folder.chmod(0o755)
    server = PostgresServer(binaries=binaries, folder=folder, options=options)
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _as_postgres() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    account: dict[str, Any] = {"env": {**environment, "LC_ALL": "C.UTF-8", "PGUSER": "postgres"}, "cwd": "/"}
    if os.geteuid() == 0:
        entry = pwd.getpwnam("postgres")
        account |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return account
