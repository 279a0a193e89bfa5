"""The stores that tests run on, and how each test is given one of its own.

The rule: a test module that serves a house, or opens an installation, runs on SQLite; those in ON_EVERY_STORE run
on every store.
"""

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

from tests.support.postgres_server import PostgresServer, a_postgres_server, find_binaries
from vigie.config.settings import DatabaseSettings, KeysSettings
from vigie.storage.postgres.schema import migrate

Kind = Literal["sqlite", "postgres"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgres")

OPENS_A_STORE = ("House", "RunningHouse", "settings_in", "database_in", "opened")
"""Whoever imports one of these goes through the store."""

ON_EVERY_STORE = frozenset(
    {
        # The statements, and what stands on their order, their transactions and their types.
        "storage.test_changes",
        "storage.test_directory_store",
        "storage.test_listing",
        "storage.test_migrations",
        "storage.test_statements",
        "storage.test_stubs",
        "application.test_explain",
        "application.transfer.test_importing",
        "core.test_audit",
        "core.test_letter_case",
        "observability.test_metrics",
        "runtime.test_background_tasks",
        # Who sees what is decided in SQL.
        "api.test_access_table",
        "api.test_fast_path",
        "api.defender.test_incident_route",
        "api.defender.test_list_route",
        "api.defender.test_pollers",
        "api.defender.test_update_route",
        # Codes, sessions, assertions and attempts are rows that are used once, or counted.
        "identity.test_authenticator",
        "identity.test_sign_in",
        "identity.federation.test_federated_callers",
        "identity.grants.test_authorization_code",
        "identity.grants.test_device_code",
        "identity.grants.test_refresh_token",
        # What is read for somebody who goes away is stopped.
        "http.test_concurrent_lists",
        "http.test_disconnects",
        "http.test_streaming",
        "ratelimit.test_shared_quotas",
    }
)
"""The modules whose behaviour the database could change; all else stands on SQLite alone."""

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
_templates: dict[Path, str] = {}
_server: list[PostgresServer] = []
_stack = ExitStack()


def kinds_for(module: object) -> tuple[Kind, ...]:
    """The stores that the tests of a module run on; none for those that need no store."""
    name = str(getattr(module, "__name__", "")).removeprefix("tests.")
    # What is about PostgreSQL alone says itself what it stands on.
    if name.startswith("storage.postgres.") or not any(hasattr(module, each) for each in OPENS_A_STORE):
        return ()
    return KINDS if name in ON_EVERY_STORE else ("sqlite",)


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
        _urls[folder] = server.url(server.new_database(_migrated(server)))
    return DatabaseSettings(url=_urls[folder])


def _migrated(server: PostgresServer) -> str:
    """A database that has its tables and nothing in them: to copy one takes half of what making one takes.

    What makes the tables is tried in storage.postgres, which begins with databases that have none.
    """
    if server.folder not in _templates:
        name = server.new_database()
        # On a thread: whoever asks for a database may be in a loop.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, migrate(server.url(name), create=True)).result()
        _templates[server.folder] = name
    return _templates[server.folder]


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
