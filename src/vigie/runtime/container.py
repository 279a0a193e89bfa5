"""The container: all components of a server, put together and not started yet."""

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vigie import __version__
from vigie.api.app import VigieApp
from vigie.api.defender.error_responses import error_renderer
from vigie.api.description import ApiDescription
from vigie.api.gate import Gate
from vigie.application.incidents import IncidentService
from vigie.config.settings import SettingsError
from vigie.core.instants import TICKS_PER_SECOND
from vigie.http.exchange import UNMATCHED_ROUTE
from vigie.http.forwarded import Origins
from vigie.http.profile import ApiProfile, ProtocolFactory, require_distinct
from vigie.http.protocol import Reason, limited_protocol
from vigie.identity.authenticator import Authenticator
from vigie.identity.federation.jwks_cache import Fetched, JwksCache
from vigie.identity.federation.tokens import FederatedTokens
from vigie.identity.federation.trusted_issuers import TrustedIssuer
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
from vigie.runtime.cluster import SPEND_OPERATION, build_incident_store, build_rate_limiting
from vigie.runtime.installation import Installation
from vigie.storage.statements import statements

if TYPE_CHECKING:
    from vigie.storage.postgres.replicas.lag_monitor import LagMonitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What is put together before anything is started. `issuer` is empty where no tokens are issued."""

    app: VigieApp
    connection_protocol: ProtocolFactory
    metrics: Metrics
    metrics_cache: MetricsCache
    incident_service: IncidentService
    callers: Authenticator
    quota_store: AbstractAsyncContextManager[object]
    lag_monitor: "LagMonitor | None"
    sign_in: SignIn
    keys: LiveKeys | None
    foreign: FederatedTokens | None
    issuer: str


async def build_components(
    installation: Installation,
    url: str,
    access_log: AccessLog,
    *,
    answer_age_seconds_max: float = AGE_SECONDS_MAX,
    apis: Iterable[ProfileBuilder] = APIS,
) -> Components:
    """Put together what answers under a URL."""
    settings = installation.settings
    identity = settings.identity
    # Where no tokens are issued, nothing is made to issue them with.
    issuer = await installation.issuer(url) if identity.issues_tokens else ""
    keys = await live_keys(installation.keys()) if identity.issues_tokens else None
    audiences = installation.audiences(url)
    metrics = _metrics()
    metrics_cache = MetricsCache(metrics, steady_clock=steady_now, age_seconds_max=answer_age_seconds_max)
    foreign = _foreign_tokens(installation, issuer, metrics) if identity.issuers else None
    installation.database.observe = metrics.observe_store
    installation.database.on_lost = lambda reason: log.error("store_file_lost", reason=reason)
    callers = _authenticator(installation, keys, foreign, issuer=issuer, metrics=metrics)
    metrics.counter(
        "vigie_log_lines_dropped_total", "Lines of the log lost.", lambda: access_log.writer.dropped
    )
    await callers.refresh(keys.ring if keys else None)
    counting = build_rate_limiting(installation, metrics)
    incidents, lag_monitor = build_incident_store(installation, metrics)
    incident_service = IncidentService(incidents, retention_days=settings.retention.days)
    authorization_server = build_authorization_server(
        installation, audiences, issuer=issuer, steady_clock=steady_now
    )
    context = ApiContext(
        installation=installation,
        gate=partial(
            Gate, callers, counting.rate_limiter, steady_clock=steady_now, positions=counting.positions
        ),
        errors=error_renderer(names_authorization_server=identity.issues_tokens),
        audiences=audiences,
        incident_service=incident_service,
        authorization_server=authorization_server,
        issuer=issuer,
        keys=keys,
        origins=Origins(settings.server.trusted_networks),
        description=ApiDescription(),
        metrics=metrics,
        metrics_cache=metrics_cache,
        access_log=access_log,
        request_ids=RequestIds(),
        clock=now,
        steady_clock=steady_now,
        answer_age_seconds_max=answer_age_seconds_max,
    )
    profiles = tuple(build(context) for build in apis)
    return Components(
        app=_dispatcher(profiles, context),
        connection_protocol=_connection_protocol(profiles),
        metrics=metrics,
        metrics_cache=metrics_cache,
        incident_service=incident_service,
        callers=callers,
        keys=keys,
        quota_store=counting.store,
        lag_monitor=lag_monitor,
        sign_in=authorization_server.sign_in,
        foreign=foreign,
        issuer=issuer,
    )


def _authenticator(
    installation: Installation,
    keys: LiveKeys | None,
    foreign: FederatedTokens | None,
    *,
    issuer: str,
    metrics: Metrics,
) -> Authenticator:
    settings = installation.settings
    return Authenticator(
        installation.directory,
        installation.sign_ins,
        keys.ring if keys else None,
        issuer=issuer,
        clock_skew_ticks=settings.identity.clock_skew_seconds * TICKS_PER_SECOND,
        size_max=settings.identity.token_cache_size,
        count_lookup=metrics.token_cache.count,
        foreign=foreign,
        every_stub=settings.incidents.has_open_stubs,
    )


def _dispatcher(profiles: tuple[ApiProfile, ...], context: ApiContext) -> VigieApp:
    require_distinct(profiles)
    context.description.declare(each.openapi for each in profiles if each.openapi)
    for profile in profiles:
        context.metrics.declare_routes(profile.name, (route.path for route in profile.routes))
        context.metrics.quota_refusals.declare(quota.name for quota in profile.quotas)
    return VigieApp(
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
    (protocol,) = [each.fast_path for each in profiles if each.fast_path] or [limited_protocol]
    return protocol


def _foreign_tokens(installation: Installation, own_issuer: str, metrics: Metrics) -> FederatedTokens:
    # Here, because a server that trusts no other issuer does without the HTTP client.
    from vigie.identity.federation.http_client import fetch

    def on_fetched(fetched: Fetched) -> None:
        metrics.issuer_fetches.count("failed" if fetched.failure else "fetched")
        if fetched.failure:
            log.warning("issuer_not_reached", issuer=fetched.issuer, reason=fetched.failure)
        else:
            log.info("issuer_keys_fetched", issuer=fetched.issuer, count=fetched.key_count)

    def keys_of(issuer: TrustedIssuer) -> JwksCache:
        return JwksCache(
            issuer.url,
            issuer.discovery_url,
            fetch=partial(fetch, ca=issuer.ca),
            steady_clock=steady_now,
            on_fetched=on_fetched,
        )

    identity = installation.settings.identity
    trusted = [each.as_trusted() for each in identity.issuers]
    for each in trusted:
        if own_issuer and f"{each.url}/".startswith(f"{own_issuer}/"):
            raise SettingsError(
                f"[[identity.issuers]] {each.url}: is this installation's own; it is trusted without that"
            )
    return FederatedTokens(
        {issuer: keys_of(issuer) for issuer in trusted},
        installation.directory,
        clock_skew_ticks=identity.clock_skew_seconds * TICKS_PER_SECOND,
        every_stub=installation.settings.incidents.has_open_stubs,
    )


def _metrics() -> Metrics:
    return Metrics(
        version=__version__,
        routes=(UNMATCHED_ROUTE,),
        store_operations=(*statements(), SPEND_OPERATION),
        connection_refusals=Reason,
    )


def _log_internal_error(request_id: str, error: Exception) -> None:
    log.error("internal_error", request_id=request_id, exc_info=error)
