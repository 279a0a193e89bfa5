"""A database of the release before alerts were rows is brought up to date, and answers the same bytes."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from tests.faults.cluster import settings_file_in
from tests.support.builders import a_redirected_stub, an_alert, an_incident
from tests.support.commands import PROGRAM, done, environment, run, served
from tests.support.database_access import Below, below
from tests.support.house import settings_in
from tests.support.old_store import (
    TENANTS,
    answers_of_then,
    exported_then,
    old_store_in,
    rows_of_then,
)
from tests.support.stores import current_kind
from tests.support.valkey import free_port
from tests.support.whole_store import Whole
from vigie.config.settings import Settings
from vigie.documents import lossless
from vigie.storage.statements import schema_version

HOST_OF_THEN = "127.0.0.1:8437"
MANY = 2_000
WITHIN_SECONDS = 60


class OldStore:
    """The store as it was made then, and the settings of today's program for it."""

    def __init__(self, folder: Path, *, incidents_count: int = 0) -> None:
        documents = [incident_of(number) for number in range(1_000, 1_000 + incidents_count)]
        self.settings: Settings = replace(
            settings_in(folder), database=old_store_in(folder, documents=documents)
        )
        settings_file = settings_file_in(folder, self.settings.database.url)
        with settings_file.open("a", encoding="utf-8") as file:
            file.write(f'[server]\npublic_url = "http://{HOST_OF_THEN}"\n')
        self.at = ("--config", settings_file)
        self.added = documents

    @property
    def look(self) -> Below:
        """The store from below."""
        return below(self.settings.database)

    def done_count(self) -> int | None:
        """How many incidents have got their rows; None before that has begun, and when it has ended."""
        try:
            ((count,),) = self.look.rows("SELECT CAST(sum(done) AS bigint) FROM alerts_to_add")
        # There is no such table, or it is locked for the moment that removes it.
        except (sqlite3.OperationalError, asyncpg.PostgresError):
            return None
        return int(count)

    def schema(self) -> int:
        """The number of the schema that the store has."""
        table = "vigie_schema" if self.settings.database.is_shared else "pragma_user_version"
        column = "version" if self.settings.database.is_shared else "user_version"
        return int(self.look.rows(f"SELECT {column} FROM {table}")[0][0])

    def set_schema(self, number: int) -> None:
        """Let it be of another schema, by its number."""
        if self.settings.database.is_shared:
            self.look.run(f"UPDATE vigie_schema SET version = {number}")
        else:
            self.look.run(f"PRAGMA user_version = {number}")

    def alerts(self) -> list[tuple[Any, ...]]:
        """The rows of all alerts."""
        return self.look.rows(
            "SELECT tenant_id, incident_id, place, alert_id, copy, native FROM alert ORDER BY 1, 2, 3"
        )

    def assert_migrated(self) -> None:
        """It is of today's schema, and as whole as one that was made today."""
        assert self.schema() == schema_version(current_kind())
        for tenant in TENANTS:
            expected = exported_then(tenant).splitlines()
            expected += self.added if tenant == "contoso" else []
            exported = run("export", "--tenant", tenant, *self.at).out.encode().splitlines()
            assert exported == sorted(expected, key=lambda line: json.loads(line)["incidentId"])
            Whole(self.settings, tenant).check(is_migrated=True)


def incident_of(number: int) -> bytes:
    """An incident of the many, as the program of that time would have written it."""
    if number % 5 == 0:
        document = a_redirected_stub(101, incidentId=number)
    else:
        # Ids that another incident has too.
        document = an_incident(*(an_alert("Servers EU", alertId=f"d{number % 9}") for _ in range(3)))
    return lossless.encode({**document, "incidentId": number})


@pytest.fixture
def old(tmp_path: Path, store: str) -> OldStore:
    return OldStore(tmp_path)


@pytest.fixture
def large(tmp_path: Path, store: str) -> OldStore:
    return OldStore(tmp_path, incidents_count=MANY)


