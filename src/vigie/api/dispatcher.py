"""The dispatcher: one ASGI application that serves any number of APIs from their profiles."""

import re
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import NamedTuple

from vigie.core.errors import QuotaExceeded, Refusal, RouteNotFound, WrongAudience
from vigie.core.instants import Instant
from vigie.http.anonymous_throttle import AnswerKind, anonymous_throttles
from vigie.http.error_responses import ErrorRenderer
from vigie.http.exchange import ClientGone, Exchange, Receive, Scope, Send
from vigie.http.forwarded import Origins
from vigie.http.profile import ApiProfile, Match, Route
from vigie.observability.access_log import AccessLog, RequestIds
from vigie.observability.metrics import Metrics

_SLASHES = re.compile(rb"//+")
_NAMES = re.compile(r"\{([a-z_]+)\}")


class Dispatcher:
    """Gives every request exactly one answer, and says so in the log and the metrics.

    `unmatched` renders the refusals of requests that belong to no API.
    """

    def __init__(
        self,
        profiles: Iterable[ApiProfile],
        *,
        unmatched: ErrorRenderer,
        origins: Origins,
        metrics: Metrics,
        access_log: AccessLog,
        clock: Callable[[], Instant],
        request_ids: RequestIds,
        on_internal_error: Callable[[str, Exception], None],
        anonymous_answers_per_second: int,
    ) -> None:
        profiles = tuple(profiles)
        self._routes = Routes(profiles)
        self._errors: dict[str | None, ErrorRenderer] = {each.name: each.errors for each in profiles}
        self._unmatched = unmatched
        self._origins = origins
        self._metrics = metrics
        self._access_log = access_log
        self._clock = clock
        self._on_internal_error = on_internal_error
        self._next_request_id = request_ids.next
        self._throttles = throttles = anonymous_throttles(anonymous_answers_per_second)
        errors, *others = (
            throttles[AnswerKind.ERROR],
            *(each for kind, each in throttles.items() if kind is not AnswerKind.ERROR),
        )
        metrics.counter("vigie_refusals_held_total", "Refusals held back.", lambda: errors.held_total)
        metrics.counter(
            "vigie_public_answers_held_total",
            "Public answers held back.",
            lambda: sum(each.held_total for each in others),
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
        exchange.anonymous_throttles = self._throttles
        try:
            exchange.address = self._origins.address_of(scope)
            exchange.origin = self._origins.of(scope)
            profile, (route, arguments) = self._routes.find(scope)
            exchange.api, exchange.route = profile.name, route.path
            route.require(exchange.method)
            await route.handler(exchange, **arguments)
        except ClientGone as gone:
            exchange.refusal, exchange.detail = type(gone).__name__, "the client went away"
        # The outermost edge: whatever it is, the caller gets an answer and the operator hears of it.
        except Exception as error:  # noqa: BLE001
            exchange.api = exchange.api or self._routes.owner_of(scope["path"])
            await self._answer_error(exchange, error, self._errors.get(exchange.api, self._unmatched))
        finally:
            self._record(exchange)

    async def _answer_error(self, exchange: Exchange, error: Exception, errors: ErrorRenderer) -> None:
        if isinstance(error, Refusal) and errors.has_response_to(error):
            await self._refuse(exchange, error, errors)
        else:
            await self._answer_internal_error(exchange, error, errors)

    async def _refuse(self, exchange: Exchange, refusal: Refusal, errors: ErrorRenderer) -> None:
        exchange.refusal = errors.response_to(refusal).code
        exchange.detail = refusal.detail
        if exchange.status:
            # The answer has begun: it must not end as if it were whole.
            raise refusal
        if isinstance(refusal, WrongAudience):
            # Its caller is known, but no quota counts calls with a token for another API.
            await exchange.wait_among(AnswerKind.ERROR)
        if isinstance(refusal, QuotaExceeded):
            self._metrics.quota_refusals.count(refusal.quota_name)
        await errors.answer(exchange, refusal)

    async def _answer_internal_error(
        self, exchange: Exchange, error: Exception, errors: ErrorRenderer
    ) -> None:
        self._on_internal_error(exchange.request_id, error)
        exchange.refusal, exchange.detail = errors.internal_error.code, type(error).__name__
        if exchange.status:
            # The answer has begun: it must not end as if it were whole.
            raise error
        await errors.answer_internal_error(exchange)

    def _record(self, exchange: Exchange) -> None:
        seconds = perf_counter() - exchange.started_seconds
        self._metrics.observe_request(exchange.api, exchange.route, exchange.status, seconds)
        caller = exchange.caller
        self._access_log.record(
            at=exchange.at,
            request_id=exchange.request_id,
            method=exchange.method[:20],
            api=exchange.api,
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


class _Template(NamedTuple):
    pattern: re.Pattern[str]
    route: Route
    profile: ApiProfile


class Routes:
    """The routes of all profiles: direct ones are tried first, then templates in the order of the profiles."""

    def __init__(self, profiles: Iterable[ApiProfile]) -> None:
        profiles = tuple(profiles)
        self._direct = tuple((each.match, each) for each in profiles if each.match)
        self._roots = tuple((each.root, each.name) for each in profiles if each.root)
        self._templates = tuple(
            _Template(_pattern_of(route.path), route, profile)
            for profile in profiles
            for route in profile.routes
            if not route.is_direct and route.path not in profile.unserved
        )

    def owner_of(self, path: str) -> str | None:
        """The name of the API under whose root a path is, whether or not it has a route there."""
        return next((name for root, name in self._roots if path == root or path.startswith(f"{root}/")), None)

    def find(self, scope: Scope) -> tuple[ApiProfile, Match]:
        """The API and the route of a request, whatever its method. Raises RouteNotFound."""
        raw_path = scope["raw_path"]
        if b"//" in raw_path:
            raw_path = _collapse_slashes(scope)
        for match, profile in self._direct:
            if (found := match(raw_path)) is not None:
                return profile, found
        return self._find_template(scope["path"], scope["method"])

    def _find_template(self, path: str, method: str) -> tuple[ApiProfile, Match]:
        """The first template that has the path and the method, else the first that has the path."""
        of_other_methods = None
        for pattern, route, profile in self._templates:
            if (found := pattern.match(path)) is None:
                continue
            if route.answers(method):
                return profile, (route, found.groupdict())
            of_other_methods = of_other_methods or (profile, (route, found.groupdict()))
        if of_other_methods is None:
            raise RouteNotFound("Nothing is served at this path; /reference shows the paths of the API.")
        return of_other_methods


def _pattern_of(path: str) -> re.Pattern[str]:
    """A template whose own words may be in any letter case; what stands in place of a name stays as it came."""
    words = enumerate(_NAMES.split(path))
    pattern = "".join(f"(?P<{word}>[^/]+)" if place % 2 else re.escape(word) for place, word in words)
    # `$` would let a line feed follow, and rules of proxies know nothing of such a path.
    # ASCII: else a long s would be an s, and a Kelvin sign a k.
    return re.compile(rf"^{pattern}\Z", re.IGNORECASE | re.ASCII)


def _collapse_slashes(scope: Scope) -> bytes:
    """One slash for several, as some SDKs write two. docs/api/clients.md."""
    path: bytes = _SLASHES.sub(b"/", scope["raw_path"])
    scope["raw_path"] = path
    scope["path"] = re.sub("//+", "/", scope["path"])
    return path
