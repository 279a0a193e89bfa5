"""What the server says of itself at `/`: a page for browsers, the same as JSON for programs."""

import re
from urllib.parse import urlsplit

import msgspec

from vigie import __version__
from vigie.ui.html import Child, Html, element
from vigie.ui.layout import heading, page
from vigie.ui.texts import Texts

_WEIGHTED = re.compile(r"\s*([a-z]+/[a-z+.-]+)\s*(?:;[^,]*?q\s*=\s*([01](?:\.[0-9]{0,3})?))?", re.IGNORECASE)


def wants_page(accept: str | None) -> bool:
    """Whether an `Accept` names HTML, and nothing of JSON that it would rather have."""
    weights = {
        found[1].lower(): float(found[2] or 1)
        for part in (accept or "").split(",")
        if (found := _WEIGHTED.match(part))
    }
    return weights.get("text/html", 0.0) > weights.get("application/json", 0.0)


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


def landing_page(texts: Texts, origin: str) -> Html:
    """Where everything is, for people."""
    address = element("code", f"{origin}/api/incidents")
    return page(
        texts,
        texts.landing,
        heading(texts.landing),
        element("p", texts.landing_note),
        element("p", texts.landing_incidents, " ", address),
        element(
            "ul",
            _item(_link("/reference", texts.landing_reference)),
            _item(_link("/openapi.json"), ", ", _link("/openapi.yaml"), texts.landing_openapi),
            _item(_link("/readyz"), texts.landing_readiness),
        ),
        element("p", texts.landing_independent, class_="hint"),
        host=urlsplit(origin).netloc,
    )


def _item(*children: Child) -> Html:
    return element("li", *children)


def _link(path: str, text: str | None = None) -> Html:
    return element("a", text or path.removeprefix("/"), href=path)
