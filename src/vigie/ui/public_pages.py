"""The public pages: the landing page at `/`, also as JSON, the reference page, and the style sheet of all pages."""

import re

import msgspec

from vigie import __version__
from vigie.http.anonymous_throttle import AnswerKind
from vigie.http.exchange import Exchange, public_answer
from vigie.http.profile import Route
from vigie.ui.content_security_policy import reference_policy
from vigie.ui.languages import SOURCE_LANGUAGE
from vigie.ui.rendering import Html, PageContext, page_context, render
from vigie.ui.style_sheet import STYLE_PATH, style_sheet

_WEIGHTED = re.compile(r"\s*([a-z]+/[a-z+.-]+)\s*(?:;[^,]*?q\s*=\s*([01](?:\.[0-9]{0,3})?))?", re.IGNORECASE)
_VARY = (b"vary", b"Accept, Accept-Language, Host")
_JSON = "application/json"
_HTML = b"text/html; charset=utf-8"
_STYLE_HEADERS = (
    (b"content-type", b"text/css; charset=utf-8"),
    (b"cache-control", b"public, max-age=600"),
)


class PublicPages:
    """Answers browsers of people who have not signed in."""

    async def landing(self, exchange: Exchange) -> None:
        """Where everything is: a page for browsers, JSON for everybody else."""
        if not wants_page(exchange.header(b"accept")):
            return await public_answer(exchange, _JSON.encode(), landing_document(exchange.origin), _VARY)
        context = await page_context(exchange)
        page = landing_page(context, exchange.origin).encode()
        language = (b"content-language", context.language.encode())
        return await public_answer(exchange, _HTML, page, _VARY, language)

    async def reference(self, exchange: Exchange) -> None:
        """The page on which Redoc shows the OpenAPI document."""
        page = reference_page(await page_context(exchange, SOURCE_LANGUAGE)).encode()
        await public_answer(exchange, _HTML, page, policy=reference_policy().encode())

    async def style(self, exchange: Exchange) -> None:
        """The style sheet of all pages."""
        await exchange.wait_among(AnswerKind.DOCUMENT)
        await exchange.answer(200, [*_STYLE_HEADERS, *exchange.safety_headers], style_sheet())


ROUTES: tuple[Route, ...] = (
    Route(path="/", handler=PublicPages.landing),
    Route(path="/reference", handler=PublicPages.reference),
    Route(path=STYLE_PATH, handler=PublicPages.style),
)
"""Every route of the public pages."""


def wants_page(accept: str | None) -> bool:
    """Whether an `Accept` names HTML, and nothing of JSON that it would rather have."""
    weights = {
        found[1].lower(): float(found[2] or 1)
        for part in (accept or "").split(",")
        if (found := _WEIGHTED.match(part))
    }
    return weights.get("text/html", 0.0) > weights.get(_JSON, 0.0)


def landing_document(origin: str) -> bytes:
    """Where everything is, for programs."""
    paths = {
        "incidents": "/api/incidents",
        "reference": "/reference",
        "openapi": "/openapi.json",
        "health": "/healthz",
        "readiness": "/readyz",
    }
    addresses = {name: f"{origin}{path}" for name, path in paths.items()}
    return msgspec.json.encode({"name": "Vigie", "version": __version__, **addresses})


def landing_page(context: PageContext, origin: str) -> Html:
    """Where everything is, for people."""
    return render("landing.html", context, incidents_url=f"{origin}/api/incidents")


def reference_page(context: PageContext) -> Html:
    """The page that starts Redoc, in English as the document is."""
    return render("reference.html", context)
