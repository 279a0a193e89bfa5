"""A tenant on a store of its own, and processes that change it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.cluster import TENANT, settings_file_in
from tests.support.builders import an_alert, an_incident, to_json
from tests.support.commands import done, environment
from tests.support.house import settings_in
from tests.support.paths import ROOT
from tests.support.stores import database_in

NUMBERS = range(1, 61)
"""The incidents that there are."""


class Changed:
    """A tenant on a store of its own, and processes that change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = settings_in(folder)
        self.settings_file = settings_file_in(folder, database_in(folder).url)
        at = ("--config", self.settings_file)
        self.at = ("--tenant", TENANT, *at)
        done("tenant", "add", "contoso", "--domain", TENANT, *at)
        done("app", "add", "writer", "--permission", "Incident.ReadWrite.All", *self.at)
        done("webhook", "add", "https://hooks.example/", *self.at)
        self.token = done("token", "--app", "writer", *self.at)["access_token"]
        self.files = [self._file(turn) for turn in range(2)]
        done("import", self.files[0], *self.at)

    def _file(self, turn: int) -> Path:
        """The incidents, each with other alerts in each turn."""
        file = self.folder / f"{turn}.jsonl"
        incidents = [
            an_incident(
                *(an_alert("laptops", f"group {number % 7}") for _ in range(1 + (number + turn) % 4)),
                incidentId=number,
                severity=("High", "Low")[turn],
                createdTime=f"2026-02-11T07:00:{number % 60:02}Z",
            )
            for number in NUMBERS
        ]
        file.write_bytes(b"".join(to_json(each) + b"\n" for each in incidents))
        return file

    @contextmanager
    def changing(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """A process that moves, merges and adds, while the block lasts; then it is killed."""
        command = [sys.executable, "-m", "tests.faults.changing", str(self.settings_file), name]
        ends = map(str, (NUMBERS[0], NUMBERS[-1]))
        with subprocess.Popen(
            [*command, *ends], stdout=subprocess.PIPE, text=True, env=environment({}), cwd=ROOT
        ) as process:
            try:
                yield process
            finally:
                process.kill()
