"""Pages rendered from Jinja2 templates, which load with the first page and not at the start of the server."""

from asyncio import to_thread
from functools import cache
from typing import TYPE_CHECKING, NewType
from urllib.parse import urlsplit

import msgspec

from vigie.http.exchange import Exchange
from vigie.ui.languages import SOURCE_LANGUAGE, language_for, translations_of
from vigie.ui.style_sheet import STYLE_PATH

if TYPE_CHECKING:
    from jinja2 import Environment

Html = NewType("Html", str)
"""A whole page. Only `render` makes one, so that nothing reaches a browser without having been escaped."""

_loaded: set[str] = set()
"""The languages whose templates are compiled."""


class PageContext(msgspec.Struct, frozen=True, kw_only=True):
    """Values that every page needs: its language, and the host that people see in their browser."""

    language: str
    host: str


async def page_context(exchange: Exchange, language: str | None = None) -> PageContext:
    """The context of pages that answer this request, in this language or in the one that it asks for."""
    language = language or language_for(exchange.header(b"accept-language"))
    if language not in _loaded:
        # On a thread: this takes some 80 ms once, and every other request would wait as long.
        await to_thread(_load_templates, language)
        _loaded.add(language)
    return PageContext(language=language, host=urlsplit(exchange.origin).netloc)


def _load_templates(language: str) -> None:
    loaded = environment(language)
    for template in loaded.list_templates():
        loaded.get_template(template)


def render(template: str, context: PageContext, **values: object) -> Html:
    """The page that a template makes of these values. Raises UndefinedError for a value that it lacks."""
    found = environment(context.language).get_template(template)
    return Html(found.render(language=context.language, host=context.host, style_path=STYLE_PATH, **values))


@cache
def source_of(inline_file: str) -> str:
    """A script or style sheet as templates include it, letter by letter: policies hold its hash."""
    return environment(SOURCE_LANGUAGE).get_template(inline_file).render()


@cache
def environment(language: str) -> "Environment":
    """Jinja2 with the templates in one language. All values are escaped, and a missing one is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("vigie.ui"),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(translations_of(language), newstyle=True)  # type: ignore[attr-defined]
    return made
