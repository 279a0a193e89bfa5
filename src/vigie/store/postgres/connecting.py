"""Connections to PostgreSQL: how each is opened, what is said of those that cannot be, and pools of them."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import asyncpg

from vigie.store.database import StoreError
from vigie.store.postgres.failures import CONNECTION_LOST, is_connection_lost

Check = Callable[[asyncpg.Connection], Coroutine[Any, Any, None]]

TURN_SECONDS_MAX = 10
"""How long a change waits for others who change the same tenant."""

APPLICATION_NAME = "vigie"
"""What PostgreSQL calls every connection of ours; the schemas of a URL that names some stand behind it."""

_CONNECT_SECONDS_MAX = 5.0
# Longer than a turn is waited for.
_COMMAND_SECONDS_MAX = TURN_SECONDS_MAX + 5.0
_IDLE_SECONDS_MAX = 300.0
_SETTINGS = {
    # The statements are short: compiling them would take longer than running them.
    "jit": "off",
    # A server that has gone without a word lets go of its tenants' turns within a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


def shown(url: str) -> str:
    """Where a database is, as people may read it: without the password, and without what else may be one."""
    parts = urlsplit(url)
    account, _, place = parts.netloc.rpartition("@")
    user = account.partition(":")[0]
    return f"postgresql://{f'{user}@' if user else ''}{place}{parts.path}"


async def open_connection(url: str) -> asyncpg.Connection:
    """One connection that writes. Raises what asyncpg raises."""
    return await _connect(
        url,
        command_timeout=_COMMAND_SECONDS_MAX,
        server_settings={**_SETTINGS, "lock_timeout": f"{TURN_SECONDS_MAX}s"},
    )


async def connect(url: str) -> asyncpg.Connection:
    """One connection for administration. Raises StoreError, saying what to do."""
    try:
        return await _connect(url, server_settings=_SETTINGS)
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise StoreError(
            f"{shown(url)} refuses the user or the password; the password is taken from PGPASSWORD, ~/.pgpass "
            "or the URL"
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise StoreError(
            f"there is no database {urlsplit(url).path[1:]!r} at {shown(url)}; `createdb` makes one"
        ) from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        # Not its text: it may repeat what was given to it.
        raise StoreError(f"{shown(url)} is not an address that asyncpg understands") from error
    except (*CONNECTION_LOST, asyncpg.PostgresError) as error:
        raise StoreError(f"cannot connect to {shown(url)}: {reason_of(error)}") from error


def reason_of(error: BaseException) -> str:
    """What went wrong, in one line."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


async def open_pool(url: str, *, connections_max: int, init: Check | None = None) -> asyncpg.Pool:
    """A pool that opens its connections when they are needed. What `init` raises refuses a new one."""
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=connections_max,
        max_inactive_connection_lifetime=_IDLE_SECONDS_MAX,
        init=init,
        # Nothing here changes a connection for longer than a transaction: resetting would be one more journey.
        reset=_leave_as_it_is,
        connect=_connect,
        server_settings=_SETTINGS,
    )


async def _connect(url: str, *, server_settings: Mapping[str, str], **options: Any) -> asyncpg.Connection:
    """Connect to the first host that answers in time and takes changes. Raises what asyncpg raises."""
    *first, last = urls_of_hosts(url)
    schemas = parse_qs(urlsplit(url).query).get("search_path", [])
    options["server_settings"] = {
        **server_settings,
        "application_name": " ".join([APPLICATION_NAME, *schemas]),
    }
    # A machine that has gone without a word refuses nothing: it must not use up the time of the others.
    seconds_max = _CONNECT_SECONDS_MAX / (1 + len(first))
    for each in first:
        try:
            return await asyncpg.connect(each, timeout=seconds_max, **options)
        except CONNECTION_LOST as error:
            if not is_connection_lost(error):
                raise
    return await asyncpg.connect(last, timeout=seconds_max, **options)


def urls_of_hosts(url: str) -> list[str]:
    """A URL for each of the hosts that it names. Of several, the one is meant that is the primary."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    account, at, places = parts.netloc.rpartition("@")
    hosts = (places or options.get("host", "")).split(",")
    if len(hosts) == 1:
        return [url]
    ports = options.pop("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    options.setdefault("target_session_attrs", "read-write")
    found = []
    for host, port in zip(hosts, ports, strict=True):
        its_own = {"port": port} if port else {}
        if not places:
            its_own["host"] = host
        query = urlencode({**options, **its_own}, safe="/", quote_via=quote)
        found.append(parts._replace(netloc=f"{account}{at}{places and host}", query=query).geturl())
    return found


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    pass
