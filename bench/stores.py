"""Databases to measure: filled by `vigie generate` and `vigie import`, and kept for the next run."""

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processes import BenchError, clean_environment
from vigie.config.settings import DatabaseSettings, KeysSettings, Settings
from vigie.core.access import DeviceGroupLabel, RolePermission
from vigie.core.incident import Spans, decode_spans
from vigie.runtime.installation import KEY_FILE_NAME, opened
from vigie.storage.statements import migrations

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".bench"
VIGIE = Path(sys.executable).with_name("vigie")
AUDIENCE = "https://api.security.microsoft.com"
TENANT, LARGE_TENANT = "contoso.example", "large.example"
SEED = 1

LARGE_INCIDENTS, LARGE_ALERTS = 200, 15
READER_COUNT = 100
SCOPE: frozenset[DeviceGroupLabel] = frozenset({14, 15, 16, 40})
"""The groups of the scoped user: half of them, so that incidents are visible in whole, in part, and not at all."""
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
    """A filled store and what is needed to ask it. `incident_count` are those of three alerts, from 1 on.

    It is a file in its folder unless `database_url` names another place; then `secret_file` wraps its keys.
    """

    folder: Path
    incident_count: int
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


def filled_store(incident_count: int) -> Store:
    """A store with so many incidents of three alerts, made when there is none yet."""
    store = Store(folder=WORK / f"store-{_version()}-{incident_count}", incident_count=incident_count)
    if not store.folder.exists():
        print(f"filling a store with {incident_count:,} incidents, once", flush=True)
        being_made = store.folder.with_suffix(".part")
        shutil.rmtree(being_made, ignore_errors=True)
        _fill(Store(folder=being_made, incident_count=incident_count))
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
        yield Store(folder=Path(folder), incident_count=store.incident_count)


def generated_file(incident_count: int) -> Path:
    """Incidents of three alerts as `vigie generate` writes them, kept for the next run."""
    path = WORK / f"incidents-{_version()}-{incident_count}.ndjson"
    if not path.exists():
        WORK.mkdir(exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as out:
            subprocess.run(
                _generate(incident_count, alerts=3), stdout=out, env=clean_environment(), check=True
            )
        part.rename(path)
    return path


def run_vigie(*arguments: object, environ: Mapping[str, str] | None = None) -> str:
    """What a command says on stdout. Raises BenchError when it fails."""
    command = [str(VIGIE), *map(str, arguments)]
    environ = clean_environment() | dict(environ or {})
    completed = subprocess.run(command, capture_output=True, text=True, env=environ, check=False)
    if completed.returncode:
        raise BenchError(f"{' '.join(command)}: {completed.stderr.strip()}")
    return completed.stdout


def database(store: Store) -> tuple[str, str]:
    """The option by which commands find a store."""
    return "--database", store.url


# Making


def _version() -> str:
    """Stores of another schema are made anew: an old one would come without what a new release writes."""
    return f"v{migrations()[-1][0]}"


def _generate(incident_count: int, *, alerts: int) -> list[str]:
    counts = ["--incidents", str(incident_count), "--seed", str(SEED), "--alerts", str(alerts)]
    return [str(VIGIE), "generate", *counts]


def _fill(store: Store) -> None:
    store.folder.mkdir(parents=True)
    asyncio.run(_make_tenants(store))
    _import(store, TENANT, store.incident_count, alerts=3)
    _import(store, LARGE_TENANT, LARGE_INCIDENTS, alerts=LARGE_ALERTS)
    asyncio.run(_make_callers(store))
    with closing(sqlite3.connect(store.path)) as connection:
        chosen = _choose(connection)
    (store.folder / "chosen.json").write_text(json.dumps(asdict(chosen)), encoding="utf-8")


def _import(store: Store, tenant: str, incident_count: int, *, alerts: int) -> None:
    if not incident_count:
        return
    environ = clean_environment()
    command: list[str | Path] = [VIGIE, "import", "-", "--tenant", tenant, *database(store), "--json"]
    with subprocess.Popen(
        _generate(incident_count, alerts=alerts), stdout=subprocess.PIPE, env=environ
    ) as generator:
        subprocess.run(command, stdin=generator.stdout, stdout=subprocess.DEVNULL, env=environ, check=True)


def settings_of(store: Store) -> Settings:
    secret_file = str(store.secret_file or "")
    return Settings(database=DatabaseSettings(url=store.url), keys=KeysSettings(secret_file=secret_file))


async def _make_tenants(store: Store) -> None:
    async with opened(settings_of(store), create=True) as installation:
        await installation.keys().load_or_create()
        await installation.issuer()
        for domain in (TENANT, LARGE_TENANT):
            await installation.directory.add_tenant(domain.partition(".")[0], guid=None, domain=domain)


async def _make_callers(store: Store) -> None:
    """An application in each tenant; in the first one also many readers, and two users."""
    async with opened(settings_of(store), create=False) as installation:
        directory = installation.directory
        for domain in (TENANT, LARGE_TENANT):
            tenant = await directory.get_tenant(domain)
            await directory.add_application(tenant, "application", ("Incident.ReadWrite.All",))
        tenant = await directory.get_tenant(TENANT)
        for number in range(READER_COUNT):
            await directory.add_application(tenant, f"reader-{number}", ("Incident.Read.All",))
        role = await directory.add_role(tenant, "looks", [RolePermission.VIEW_DATA])
        groups = {group.name for group in await directory.device_groups(tenant) if group.number in SCOPE}
        for kind, names in (("whole", ()), ("scoped", groups)):
            user = await directory.add_user(tenant, f"{kind}@{TENANT}")
            await directory.grant(tenant, user, role, sorted(names))


def _choose(connection: sqlite3.Connection) -> Chosen:
    rows = connection.execute(
        "SELECT i.incident_id, i.spans, i.document FROM incident i JOIN tenant USING (tenant_id)"
        " WHERE domain = ? ORDER BY i.incident_id LIMIT ?",
        (TENANT, _LOOKED_THROUGH),
    )
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
