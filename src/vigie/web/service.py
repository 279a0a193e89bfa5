"""What operators ask of a server: is it alive, is it ready, what has it counted, what does it speak."""

from collections.abc import Awaitable, Callable

import msgspec

from vigie.core.refusals import StoreUnavailable
from vigie.web.exchange import Exchange, Receive, Scope, Send
from vigie.web.metrics import form_for
from vigie.web.pacing import Pace
from vigie.web.reference import openapi_document, reference_page, reference_style
from vigie.web.scrapes import Scrapes

METRICS_PATH = "/metrics"

_PAGE_HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        b"form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
)


class ServiceFace:
    """Answers what needs no token: nothing here says anything about a tenant."""

    def __init__(self, scrapes: Scrapes, store_answers: Callable[[], Awaitable[object]]) -> None:
        self._scrapes = scrapes
        self._store_answers = store_answers
        self._pace = Pace()

    async def alive(self, exchange: Exchange) -> None:
        """The process answers."""
        await _answer(exchange, b"application/json", msgspec.json.encode({"status": "alive"}))

    async def ready(self, exchange: Exchange) -> None:
        """The store answers too. Raises StoreUnavailable when it does not."""
        if await self._store_answers() is None:
            raise StoreUnavailable("the store has no installation in it")
        await _answer(exchange, b"application/json", msgspec.json.encode({"status": "ready"}))

    async def metrics(self, exchange: Exchange) -> None:
        """What has been counted, for Prometheus."""
        form = form_for(exchange.header(b"accept"))
        await self._answer_paced(exchange, form.value.encode(), await self._scrapes.body(form))

    async def openapi(self, exchange: Exchange) -> None:
        """The API's own description."""
        await self._answer_paced(exchange, b"application/yaml; charset=utf-8", openapi_document())

    async def reference(self, exchange: Exchange) -> None:
        """The same, for people."""
        await self._answer_paced(exchange, b"text/html; charset=utf-8", reference_page())

    async def style(self, exchange: Exchange) -> None:
        """How the page looks."""
        await self._answer_paced(exchange, b"text/css; charset=utf-8", reference_style())

    async def _answer_paced(self, exchange: Exchange, content_type: bytes, body: bytes) -> None:
        """Answer with what is large and anybody may have: many at once have to wait, like many refusals."""
        await _answer(exchange, content_type, body, pace=self._pace)


async def _answer(exchange: Exchange, content_type: bytes, body: bytes, *, pace: Pace | None = None) -> None:
    headers = [(b"content-type", content_type), *exchange.safety_headers, *_PAGE_HEADERS]
    await exchange.answer(200, headers, body, pace=pace)


class MetricsApp:
    """An ASGI application of /metrics alone, for a port of its own."""

    def __init__(self, scrapes: Scrapes) -> None:
        self._scrapes = scrapes

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Answer one request."""
        is_known = scope["path"] == METRICS_PATH
        accept = next(
            (value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), None
        )
        form = form_for(accept)
        body, content_type = (await self._scrapes.body(form), form.value) if is_known else (b"", "text/plain")
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        status = 200 if is_known else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
