"""The named statements of the `.sql` files, for the database that is to run them."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import aiosql

if TYPE_CHECKING:
    from collections.abc import Mapping

DatabaseKind = Literal["sqlite", "postgres"]
"""The two databases."""


@cache
def statements(kind: DatabaseKind = "sqlite") -> "Mapping[str, str]":
    """Every statement's text by its name. Where PostgreSQL needs another text, its own files repeat the name."""
    folder = files("vigie.storage").joinpath("sql")
    found = dict(_statements_in(folder))
    if kind == "postgres":
        found |= _statements_in(folder.joinpath("postgres"))
    return MappingProxyType(found)


@cache
def step_statements(migration: str) -> "Mapping[str, str]":
    """The statements of a migration's step by name: for the schema of that migration, in both databases."""
    source = files("vigie.storage").joinpath("sql", "migration_steps", f"{migration}.sql")
    return MappingProxyType(dict(_statements_of(source)))


class Migration(NamedTuple):
    """A change of the schema: its number, its name, and its script."""

    number: int
    name: str
    script: str


def migrations(kind: DatabaseKind = "sqlite") -> list[Migration]:
    """The numbered changes of the schema, in their order. Each database has its own."""
    folder = files("vigie.storage").joinpath("sql")
    if kind == "postgres":
        folder = folder.joinpath("postgres")
    return [_migration(source) for source in _sql_files(folder.joinpath("migrations"))]


def _migration(source: Traversable) -> Migration:
    number, _, name = source.name.removesuffix(".sql").partition("_")
    return Migration(int(number), name, source.read_text(encoding="utf-8"))


def schema_version(kind: DatabaseKind) -> int:
    """The version of the schema that this program works with: older databases are migrated when opened."""
    return migrations(kind)[-1].number


def _statements_in(folder: Traversable) -> Iterator[tuple[str, str]]:
    for source in _sql_files(folder):
        yield from _statements_of(source)


def _statements_of(source: Traversable) -> Iterator[tuple[str, str]]:
    queries = aiosql.from_str(source.read_text(encoding="utf-8"), "sqlite3", mandatory_parameters=False)
    for name in queries.available_queries:
        if not name.endswith("_cursor"):
            yield name, getattr(queries, name).sql


def _sql_files(folder: Traversable) -> list[Traversable]:
    return sorted(
        (each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name
    )
