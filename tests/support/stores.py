"""The stores that tests run on, and how each test is given one of its own.

The rule: a test module that serves a house, or opens an installation, stands in ON_EVERY_STORE, or with a reason in
ON_SQLITE_ALONE. What is in tests/storage/postgres has PostgreSQL of its own.
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
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

OPENS_A_STORE = ("House", "RunningHouse", "settings_in", "database_in", "opened", "Changed")
"""A module that imports one of these goes through the store."""

OF_POSTGRES = "storage.postgres."
"""The modules that stand on PostgreSQL alone begin with this."""

ON_EVERY_STORE = frozenset(
    {
        # The statements, and what stands on their order, their transactions and their types.
        "storage.test_change_feed",
        "storage.test_changes",
        "storage.test_directory_store",
        "storage.test_evidence_projection",
        "storage.test_listing",
        "storage.test_migrations",
        "storage.test_old_store",
        "storage.test_statements",
        "storage.test_stubs",
        "application.test_alerts",
        "application.test_evidence",
        "application.test_explain",
        "application.transfer.test_importing",
        "cli.test_watch",
        "core.test_audit",
        "core.test_letter_case",
        "observability.test_metrics",
        "runtime.test_background_tasks",
        "runtime.test_webhooks",
        # Transactions that are cut off.
        "faults.test_change_kills",
        "faults.test_change_streams",
        "faults.test_full_disk",
        "faults.test_pauses",
        "faults.test_projection_kills",
        "faults.test_webhook_kills",
        # Who sees what is decided in SQL.
        "api.test_access_table",
        "api.test_fast_path",
        "api.defender.test_incident_route",
        "api.defender.test_list_route",
        "api.defender.test_pollers",
        "api.defender.test_update_route",
        "api.vigie.test_change_stream",
        "api.vigie.test_changes",
        # Codes, sessions, assertions and attempts are rows that are used once, or counted.
        "identity.test_authenticator",
        "identity.test_sign_in",
        "identity.federation.test_federated_callers",
        "identity.grants.test_authorization_code",
        "identity.grants.test_client_assertions",
        "identity.grants.test_client_credentials",
        "identity.grants.test_device_code",
        "identity.grants.test_refresh_token",
        "ui.test_page_attacks",
        # What is read for somebody who goes away is stopped.
        "http.test_concurrent_lists",
        "http.test_disconnects",
        "http.test_streaming",
        "ratelimit.test_shared_quotas",
    }
)
"""The modules whose behaviour the database could change."""

_NO_ROWS = (
    "decided from the request, before or after what is read; the rows are tried on every store elsewhere"
)
_A_CLIENT = (
    "a client or a browser of others, slow to run; the rows of sign-ins are tried in identity on every store"
)
_SQLITE_ITSELF = "about SQLite itself; storage.postgres has its counterpart"
_ITS_COMMANDS = "about the command line; storage.postgres.test_commands runs the commands on PostgreSQL"
_NO_CALL = "about documents and files, for which one answer of each kind is enough"

ON_SQLITE_ALONE: Mapping[str, str] = {
    "api.defender.test_metadata": _NO_ROWS,
    "api.defender.test_model": "long; storage.test_listing and test_changes try the same rules on every store",
    "api.oauth.test_endpoints": _NO_ROWS,
    "api.oauth.test_without_authorization_server": _NO_ROWS,
    "api.operations.test_landing": _NO_ROWS,
    "api.operations.test_openapi": _NO_ROWS,
    "api.test_attacks": _NO_ROWS,
    "api.test_gate": _NO_ROWS,
    "api.test_routes": _NO_ROWS,
    "api.test_toy_api": _NO_ROWS,
    "browser.test_reference": _A_CLIENT,
    "browser.test_sign_in": _A_CLIENT,
    "certificates.test_tls": "about connections, which know no database",
    "cli.test_commands": _ITS_COMMANDS,
    "clients.test_interactive_libraries": _A_CLIENT,
    "clients.test_token_libraries": _A_CLIENT,
    "http.test_anonymous_throttle": "about delays, which are counted in memory",
    "http.test_client_request_id": _NO_ROWS,
    "http.test_form_bodies": _NO_ROWS,
    "http.test_response_budget": "about memory after rows are read; http.test_streaming reads them on every store",
    "identity.federation.test_jwks_cache": "about keys of other issuers, which are in memory alone",
    "identity.grants.test_authorization_requests": _NO_ROWS,
    "observability.test_logged_reasons": _NO_ROWS,
    "project.test_api_pages": _NO_CALL,
    "project.test_deploy": _NO_CALL,
    "runtime.test_file_check": "about the file of an embedded database",
    "storage.test_list_plans": _SQLITE_ITSELF,
    "storage.test_shared_snapshots": _SQLITE_ITSELF,
    "ui.test_pages": "about what pages show; ui.test_page_attacks tries the rows behind them",
}
"""The modules that run on SQLite alone, each with the reason."""

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
    if name.startswith(OF_POSTGRES) or not any(hasattr(module, each) for each in OPENS_A_STORE):
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
        # On a thread: the test that asks for a database may be in a loop.
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
