"""The container: all components of a server, built layer by layer and not started yet."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from vigie import __version__
from vigie.api.defender.error_responses import error_renderer
from vigie.api.description import ApiDescription
from vigie.api.dispatcher import Dispatcher
from vigie.api.gate import Gate
from vigie.application.incidents import IncidentService
from vigie.core.instants import TICKS_PER_SECOND
from vigie.http.exchange import UNMATCHED_ROUTE
from vigie.http.forwarded import Origins
from vigie.http.profile import ApiAccess, ApiProfile, ProtocolFactory, require_distinct
from vigie.http.protocol import Reason, limited_protocol
from vigie.identity.authenticator import Authenticator
from vigie.identity.keys.key_store import LiveKeys, live_keys
from vigie.identity.sign_in.service import SignIn
from vigie.observability.access_log import AccessLog, RequestIds
from vigie.observability.cached_result import AGE_SECONDS_MAX
from vigie.observability.event_log import log
from vigie.observability.metrics import Metrics
from vigie.observability.metrics_cache import MetricsCache
from vigie.runtime.apis import APIS, ApiContext, ProfileBuilder
from vigie.runtime.authorization_server import build_authorization_server
from vigie.runtime.clock import now, steady_now
from vigie.runtime.cluster import SPEND_OPERATION, RateLimiting, build_incident_store, build_rate_limiting
from vigie.runtime.installation import Installation
from vigie.storage.statements import statements

if TYPE_CHECKING:
    from vigie.identity.federation.tokens import FederatedTokens
    from vigie.storage.postgres.replicas.lag_monitor import LagMonitor


class Components(msgspec.Struct, frozen=True, kw_only=True):
    """All components, built before anything is started. `issuer` is empty where no tokens are issued."""

    app: Dispatcher
    connection_protocol: ProtocolFactory
    on_shutdown: tuple[Callable[[], None], ...]
    metrics: Metrics
    metrics_cache: MetricsCache
    incident_service: IncidentService
    callers: Authenticator
    quota_store: AbstractAsyncContextManager[object]
    lag_monitor: "LagMonitor | None"
    sign_in: SignIn
    keys: LiveKeys | None
    federated: "FederatedTokens | None"
    issuer: str


class _Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who callers are: the keys, the issuers and the tokens. `issuer` is empty where no tokens are issued."""

    issuer: str
    keys: LiveKeys | None
    federated: "FederatedTokens | None"
    callers: Authenticator


async def build_components(
    installation: Installation,
    url: str,
    access_log: AccessLog,
    *,
    answer_age_seconds_max: float = AGE_SECONDS_MAX,
    apis: Iterable[ProfileBuilder] = APIS,
) -> Components:
    """Build the components of a server that answers under a URL, from the infrastructure up to the APIs."""
    metrics = _metrics(access_log)
    _observe_database(installation, metrics)
    identity = await _build_identity(installation, url, metrics)
    rate_limiting = build_rate_limiting(installation, metrics)
    incidents, lag_monitor = build_incident_store(installation, metrics)
    context = _api_context(
        installation,
        url,
        identity,
        rate_limiting,
        IncidentService(incidents, retention_days=installation.settings.retention.days),
        metrics,
        access_log,
        answer_age_seconds_max=answer_age_seconds_max,
    )
    profiles = tuple(build(context) for build in apis)
    return Components(
        app=_dispatcher(profiles, context),
        connection_protocol=_connection_protocol(profiles),
        on_shutdown=tuple(each.on_shutdown for each in profiles if each.on_shutdown),
        metrics=metrics,
        metrics_cache=context.metrics_cache,
        incident_service=context.incident_service,
        callers=identity.callers,
        keys=identity.keys,
        quota_store=rate_limiting.store,
        lag_monitor=lag_monitor,
        sign_in=context.authorization_server.sign_in,
        federated=identity.federated,
        issuer=identity.issuer,
    )


def _observe_database(installation: Installation, metrics: Metrics) -> None:
    installation.database.observe = metrics.observe_store
    installation.database.on_lost = lambda reason: log.error("database_file_lost", reason=reason)