def answer(port: int, path: str, token: str) -> str:
    """What a reader gets, as `answers.json` has it."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Host": HOST_OF_THEN})
        response = connection.getresponse()
        digest = hashlib.sha256(response.read()).hexdigest()[:32]
        # An error names its request.
        return f"200 {digest}" if response.status == 200 else str(response.status)


def told_now(old: OldStore, port: int, tenant: str) -> dict[str, dict[str, str]]:
    """What each reader of then gets now, for each path that it asked for."""
    readers = answers_of_then()[tenant]["readers"]
    tokens = {
        name: done("token", *as_reader(name, tenant), "--tenant", tenant, *old.at)["access_token"]
        for name in readers
    }
    return {
        name: {path: answer(port, path, tokens[name]) for path in paths} for name, paths in readers.items()
    }


def as_reader(name: str, tenant: str) -> tuple[str, str]:
    return ("--app", name) if name == "reader" else ("--user", f"{name}@{tenant}.example")


def test_it_answers_the_same_bytes_as_then(old: OldStore) -> None:
    port = free_port()
    with served(*old.at, "--port", port):
        answers = {tenant: told_now(old, port, tenant) for tenant in TENANTS}

    for tenant in TENANTS:
        then = answers_of_then()[tenant]
        assert answers[tenant] == then["readers"]
        for number, entries in then["history"].items():
            assert done("history", "--tenant", tenant, "--incident", number, *old.at) == entries
    old.assert_migrated()


def test_the_many_are_stored_as_the_program_of_then_stored_them(old: OldStore) -> None:
    columns = "status, severity, assigned_to, created_at, last_update_at, alerts_at, spans, document"
    stored = old.look.rows(
        f"SELECT incident_id, {columns} FROM incident WHERE tenant_id = 1 AND redirect_incident_id IS NULL"
    )
    labels = old.look.rows("SELECT incident_id, label FROM incident_visibility WHERE tenant_id = 1")

    made = rows_of_then(row[-1] for row in stored)

    assert sorted(
        tuple(row[name] for name in ("incident_id", *columns.split(", "))) for row in made["incident"]
    ) == (sorted(stored))
    of_them = {row[0] for row in stored}
    assert sorted((row["incident_id"], row["label"]) for row in made["incident_visibility"]) == sorted(
        (number, label) for number, label in labels if number in of_them
    )


@contextmanager
def in_the_middle(old: OldStore, command: str, after: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that is stopped where it has done more than `after` incidents and not yet all."""
    port = ("--port", "0") if command == "serve" else ()
    with subprocess.Popen(
        [PROGRAM, command, *map(str, (*old.at, *port))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({}),
    ) as process:
        try:
            end = time.monotonic() + WITHIN_SECONDS
            while (old.done_count() or 0) <= after:
                assert process.poll() is None, process.stderr and process.stderr.read()
                assert time.monotonic() < end
            process.send_signal(signal.SIGSTOP)
            yield process
        finally:
            process.kill()


@pytest.mark.faults
@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_migration_that_is_killed_goes_on_where_it_was(large: OldStore, command: str) -> None:
    reached = [0]
    for _ in range(3):
        with in_the_middle(large, command, reached[-1]):
            pass
        count = large.done_count()
        assert count is not None
        # What was counted has its rows, and nothing else has.
        ((incidents,),) = large.look.rows(
            "SELECT count(*) FROM (SELECT DISTINCT tenant_id, incident_id FROM alert) AS filled"
        )
        assert incidents <= count
        reached.append(count)

    done("migrate", *large.at)

    assert reached == sorted(set(reached))
    large.assert_migrated()
    ids: dict[tuple[int, str], int] = {}
    for tenant_id, _, _, alert_id, copy, _ in large.alerts():
        if alert_id is not None:
            assert copy == ids.setdefault((tenant_id, alert_id), 0)
            ids[tenant_id, alert_id] += 1


@pytest.mark.faults
def test_a_migration_says_how_far_it_is(large: OldStore) -> None:
    with in_the_middle(large, "migrate", 0) as process:
        time.sleep(2.1)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=WITHIN_SECONDS)

    assert process.returncode == 0
    first, *_, last = err.splitlines()
    assert first.startswith("bringing the database up to date: ")
    assert first.endswith(
        f" of {incidents_count(large):,} incidents; it may be stopped, and goes on from there"
    )
    assert last.endswith("is up to date")


def incidents_count(old: OldStore) -> int:
    """How many there are, in all tenants."""
    return int(old.look.rows("SELECT count(*) FROM incident")[0][0])


@pytest.mark.faults
def test_processes_that_start_at_once_on_an_old_store_bring_it_up_to_date_together(large: OldStore) -> None:
    command = [str(PROGRAM), "migrate", *map(str, large.at)]

    begun = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment({})) for _ in range(2)
    ]
    with served(*large.at, "--port", "0"):
        ended = [(process.communicate(timeout=WITHIN_SECONDS)[1], process.returncode) for process in begun]

    assert [code for _, code in ended] == [0, 0], ended
    large.assert_migrated()


@pytest.mark.faults
def test_an_unfinished_migration_of_a_newer_program_is_refused_in_one_line(large: OldStore) -> None:
    with in_the_middle(large, "migrate", 0):
        pass
    schema = large.schema()
    newest = schema_version(current_kind())
    large.set_schema(newest + 1)

    refusals = {
        run(*command, *large.at).refusal for command in (("migrate",), ("export", "--tenant", "contoso"))
    }
    large.set_schema(schema)

    (refusal,) = refusals
    assert refusal.endswith(
        f"was made by a newer Vigie (schema {newest + 1}, this one knows {newest}); use that version"
    )
    done("migrate", *large.at)
    large.assert_migrated()


@pytest.mark.sqlite_alone
@pytest.mark.programs("setpriv")
def test_an_old_store_that_cannot_be_written_says_what_to_do(old: OldStore) -> None:
    path = old.settings.database.path
    before = path.read_bytes()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    # Root may write whatever the mode, unless that right is given up.
    without_rights = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()

    ended = [
        subprocess.run(
            [*without_rights, PROGRAM, command, *map(str, old.at)],
            capture_output=True,
            text=True,
            timeout=WITHIN_SECONDS,
            env=environment({}),
        )
        for command in ("migrate", "serve")
    ]
    path.parent.chmod(0o700)

    assert [each.returncode for each in ended] == [1, 1]
    assert {each.stderr for each in ended} == {
        f"vigie: the database at {path} is of an older version and cannot be written; let this user write the "
        "file and its folder, and run `vigie migrate`\n"
    }
    assert path.read_bytes() == before
