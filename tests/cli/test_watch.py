"""`vigie watch`: the change feed, followed from the database."""

import asyncio
import json
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.builders import an_alert, an_incident, to_json
from tests.support.commands import done, run, running_program
from tests.support.stores import database_in
from vigie.config.settings import Settings
from vigie.runtime.installation import opened

SOON_SECONDS = 20.0


@pytest.fixture
def database(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with one tenant."""
    monkeypatch.chdir(tmp_path)
    url = database_in(tmp_path).url
    done("tenant", "add", "contoso", "--database", url)
    return url


def take(database: str, *numbers: int, tenant: str = "contoso") -> None:
    """Put incidents in, each in a run of its own."""
    for number in numbers:
        file = Path(f"{number}.jsonl")
        file.write_bytes(to_json(an_incident(an_alert(), incidentId=number)))
        done("import", file, "--tenant", tenant, "--database", database)


def says_something(process: "subprocess.Popen[str]", *, within_seconds: float) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], within_seconds)[0])


def line_of(process: "subprocess.Popen[str]") -> str:
    assert says_something(process, within_seconds=SOON_SECONDS)
    assert process.stdout is not None
    return process.stdout.readline()


def test_changes_are_shown_as_they_come(database: str) -> None:
    take(database, 1)
    with running_program("watch", "--database", database, "--json", "--from", 1) as process:
        first = json.loads(line_of(process))
        take(database, 2)
        second = json.loads(line_of(process))

    assert first.keys() == {"number", "at", "kind", "incident_id", "alert_id", "actor", "request_id"}
    assert [(each["number"], each["kind"], each["incident_id"]) for each in (first, second)] == [
        (1, "created", 1),
        (2, "created", 2),
    ]


def test_it_begins_with_the_next_change(database: str) -> None:
    take(database, 1)
    with running_program("watch", "--database", database, "--debug") as process:
        # There is no other sign of when it has begun.
        assert not says_something(process, within_seconds=3)
        take(database, 2)
        cells = line_of(process).rstrip("\n").split("\t")

    number, _, kind, incident, alert, actor, _ = cells
    assert (number, kind, incident, alert) == ("2", "created", "2", "")
    assert "import" in actor


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_it_is_stopped(database: str, stop: signal.Signals) -> None:
    take(database, 1)
    with running_program("watch", "--database", database, "--from", 0) as process:
        line_of(process)
        process.send_signal(stop)
        out, err = process.communicate(timeout=SOON_SECONDS)

    assert (process.returncode, out, err) == (0, "", "")


def test_a_reader_that_has_enough_ends_it(database: str) -> None:
    take(database, 1, 2)
    with running_program("watch", "--database", database, "--from", 0) as process:
        line_of(process)
        assert process.stdout is not None
        process.stdout.close()
        take(database, 3)

        assert process.wait(SOON_SECONDS) == 141


def test_it_ends_with_the_last_change_if_it_is_not_to_follow(database: str) -> None:
    take(database, 1, 2, 3)

    ended = run("watch", "--database", database, "--from", "2", "--no-follow", "--json")

    assert ended.code == 0
    assert [json.loads(line)["number"] for line in ended.out.splitlines()] == [2, 3]


def test_what_is_to_end_needs_a_beginning(database: str) -> None:
    assert run("watch", "--database", database, "--no-follow").refusal == (
        "vigie: --no-follow needs --from: without it the changes to come are shown; see `vigie watch --help`"
    )


def test_a_number_that_cannot_be_is_refused(database: str) -> None:
    take(database, 1)

    refused = [run("watch", "--database", database, "--from", number).refusal for number in ("3", "-1")]

    assert refused == [
        f"vigie: --from must be 0 to 2, the next change; it was {number}; see `vigie watch --help`"
        for number in (3, -1)
    ]


def test_who_comes_too_late_is_told_so(database: str, tmp_path: Path) -> None:
    take(database, 1, 2, 3)

    async def prune() -> None:
        async with opened(Settings(database=database_in(tmp_path)), create=False) as installation:
            (tenant,) = await installation.directory.tenants()
            _, _, third = await installation.change_feed.changes_after(tenant.tenant_id, 0, 3)
            await installation.change_feed.prune(tenant.tenant_id, third.at)

    asyncio.run(prune())
    watch = ("watch", "--database", database, "--no-follow", "--json", "--from")

    assert run(*watch, "2").refusal == (
        "vigie: changes before 3 are not kept any more; use --from 3 to begin with the oldest, or leave --from out "
        "to begin with the next one"
    )
    assert [run(*watch, first).json["number"] for first in ("0", "3")] == [3, 3]


def test_among_several_tenants_one_has_to_be_named(database: str) -> None:
    done("tenant", "add", "fabrikam", "--database", database)
    take(database, 7, tenant="fabrikam")
    watch = ("watch", "--database", database, "--from", "0", "--no-follow")

    assert run(*watch).refusal == (
        "vigie: option --tenant is required: there are 2 tenants; see `vigie watch --help`"
    )
    assert run(*watch, "--tenant", "contoso").out == ""
    assert run(*watch, "--tenant", "fabrikam").out.split("\t")[3] == "7"