async def _build_identity(installation: Installation, url: str, metrics: Metrics) -> _Identity:
    settings = installation.settings.identity
    # Where no tokens are issued, there are no keys either.
    issuer = await installation.issuer(url) if settings.issues_tokens else ""
    keys = await live_keys(installation.keys()) if settings.issues_tokens else None
    ring = keys.ring if keys else None
    federated = _federated_tokens(installation, issuer, metrics) if settings.issuers else None
    callers = Authenticator(
        installation.directory,
        installation.sign_ins,
        ring,
        issuer=issuer,
        clock_skew_ticks=settings.clock_skew_seconds * TICKS_PER_SECOND,
        size_max=settings.token_cache_size,
        count_lookup=metrics.token_cache.count,
        federated=federated,
        every_stub=installation.settings.incidents.has_open_stubs,
    )
    await callers.refresh(ring)
    return _Identity(issuer=issuer, keys=keys, federated=federated, callers=callers)


def _federated_tokens(installation: Installation, own_issuer: str, metrics: Metrics) -> "FederatedTokens":
    # Here, because a server that trusts no other issuer does without the HTTP client and the kinds of their keys.
    from vigie.runtime.federation import build_federated_tokens

    return build_federated_tokens(installation, own_issuer, metrics, steady_clock=steady_now)


def _api_context(
    installation: Installation,
    url: str,
    identity: _Identity,
    rate_limiting: RateLimiting,
    incident_service: IncidentService,
    metrics: Metrics,
    access_log: AccessLog,
    *,
    answer_age_seconds_max: float,
) -> ApiContext:
    settings = installation.settings
    audiences = installation.audiences(url)
    return ApiContext(
        installation=installation,
        gate=_gates(identity, rate_limiting),
        errors=error_renderer(names_authorization_server=settings.identity.issues_tokens),
        audiences=audiences,
        incident_service=incident_service,
        authorization_server=build_authorization_server(
            installation, audiences, issuer=identity.issuer, steady_clock=steady_now
        ),
        issuer=identity.issuer,
        keys=identity.keys,
        origins=Origins(settings.server.trusted_networks),
        description=ApiDescription(),
        metrics=metrics,
        metrics_cache=MetricsCache(metrics, steady_clock=steady_now, age_seconds_max=answer_age_seconds_max),
        access_log=access_log,
        request_ids=RequestIds(),
        clock=now,
        steady_clock=steady_now,
        answer_age_seconds_max=answer_age_seconds_max,
    )


def _gates(identity: _Identity, rate_limiting: RateLimiting) -> Callable[[ApiAccess], Gate]:
    """The maker of each API's gate, all over the same callers and counts."""
    return partial(
        Gate,
        identity.callers,
        rate_limiting.rate_limiter,
        steady_clock=steady_now,
        positions=rate_limiting.positions,
    )


def _dispatcher(profiles: tuple[ApiProfile, ...], context: ApiContext) -> Dispatcher:
    require_distinct(profiles)
    context.description.declare(each.openapi for each in profiles if each.openapi)
    for profile in profiles:
        unmatched = (UNMATCHED_ROUTE,) if profile.root else ()
        context.metrics.declare_routes(profile.name, (*(route.path for route in profile.routes), *unmatched))
        context.metrics.quota_refusals.declare(quota.name for quota in profile.quotas)
    return Dispatcher(
        profiles,
        unmatched=context.errors,
        origins=context.origins,
        metrics=context.metrics,
        access_log=context.access_log,
        request_ids=context.request_ids,
        clock=context.clock,
        on_internal_error=_log_internal_error,
        anonymous_answers_per_second=context.installation.settings.server.anonymous_answers_per_second,
    )


def _connection_protocol(profiles: tuple[ApiProfile, ...]) -> ProtocolFactory:
    """Connections with the fast path of the one API that has one, or without any."""
    return next((each.fast_path for each in profiles if each.fast_path), limited_protocol)


def _metrics(access_log: AccessLog) -> Metrics:
    metrics = Metrics(
        version=__version__,
        routes=(UNMATCHED_ROUTE,),
        store_operations=(*statements(), SPEND_OPERATION),
        connection_refusals=Reason,
    )
    metrics.counter(
        "vigie_log_lines_dropped_total", "Lines of the log lost.", lambda: access_log.writer.dropped
    )
    return metrics


def _log_internal_error(request_id: str, error: Exception) -> None:
    log.error("internal_error", request_id=request_id, exc_info=error)
