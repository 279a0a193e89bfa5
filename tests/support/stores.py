"""The stores that tests run on, and how each test is given one of its own.

The rule: a test module that serves a house, or opens an installation, runs on every store. ON_SQLITE_ALONE are
the exceptions, each with its reason.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from tests.support.postgres_server import PostgresServer, a_postgres_server, find_binaries
from vigie.config.settings import DatabaseSettings, KeysSettings

Kind = Literal["sqlite", "postgres"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgres")

OPENS_A_STORE = ("House", "RunningHouse", "settings_in", "database_in", "opened")
"""Whoever imports one of these goes through the store."""

ON_SQLITE_ALONE: Mapping[str, str] = {
    "test_commands": "what is typed, and the files it makes; test_postgres_commands has what is different",
    "test_sign_in_libraries": "the program as it is set up first; test_people_libraries signs in on every store",
    "test_shared_snapshots": "how SQLite's reads of one turn share a snapshot; in PostgreSQL each is a statement",
    "test_list_plans": "how SQLite reads a list; test_postgres_plans has how PostgreSQL does",
    "test_tls": "certificates are files, wherever the incidents are; test_postgres_commands serves with one",
    "test_reference_in_a_browser": "the page is made of files of the program; no incident is read",
    "test_landing": "the page is made of files of the program; no incident is read",
    "test_documents": "the documents are about the default, and every other store is named there",
}

NO_POSTGRES = "PostgreSQL 15 or later is not installed (Debian: apt install postgresql)"

# Nothing here has to survive the machine: what has to is tried with servers of its own.
_FAST = (
    "-c",
    "fsync=off",
    "-c",
    "synchronous_commit=off",
    "-c",
    "full_page_writes=off",
    "-c",
    "max_connections=300",
)

_current: Kind = "sqlite"
_urls: dict[Path, str] = {}
_server: list[PostgresServer] = []
_stack = ExitStack()


def kinds_for(module: object) -> tuple[Kind, ...]:
    """The stores that the tests of a module run on; none for those that need no store."""
    name = str(getattr(module, "__name__", "")).rpartition(".")[2]
    # What is about PostgreSQL alone says itself what it stands on.
    if name.startswith("test_postgres") or not any(hasattr(module, each) for each in OPENS_A_STORE):
        return ()
    return ("sqlite",) if name in ON_SQLITE_ALONE else KINDS


@contextmanager
def store_of_tests(kind: Kind) -> Iterator[None]:
    """Let houses stand on a store of this kind."""
    global _current  # noqa: PLW0603  the one place where it changes
    before, _current = _current, kind
    try:
        if kind == "postgres":
            the_postgres_server()
        yield
    finally:
        _current = before


def current_kind() -> Kind:
    """The kind of store that tests run on now."""
    return _current


def database_in(folder: Path) -> DatabaseSettings:
    """The store that belongs to a folder: the same for the same folder."""
    if _current == "sqlite":
        return DatabaseSettings(url=f"sqlite:///{folder / 'vigie.sqlite3'}")
    if folder not in _urls:
        server = the_postgres_server()
        _urls[folder] = server.url(server.new_database())
    return DatabaseSettings(url=_urls[folder])


def keys_in(folder: Path) -> KeysSettings:
    """How the keys of a house in a folder are kept."""
    if _current == "sqlite":
        return KeysSettings()
    return KeysSettings(secret_file=str(a_secret_in(folder)))


def a_secret_in(folder: Path) -> Path:
    """A secret for signing keys, for nobody else to read."""
    file = folder / "keys.secret"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))
    return file


@cache
def binaries() -> Path | None:
    """Where PostgreSQL's programs are."""
    return find_binaries()


def the_postgres_server() -> PostgresServer:
    """The server of this test session; the test that asks is skipped where PostgreSQL is not installed."""
    if not _server:
        found = binaries()
        if found is None:
            pytest.skip(NO_POSTGRES)
        _server.append(_stack.enter_context(a_postgres_server(found, *_FAST)))
    return _server[0]


def stop_servers() -> None:
    """Stop what was started for this test session."""
    _server.clear()
    _stack.close()
