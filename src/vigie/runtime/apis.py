"""The APIs that a server serves: a profile of each is built here, from settings and shared components."""

from asyncio import Lock
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from vigie.api.defender import handlers as defender
from vigie.api.defender.fast_path import IncidentFastPath
from vigie.api.defender.resource import INCIDENTS
from vigie.api.description import ApiDescription
from vigie.api.gate import Gate
from vigie.api.oauth import endpoints as oauth
from vigie.api.oauth.error_responses import TOKEN_ERRORS, TokenErrorRenderer, oauth_error_text
from vigie.api.operations import handlers as operations
from vigie.api.vigie import handlers as own
from vigie.api.vigie.change_stream import ChangeStreamer, OpenStreams
from vigie.api.vigie.cursors import CursorSealer
from vigie.api.vigie.places import Places
from vigie.application.change_feed import ChangeReader
from vigie.application.incidents import IncidentService
from vigie.application.latest_changes import LatestChanges
from vigie.config.settings import QuotaSettings
from vigie.core.access import require_read, require_write
from vigie.core.errors import StoreUnavailable
from vigie.core.instants import TICKS_PER_DAY, Instant
from vigie.core.quotas import Quota, minute_and_hour
from vigie.http.error_responses import TableErrorRenderer
from vigie.http.fast_path import fast_path_protocol
from vigie.http.forwarded import Origins
from vigie.http.profile import ApiAccess, ApiProfile, ProtocolFactory, bound
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.keys.key_store import LiveKeys
from vigie.identity.sign_in.signed_state import StateSigner
from vigie.identity.tokens.audiences import Audiences
from vigie.observability.access_log import AccessLog, RequestIds
from vigie.observability.cached_result import RecentResult
from vigie.observability.metrics import Metrics
from vigie.observability.metrics_cache import MetricsCache
from vigie.runtime.authorization_server import AuthorizationServer
from vigie.runtime.installation import Installation
from vigie.storage.cursor_key_repository import CursorKeyRepository
from vigie.ui import public_pages as public
from vigie.ui.sign_in import handlers as sign_in


class ApiContext(msgspec.Struct, frozen=True, kw_only=True):
    """What profiles are built from: the installation, and the components that APIs share.

    `gate` makes the gate of an API. `issuer` is empty, and `keys` None, where no tokens are issued.
    """

    installation: Installation
    gate: Callable[[ApiAccess], Gate]
    errors: TableErrorRenderer
    audiences: Audiences
    incident_service: IncidentService
    authorization_server: AuthorizationServer
    issuer: str
    keys: LiveKeys | None
    origins: Origins
    description: ApiDescription
    metrics: Metrics
    metrics_cache: MetricsCache
    access_log: AccessLog
    request_ids: RequestIds
    clock: Callable[[], Instant]
    steady_clock: Callable[[], Instant]
    answer_age_seconds_max: float

    @property
    def issues_tokens(self) -> bool:
        """Whether this server is an authorization server too."""
        return self.installation.settings.identity.issues_tokens

    def ring(self) -> KeyRing:
        """The signing keys as they are now."""
        if self.keys is None:
            raise LookupError("there are no signing keys, and nothing that asks for them is served")
        return self.keys.ring


def defender_api(context: ApiContext) -> ApiProfile:
    """The Defender XDR incidents API."""
    settings = context.installation.settings
    quotas = _defender_quotas(settings.quotas)
    access = _incidents_access(context)
    gate = context.gate(access)
    handlers = defender.DefenderHandlers(
        gate,
        context.incident_service,
        quotas,
        write_seconds=settings.server.write_seconds,
        determinations_as_sent=settings.updates.determinations == "as-sent",
    )
    fast_path = _fast_path(context, gate, quotas.get) if settings.server.fast_path else None
    routes = bound(defender.ROUTES, handlers)
    return ApiProfile(
        name=defender.API_NAME,
        routes=routes,
        errors=context.errors,
        access=access,
        quotas=(quotas.get, quotas.list, quotas.update),
        match=defender.matcher(routes),
        openapi=defender.OPENAPI,
        fast_path=fast_path,
    )


def _incidents_access(context: ApiContext) -> ApiAccess:
    return ApiAccess(
        is_audience=partial(context.audiences.grants_access, INCIDENTS),
        read=require_read,
        write=require_write,
        accepts_other_issuers=True,
    )


def _fast_path(context: ApiContext, gate: Gate, quota: Quota) -> ProtocolFactory:
    fast_path = IncidentFastPath(
        gate,
        context.incident_service,
        quota,
        origins=context.origins,
        metrics=context.metrics,
        access_log=context.access_log,
        request_ids=context.request_ids,
        clock=context.clock,
    )
    return partial(fast_path_protocol, fast_path)


def _defender_quotas(settings: QuotaSettings) -> defender.DefenderQuotas:
    return defender.DefenderQuotas(
        get=minute_and_hour("get", per_minute=settings.get_per_minute, per_hour=settings.get_per_hour),
        list=minute_and_hour("list", per_minute=settings.list_per_minute, per_hour=settings.list_per_hour),
        update=minute_and_hour(
            "update", per_minute=settings.update_per_minute, per_hour=settings.update_per_hour
        ),
    )


