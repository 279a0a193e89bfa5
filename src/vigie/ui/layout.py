"""What all pages have in common: the card, the mark, and the pieces that forms are made of."""

from functools import cache
from importlib.resources import files

from vigie.ui.html import Child, Html, element, filled, fragment
from vigie.ui.texts import Texts

STYLE_PATH = "/signin.css"

SEND_ONCE_SCRIPT = (
    'let sent=false;addEventListener("submit",event=>{if(sent)event.preventDefault();'
    "else{sent=true;setTimeout(()=>{sent=false},3000)}})"
)
"""Of a double click the second half is lost: a form is good once, and the second answer would be that it was."""

_MARK = element(
    "svg",
    element("path", d="M9 6.2 1.5 3.4v6.6L9 8.2zM15 6.2l7.5-2.8v6.6L15 8.2z", opacity=".45"),
    element(
        "path", d="M12 1.5 8.2 5h7.6zM9.4 5.6h5.2v3H9.4zM7.6 9.2h8.8v1.6H7.6zM9.3 11.4h5.4l1.5 11.1H7.8z"
    ),
    viewBox="0 0 24 24",
    width="28",
    height="28",
    fill="currentColor",
    aria_hidden="true",
    focusable="false",
)


@cache
def style() -> bytes:
    """The style sheet that every page asks for as `STYLE_PATH`."""
    return files("vigie.ui").joinpath("pages.css").read_bytes()


def page(texts: Texts, title: str, *children: Child, host: str, is_error: bool = False) -> Html:
    """A page with one card on it; its title is read first, so it says when something is wrong."""
    in_title = f"{texts.error_in_title}: {title}" if is_error else title
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="robots", content="noindex"),
        element("title", f"{in_title} · {texts.own_name}"),
        element("link", rel="stylesheet", href=STYLE_PATH),
    )
    body = element(
        "body",
        element("header", _MARK, element("span", texts.own_name)),
        element("main", *children),
        element("footer", element("p", filled(texts.address, host=element("strong", host)))),
    )
    return Html("<!doctype html>\n" + element("html", head, body, lang=texts.language))


def form(action: str, sealed: str, *children: Child, class_: str | None = None) -> Html:
    """A form of ours, with the seal that makes it this browser's."""
    hidden = element("input", type="hidden", name="errand", value=sealed)
    made = element("form", hidden, *children, method="post", action=action, class_=class_)
    return fragment(made, element("script", Html(SEND_ONCE_SCRIPT)))


def field(name: str, label: str, *, hint: str | None = None, **attributes: str | bool | None) -> Html:
    """An input that must be filled in, under its label and above its hint."""
    described = f"{name}-hint" if hint else None
    return element(
        "div",
        element("label", label, for_=name),
        element("input", id=name, name=name, required=True, aria_describedby=described, **attributes),
        element("p", hint, id=described, class_="hint") if hint else None,
        class_="field",
    )


def problem(title: str, text: str) -> Html:
    """What is wrong, in front of a form: read out at once, and where the keyboard starts."""
    return element(
        "div",
        element("p", element("strong", title)),
        element("p", text),
        class_="problem",
        role="alert",
        tabindex="-1",
        autofocus=True,
    )


def heading(title: str | Html, under: str | Html | None = None) -> Html:
    """The heading of a card, and a line under it."""
    return fragment(element("h1", title), element("p", under, class_="lead") if under else None)
