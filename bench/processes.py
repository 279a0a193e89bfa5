"""Servers as processes: started on one core, measured from outside, stopped by their own number."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 20.0
_CORES = sorted(os.sched_getaffinity(0))

SERVER_CORE = _CORES[0]
GENERATOR_CORE = _CORES[-1]
"""The same core as the servers' on a machine with only one: then times mean nothing, and CPU still does."""
BACKGROUND_CORE = _CORES[1] if len(_CORES) > 2 else GENERATOR_CORE
"""Where what else there is to do is done: never on the servers' core, on the generator's where there are two."""


class BenchError(Exception):
    """The benchmark cannot go on; the message is one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers at `url`; what it spends is that of its process and all below it."""

    name: str
    pid: int
    url: str

    def cpu_seconds(self) -> float:
        """CPU time spent until now, that of ended children included."""
        return sum(map(_cpu_seconds, family_of(self.pid)))

    def resident_bytes(self) -> int:
        """Memory that is in use now."""
        return sum(resident_bytes(pid) for pid in family_of(self.pid))


@contextmanager
def running(
    name: str,
    command: Sequence[str | Path],
    port: int,
    *,
    ready_path: str,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    log: Path | None = None,
) -> Iterator[Server]:
    """A server on the servers' core, from when it answers at `ready_path` until the block ends."""
    with (log or Path(os.devnull)).open("wb") as stderr:
        process = subprocess.Popen(
            pinned(SERVER_CORE, command),
            env=clean_environment() | dict(environ or {}),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        try:
            server = Server(name=name, pid=process.pid, url=f"http://127.0.0.1:{port}")
            _wait_until_it_answers(server, process, ready_path)
            yield server
        finally:
            _stop(process)


def pinned(core: int, command: Sequence[str | Path]) -> list[str]:
    """The command, kept on one core."""
    return ["taskset", "-c", str(core), *map(str, command)]


def clean_environment() -> dict[str, str]:
    """The variables of this process without settings of Vigie, and with byte code kept as it is by default."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("VIGIE_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def require_programs(*names: str) -> None:
    """Raise BenchError, naming the first program that is missing."""
    for name in names:
        if shutil.which(name) is None:
            raise BenchError(f"{name} is missing; `apt-get install {name}` brings it")


def free_port() -> int:
    """A port of the loopback that nobody listens at now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def status_of(url: str, headers: Mapping[str, str] | None = None) -> int:
    """The status of an answer; 0 when there is none."""
    request = urllib.request.Request(url, headers=dict(headers or {}))
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def family_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on, as the second may hold blanks; none for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_seconds(pid: int) -> float:
    """What a process has spent, its ended threads and children included; none for one that is gone."""
    try:
        # The number of a process's own CPU clock, as clock_getcpuclockid(3) makes it: exact, where /proc counts
        # hundredths of a second, of which a short slice on a busy machine may have none.
        own_seconds = time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0
    return own_seconds + sum(map(int, _stat_fields(pid)[13:15])) / _TICKS_PER_SECOND


def resident_bytes(pid: int) -> int:
    """Memory of one process that is in use now; none for one that is gone."""
    return _memory_bytes(pid, "VmRSS:")


def peak_bytes(pid: int) -> int:
    """The most memory that one process has had in use; none for one that is gone.

    What the kernel says of an ended child begins with the memory of the process that started it.
    """
    return _memory_bytes(pid, "VmHWM:")


def _memory_bytes(pid: int, name: str) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next((line for line in status.splitlines() if line.startswith(name)), f"{name} 0 kB")
    return int(line.split()[1]) * 1024


def _wait_until_it_answers(server: Server, process: "subprocess.Popen[bytes]", path: str) -> None:
    give_up_at = time.monotonic() + _START_SECONDS_MAX
    while not status_of(server.url + path):
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise BenchError(f"{server.name} did not start: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]
        time.sleep(0.02)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process, and what it may leave behind."""
    below = family_of(process.pid)[1:]
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in below:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
