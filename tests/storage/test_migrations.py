"""Databases of every earlier schema, made by its scripts and rows, are brought up to date when they are opened."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.database_access import below
from tests.support.house import settings_in
from tests.support.stores import current_kind, the_postgres_server
from vigie.config.settings import DatabaseSettings, Settings
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.queries import PageRequest
from vigie.runtime.installation import opened
from vigie.storage.statements import Migration, migrations
from vigie.storage.visibility import labels_text

LAPTOPS = Exposure(device_groups=frozenset({11}))

ALERT = '{"devices":[{"rbacGroupId":%d}]}'
HEAD = (
    '{"incidentId":%d,"status":"%s","redirectIncidentId":%s,"createdTime":"2026-02-11T07:41:09Z",'
    '"lastUpdateTime":"2026-02-11T07:52:30Z","alerts":['
)
AT = 17_707_963_500_000_000

# Bytes and labels as the releases of that time wrote them, so that no code of today has a part in them.
OF_GROUP_11 = "92919320910b910b90"
OF_GROUP_12 = "92919320910c910c90"
# Of a name of two lines with a backslash in it, and of number 11; and an incident without alerts.
OF_AN_ODD_NAME = "92919320920ba5615c0a5c629090"
WITHOUT_ALERTS = "929090"
STUB_BEFORE_STEP = "929090"
STUB_OF_GROUP_11 = "939090910b"
STUB_OF_GROUP_12 = "939090910c"

ODD_LABEL = "=a\\\n\\b"

Row = tuple[int, str, str, int | None, str, tuple[str, ...]]
INCIDENTS: tuple[Row, ...] = (
    (1, "Active", ALERT % 11, None, OF_GROUP_11, ("*", "#11")),
    (2, "Active", ALERT % 12, None, OF_GROUP_12, ("*", "#12")),
    (6, "Active", ALERT % 11, None, OF_AN_ODD_NAME, ("*", "#11", ODD_LABEL)),
    (7, "Active", "", None, WITHOUT_ALERTS, ("*", "")),
)
STUBS_BEFORE_STEP: tuple[Row, ...] = (
    (3, "Redirected", "", 1, STUB_BEFORE_STEP, ("*", "")),
    (4, "Redirected", "", 2, STUB_BEFORE_STEP, ("*", "")),
    # One that leads around by way of another.
    (5, "Redirected", "", 3, STUB_BEFORE_STEP, ("*", "")),
)
STUBS: tuple[Row, ...] = (
    (3, "Redirected", "", 1, STUB_OF_GROUP_11, ("*", ">", "#11")),
    (4, "Redirected", "", 2, STUB_OF_GROUP_12, ("*", ">", "#12")),
    (5, "Redirected", "", 3, STUB_OF_GROUP_11, ("*", ">", "#11")),
)


def without_tables(folder: Path) -> Settings:
    """The settings of a house whose database has nothing in it yet."""
    if current_kind() == "sqlite":
        # Vigie trusts a file only if it is closed to others.
        (folder / "vigie.sqlite3").touch(mode=0o600)
        return settings_in(folder)
    server = the_postgres_server()
    return settings_in(folder, database=DatabaseSettings(url=server.url(server.new_database())))


def make_old(settings: Settings, scripts: list[Migration]) -> None:
    """A database of the schema that these scripts make, with incidents and stubs of its release."""
    names = [each.name for each in scripts]
    rows = (*INCIDENTS, *(STUBS if "stubs_inherit" in names else STUBS_BEFORE_STEP))
    if "incident_listing" in names:
        listed = listings(rows)
    else:
        listed = labels_inserted(rows, f"incident_{'visibility' if 'visibility' in names else 'sight'}")
    if current_kind() == "sqlite":
        mark = f"PRAGMA application_id = {0x56494749}; PRAGMA user_version = {scripts[-1].number};"
    else:
        mark = (
            "CREATE TABLE vigie_schema (version bigint NOT NULL);"
            f"INSERT INTO vigie_schema (version) VALUES ({scripts[-1].number});"
        )
    below(settings.database).run(
        "\n".join(
            [
                *(each.script for each in scripts),
                "INSERT INTO tenant (tenant_id, guid, name) VALUES (7, 'a-guid', 'contoso');",
                *(inserted(row, has_target="stubs_inherit" in names) for row in rows),
                *listed,
                *(alerts_inserted(rows) if "alerts" in names else []),
                mark,
            ]
        )
    )


def inserted(row: Row, *, has_target: bool) -> str:
    """The statement that adds an incident."""
    number, status, alerts, target, spans, _ = row
    head = HEAD % (number, status, json.dumps(target))
    name, value = (", redirect_incident_id", f", {json.dumps(target)}") if has_target else ("", "")
    return (
        "INSERT INTO incident (tenant_id, incident_id, status, created_at, last_update_at, alerts_at, spans,"
        f" document{name}) VALUES (7, {number}, '{status}', {AT}, {AT}, {len(head)}, {blob(spans)},"
        f" {blob((head + alerts + ']}').encode().hex())}{value});"
    )


def alerts_inserted(rows: Sequence[Row]) -> Iterator[str]:
    """The statements that add the row of each alert, as the step of that migration and its end do."""
    for number, _, alerts, _, _, _ in rows:
        if alerts:
            yield (
                "INSERT INTO alert (tenant_id, incident_id, place, copy, origin, native)"
                f" VALUES (7, {number}, 0, 0, 'defender', {blob(alerts.encode().hex())});"
            )
    yield "DROP TABLE alerts_to_add;"


def labels_inserted(rows: Sequence[Row], table: str) -> Iterator[str]:
    """The statements that add the labels of incidents, a row each."""
    for number, status, _, _, _, labels in rows:
        for label in labels:
            yield (
                f"INSERT INTO {table} (tenant_id, label, last_update_at, incident_id, created_at, status)"
                f" VALUES (7, '{label}', {AT}, {number}, {AT}, '{status}');"
            )


def listings(rows: Sequence[Row]) -> Iterator[str]:
    """The statements that add the label sets of incidents, and a row for each incident."""
    for number, status, _, _, _, (_, *labels) in rows:
        lines = "\n".join(label.replace("\\", "\\\\").replace("\n", "\\n") for label in sorted(labels))
        # A set for each incident, although some are alike: to readers that is the same.
        yield f"INSERT INTO visibility VALUES (7, {number}, '{lines}') ON CONFLICT DO NOTHING;"
        for label in labels:
            yield f"INSERT INTO visibility_label VALUES (7, '{label}', {number});"
        yield (
            "INSERT INTO incident_listing (tenant_id, incident_id, created_at, last_update_at, status,"
            f" visibility_id) VALUES (7, {number}, {AT}, {AT}, '{status}', {number});"
        )


def blob(digits: str) -> str:
    return f"x'{digits}'" if current_kind() == "sqlite" else rf"'\x{digits}'::bytea"


async def seen_by(settings: Settings, exposure: Exposure) -> tuple[list[int], list[int]]:
    """The incidents that an exposure finds one by one, and those that a list shows to it."""
    async with opened(settings, create=False) as installation:
        tenant_id = (await installation.directory.get_tenant("contoso")).tenant_id
        found = [
            number
            for number in range(1, 8)
            if await installation.incidents.find_incident(tenant_id, number, exposure)
        ]
        async with installation.incidents.page(tenant_id, exposure, PageRequest()) as page:
            listed = [json.loads(each)["incidentId"] async for batch in page.batches for each in batch]
    return found, sorted(listed)


def test_the_bytes_of_then_say_what_they_should() -> None:
    assert len(ALERT % 11) == int(OF_GROUP_11[6:8], 16)


def test_a_database_of_any_earlier_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    scripts = migrations(current_kind())
    seen = {}

    for count in range(1, len(scripts)):
        folder = tmp_path / scripts[count - 1].name
        folder.mkdir()
        settings = without_tables(folder)
        make_old(settings, scripts[:count])
        seen[folder.name] = [asyncio.run(seen_by(settings, who)) for who in (LAPTOPS, WHOLE_TENANT)]
        alerts = below(settings.database).rows(
            "SELECT incident_id, place, native FROM alert ORDER BY incident_id"
        )
        assert alerts == [(number, 0, alert.encode()) for number, _, alert, *_ in INCIDENTS if alert]

    of_laptops, everything = [1, 3, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7]
    expected = [(of_laptops, of_laptops), (everything, everything)]
    assert seen == dict.fromkeys([each.name for each in scripts[:-1]], expected)


def test_label_sets_are_written_as_the_program_writes_them(tmp_path: Path) -> None:
    scripts = migrations(current_kind())
    settings = without_tables(tmp_path)
    make_old(settings, scripts[: [each.name for each in scripts].index("incident_listing")])

    asyncio.run(seen_by(settings, LAPTOPS))

    rows = below(settings.database).rows("SELECT labels FROM visibility ORDER BY visibility_id")
    sets = [{""}, {"#11"}, {"#11", ODD_LABEL}, {"#12"}, {"#11", ">"}, {"#12", ">"}]
    assert sorted(labels for (labels,) in rows) == sorted(labels_text(frozenset(each)) for each in sets)
