"""Databases to measure: filled by `vigie generate` and `vigie import`, and kept for the next run."""

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processes import BenchError, clean_environment, free_port, running
from bench.programs import VIGIE, WORK, Program
from vigie.config.settings import DatabaseSettings, KeysSettings, Settings
from vigie.core.access import DeviceGroupLabel
from vigie.core.incident import Spans, decode_spans
from vigie.runtime.installation import KEY_FILE_NAME

AUDIENCE = "https://api.security.microsoft.com"
TENANT, LARGE_TENANT = "contoso.example", "large.example"
SEED = 1

LARGE_INCIDENTS, LARGE_ALERTS = 200, 15
READER_COUNT = 100
SCOPE: frozenset[DeviceGroupLabel] = frozenset({14, 15, 16, 40})
"""The groups of the scoped user: half of them, so that incidents are visible in whole, in part, and not at all."""
_EVIDENCE_SECONDS_MAX = 1_800
_LOOKED_THROUGH = 2_000
_CHOSEN_BYTES = range(7_500, 9_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Incidents to ask for, by what the scoped user gets of them: all, some alerts, alerts trimmed inside."""

    whole: int
    spliced: int
    parsed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A store that a program has filled. `incident_count` are those of three alerts, from 1 on.

    It is a file in its folder unless `database_url` names another place; then `secret_file` wraps its keys.
    """

    folder: Path
    incident_count: int
    program: Program = VIGIE
    database_url: str | None = None
    secret_file: Path | None = None

    @property
    def path(self) -> Path:
        return self.folder / "vigie.sqlite3"

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.path}"

    @property
    def environ(self) -> dict[str, str]:
        """What commands must be told beside the database."""
        return {"VIGIE_KEYS_SECRET_FILE": str(self.secret_file)} if self.secret_file else {}

    @property
    def chosen(self) -> Chosen:
        return Chosen(**json.loads((self.folder / "chosen.json").read_text(encoding="utf-8")))

    @property
    def size_bytes(self) -> int:
        return self.path.stat().st_size

    def run(self, *arguments: object) -> str:
        """What a command of its program says on stdout. Raises BenchError when it fails."""
        return self.program.run(*arguments, "--database", self.url, environ=self.environ)


def filled_store(incident_count: int, program: Program = VIGIE) -> Store:
    """A store with so many incidents of three alerts, made by the program when there is none yet."""
    folder = WORK / f"store-{program.mark}-{incident_count}"
    store = Store(folder=folder, incident_count=incident_count, program=program)
    if not store.folder.exists():
        print(f"filling a store of {program.mark} with {incident_count:,} incidents, once", flush=True)
        being_made = store.folder.with_suffix(".part")
        shutil.rmtree(being_made, ignore_errors=True)
        _fill(replace(store, folder=being_made))
        being_made.rename(store.folder)
    return store


@contextmanager
def copied(store: Store) -> Iterator[Store]:
    """A copy that may be written to, gone at the end of the block."""
    WORK.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=WORK) as folder:
        Path(folder, "vigie.sqlite3").touch(mode=0o600)
        with (
            closing(sqlite3.connect(store.path)) as source,
            closing(sqlite3.connect(f"{folder}/vigie.sqlite3")) as copy,
        ):
            source.backup(copy)
        shutil.copy(store.folder / KEY_FILE_NAME, folder)
        shutil.copy(store.folder / "chosen.json", folder)
        yield replace(store, folder=Path(folder))


def await_evidence(store: Store) -> bool:
    """Wait until the server of a store has followed every change; False when there was none to follow.

    Raises BenchError when that never ends.
    """
    give_up_at = time.monotonic() + _EVIDENCE_SECONDS_MAX
    if not _is_behind(store):
        return False
    while _is_behind(store):
        if time.monotonic() > give_up_at:
            raise BenchError(f"the evidence of {store.folder} does not follow its changes")
        time.sleep(0.05)
    return True


def generated_file(incident_count: int, program: Program = VIGIE) -> Path:
    """Incidents of three alerts as the program's `vigie generate` writes them, kept for the next run."""
    path = WORK / f"incidents-{program.mark}-{incident_count}.ndjson"
    if not path.exists():
        WORK.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            subprocess.run(
                _generate(program, incident_count, alerts=3), stdout=out, env=clean_environment(), check=True
            )
        part.rename(path)
    return path


# Making


def _generate(program: Program, incident_count: int, *, alerts: int) -> list[str]:
    counts = ["--incidents", str(incident_count), "--seed", str(SEED), "--alerts", str(alerts)]
    return [str(program.path), "generate", *counts]


