"""What several servers share, put together: the store that counts calls for all, and hot standbys to read from."""

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vigie.api.gate import Meter
from vigie.config.settings import QuotaSettings
from vigie.observability.event_log import log
from vigie.observability.metrics import Metrics
from vigie.ratelimit.memory import MemoryMeter
from vigie.runtime.installation import Installation
from vigie.storage.incidents import IncidentStore

if TYPE_CHECKING:
    from vigie.ratelimit.read_your_writes import Positions
    from vigie.ratelimit.valkey import ValkeyMeter
    from vigie.ratelimit.valkey_connection import ValkeyLink
    from vigie.storage.postgres.database import PostgresDatabase
    from vigie.storage.postgres.replicas.lag_monitor import Watch

SPEND_OPERATION = "spend_quota"
"""Under this name the store of the quotas appears among what the store does."""

_QUOTA_STORE_SECONDS_MAX = 1.0
# Longer than the store tries, once the body is there.
_UPDATE_SECONDS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What counts the calls, and what is open as long as it does. Positions are kept for standbys alone."""

    meter: Meter
    store: AbstractAsyncContextManager[object]
    positions: "Positions | None" = None


def assemble_counting(installation: Installation, metrics: Metrics) -> Counting:
    """What counts the calls: each server for itself, or one store for all."""
    settings = installation.settings.quotas
    place = settings.place
    if place is None:
        return Counting(meter=MemoryMeter(), store=nullcontext())
    # Here, because the library is an extra, and half as large as everything else together.
    from vigie.ratelimit.read_your_writes import Positions
    from vigie.ratelimit.valkey_connection import ValkeyLink

    link = ValkeyLink(
        place,
        read_password=settings.read_password,
        ca_file=settings.ca_file,
        seconds_max=_QUOTA_STORE_SECONDS_MAX,
    )
    meter = _meter_of_all(link, place.name, settings, metrics)
    primary = _primary_of_standbys(installation)
    if primary is None:
        return Counting(meter=meter, store=meter)
    age_seconds = installation.settings.database.replica_age_seconds_max
    positions = Positions(
        meter,
        link,
        now_in_store=primary.position,
        age_seconds=age_seconds,
        change_seconds_max=installation.settings.server.body_seconds + _UPDATE_SECONDS_MAX + age_seconds,
    )
    return Counting(meter=meter, store=positions, positions=positions)


def assemble_incidents(installation: Installation, metrics: Metrics) -> "tuple[IncidentStore, Watch | None]":
    """The incidents as callers are answered with them, and who looks after the standbys."""
    primary = _primary_of_standbys(installation)
    if primary is None:
        return installation.incidents, None
    from vigie.storage.postgres.replicas.database import DatabaseWithStandbys
    from vigie.storage.postgres.replicas.lag_monitor import Watch
    from vigie.storage.postgres.replicas.replica import Standby

    settings = installation.settings.database
    standbys = [
        Standby(
            url,
            on_left_out=lambda name, reason: log.warning("standby_left_out", standby=name, reason=reason),
            on_back=lambda name: log.info("standby_back", standby=name),
        )
        for url in settings.replicas
    ]
    metrics.gauge(
        "vigie_standbys_up", "Standbys that are read from.", lambda: sum(each.is_up for each in standbys)
    )
    age_seconds_max = settings.replica_age_seconds_max
    database = DatabaseWithStandbys(
        primary, standbys, age_seconds_max=age_seconds_max, count_read=metrics.store_reads.count
    )
    return IncidentStore(database), Watch(settings.url, standbys, age_seconds_max=age_seconds_max)


def _meter_of_all(link: "ValkeyLink", store: str, settings: QuotaSettings, metrics: Metrics) -> "ValkeyMeter":
    from vigie.ratelimit.valkey import ValkeyMeter

    meter = ValkeyMeter(
        link,
        local=MemoryMeter() if settings.when_gone == "local" else None,
        on_gone=lambda reason: log.warning(
            "quota_store_gone", store=store, when_gone=settings.when_gone, reason=reason
        ),
        on_back=lambda: log.info("quota_store_back", store=store),
        observe=lambda seconds: metrics.observe_store(SPEND_OPERATION, seconds),
    )
    metrics.gauge("vigie_quota_store_up", "1: calls are counted for all servers.", lambda: meter.is_up)
    metrics.counter(
        "vigie_quota_calls_without_store_total",
        "Calls decided while the quota store was gone.",
        lambda: meter.decided_without_count,
    )
    return meter


def _primary_of_standbys(installation: Installation) -> "PostgresDatabase | None":
    """The database that standbys follow, None where none are set."""
    if not installation.settings.database.replicas:
        return None
    from vigie.storage.postgres.database import PostgresDatabase

    database = installation.database
    assert isinstance(database, PostgresDatabase)  # noqa: S101  the settings have been checked
    return database
