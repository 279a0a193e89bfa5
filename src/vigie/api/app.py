"""The whole as one ASGI application: which face answers what, and what becomes of refusals and defects."""

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from functools import partial
from time import perf_counter

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from vigie.api.defender.handlers import (
    BODY_HEADERS,
    INCIDENT_ROUTE,
    LIST_ROUTE,
    DefenderHandlers,
    incident_segment,
)
from vigie.api.error_responses import INTERNAL_ERROR, error_body, error_response_of
from vigie.api.oauth.endpoints import OAuthEndpoints
from vigie.api.operations.handlers import METRICS_PATH, OperationsHandlers
from vigie.api.operations.reference import RENDERER_PATH, SHOWN_DOCUMENT_PATH
from vigie.core.errors import MethodNotAllowed, QuotaExceeded, Refusal, RouteNotFound, WrongAudience
from vigie.core.instants import Instant
from vigie.http.anonymous_throttle import Kind, anonymous_throttles
from vigie.http.exchange import ClientGone, Exchange, Receive, Scope, Send
from vigie.http.forwarded import Origins
from vigie.identity.endpoint_version import EndpointVersion
from vigie.observability.access_log import AccessLog, RequestIds
from vigie.observability.metrics import Metrics
from vigie.ui.layout import STYLE_PATH
from vigie.ui.sign_in.handlers import SignInHandlers
from vigie.ui.sign_in.views import CONSENT_PATH, DEVICE_PATH, PASSWORD_PATH

_SLASHES = re.compile(rb"//+")
_EXCHANGE = "vigie.exchange"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """What answers: one face for each kind of client."""

    defender: DefenderHandlers
    login: OAuthEndpoints
    pages: SignInHandlers
    service: OperationsHandlers


