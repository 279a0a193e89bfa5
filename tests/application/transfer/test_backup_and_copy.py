"""A store goes elsewhere whole: between the two databases and back, into a backup, and out of one."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.faults.load import ask
from tests.support.builders import a_device, a_redirected_stub, an_alert, an_incident
from tests.support.commands import done, run, run_program, served
from tests.support.database_access import below
from tests.support.postgres_server import PostgresServer
from tests.support.stores import a_secret_in
from vigie.config.settings import DatabaseSettings
from vigie.storage import transfer as copying
from vigie.storage.database import StoreError
from vigie.storage.postgres.raw_tables import postgres_raw_tables
from vigie.storage.sqlite.raw_tables import sqlite_raw_tables
from vigie.storage.transfer import COPYING, TABLES, VISIBILITY

IN_A_FILE = "sqlite:///vigie.sqlite3"


@pytest.fixture
def url(postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIGIE_KEYS_SECRET_FILE", str(a_secret_in(tmp_path)))
    return postgres.url(postgres.new_database())


def filled(store: str, count: int = 30) -> None:
    """A store with something in most of its tables."""
    device = a_device(rbacGroupName="lap\x00tops", rbacGroupId=None)
    incidents = [
        an_incident(an_alert(devices=[device]), assignedTo="a\x01\x00b", incidentId=each)
        for each in range(1, count)
    ]
    incidents.append({**a_redirected_stub(1), "incidentId": count})
    Path("incidents.jsonl").write_text(
        "".join(f"{json.dumps(each)}\n" for each in incidents), encoding="utf-8"
    )
    at = ("--database", store)
    for name in ("Gone", "Contoso"):
        done("tenant", "add", name, *at)
    done("tenant", "remove", "Gone", "--yes", *at)
    done("app", "add", "reader", "--tenant", "Contoso", "--permission", "Incident.Read.All", *at)
    done("device-group", "add", "servers", "--tenant", "Contoso", *at)
    done("user", "add", "ana@contoso.example", "--tenant", "Contoso", *at)
    grant = ("--role", "security-reader", "--device-group", "servers")
    done("user", "grant", "ana@contoso.example", "--tenant", "Contoso", *grant, *at)
    done("import", "incidents.jsonl", "--tenant", "Contoso", *at)
    done("incident", "remove", 2, "--tenant", "Contoso", "--yes", *at)


def exported(store: str) -> str:
    return run("export", "--history", "--tenant", "Contoso", "--database", store).out


def listed(what: str, store: str) -> Any:
    return done(what, "list", "--tenant", "Contoso", "--database", store)


def test_a_store_moves_to_postgres_and_back_without_loss(url: str) -> None:
    filled(IN_A_FILE)
    webhook = ("webhook", "add", "https://soar.example/vigie", "--tenant", "Contoso", "--kind", "created")
    done(*webhook, "--database", IN_A_FILE)
    done("keys", "rotate", "--database", IN_A_FILE)

    there = done("copy", "--from", IN_A_FILE, "--to", url)
    back = done("copy", "--from", url, "--to", "sqlite:///back.sqlite3")

    assert there == back
    assert (there["incident"], there["history"], there["tenant"]) == (29, 31, 1)
    for store in (url, "sqlite:///back.sqlite3"):
        assert exported(store) == exported(IN_A_FILE)
        for what in ("app", "user", "device-group", "webhook"):
            assert listed(what, store) == listed(what, IN_A_FILE)


def test_a_schema_moves_to_another_of_the_same_database(url: str) -> None:
    for schema in ("one", "two"):
        below(DatabaseSettings(url=url)).run(f"CREATE SCHEMA {schema}")
    one, two = (f"{url}{'&' if '?' in url else '?'}search_path={schema}" for schema in ("one", "two"))
    filled(one)

    done("copy", "--from", one, "--to", two)

    assert exported(two) == exported(one)


def test_the_copy_goes_on_like_the_store_that_it_was_made_from(url: str) -> None:
    filled(IN_A_FILE)
    kid = done("keys", "rotate", "--database", IN_A_FILE)["kid"]
    done("copy", "--from", IN_A_FILE, "--to", url)

    rotated = done("keys", "rotate", "--database", url)
    added = done("tenant", "add", "Later", "--database", url)

    assert next(each["kid"] for each in rotated["retired"]) == kid
    ids = below(DatabaseSettings(url=url)).rows("SELECT tenant_id FROM tenant ORDER BY tenant_id")
    assert len(set(ids)) == 2
    assert added["name"] == "Later"


def test_a_copy_that_was_stopped_half_way_goes_on_where_it_was(url: str) -> None:
    filled(IN_A_FILE)
    whole = done("copy", "--from", IN_A_FILE, "--to", url)
    store = below(DatabaseSettings(url=url))
    store.run("DELETE FROM latest_change; DELETE FROM history WHERE incident_id > 10")
    store.run("DELETE FROM incident_listing; DELETE FROM incident WHERE incident_id > 20")
    store.run(f"INSERT INTO installation VALUES ('{COPYING}', 'under way')")

    refused = run("serve", "--database", url, "--port", 0)
    again = done("copy", "--from", IN_A_FILE, "--to", url)

    assert "the database is an unfinished copy; run the same `vigie copy` again" in refused.err
    assert again == {**whole, "copied": 1 + 20 + 10 + 29}
    assert exported(url) == exported(IN_A_FILE)


@pytest.mark.parametrize("side", ["--from", "--to"])
@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_a_store_on_which_a_server_runs_is_neither_copied_nor_copied_into(
    side: str, kind: str, url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    Path("vigie.toml").write_text(f'[keys]\nsecret_file = "{a_secret_in(tmp_path)}"\n', encoding="utf-8")
    running = url if kind == "postgres" else IN_A_FILE
    other = postgres.url(postgres.new_database()) if kind == "file" else "sqlite:///other.sqlite3"
    source, target = (running, other) if side == "--from" else (other, running)
    filled(source, 3)
    command = ("copy", "--from", source, "--to", target)

    with served("--database", running, "--port", 0):
        refused = run(*command).refusal

    assert refused == (
        f"vigie: a server or another command uses the database at {DatabaseSettings(url=running).place}; "
        "stop all servers on it, then copy again"
    )
    if side == "--from":
        is_file = target.startswith("sqlite")
        assert not (
            Path("other.sqlite3").exists() if is_file else below(DatabaseSettings(url=target)).columns()
        )
    assert done(*command)["incident"] == 2


def test_a_server_that_starts_on_the_source_meanwhile_is_noticed_before_the_copy_is_one(
    url: str, tmp_path: Path
) -> None:
    Path("vigie.toml").write_text(f'[keys]\nsecret_file = "{a_secret_in(tmp_path)}"\n', encoding="utf-8")
    back = "sqlite:///back.sqlite3"
    filled(url, 3)
    done("keys", "rotate", "--database", back)

    async def scene() -> None:
        async with postgres_raw_tables(url) as one:
            with sqlite_raw_tables(Path("back.sqlite3")) as other:
                await copying.copy(one, other, lambda _: None)
                with served("--database", url, "--port", 0):
                    await copying.compare(one, other, lambda _: None)

    with pytest.raises(StoreError, match="a server or another command uses the database"):
        asyncio.run(scene())

    assert "is an unfinished copy" in run("serve", "--database", back, "--port", 0).err
    assert done("copy", "--from", url, "--to", back)["incident"] == 2


def test_a_store_in_a_file_is_closed_to_others_while_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(IN_A_FILE, 3)

    async def scene() -> str:
        with sqlite_raw_tables(Path("vigie.sqlite3")) as raw_tables:
            await raw_tables.check_alone()
            ended = await asyncio.to_thread(run_program, "tenant", "list", "--database", IN_A_FILE)
            return ended.refusal

    assert "is locked by another program; try again when that has ended" in asyncio.run(scene())


def test_a_store_of_its_own_is_not_copied_into(url: str) -> None:
    filled(IN_A_FILE, 3)
    done("tenant", "add", "Contoso", "--database", url)

    assert (
        "there are tenants in the database to copy to"
        in run("copy", "--from", IN_A_FILE, "--to", url).refusal
    )
    assert run("copy", "--from", url, "--to", url).code == 2


def test_a_copy_that_differs_is_said_to(url: str) -> None:
    filled(IN_A_FILE)
    done("copy", "--from", IN_A_FILE, "--to", url)
    below(DatabaseSettings(url=url)).run(
        f"UPDATE history SET actor = 'eve' WHERE entry = 1; INSERT INTO installation VALUES ('{COPYING}', '')"
    )

    assert "history has 31 rows and digest" in run("copy", "--from", IN_A_FILE, "--to", url).refusal


def test_every_table_is_copied(url: str) -> None:
    done("tenant", "add", "Contoso", "--database", url)

    tables = set(below(DatabaseSettings(url=url)).columns())

    beside = {"installation", "installation_writer", "vigie_schema", VISIBILITY.name}
    assert {table.name for table in TABLES} | beside == tables


# Backups


def test_a_backup_is_whole_while_the_server_writes_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(IN_A_FILE)
    before = exported(IN_A_FILE)
    with served("--database", IN_A_FILE, "--host", "127.0.0.1", "--port", 0):
        made = done("backup", "kept.sqlite3", "--database", IN_A_FILE)
        done("tenant", "add", "Later", "--database", IN_A_FILE)

    assert exported("sqlite:///kept.sqlite3") == before
    assert made["bytes"] == Path("kept.sqlite3").stat().st_size
    assert Path("kept.sqlite3").stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect("kept.sqlite3")) as connection:
        assert connection.execute("SELECT name FROM tenant").fetchall() == [("Contoso",)]


def test_a_backup_that_is_put_back_is_read_while_another_program_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(IN_A_FILE)
    done("backup", "kept.sqlite3", "--database", IN_A_FILE)
    Path("kept.sqlite3").replace("vigie.sqlite3")
    for name in ("vigie.sqlite3-wal", "vigie.sqlite3-shm"):
        Path(name).unlink(missing_ok=True)

    with (
        served("--database", IN_A_FILE, "--host", "127.0.0.1", "--port", 0) as (_, said),
        closing(sqlite3.connect("vigie.sqlite3", isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with urlopen(f"{said['url']}/readyz", timeout=10) as answer:
            status = answer.status

    assert status == 200


def test_a_backup_writes_over_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "Contoso", "--database", IN_A_FILE)
    Path("kept.sqlite3").write_text("mine", encoding="utf-8")

    refused = run("backup", "kept.sqlite3", "--database", IN_A_FILE).refusal

    assert refused == "vigie: kept.sqlite3 is there already and was not touched; name another file"
    assert Path("kept.sqlite3").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("file", "what_to_do"),
    [
        ("nowhere", "nowhere is there already and was not touched; name another file"),
        ("missing/kept", "there is no folder missing to write kept in; make it first"),
        ("vigie.sqlite3/kept", "there is no folder vigie.sqlite3 to write kept in; make it first"),
        ("k" * 256, f"{'k' * 256} cannot be written: File name too long; name another file"),
    ],
)
def test_a_backup_that_cannot_be_written_is_told_under_the_name_that_was_given(
    file: str, what_to_do: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("tenant", "add", "Contoso", "--database", IN_A_FILE)
    Path("nowhere").symlink_to("missing-too")
    before = sorted(Path().iterdir())

    assert run("backup", file, "--database", IN_A_FILE).refusal == f"vigie: {what_to_do}"
    assert sorted(Path().iterdir()) == before


def test_postgres_is_backed_up_and_restored_by_its_own_tools(url: str, postgres: PostgresServer) -> None:
    filled(url)
    before = exported(url)
    database = name_in(url)
    dump, restored = postgres.folder / "vigie.dump", postgres.new_database()

    refused = run("backup", "kept", "--database", url).refusal
    postgres.run("pg_dump", "-h", postgres.folder, "--format", "custom", "-f", dump, database)
    postgres.run("pg_restore", "-h", postgres.folder, "--dbname", restored, dump)

    assert "use `pg_dump` for PostgreSQL" in refused
    assert exported(postgres.url(restored)) == before
    done("tenant", "add", "Later", "--database", postgres.url(restored))


def test_a_restored_database_serves_the_same_to_the_tokens_that_there_were(
    url: str, postgres: PostgresServer, tmp_path: Path
) -> None:
    filled(url)
    token = done("token", "--app", "reader", "--tenant", "Contoso", "--database", url)["access_token"]
    dump, restored = postgres.folder / "serving.dump", postgres.url(postgres.new_database())
    postgres.run("pg_dump", "-h", postgres.folder, "--format", "custom", "-f", dump, name_in(url))
    postgres.run("pg_restore", "-h", postgres.folder, "--dbname", name_in(restored), dump)
    Path("vigie.toml").write_text(f'[keys]\nsecret_file = "{a_secret_in(tmp_path)}"\n', encoding="utf-8")
    Path("other").mkdir()
    Path("other.toml").write_text(f'[keys]\nsecret_file = "{a_secret_in(Path("other"))}"\n', encoding="utf-8")

    answers = []
    for store in (url, restored):
        with served("--database", store, "--config", "vigie.toml", "--port", 0) as (_, said):
            port = urlsplit(said["url"]).port
            assert port is not None
            found = [ask(port, token, f"/api/incidents{place}") for place in ("", "/1", "/2")]
            answers.append([(status, without_context(value)) for status, value in found])
    refused = run_program("serve", "--database", restored, "--config", "other.toml", "--port", 0).refusal

    assert [status for status, _ in answers[0]] == [200, 200, 404]
    assert answers[0] == answers[1]
    assert "do not open with the secret in [keys] secret_file" in refused


def name_in(url: str) -> str:
    """The database that a URL names."""
    return url.partition("@/")[2].partition("?")[0]


def without_context(value: Any) -> Any:
    """An answer without what is another for each server, or each refusal."""
    return {key: value[key] for key in value.keys() - {"@odata.context", "error"}}
