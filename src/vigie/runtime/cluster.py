"""Parts that several servers share: the store that counts calls for all, and replicas to read from."""

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

import msgspec

from vigie.api.gate import RateLimiter
from vigie.config.settings import QuotaSettings
from vigie.observability.event_log import log
from vigie.observability.metrics import Metrics
from vigie.ratelimit.memory import MemoryRateLimiter
from vigie.runtime.installation import Installation
from vigie.storage.incidents import IncidentStore

if TYPE_CHECKING:
    from vigie.ratelimit.read_your_writes import ValkeyReadYourWrites
    from vigie.ratelimit.valkey import ValkeyRateLimiter
    from vigie.ratelimit.valkey_connection import ValkeyConnection
    from vigie.storage.postgres.database import PostgresDatabase
    from vigie.storage.postgres.replicas.lag_monitor import LagMonitor

SPEND_OPERATION = "spend_quota"
"""Under this name the store of the quotas appears among what the store does."""

_QUOTA_STORE_SECONDS_MAX = 1.0
# Longer than the database tries, once the body is there.
_UPDATE_SECONDS_MAX = 60


class RateLimiting(msgspec.Struct, frozen=True, kw_only=True):
    """The rate limiter, and what is open as long as it is used. Positions are stored for replicas alone."""

    rate_limiter: RateLimiter
    store: AbstractAsyncContextManager[object]
    positions: "ValkeyReadYourWrites | None" = None


def build_rate_limiting(installation: Installation, metrics: Metrics) -> RateLimiting:
    """The rate limiter: each server counts for itself, or one quota store counts for all."""
    settings = installation.settings.quotas
    address = settings.address
    if address is None:
        return RateLimiting(rate_limiter=MemoryRateLimiter(), store=nullcontext())
    # Here, because the library is an extra, and half as large as everything else together.
    from vigie.ratelimit.read_your_writes import ValkeyReadYourWrites
    from vigie.ratelimit.valkey_connection import ValkeyConnection

    connection = ValkeyConnection(
        address,
        read_password=settings.read_password,
        ca_file=settings.ca_file,
        seconds_max=_QUOTA_STORE_SECONDS_MAX,
    )
    rate_limiter = _shared_rate_limiter(connection, address.name, settings, metrics)
    primary = _replicated_primary(installation)
    if primary is None:
        return RateLimiting(rate_limiter=rate_limiter, store=rate_limiter)
    age_seconds = installation.settings.database.replica_age_seconds_max
    positions = ValkeyReadYourWrites(
        rate_limiter,
        connection,
        current_position=primary.position,
        age_seconds=age_seconds,
        change_seconds_max=installation.settings.server.body_seconds + _UPDATE_SECONDS_MAX + age_seconds,
    )
    return RateLimiting(rate_limiter=rate_limiter, store=positions, positions=positions)


def build_incident_store(
    installation: Installation, metrics: Metrics
) -> "tuple[IncidentStore, LagMonitor | None]":
    """The incidents as callers are answered with them, and what measures the replicas that they are read from."""
    primary = _replicated_primary(installation)
    if primary is None:
        return installation.incidents, None
    from vigie.storage.postgres.replicas.database import DatabaseWithReplicas
    from vigie.storage.postgres.replicas.lag_monitor import LagMonitor
    from vigie.storage.postgres.replicas.replica import Replica

    settings = installation.settings.database
    replicas = [
        Replica(
            url,
            on_ejected=lambda name, reason: log.warning("replica_ejected", replica=name, reason=reason),
            on_back=lambda name: log.info("replica_back", replica=name),
        )
        for url in settings.replicas
    ]
    metrics.gauge(
        "vigie_standbys_up", "Replicas that are read from.", lambda: sum(each.is_up for each in replicas)
    )
    age_seconds_max = settings.replica_age_seconds_max
    database = DatabaseWithReplicas(
        primary, replicas, age_seconds_max=age_seconds_max, count_read=metrics.store_reads.count
    )
    monitor = LagMonitor(settings.url, replicas, age_seconds_max=age_seconds_max)
    return IncidentStore(database), monitor


def _shared_rate_limiter(
    connection: "ValkeyConnection", store: str, settings: QuotaSettings, metrics: Metrics
) -> "ValkeyRateLimiter":
    from vigie.ratelimit.valkey import ValkeyRateLimiter

    rate_limiter = ValkeyRateLimiter(
        connection,
        local=MemoryRateLimiter() if settings.when_gone == "local" else None,
        on_gone=lambda reason: log.warning(
            "quota_store_gone", store=store, when_gone=settings.when_gone, reason=reason
        ),
        on_back=lambda: log.info("quota_store_back", store=store),
        observe=lambda seconds: metrics.observe_store(SPEND_OPERATION, seconds),
    )
    metrics.gauge("vigie_quota_store_up", "1: calls are counted for all servers.", lambda: rate_limiter.is_up)
    metrics.counter(
        "vigie_quota_calls_without_store_total",
        "Calls decided while the quota store was gone.",
        lambda: rate_limiter.decided_without_count,
    )
    return rate_limiter


def _replicated_primary(installation: Installation) -> "PostgresDatabase | None":
    """The database that replicas follow, None where the settings name none."""
    if not installation.settings.database.replicas:
        return None
    from vigie.storage.postgres.database import PostgresDatabase

    database = installation.database
    assert isinstance(database, PostgresDatabase)  # noqa: S101  the settings have been checked
    return database
