"""The operators' endpoints: liveness, readiness, metrics, and the description of the API."""

from asyncio import to_thread

import msgspec

from vigie.api.description import ApiDescription
from vigie.api.operations.reference import (
    RENDERER_PATH,
    SHOWN_DOCUMENT_PATH,
    ShownDocument,
    renderer,
)
from vigie.core.errors import StoreUnavailable
from vigie.http.anonymous_throttle import AnswerKind
from vigie.http.exchange import Exchange, Receive, Scope, Send, chosen_coding, public_answer
from vigie.http.profile import OpenApiPart, Route
from vigie.observability.cached_result import RecentResult
from vigie.observability.metrics import form_for
from vigie.observability.metrics_cache import MetricsCache

METRICS_PATH = "/metrics"

OPENAPI = OpenApiPart(package="vigie.api.operations")

_JSON = b"application/json"
_FOR_A_WHILE = (b"cache-control", b"public, max-age=600")


class OperationsHandlers:
    """Answers what needs no token: nothing here says anything about a tenant."""

    def __init__(
        self,
        metrics_cache: MetricsCache,
        store_failure: RecentResult[StoreUnavailable | None],
        description: ApiDescription,
    ) -> None:
        self._metrics_cache = metrics_cache
        self._store_failure = store_failure
        self._description = description
        self._shown_document = ShownDocument(description)

    async def alive(self, exchange: Exchange) -> None:
        """The process answers, at once: a supervisor may end it otherwise."""
        exchange.anonymous_throttles = None
        await public_answer(exchange, b"application/json", msgspec.json.encode({"status": "alive"}))

    async def ready(self, exchange: Exchange) -> None:
        """The database answers too. Raises StoreUnavailable when it does not."""
        # First, so that what is said is not old.
        await exchange.wait_among(AnswerKind.READY)
        if failure := await self._store_failure.get():
            raise StoreUnavailable(failure.detail, retry_after_seconds=failure.retry_after_seconds)
        await public_answer(exchange, b"application/json", msgspec.json.encode({"status": "ready"}))

    async def metrics(self, exchange: Exchange) -> None:
        """What has been counted, for Prometheus."""
        form = form_for(exchange.header(b"accept"))
        await public_answer(exchange, form.value.encode(), await self._metrics_cache.body(form))

    async def openapi_yaml(self, exchange: Exchange) -> None:
        """The API's own description."""
        await public_answer(exchange, b"application/yaml; charset=utf-8", self._description.yaml)

    async def openapi_json(self, exchange: Exchange) -> None:
        """The same in JSON."""
        await public_answer(exchange, _JSON, self._description.json)

    async def renderer(self, exchange: Exchange) -> None:
        """The program that shows it on the reference page."""
        is_packed = chosen_coding(exchange.header(b"accept-encoding")) == "gzip"
        headers = [_FOR_A_WHILE, (b"vary", b"Accept-Encoding")]
        if is_packed:
            headers.append((b"content-encoding", b"gzip"))
        body = await to_thread(renderer, packed=is_packed)
        await public_answer(exchange, b"text/javascript; charset=utf-8", body, *headers)

    async def shown_document(self, exchange: Exchange) -> None:
        """What it shows: every call once, with samples."""
        body = await to_thread(self._shown_document.for_origin, exchange.origin)
        await public_answer(exchange, _JSON, body, (b"vary", b"Host"))


ROUTES: tuple[Route, ...] = (
    Route(path="/healthz", handler=OperationsHandlers.alive),
    Route(path="/readyz", handler=OperationsHandlers.ready),
    Route(path=METRICS_PATH, handler=OperationsHandlers.metrics),
    Route(path="/openapi.yaml", handler=OperationsHandlers.openapi_yaml),
    Route(path="/openapi.json", handler=OperationsHandlers.openapi_json),
    Route(path=RENDERER_PATH, handler=OperationsHandlers.renderer),
    Route(path=SHOWN_DOCUMENT_PATH, handler=OperationsHandlers.shown_document),
)
"""Every route of the operators' endpoints."""


class MetricsApp:
    """An ASGI application of /metrics alone, for a port of its own."""

    def __init__(self, metrics_cache: MetricsCache) -> None:
        self._metrics_cache = metrics_cache

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        is_known = scope["path"].lower() == METRICS_PATH
        accept = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), None
        )
        form = form_for(accept)
        body, content_type = (
            (await self._metrics_cache.body(form), form.value) if is_known else (b"", "text/plain")
        )
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        status = 200 if is_known else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