def _fill(store: Store) -> None:
    store.folder.mkdir(parents=True)
    store.run("init", store.folder)
    for domain in (TENANT, LARGE_TENANT):
        permission = ("--permission", "Incident.ReadWrite.All")
        store.run("tenant", "add", domain.partition(".")[0], "--domain", domain)
        store.run("app", "add", "application", "--tenant", domain, *permission)
    _import(store, TENANT, store.incident_count, alerts=3)
    _import(store, LARGE_TENANT, LARGE_INCIDENTS, alerts=LARGE_ALERTS)
    _add_users(store)
    chosen = _choose(store) if store.program is VIGIE else filled_store(store.incident_count).chosen
    (store.folder / "chosen.json").write_text(json.dumps(asdict(chosen)), encoding="utf-8")
    _project(store)


def _import(store: Store, tenant: str, incident_count: int, *, alerts: int) -> None:
    if not incident_count:
        return
    environ = clean_environment()
    command: list[str | Path] = [store.program.path, "import", "-", "--tenant", tenant, "--json"]
    with subprocess.Popen(
        _generate(store.program, incident_count, alerts=alerts), stdout=subprocess.PIPE, env=environ
    ) as generator:
        subprocess.run(
            [*command, "--database", store.url],
            stdin=generator.stdout,
            stdout=subprocess.DEVNULL,
            env=environ,
            check=True,
        )


def _add_users(store: Store) -> None:
    """A user who sees all of the first tenant, and one who sees some device groups."""
    at = ("--tenant", TENANT)
    store.run("role", "add", "looks", *at, "--permission", "view-data")
    named = json.loads(store.run("device-group", "list", *at, "--json"))
    numbers = sorted(group["id"] for group in named if group["id"] in SCOPE)
    for kind, groups in (("whole", []), ("scoped", numbers)):
        scope = [option for number in groups for option in ("--device-group", number)]
        store.run("user", "add", f"{kind}@{TENANT}", *at)
        if groups or kind == "whole":
            store.run("user", "grant", f"{kind}@{TENANT}", *at, "--role", "looks", *scope)


def _project(store: Store) -> None:
    """Serve a store until its evidence is there, so that no measured server does that beside."""
    port = free_port()
    command = [str(store.program.path), "serve", "--port", str(port), "--database", store.url]
    with running("vigie", command, port, ready_path="/healthz"):
        await_evidence(store)


def _is_behind(store: Store) -> bool:
    """Whether evidence has changes to follow. Older revisions have no such table."""
    with closing(sqlite3.connect(store.path)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'evidence'").fetchone() is None:
            return False
        behind = connection.execute(
            "SELECT 1 FROM latest_change LEFT JOIN consumer"
            " ON consumer.tenant_id = latest_change.tenant_id AND consumer.name = 'evidence'"
            " WHERE number > coalesce(position, 0) LIMIT 1"
        )
        return behind.fetchone() is not None


def settings_of(store: Store) -> Settings:
    """The settings by which a store is opened in this process."""
    secret_file = str(store.secret_file or "")
    return Settings(database=DatabaseSettings(url=store.url), keys=KeysSettings(secret_file=secret_file))


def _choose(store: Store) -> Chosen:
    """Incidents of this program's store. An older one's has the same, of the same seed."""
    with closing(sqlite3.connect(store.path)) as connection:
        rows = connection.execute(
            "SELECT i.incident_id, i.spans, i.document FROM incident i JOIN tenant USING (tenant_id)"
            " WHERE domain = ? ORDER BY i.incident_id LIMIT ?",
            (TENANT, _LOOKED_THROUGH),
        ).fetchall()
    found: dict[str, int] = {}
    for incident_id, spans, document in rows:
        # The peers' tables have a column for the number of a group, which cannot be absent.
        is_plain = document.count(b'"rbacGroupName"') == document.count(b'"rbacGroupId"')
        if is_plain and len(document) in _CHOSEN_BYTES:
            found.setdefault(_kind_for_scope(decode_spans(spans)), incident_id)
    # A store without incidents has none to choose from.
    found = found or {"whole": 1, "spliced": 1, "parsed": 1}
    return Chosen(whole=found["whole"], spliced=found["spliced"], parsed=found["parsed"])


def _kind_for_scope(spans: Spans) -> str:
    """What the scoped user gets of an incident with devices in every alert."""
    kinds = {_kind_of_alert(alert.own, alert.named) for alert in spans.alerts}
    if "mixed" in kinds:
        return "parsed"
    return {frozenset({"in"}): "whole", frozenset({"in", "out"}): "spliced"}.get(frozenset(kinds), "none")


def _kind_of_alert(own: Sequence[DeviceGroupLabel], named: Sequence[DeviceGroupLabel]) -> str:
    if not own:
        return "anyone"
    if SCOPE.isdisjoint(own):
        return "out"
    return "in" if SCOPE.issuperset(own) and SCOPE.issuperset(named) else "mixed"