def vigie_api(context: ApiContext) -> ApiProfile:
    """Vigie's own API: the change feed, for the readers of the incidents API."""
    settings = context.installation.settings
    quota = _changes_quota(settings.quotas)
    access = _incidents_access(context)
    gate, changes = context.gate(access), ChangeReader(context.installation.change_feed)
    places = Places(
        CursorSealer(CursorKeyRepository(context.installation.database).find_or_put),
        retention_ticks=settings.retention.change_days * TICKS_PER_DAY,
    )
    latest = LatestChanges(changes)
    streams = OpenStreams(
        per_caller_max=settings.quotas.change_streams, count_max=settings.server.change_streams_max
    )
    context.metrics.gauge("vigie_change_streams", "Open change streams.", lambda: streams.count)
    handlers = own.ChangeHandlers(
        gate,
        changes,
        places,
        ChangeStreamer(gate, changes, latest, places, clock=context.clock),
        streams,
        quota,
        write_seconds=settings.server.write_seconds,
    )
    return ApiProfile(
        name=own.API_NAME,
        root=own.ROOT,
        routes=bound(own.ROUTES, handlers),
        errors=context.errors,
        access=access,
        quotas=(quota,),
        openapi=own.OPENAPI,
        on_shutdown=latest.close,
    )


def _changes_quota(settings: QuotaSettings) -> Quota:
    return minute_and_hour(
        "changes", per_minute=settings.changes_per_minute, per_hour=settings.changes_per_hour
    )


def oauth_api(context: ApiContext) -> ApiProfile:
    """The token endpoints, discovery and the key set; served where tokens are issued."""
    server = context.authorization_server
    endpoints = oauth.OAuthEndpoints(
        server.grants,
        server.clients,
        server.device_codes,
        context.ring,
        issuer=context.issuer,
        origins=context.audiences.origins,
        count_outcome=context.metrics.token_requests.count,
    )
    context.metrics.token_requests.declare((oauth.ISSUED, *(row.code for row in TOKEN_ERRORS.values())))
    paths = frozenset(route.path for route in oauth.ROUTES)
    return ApiProfile(
        name="oauth",
        routes=bound(oauth.ROUTES, endpoints),
        openapi=oauth.OPENAPI,
        errors=TokenErrorRenderer(others=context.errors),
        unserved=frozenset() if context.issues_tokens else paths,
    )


def sign_in_pages(context: ApiContext) -> ApiProfile:
    """The sign-in pages; served where tokens are issued."""
    handlers = sign_in.SignInHandlers(
        context.authorization_server.sign_in,
        context.installation.directory,
        StateSigner(context.ring),
        errors=context.errors,
        oauth_error_text=oauth_error_text,
        count_step=context.metrics.sign_ins.count,
    )
    paths = frozenset(route.path for route in sign_in.ROUTES)
    return ApiProfile(
        name="sign-in",
        routes=bound(sign_in.ROUTES, handlers),
        errors=context.errors,
        unserved=frozenset() if context.issues_tokens else paths,
    )


def public_pages(context: ApiContext) -> ApiProfile:
    """The landing page, the reference page and the style sheet."""
    routes = bound(public.ROUTES, public.PublicPages())
    return ApiProfile(name="public-pages", routes=routes, errors=context.errors)


def operations_api(context: ApiContext) -> ApiProfile:
    """The operators' endpoints; /metrics only where it has no address of its own."""
    database_failure = RecentResult(
        _database_failure(context.installation),
        steady_clock=context.steady_clock,
        turn=Lock(),
        age_seconds_max=context.answer_age_seconds_max,
    )
    handlers = operations.OperationsHandlers(context.metrics_cache, database_failure, context.description)
    has_own_address = bool(context.installation.settings.metrics.address)
    return ApiProfile(
        name="operations",
        routes=bound(operations.ROUTES, handlers),
        openapi=operations.OPENAPI,
        errors=context.errors,
        unserved=frozenset({operations.METRICS_PATH} if has_own_address else ()),
    )


def _database_failure(installation: Installation) -> Callable[[], Awaitable[StoreUnavailable | None]]:
    """Finds out why the database does not answer; None when it does. It reads what a good one always has."""
    directory = installation.directory
    has_issuer = installation.settings.identity.issues_tokens

    async def failure() -> StoreUnavailable | None:
        try:
            installation.database.check_file()
            await installation.incidents.check_readable()
            found = await (directory.find_issuer() if has_issuer else directory.version())
        except StoreUnavailable as error:
            return error
        return StoreUnavailable("the store has no installation in it") if found is None else None

    return failure


ProfileBuilder = Callable[[ApiContext], ApiProfile]

APIS: tuple[ProfileBuilder, ...] = (
    defender_api,
    oauth_api,
    sign_in_pages,
    public_pages,
    operations_api,
    vigie_api,
)
"""Everything that a server answers, in the order in which paths are tried."""
