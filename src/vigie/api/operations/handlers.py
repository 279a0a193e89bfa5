"""What operators ask of a server: is it alive, is it ready, what has it counted, what does it speak."""

from asyncio import to_thread

import msgspec

from vigie.api.defender.metadata import metadata_document, service_document
from vigie.api.error_responses import JSON_TYPE
from vigie.api.operations.reference import (
    openapi_json,
    openapi_yaml,
    reference_page,
    reference_policy,
    renderer,
    shown_document,
)
from vigie.core.errors import StoreUnavailable
from vigie.http.anonymous_throttle import Kind
from vigie.http.exchange import Exchange, Receive, Scope, Send, chosen_coding
from vigie.observability.cached_result import RecentResult
from vigie.observability.metrics import form_for
from vigie.observability.metrics_cache import MetricsCache
from vigie.ui.landing import landing_document, landing_page, wants_page
from vigie.ui.languages import texts_for

METRICS_PATH = "/metrics"
ODATA_VERSION = (b"odata-version", b"4.0")

_JSON = b"application/json"
_HTML = b"text/html; charset=utf-8"
_STRICT = b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FOR_A_WHILE = (b"cache-control", b"public, max-age=600")


class OperationsHandlers:
    """Answers what needs no token: nothing here says anything about a tenant."""

    def __init__(
        self, metrics_cache: MetricsCache, store_failure: RecentResult[StoreUnavailable | None]
    ) -> None:
        self._scrapes = metrics_cache
        self._store_failure = store_failure

    async def alive(self, exchange: Exchange) -> None:
        """The process answers, at once: whoever asks may end it otherwise."""
        exchange.anonymous_throttles = None
        await _answer(exchange, b"application/json", msgspec.json.encode({"status": "alive"}))

    async def ready(self, exchange: Exchange) -> None:
        """The store answers too. Raises StoreUnavailable when it does not."""
        # First, so that what is said is not old.
        await exchange.wait_among(Kind.READY)
        if failure := await self._store_failure.get():
            raise StoreUnavailable(failure.detail, retry_after_seconds=failure.retry_after_seconds)
        await _answer(exchange, b"application/json", msgspec.json.encode({"status": "ready"}))

    async def metrics(self, exchange: Exchange) -> None:
        """What has been counted, for Prometheus."""
        form = form_for(exchange.header(b"accept"))
        await _answer(exchange, form.value.encode(), await self._scrapes.body(form))

    async def landing(self, exchange: Exchange) -> None:
        """Where everything is: a page for browsers, JSON for everybody else."""
        varies = (b"vary", b"Accept, Accept-Language, Host")
        if not wants_page(exchange.header(b"accept")):
            return await _answer(exchange, _JSON, landing_document(exchange.origin), varies)
        texts = texts_for(exchange.header(b"accept-language"))
        language = (b"content-language", texts.language.encode())
        page = landing_page(texts, exchange.origin).encode()
        return await _answer(exchange, _HTML, page, varies, language)

    async def openapi_yaml(self, exchange: Exchange) -> None:
        """The API's own description."""
        await _answer(exchange, b"application/yaml; charset=utf-8", openapi_yaml())

    async def openapi_json(self, exchange: Exchange) -> None:
        """The same in JSON."""
        await _answer(exchange, _JSON, openapi_json())

    async def reference(self, exchange: Exchange) -> None:
        """The same, for people."""
        await _answer(exchange, _HTML, reference_page(), policy=reference_policy())

    async def renderer(self, exchange: Exchange) -> None:
        """The program that shows it on that page."""
        is_packed = chosen_coding(exchange.header(b"accept-encoding")) == "gzip"
        headers = [_FOR_A_WHILE, (b"vary", b"Accept-Encoding")]
        if is_packed:
            headers.append((b"content-encoding", b"gzip"))
        body = await to_thread(renderer, packed=is_packed)
        await _answer(exchange, b"text/javascript; charset=utf-8", body, *headers)

    async def shown_document(self, exchange: Exchange) -> None:
        """What it shows: every call once, with samples."""
        body = await to_thread(shown_document, exchange.origin)
        await _answer(exchange, _JSON, body, (b"vary", b"Host"))

    async def odata_service(self, exchange: Exchange) -> None:
        """What there is under `/api`, for OData clients."""
        body = service_document(exchange.origin)
        await _answer(exchange, JSON_TYPE.encode(), body, ODATA_VERSION, (b"vary", b"Host"))

    async def odata_metadata(self, exchange: Exchange) -> None:
        """Of which types that is."""
        await _answer(exchange, b"application/xml", metadata_document(), ODATA_VERSION)


async def _answer(
    exchange: Exchange,
    content_type: bytes,
    body: bytes,
    *headers: tuple[bytes, bytes],
    policy: bytes = _STRICT,
) -> None:
    common = (
        (b"content-type", content_type),
        *exchange.safety_headers,
        (b"content-security-policy", policy),
        (b"referrer-policy", b"no-referrer"),
    )
    await exchange.answer(200, [*common, *headers], body)


class MetricsApp:
    """An ASGI application of /metrics alone, for a port of its own."""

    def __init__(self, metrics_cache: MetricsCache) -> None:
        self._scrapes = metrics_cache

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        is_known = scope["path"].lower() == METRICS_PATH
        accept = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), None
        )
        form = form_for(accept)
        body, content_type = (await self._scrapes.body(form), form.value) if is_known else (b"", "text/plain")
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        status = 200 if is_known else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