class VigieApp:
    """Gives every request exactly one answer, and says so in the log and the metrics."""

    def __init__(
        self,
        faces: Handlers,
        *,
        origins: Origins,
        metrics: Metrics,
        access_log: AccessLog,
        clock: Callable[[], Instant],
        request_ids: RequestIds,
        on_defect: Callable[[str, Exception], None],
        anonymous_answers_per_second: int,
        has_authority: bool = True,
        without: Collection[str] = frozenset(),
    ) -> None:
        self._defender = faces.defender
        self._router = Router(
            [
                _Route(row.path, _Endpoint(row.answer(faces)), methods=row.methods)
                for row in ROUTES
                if row.path not in without and (has_authority or row not in AUTHORITY_ROUTES)
            ],
            redirect_slashes=False,
        )
        self._has_authority = has_authority
        self._origins = origins
        self._metrics = metrics
        self._request_log = access_log
        self._clock = clock
        self._on_defect = on_defect
        self._next_request_id = request_ids.next
        self._paces = held = anonymous_throttles(anonymous_answers_per_second)
        errors, *others = held[Kind.ERROR], *(pace for kind, pace in held.items() if kind is not Kind.ERROR)
        metrics.counter("vigie_refusals_held_total", "Refusals held back.", lambda: errors.held_total)
        metrics.counter(
            "vigie_public_answers_held_total",
            "Public answers held back.",
            lambda: sum(pace.held_total for pace in others),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        exchange = Exchange(
            scope,
            receive,
            send,
            request_id=self._next_request_id(),
            at=self._clock(),
            started_seconds=perf_counter(),
        )
        exchange.anonymous_throttles = self._paces
        try:
            exchange.address = self._origins.address_of(scope)
            exchange.origin = self._origins.of(scope)
            await self._answer(exchange)
        except ClientGone as gone:
            exchange.refusal, exchange.detail = type(gone).__name__, "the client went away"
        except Refusal as refusal:
            await self._refuse(exchange, refusal)
        # The outermost edge: whatever it is, the caller gets an answer and the operator hears of it.
        except Exception as error:  # noqa: BLE001
            await self._answer_internal_error(exchange, error)
        finally:
            self._record(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        path = exchange.scope["raw_path"]
        if b"//" in path:
            path = _collapse_slashes(exchange.scope)
        segment = incident_segment(path)
        if segment is None:
            return await self._route(exchange)
        if segment:
            exchange.route = INCIDENT_ROUTE
            return await self._defender.one_incident(exchange, segment)
        exchange.route = LIST_ROUTE
        return await self._defender.list_incidents(exchange)

    async def _route(self, exchange: Exchange) -> None:
        # With an application in the scope, Starlette raises what it would else answer in words of its own.
        scope = {**exchange.scope, "app": self, _EXCHANGE: exchange}
        try:
            await self._router(scope, exchange.receive, exchange.send)
        except HTTPException as error:
            if error.status_code == 405:
                allowed = tuple((error.headers or {}).get("Allow", "").split(", "))
                raise MethodNotAllowed(exchange.method, tuple(sorted(allowed))) from error
            raise RouteNotFound(
                "Nothing is served at this path; /reference shows the paths of the API."
            ) from error
        finally:
            if isinstance(route := scope.get("route"), Route):
                exchange.route = route.path

    async def _refuse(self, exchange: Exchange, refusal: Refusal) -> None:
        problem = error_response_of(refusal)
        exchange.refusal = problem.code
        exchange.detail = refusal.detail
        if exchange.status:
            # The answer has begun: it must not end as if it were whole.
            raise refusal
        if isinstance(refusal, WrongAudience):
            # Its caller is known, but no quota counts calls with a token for another API.
            await exchange.wait_among(Kind.ERROR)
        if isinstance(refusal, QuotaExceeded):
            self._metrics.quota_refusals.count(refusal.quota_name)
        authority = exchange.origin if self._has_authority else ""
        headers = [
            *BODY_HEADERS,
            *exchange.safety_headers,
            *((name.encode(), value.encode()) for name, value in problem.headers(refusal, authority)),
        ]
        body = error_body(problem.code, refusal.message, exchange.request_id)
        await exchange.answer(problem.status, headers, body)

    async def _answer_internal_error(self, exchange: Exchange, error: Exception) -> None:
        self._on_defect(exchange.request_id, error)
        exchange.refusal, exchange.detail = INTERNAL_ERROR.code, type(error).__name__
        if exchange.status:
            # The answer has begun: it must not end as if it were whole.
            raise error
        message = "Something went wrong on the server. Its log knows more under this target."
        body = error_body(INTERNAL_ERROR.code, message, exchange.request_id)
        await exchange.answer(INTERNAL_ERROR.status, [*BODY_HEADERS, *exchange.safety_headers], body)

    def _record(self, exchange: Exchange) -> None:
        seconds = perf_counter() - exchange.started_seconds
        self._metrics.observe_request(exchange.route, exchange.status, seconds)
        caller = exchange.caller
        self._request_log.record(
            at=exchange.at,
            request_id=exchange.request_id,
            method=exchange.method[:20],
            route=exchange.route,
            path=exchange.scope["path"],
            status=exchange.status,
            seconds=seconds,
            tenant=caller.tenant_guid if caller else exchange.tenant_guid,
            application=caller.application_id if caller else None,
            caller_kind=caller.kind.value if caller else None,
            remote=exchange.address or None,
            refusal=exchange.refusal,
            detail=exchange.detail,
            client_request_id=exchange.client_request_id.decode() or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """A path, its methods, and which face answers it; what the path names becomes arguments."""

    path: str
    answer: Callable[[Handlers], Callable[..., Awaitable[None]]]
    methods: tuple[str, ...] = ("GET",)


_TOKEN_METHODS = ("POST", "GET")
_PAGE_METHODS = ("GET", "POST")

AUTHORITY_ROUTES: tuple[RouteRow, ...] = (
    RouteRow(
        path="/{tenant}/oauth2/v2.0/token",
        answer=lambda faces: partial(faces.login.token, version=EndpointVersion.V2),
        methods=_TOKEN_METHODS,
    ),
    RouteRow(
        path="/{tenant}/oauth2/token",
        answer=lambda faces: partial(faces.login.token, version=EndpointVersion.V1),
        methods=_TOKEN_METHODS,
    ),
    RouteRow(
        path="/{tenant}/oauth2/v2.0/devicecode",
        answer=lambda faces: partial(faces.login.device_code, version=EndpointVersion.V2),
        methods=("POST",),
    ),
    RouteRow(
        path="/{tenant}/oauth2/devicecode",
        answer=lambda faces: partial(faces.login.device_code, version=EndpointVersion.V1),
        methods=("POST",),
    ),
    RouteRow(
        path="/{tenant}/v2.0/.well-known/openid-configuration",
        answer=lambda faces: partial(faces.login.discovery, version=EndpointVersion.V2),
    ),
    RouteRow(
        path="/{tenant}/.well-known/openid-configuration",
        answer=lambda faces: partial(faces.login.discovery, version=EndpointVersion.V1),
    ),
    RouteRow(path="/{tenant}/discovery/v2.0/keys", answer=lambda faces: faces.login.keys),
    RouteRow(path="/{tenant}/discovery/keys", answer=lambda faces: faces.login.keys),
    RouteRow(path="/common/discovery/instance", answer=lambda faces: faces.login.instance),
    RouteRow(
        path="/{tenant}/oauth2/v2.0/authorize",
        answer=lambda faces: partial(faces.pages.authorize, version=EndpointVersion.V2),
        methods=_PAGE_METHODS,
    ),
    RouteRow(
        path="/{tenant}/oauth2/authorize",
        answer=lambda faces: partial(faces.pages.authorize, version=EndpointVersion.V1),
        methods=_PAGE_METHODS,
    ),
    RouteRow(
        path="/{tenant}/oauth2/deviceauth", answer=lambda faces: faces.pages.device, methods=_PAGE_METHODS
    ),
    RouteRow(path=DEVICE_PATH, answer=lambda faces: faces.pages.device, methods=_PAGE_METHODS),
    RouteRow(path=PASSWORD_PATH, answer=lambda faces: faces.pages.password, methods=("POST",)),
    RouteRow(path=CONSENT_PATH, answer=lambda faces: faces.pages.consent, methods=("POST",)),
)
"""What the embedded authority answers; nothing where there is none."""

ROUTES: tuple[RouteRow, ...] = (
    *AUTHORITY_ROUTES,
    *(
        RouteRow(path=root + path, answer=answer)
        for root in ("/api", "/api/v1.0")
        for path, answer in (
            ("", lambda faces: faces.service.odata_service),
            ("/", lambda faces: faces.service.odata_service),
            ("/$metadata", lambda faces: faces.service.odata_metadata),
        )
    ),
    RouteRow(path="/healthz", answer=lambda faces: faces.service.alive),
    RouteRow(path="/readyz", answer=lambda faces: faces.service.ready),
    RouteRow(path=METRICS_PATH, answer=lambda faces: faces.service.metrics),
    RouteRow(path="/", answer=lambda faces: faces.service.landing),
    RouteRow(path=STYLE_PATH, answer=lambda faces: faces.pages.style),
    RouteRow(path="/openapi.yaml", answer=lambda faces: faces.service.openapi_yaml),
    RouteRow(path="/openapi.json", answer=lambda faces: faces.service.openapi_json),
    RouteRow(path="/reference", answer=lambda faces: faces.service.reference),
    RouteRow(path=RENDERER_PATH, answer=lambda faces: faces.service.renderer),
    RouteRow(path=SHOWN_DOCUMENT_PATH, answer=lambda faces: faces.service.shown_document),
)
"""Every route but that of one incident, which is answered without a framework in between."""


class _Route(Route):
    """A route whose path may be written in any letter case; what stands in place of a name stays as it came."""

    def __init__(self, path: str, endpoint: "_Endpoint", *, methods: tuple[str, ...]) -> None:
        super().__init__(path, endpoint, methods=methods)
        # `$` would let a line feed follow, and rules of proxies know nothing of such a path.
        whole = self.path_regex.pattern.removesuffix("$") + r"\Z"
        # ASCII: else a long s would be an s, and a Kelvin sign a k.
        self.path_regex = re.compile(whole, re.IGNORECASE | re.ASCII)


class _Endpoint:
    def __init__(self, answer: Callable[..., Awaitable[None]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        await self._answer(scope[_EXCHANGE], **scope["path_params"])


def _collapse_slashes(scope: Scope) -> bytes:
    """One slash for several, as some SDKs write two (clients.md, rule 13)."""
    path: bytes = _SLASHES.sub(b"/", scope["raw_path"])
    scope["raw_path"] = path
    scope["path"] = re.sub("//+", "/", scope["path"])
    return path
