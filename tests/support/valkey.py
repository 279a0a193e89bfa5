"""A Valkey (or Redis) of the tests' own: started on a free port of the loopback, stopped, killed, started again."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")

START_SECONDS_MAX = 10.0
_ANSWER_SECONDS_MAX = 30.0


class RunningValkey:
    """A server while the `with` lasts. It keeps nothing when it is killed, as most caches do."""

    def __init__(self, folder: Path, *options: str) -> None:
        if PROGRAM is None:
            pytest.skip("neither valkey-server nor redis-server is installed (Debian: redis-server)")
        self.port = free_port()
        self._tls_port = "--tls-port" in options
        self.command = [
            PROGRAM,
            *("--bind", "127.0.0.1", "--port", "0" if self._tls_port else str(self.port)),
            *("--save", "", "--appendonly", "no", "--dir", str(folder), "--loglevel", "warning"),
            *(str(self.port) if option == "PORT" else option for option in options),
        ]
        self._log = folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """As the settings name it."""
        return f"valkey://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS_MAX
        while not _answers(self.port):
            assert self._process.poll() is None, f"it ended at once:\n{self.log}"
            assert time.monotonic() < end, f"it does not answer after {START_SECONDS_MAX:g} s:\n{self.log}"
            time.sleep(0.01)

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it as kill -9 does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=_ANSWER_SECONDS_MAX)
            self._process = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It is there and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def do(self, *command: Any) -> Any:
        """What it says to a command."""
        with self.client() as client:
            return client.execute_command(*command)

    def client(self, **options: Any) -> Redis:
        """The library's own client, for what the tests want to know."""
        limits = {"socket_timeout": _ANSWER_SECONDS_MAX, "retry": Retry(NoBackoff(), 0)}
        return Redis(port=self.port, **{**limits, **options})

    def let_pass(self, seconds: int) -> None:
        """Let time pass for all that is counted: as the clock cannot be moved, the stamps are."""
        with self.client() as client:
            for key in client.scan_iter("vigie:*:*", _type="LIST"):
                stamps = [int(stamp) - seconds * 1_000_000 for stamp in client.lrange(key, 0, -1)]
                client.delete(key)
                if stamps:
                    client.rpush(key, *stamps)
                    client.expire(key, 3601)


def free_port() -> int:
    """A port of the loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            # Where nobody listens, a connection may be given that very port, and then it is with itself.
            return bool(connection.getsockname() != connection.getpeername())
    except OSError:
        return False
