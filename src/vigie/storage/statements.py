"""The named statements of the `.sql` files, for the database that is to run them."""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

DatabaseKind = Literal["sqlite", "postgres"]
"""The two databases."""

_NAME = re.compile(r"^-- name: ([a-z_]+)!?$", re.MULTILINE)
"""The line above a statement; the mark is on statements that return no rows."""


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
    _, *found = _NAME.split(source.read_text(encoding="utf-8"))
    for name, text in zip(found[::2], found[1::2], strict=True):
        yield name, _without_comments(text)


def _without_comments(text: str) -> str:
    """A statement as it is sent: a database would read its comments anew with every preparation."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def _sql_files(folder: Traversable) -> list[Traversable]:
    return sorted(
        (each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name
    )
