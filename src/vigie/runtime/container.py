"""What is served, put together from its parts: nothing here is started yet."""

from asyncio import Lock
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vigie import __version__
from vigie.api.app import ROUTES, Handlers, VigieApp
from vigie.api.defender.handlers import INCIDENT_ROUTE, LIST_ROUTE, DefenderHandlers, DefenderQuotas
from vigie.api.error_responses import TOKEN_ERROR_RESPONSES
from vigie.api.fast_path import FastPath
from vigie.api.gate import Gate
from vigie.api.oauth.endpoints import ISSUED, OAuthEndpoints
from vigie.api.operations.handlers import METRICS_PATH, OperationsHandlers
from vigie.application.incidents import IncidentService
from vigie.config.settings import QuotaSettings, SettingsError
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import TICKS_PER_SECOND
from vigie.core.quotas import minute_and_hour
from vigie.http.exchange import UNMATCHED_ROUTE
from vigie.http.forwarded import Origins
from vigie.http.protocol import Reason
from vigie.identity.authenticator import Authenticator
from vigie.identity.federation.jwks_cache import Fetched, JwksCache
from vigie.identity.federation.tokens import FederatedTokens
from vigie.identity.federation.trusted_issuers import TrustedIssuer
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.keys.key_store import LiveKeys, live_keys
from vigie.identity.sign_in.service import SignIn
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.observability.access_log import AccessLog, RequestIds
from vigie.observability.cached_result import AGE_SECONDS_MAX, RecentResult
from vigie.observability.event_log import log
from vigie.observability.metrics import Metrics
from vigie.observability.metrics_cache import MetricsCache
from vigie.runtime.authorization_server import build_authorization_server
from vigie.runtime.clock import now, steady_now
from vigie.runtime.cluster import SPEND_OPERATION, build_incident_store, build_rate_limiting
from vigie.runtime.installation import Installation
from vigie.storage.statements import statements
from vigie.ui.sign_in.handlers import SignInHandlers

if TYPE_CHECKING:
    from vigie.storage.postgres.replicas.lag_monitor import Watch

QUOTA_NAMES = ("get", "list", "update")


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """What is put together before anything is started. `issuer` is empty where no tokens are issued."""

    app: VigieApp
    fast_path: FastPath
    metrics: Metrics
    metrics_cache: MetricsCache
    incident_service: IncidentService
    callers: Authenticator
    quota_store: AbstractAsyncContextManager[object]
    watch: "Watch | None"
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
    callers = Authenticator(
        installation.directory,
        installation.sign_ins,
        keys.ring if keys else None,
        issuer=issuer,
        clock_skew_ticks=identity.clock_skew_seconds * TICKS_PER_SECOND,
        size_max=identity.token_cache_size,
        count_lookup=metrics.token_cache.count,
        foreign=foreign,
        every_stub=settings.incidents.has_open_stubs,
    )
    metrics.counter(
        "vigie_log_lines_dropped_total", "Lines of the log lost.", lambda: access_log.writer.dropped
    )
    await callers.refresh(keys.ring if keys else None)
    counting = build_rate_limiting(installation, metrics)
    gate = Gate(
        callers,
        counting.rate_limiter,
        opens=audiences.opens_incidents,
        steady_clock=steady_now,
        positions=counting.positions,
    )
    incidents, watch = build_incident_store(installation, metrics)
    incident_service = IncidentService(incidents, retention_days=settings.retention.days)
    authority = build_authorization_server(installation, audiences, issuer=issuer, steady_clock=steady_now)
    quotas = _quotas(settings.quotas)
    faces = Handlers(
        defender=DefenderHandlers(
            gate,
            incident_service,
            quotas,
            write_seconds=settings.server.write_seconds,
            determinations_as_sent=settings.updates.determinations == "as-sent",
        ),
        login=OAuthEndpoints(
            authority.grants,
            authority.clients,
            authority.device_codes,
            partial(_ring_of, keys),
            issuer=issuer,
            origins=audiences.origins,
            count_outcome=metrics.token_requests.count,
        ),
        pages=SignInHandlers(
            authority.sign_in,
            installation.directory,
            StateSigner(partial(_ring_of, keys)),
            count_step=metrics.sign_ins.count,
        ),
        service=OperationsHandlers(
            metrics_cache,
            RecentResult(
                _store_failure(installation),
                steady_clock=steady_now,
                turn=Lock(),
                age_seconds_max=answer_age_seconds_max,
            ),
        ),
    )
    origins, request_ids = Origins(settings.server.trusted_networks), RequestIds()
    app = VigieApp(
        faces,
        origins=origins,
        metrics=metrics,
        access_log=access_log,
        request_ids=request_ids,
        clock=now,
        on_defect=_log_defect,
        anonymous_answers_per_second=settings.server.anonymous_answers_per_second,
        has_authority=identity.issues_tokens,
        without={METRICS_PATH} if settings.metrics.address else frozenset(),
    )
    fast_path = FastPath(
        gate,
        incident_service,
        quotas.get,
        origins=origins,
        metrics=metrics,
        access_log=access_log,
        request_ids=request_ids,
        clock=now,
    )
    return Components(
        app=app,
        fast_path=fast_path,
        metrics=metrics,
        metrics_cache=metrics_cache,
        incident_service=incident_service,
        callers=callers,
        keys=keys,
        quota_store=counting.store,
        watch=watch,
        sign_in=authority.sign_in,
        foreign=foreign,
        issuer=issuer,
    )


def _ring_of(keys: LiveKeys | None) -> KeyRing:
    if keys is None:
        raise LookupError("there are no keys of our own, and nothing that asks for them is served")
    return keys.ring


def _store_failure(installation: Installation) -> Callable[[], Awaitable[StoreUnavailable | None]]:
    """Finds out why the store does not answer; None when it does. It is asked what a good one always has."""
    directory = installation.directory
    has_issuer = installation.settings.identity.issues_tokens

    async def failure() -> StoreUnavailable | None:
        try:
            installation.database.check_place()
            await installation.incidents.check_readable()
            found = await (directory.find_issuer() if has_issuer else directory.version())
        except StoreUnavailable as error:
            return error
        return StoreUnavailable("the store has no installation in it") if found is None else None

    return failure


def _foreign_tokens(installation: Installation, own_issuer: str, metrics: Metrics) -> FederatedTokens:
    # Here, because whoever trusts no other issuer does without the HTTP client.
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


def _quotas(settings: QuotaSettings) -> DefenderQuotas:
    return DefenderQuotas(
        get=minute_and_hour("get", per_minute=settings.get_per_minute, per_hour=settings.get_per_hour),
        list=minute_and_hour("list", per_minute=settings.list_per_minute, per_hour=settings.list_per_hour),
        update=minute_and_hour(
            "update", per_minute=settings.update_per_minute, per_hour=settings.update_per_hour
        ),
    )


def _metrics() -> Metrics:
    return Metrics(
        version=__version__,
        routes=(INCIDENT_ROUTE, LIST_ROUTE, UNMATCHED_ROUTE, *(route.path for route in ROUTES)),
        quotas=QUOTA_NAMES,
        store_operations=(*statements(), SPEND_OPERATION),
        connection_refusals=Reason,
        token_outcomes=(ISSUED, *(f"AADSTS{code}" for code in TOKEN_ERROR_RESPONSES)),
    )


def _log_defect(request_id: str, error: Exception) -> None:
    log.error("defect", request_id=request_id, exc_info=error)
