"""The named statements: every one is used, every used name exists, and all follow the project's rules."""

import ast
import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import vigie
from tests.support.house import House
from tests.support.stores import KINDS, Kind
from vigie.storage.migration_steps import STEPS
from vigie.storage.postgres.statement import named
from vigie.storage.statements import migrations, statements, step_statements

PROGRAM = Path(vigie.__file__).parent
SQL = PROGRAM / "storage" / "sql"

# Who takes the name of a statement as first argument.
RUNS_STATEMENTS = {"row", "rows", "run", "run_many", "_run", "_row", "_rows", "scan"}
NAME = re.compile(r"^-- name: (\w+)", re.MULTILINE)
ALL = {
    *statements("sqlite"),
    *statements("postgres"),
    *(name for step in STEPS for name in step_statements(step)),
}


def names_used() -> Iterator[str]:
    """Every text in the program that is, or could only be, the name of a statement."""
    for source in PROGRAM.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in ALL:
                yield str(node.value)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from _named_by(node)


def _named_by(call: ast.Call) -> Iterator[str]:
    runs = isinstance(call.func, ast.Attribute) and call.func.attr in RUNS_STATEMENTS
    if runs and call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
        yield call.args[0].value


def names_in(folder: Path) -> list[str]:
    return [
        name for source in folder.glob("*.sql") for name in NAME.findall(source.read_text(encoding="utf-8"))
    ]


def test_every_statement_is_used_and_every_used_name_exists() -> None:
    assert set(names_used()) == set(ALL)


def test_every_name_is_given_once() -> None:
    assert Counter(names_in(SQL)) == Counter(statements("sqlite").keys())
    assert max(Counter(names_in(SQL / "postgres")).values()) == 1


def test_every_statement_can_be_prepared(house: House) -> None:
    settings = house.running.settings.database
    if settings.is_shared:
        assert asyncio.run(prepared_by_postgres(settings.url)) == sorted(statements("postgres"))
        return
    connection = sqlite3.connect(settings.path)
    for text in statements("sqlite").values():
        values = dict.fromkeys(re.findall(r":(\w+)", text))
        assert connection.execute(f"EXPLAIN {text}", values).fetchall()
    connection.close()


async def prepared_by_postgres(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    for name in statements("postgres"):
        await connection.prepare(named(name).text)
    await connection.close()
    return sorted(statements("postgres"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_statement_carries_the_tenant_or_is_the_installations(kind: Kind) -> None:
    # What asks no table is about the server.
    without = {
        name
        for name, text in statements(kind).items()
        if ":tenant_id" not in text
        and re.search(r"\b(FROM|INTO|UPDATE)\b", text)
        and not re.search(r"(FROM|INTO|UPDATE) (installation\w*|tenant)\b", text)
    }

    assert without == set()


@pytest.mark.parametrize("kind", KINDS)
def test_no_statement_says_star(kind: Kind) -> None:
    starred = {name for name, text in statements(kind).items() if re.search(r"SELECT\s+\*|\.\*", text)}

    assert starred == set()


@pytest.mark.parametrize("kind", KINDS)
def test_migrations_are_numbered_without_a_gap(kind: Kind) -> None:
    assert [each.number for each in migrations(kind)] == list(range(1, len(migrations(kind)) + 1))
