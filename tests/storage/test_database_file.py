"""The file of an embedded store, removed or replaced while it is in use: no change is acknowledged and lost."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_alert, an_incident, to_json
from tests.support.commands import done, events_in, run, served
from tests.support.house import eventually
from vigie.core.errors import StoreUnavailable
from vigie.files.trust import UntrustedFile
from vigie.storage.database import Session
from vigie.storage.sqlite.database import SqliteDatabase, open_sqlite

STORE = Path(".vigie/vigie.sqlite3")
OF_CONTOSO = ("--tenant", "contoso")
PAGE_BYTES = 4096


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Whose it is


SOMEBODY_ELSE = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@needs_root
@pytest.mark.parametrize("name", ["vigie.sqlite3", "vigie.sqlite3-wal", "."])
def test_a_store_that_belongs_to_somebody_else_is_refused(name: str) -> None:
    with a_store(STORE):
        os.chown(STORE.parent / name, SOMEBODY_ELSE, -1)
        with pytest.raises(UntrustedFile, match=rf"belongs to another user \(uid {SOMEBODY_ELSE}\).*chown"):
            open_sqlite(STORE, create=True)


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o666, True), (0o644, True), (0o604, True), (0o660, True), (0o640, False)]
)
def test_a_store_that_others_can_read_or_change_is_refused(mode: int, is_refused: bool) -> None:
    done("tenant", "add", "Contoso")
    STORE.chmod(mode)

    ended = run("tenant", "list")

    assert ended.code == is_refused
    assert (f"has too permissive a mode ({mode:04o}); run `chmod 600 {STORE}`" in ended.err) == is_refused


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_store_whose_log_others_can_read_is_refused(end: str) -> None:
    with a_store(STORE):
        log = STORE.with_name(f"{STORE.name}{end}")
        assert stat.S_IMODE(log.stat().st_mode) == 0o600
        log.chmod(0o644)

        assert f"run `chmod 600 {log}`" in run("tenant", "list").refusal


@pytest.mark.parametrize(
    ("mode", "is_refused"), [(0o777, True), (0o757, True), (0o1777, False), (0o775, False), (0o755, False)]
)
def test_a_folder_that_everybody_can_write_is_refused(mode: int, is_refused: bool) -> None:
    STORE.parent.mkdir()
    STORE.parent.chmod(mode)

    ended = run("tenant", "add", "Contoso")

    assert ("run `chmod o-w" in ended.err) == is_refused
    assert ended.code == (1 if is_refused else 0)


def test_an_empty_file_that_was_made_beforehand_is_closed_to_others() -> None:
    STORE.parent.mkdir()
    STORE.touch()
    STORE.chmod(0o666)

    done("tenant", "add", "Contoso")

    assert stat.S_IMODE(STORE.stat().st_mode) == 0o600


@needs_root
def test_root_uses_no_folder_that_somebody_has_planted() -> None:
    STORE.parent.mkdir()
    os.chown(STORE.parent, SOMEBODY_ELSE, SOMEBODY_ELSE)

    assert "belongs to another user" in run("tenant", "add", "Contoso").refusal


# Below


@contextmanager
def a_store(path: Path) -> Iterator[SqliteDatabase]:
    database = open_sqlite(path, create=True)
    try:
        yield database
    finally:
        asyncio.run(database.close())


async def count_up(session: Session) -> int:
    return await session.run("touch_directory", {})


async def several(database: SqliteDatabase, count: int) -> list[int | BaseException]:
    return await asyncio.gather(*(database.write(count_up) for _ in range(count)), return_exceptions=True)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("has_written", [False, True])
def test_no_change_is_acknowledged_once_the_file_is_gone(has_written: bool, count: int) -> None:
    with a_store(STORE) as database:
        if has_written:
            asyncio.run(several(database, 1))
        STORE.unlink()

        outcomes = asyncio.run(several(database, count))

        assert [type(outcome) for outcome in outcomes] == [StoreUnavailable] * count


def test_a_file_in_the_place_of_another_is_not_taken_for_it() -> None:
    with a_store(STORE) as database:
        shutil.copyfile(STORE, "copy")
        Path("copy").replace(STORE)

        (outcome,) = asyncio.run(several(database, 1))

        assert isinstance(outcome, StoreUnavailable)
        assert "was replaced while it was open" in outcome.detail


def test_it_is_told_once_and_again_when_it_happens_again() -> None:
    told: list[str] = []
    with a_store(STORE) as database:
        database.on_lost = told.append

        for _ in range(2):
            STORE.rename("elsewhere")
            asyncio.run(several(database, 2))
            asyncio.run(several(database, 2))
            Path("elsewhere").rename(STORE)
            (outcome,) = asyncio.run(several(database, 1))
            assert outcome == 1

    assert told == [f"{STORE} was removed while it was open"] * 2


# As a process


def test_a_server_whose_file_is_removed_takes_no_updates_and_says_so() -> None:
    done("tenant", "add", "contoso")
    done("app", "add", "writer", *OF_CONTOSO, "--permission", "Incident.ReadWrite.All")
    Path("incidents").write_bytes(to_json(an_incident(incidentId=1)))
    done("import", "incidents", *OF_CONTOSO)
    log = Path("serve.log")
    with served("--port", "0", log=log) as (process, said):
        token = done("token", *OF_CONTOSO, "--app", "writer")["access_token"]
        incident = f"{said['url']}/api/incidents/1"
        assert call("PATCH", incident, token) == (200, None)
        STORE.unlink()

        assert call("PATCH", incident, token) == (503, "5")
        assert call("GET", f"{said['url']}/readyz") == (503, "5")
        assert call("GET", incident, token) == (200, None)
        process.terminate()
        process.communicate(timeout=30)

    (lost,) = (event for event in events_in(log) if event["event"] == "database_file_lost")
    assert (lost["level"], lost["reason"]) == ("error", f"{STORE} was removed while it was open")


@pytest.mark.parametrize("command", [("tenant", "list"), ("tenant", "add", "contoso")])
def test_a_command_that_meets_a_log_without_its_store_refuses(command: tuple[str, ...]) -> None:
    STORE.parent.mkdir()
    logs = [STORE.with_name(f"{STORE.name}{end}") for end in ("-wal", "-shm")]
    for log in logs:
        log.touch()

    ended = run(*command)

    assert (ended.code, STORE.exists()) == (1, False)
    assert "vigie.sqlite3-wal and vigie.sqlite3-shm of one beside it; stop the programs" in ended.refusal


# Damaged


@pytest.fixture
def filled(working_directory: Path) -> str:
    """A token for a store with incidents that take several pages each."""
    done("tenant", "add", "contoso")
    done("app", "add", "writer", *OF_CONTOSO, "--permission", "Incident.ReadWrite.All")
    incidents = run("generate", "--incidents", 300, "--seed", 1).out
    Path("incidents").write_text(incidents, encoding="utf-8")
    done("import", "incidents", *OF_CONTOSO)
    return str(done("token", *OF_CONTOSO, "--app", "writer")["access_token"])


@pytest.mark.parametrize("seed", range(4))
def test_a_server_whose_file_is_overwritten_answers_503_and_never_500(filled: str, seed: int) -> None:
    quotas = {f"VIGIE_QUOTAS_{each}_PER_MINUTE": "10000" for each in ("GET", "LIST", "UPDATE")}
    numbers = [json.loads(line)["incidentId"] for line in Path("incidents").read_text().splitlines()]
    log = Path("serve.log")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in quotas.items():
            patch.setenv(name, value)
        with served("--port", "0", log=log) as (_, said):
            assert eventually(lambda: was_checked(log))
            overwrite_pages(300, seed)
            answers = Counter(
                call(method, f"{said['url']}/api/incidents/{number}", filled)
                for number in numbers[:60]
                for method in ("PATCH", "GET")
            )

    # 403 is for those that are redirected, which nobody may update.
    assert {status for status, _ in answers} <= {200, 403, 503}
    assert answers[503, "5"] > 10
    assert [
        event for event in events_in(log) if event["event"] in ("internal_error", "background_task_failed")
    ] == []


def test_a_document_that_was_overwritten_is_told_from_a_defect(filled: str) -> None:
    with closing(sqlite3.connect(STORE)) as store, store:
        store.execute(
            "UPDATE incident SET document = zeroblob(length(document)), spans = zeroblob(length(spans))"
        )
    number = json.loads(Path("incidents").read_text().splitlines()[0])["incidentId"]

    with served("--port", "0", log=Path("serve.log")) as (_, said):
        assert call("PATCH", f"{said['url']}/api/incidents/{number}", filled) == (503, "5")
    assert "is damaged" in run("incident", "remove", number, *OF_CONTOSO, "--yes").refusal


def test_a_scoped_caller_hears_of_damage_also_on_a_connection_that_asks_again() -> None:
    """What is said of the first incident may be worked out sooner the second time."""
    incidents = [to_json(an_incident(an_alert("laptops"), incidentId=number)) for number in (1, 2)]
    Path("incidents").write_bytes(b"\n".join(incidents))
    done("tenant", "add", "contoso")
    done("import", "incidents", *OF_CONTOSO)
    done("user", "add", "ada@contoso.example", *OF_CONTOSO)
    reader = ("--role", "security-reader", "--device-group", "laptops")
    done("user", "grant", "ada@contoso.example", *OF_CONTOSO, *reader)
    token = done("token", *OF_CONTOSO, "--user", "ada@contoso.example")["access_token"]
    with closing(sqlite3.connect(STORE)) as store, store:
        store.execute("UPDATE incident SET spans = zeroblob(length(spans)) WHERE incident_id = 2")

    with served("--port", "0", log=Path("serve.log")) as (_, said):
        connection = HTTPConnection(urlsplit(said["url"]).netloc, timeout=20)
        statuses = []
        for number in (1, 1, 2, 1, 2):
            connection.request(
                "GET", f"/api/incidents/{number}", headers={"Authorization": f"Bearer {token}"}
            )
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()

    assert statuses == [200, 200, 503, 200, 503]


def test_a_server_whose_file_is_cut_in_half_is_not_ready_and_takes_no_updates(filled: str) -> None:
    number = json.loads(Path("incidents").read_text().splitlines()[-1])["incidentId"]
    log = Path("serve.log")
    with served("--port", "0", log=log) as (_, said):
        assert call("GET", f"{said['url']}/readyz") == (200, None)
        assert eventually(lambda: was_checked(log))
        os.truncate(STORE, STORE.stat().st_size // 2)

        # What it answers is at most a second old.
        assert eventually(lambda: call("GET", f"{said['url']}/readyz") == (503, "5"))
        assert call("PATCH", f"{said['url']}/api/incidents/{number}", filled) == (503, "5")
        assert call("GET", f"{said['url']}/readyz") == (503, "5")


def test_a_server_stays_ready_when_its_file_shrinks_for_a_good_reason(filled: str) -> None:
    with served("--port", "0", log=Path("serve.log")) as (_, said):
        done("tenant", "remove", "contoso", "--yes")
        before = STORE.stat().st_size
        with closing(sqlite3.connect(STORE)) as store:
            store.execute("VACUUM")
            store.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        assert STORE.stat().st_size < before // 2
        assert call("GET", f"{said['url']}/readyz") == (200, None)


@pytest.mark.parametrize("damage", ["overwritten", "cut"])
def test_a_start_on_a_damaged_file_says_so_and_what_to_do(filled: str, damage: str) -> None:
    if damage == "cut":
        os.truncate(STORE, STORE.stat().st_size // 2)
    else:
        overwrite_pages(20, 1)

    ended = run("serve", "--port", 0)

    assert ended.code == 1
    (line,) = (line for line in ended.err.splitlines() if line.startswith("vigie: "))
    assert "damaged: " in line
    assert (
        f"restore a backup, or save what can still be read: `sqlite3 {STORE} .recover | sqlite3 FILE`" in line
    )


def was_checked(log: Path) -> bool:
    """Whether a server has looked through its file: what is damaged from now on does not end it."""
    return any(event["event"] == "database_checked" and event["complete"] for event in events_in(log))


def overwrite_pages(count: int, seed: int) -> None:
    """Put random bytes in the place of random pages, the first apart, which says what the file is."""
    chance = Random(seed)
    pages = range(1, STORE.stat().st_size // PAGE_BYTES)
    with STORE.open("r+b") as file:
        for page in chance.sample(pages, min(count, len(pages))):
            file.seek(page * PAGE_BYTES)
            file.write(chance.randbytes(PAGE_BYTES))


def call(method: str, address: str, token: str = "") -> tuple[int, str | None]:
    body = json.dumps({"status": "Resolved"}).encode() if method == "PATCH" else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(address, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status), answer.headers["Retry-After"]
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, error.headers["Retry-After"]
