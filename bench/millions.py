"""Stores of as many generated incidents of one alert as wanted, filled once and kept in a folder."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter

from tests.support.commands import done
from tests.support.many_incidents import NEWEST, many_incidents
from tests.support.postgres_server import PostgresServer, find_binaries
from tests.support.stores import a_secret_in

from bench.processes import BenchError
from vigie.config.settings import DatabaseSettings, Settings
from vigie.core.audit import AuditContext
from vigie.core.incident import StoredIncident, decode_spans
from vigie.documents import lossless
from vigie.documents.defender.reading import keep_document
from vigie.documents.differences import added
from vigie.runtime.installation import opened
from vigie.storage.alert_rows import alert_row
from vigie.storage.postgres.raw_tables import postgres_raw_tables
from vigie.storage.sqlite.raw_tables import sqlite_raw_tables
from vigie.storage.transfer import (
    ALERTS,
    HISTORY,
    INCIDENTS,
    LISTINGS,
    VISIBILITY,
    VISIBILITY_LABELS,
    RawTables,
    Rows,
)
from vigie.storage.visibility import label_set, labels_text

TENANT = "Contoso"
APPLICATION = "reader"
_AS_PEOPLE_DO = 1_000
_PER_COMMIT = 5_000
_SHOWN_EVERY = 100_000
_OF_EVERY_KIND = 5_000
_DEED = AuditContext(actor="bench", request_id="", at=NEWEST)
_INCIDENT_COLUMNS = (
    "tenant_id",
    "incident_id",
    "status",
    "severity",
    "assigned_to",
    "created_at",
    "last_update_at",
    "alerts_at",
    "spans",
    "document",
)
_LISTING_COLUMNS = (
    "tenant_id",
    "incident_id",
    "created_at",
    "last_update_at",
    "status",
    "assigned_to",
    "visibility_id",
)
_HISTORY_COLUMNS = (
    "tenant_id",
    "incident_id",
    "entry",
    "at",
    "action",
    "actor",
    "request_id",
    "changes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Millions:
    """A filled store, and the settings file that serves it without quotas that matter."""

    url: str
    incident_count: int
    settings_file: Path

    @property
    def settings(self) -> Settings:
        """How it is opened in the process."""
        return Settings(database=DatabaseSettings(url=self.url))


@contextmanager
def postgres_in(folder: Path) -> Iterator[PostgresServer]:
    """The server whose files are in a folder, which are made when there are none; stopped at the end."""
    binaries = find_binaries()
    if binaries is None:
        raise BenchError("PostgreSQL is missing; `apt-get install postgresql` brings it")
    options = ("-c", "shared_buffers=1GB", "-c", "max_wal_size=8GB", "-c", "checkpoint_timeout=30min")
    server = PostgresServer(binaries=binaries, folder=folder, options=options)
    if not folder.exists():
        folder.mkdir(mode=0o755, parents=True)
        shutil.chown(folder, "postgres", "postgres")
        server.run("initdb", "-D", server.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def in_a_file(folder: Path, incident_count: int) -> Millions:
    """A store file with so many incidents."""
    url = f"sqlite:///{folder / f'{incident_count}.sqlite3'}"
    return _filled(folder, url, incident_count)


def in_postgres(folder: Path, server: PostgresServer, incident_count: int) -> Millions:
    """A database with so many incidents, vacuumed and analyzed."""
    name = f"incidents_{incident_count}"
    if not server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        server.sql(f"CREATE DATABASE {name} TEMPLATE template0")
    store = _filled(folder, server.url(name), incident_count)
    server.sql("VACUUM (ANALYZE)", database=name)
    return store


def _filled(folder: Path, url: str, incident_count: int) -> Millions:
    kind = url.partition(":")[0]
    settings_file, mark = folder / f"{kind}.toml", folder / f"{kind}-{incident_count}.filled"
    many = 10**9
    lines = [
        "[keys]",
        f"secret_file = {json.dumps(str(a_secret_in(folder)))}",
        "[quotas]",
        *(f"{name}_per_{time} = {many}" for name in ("get", "list", "update") for time in ("minute", "hour")),
        "[logging]",
        'level = "warning"',
    ]
    settings_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    store = Millions(url=url, incident_count=incident_count, settings_file=settings_file)
    if not mark.exists():
        started_seconds = perf_counter()
        asyncio.run(_fill(store))
        permission = ("--permission", "Incident.ReadWrite.All")
        at = ("--config", settings_file, "--database", url)
        done("app", "add", APPLICATION, "--tenant", TENANT, *permission, *at)
        print(f"{incident_count:,} incidents put in {perf_counter() - started_seconds:.0f} s", flush=True)
        mark.touch()
    return store


async def _fill(store: Millions) -> None:
    """The first and the last as an import puts them, those between as a copy puts rows."""
    kept = map(keep_document, many_incidents(store.incident_count))
    async with opened(store.settings, create=True) as installation:
        tenant = await installation.directory.add_tenant(TENANT, guid=None, domain=None)
        await installation.incidents.put_incidents(tenant.tenant_id, list(islice(kept, _AS_PEOPLE_DO)), _DEED)
    async with _shelf_of(store) as raw_tables:
        await raw_tables.put(await _missing_sets(raw_tables, tenant.tenant_id, store.incident_count))
        sets = await _sets(raw_tables)
        left = store.incident_count - 2 * _AS_PEOPLE_DO
        while left > 0 and (some := list(islice(kept, min(_PER_COMMIT, left)))):
            await raw_tables.put(list(_rows_of(tenant.tenant_id, some, sets)))
            left -= len(some)
            if left % _SHOWN_EVERY == 0:
                print(f"{left:,} to go", flush=True)
    async with opened(store.settings, create=False) as installation:
        await installation.incidents.put_incidents(tenant.tenant_id, list(kept), _DEED)


async def _sets(raw_tables: RawTables) -> dict[str, int]:
    """The numbers of the label sets that are stored, by their labels as one text."""
    batches = raw_tables.rows(VISIBILITY, ("labels", "visibility_id"), None)
    return {labels: number async for rows in batches for labels, number in rows}


async def _missing_sets(raw_tables: RawTables, tenant_id: int, incident_count: int) -> list[Rows]:
    """The label sets that later incidents have and the first ones had not."""
    known = await _sets(raw_tables)
    # As many as have one of every kind, however rare.
    some = many_incidents(min(incident_count, _OF_EVERY_KIND))
    found = {label_set(decode_spans(keep_document(each).spans)) for each in some}
    missing = sorted((labels for labels in found if labels_text(labels) not in known), key=labels_text)
    numbered = list(enumerate(missing, len(known) + 1))
    labels = [(tenant_id, label, number) for number, each in numbered for label in each]
    return [
        (
            VISIBILITY,
            (*VISIBILITY.key, "labels"),
            [(tenant_id, n, labels_text(each)) for n, each in numbered],
        ),
        (VISIBILITY_LABELS, VISIBILITY_LABELS.key, labels),
    ]


def _rows_of(tenant_id: int, incidents: list[StoredIncident], sets: dict[str, int]) -> Iterator[Rows]:
    yield (
        INCIDENTS,
        _INCIDENT_COLUMNS,
        [(tenant_id, *(getattr(each, name) for name in _INCIDENT_COLUMNS[1:])) for each in incidents],
    )
    alerts = [
        {**alert_row({"tenant_id": tenant_id, "incident_id": each.incident_id}, place, alert), "copy": 0}
        for each in incidents
        for place, alert in enumerate(each.alerts)
    ]
    yield ALERTS, tuple(alerts[0]), [tuple(each.values()) for each in alerts]
    yield (
        LISTINGS,
        _LISTING_COLUMNS,
        [
            (
                tenant_id,
                each.incident_id,
                each.created_at,
                each.last_update_at,
                each.status,
                each.assigned_to,
                sets[labels_text(label_set(decode_spans(each.spans)))],
            )
            for each in incidents
        ],
    )
    yield (
        HISTORY,
        _HISTORY_COLUMNS,
        [
            (
                tenant_id,
                each.incident_id,
                1,
                _DEED.at,
                "import",
                _DEED.actor,
                _DEED.request_id,
                lossless.encode(added(each.document)).decode(),
            )
            for each in incidents
        ],
    )


def _shelf_of(store: Millions) -> AbstractAsyncContextManager[RawTables]:
    if store.settings.database.is_shared:
        return postgres_raw_tables(store.url)
    return _file_shelf(store.settings.database.path)


@asynccontextmanager
async def _file_shelf(path: Path) -> AsyncIterator[RawTables]:
    with sqlite_raw_tables(path) as raw_tables:
        yield raw_tables
