"""Connections to PostgreSQL, single ones and pools: how each is opened, and how failures are explained."""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg

from vigie.files.trust import check_private, check_public
from vigie.storage.database import StoreError
from vigie.storage.postgres.failures import FAILURES, NoHostTaken, is_outage, reason_of
from vigie.storage.postgres.urls import postgres_url

Check = Callable[[asyncpg.Connection], Coroutine[Any, Any, None]]

LOCK_SECONDS_MAX = 10
"""How long a change waits for others who change the same tenant."""

APPLICATION_NAME = "vigie"
"""The name of every connection in PostgreSQL's views; the schemas of a URL that names some stand behind it."""

_CONNECT_SECONDS_MAX = 5.0
# Longer than a lock is waited for.
_COMMAND_SECONDS_MAX = LOCK_SECONDS_MAX + 5.0
_IDLE_SECONDS_MAX = 300.0
_FILES = {
    "sslrootcert": check_public,
    "sslcert": check_public,
    "sslkey": check_private,
    "passfile": check_private,
}
_SETTINGS = {
    # The statements are short: compiling them would take longer than running them.
    "jit": "off",
    # A server that has gone without a word lets go of its tenants' locks within a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def shown(url: str) -> str:
    """The address of a database as people may read it: without the password."""
    return postgres_url(url).shown


def check_files(url: str) -> None:
    """Check the files that a URL names. Raises UntrustedFile; those that are missing asyncpg reports."""
    options = postgres_url(url).options
    for name, check in _FILES.items():
        if name in options:
            with suppress(FileNotFoundError):
                check(Path(options[name]))


async def open_connection(url: str) -> asyncpg.Connection:
    """One connection that writes. Raises what asyncpg raises."""
    return await _connect(
        url,
        command_timeout=_COMMAND_SECONDS_MAX,
        server_settings={**_SETTINGS, "lock_timeout": f"{LOCK_SECONDS_MAX}s"},
    )


async def connect(url: str) -> asyncpg.Connection:
    """One connection for administration. Raises StoreError, saying what to do."""
    try:
        return await _connect(url, server_settings=_SETTINGS)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise StoreError(
            f"{shown(url)} refuses the user or the password; the password is taken from PGPASSWORD, ~/.pgpass, "
            f"`passfile` or the URL: {reason_of(error)}"
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StoreError(
            f"there is no database {postgres_url(url).database!r} at {shown(url)}; `createdb` makes one"
        ) from error
    except asyncpg.ClientConfigurationError as error:
        # Not its text: it may repeat what was given to it.
        raise StoreError(
            f"cannot connect to {shown(url)} as it says: a file that it names cannot be read, or PGPORT is no port"
        ) from error
    except FAILURES as error:
        raise StoreError(f"cannot connect to {shown(url)}: {reason_of(error)}") from error


async def open_pool(url: str, *, connections_max: int, init: Check | None = None) -> asyncpg.Pool:
    """A pool that opens its connections when they are needed. What `init` raises refuses a new one."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        max_inactive_connection_lifetime=_IDLE_SECONDS_MAX,
        init=init,
        # Nothing here changes a connection for longer than a transaction: a reset would cost a round trip.
        reset=_leave_as_it_is,
        connect=_connect,
        server_settings=_SETTINGS,
    )


async def _connect(url: str, *, server_settings: Mapping[str, str], **options: Any) -> asyncpg.Connection:
    """Connect to the first host that takes it in time, and takes changes. Raises one of FAILURES."""
    parsed = postgres_url(url)
    schemas = parsed.options.get("search_path", "")
    options["server_settings"] = {
        **server_settings,
        "application_name": f"{APPLICATION_NAME} {schemas}".rstrip(),
    }
    failures: list[tuple[str, Exception]] = []
    urls = parsed.each_host()
    for host, each in zip(parsed.hosts, urls, strict=True):
        try:
            # A machine that has gone without a word refuses nothing: it must not use up the time of the others.
            return await asyncpg.connect(each, timeout=_CONNECT_SECONDS_MAX / len(urls), **options)
        except FAILURES as error:
            if len(urls) == 1 or not is_outage(error):
                raise
            failures.append((host, error))
    raise NoHostTaken(failures)


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    pass
