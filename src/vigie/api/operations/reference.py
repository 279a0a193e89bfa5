"""The description of the API, in YAML as it is kept and in JSON, and the page on which Redoc shows it."""

import gzip
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import msgspec

from vigie.api.operations.code_samples import ORIGIN, code_samples
from vigie.ui.html import Html, element

RENDERER_PATH = "/reference/redoc.js"
SHOWN_DOCUMENT_PATH = "/reference/openapi.json"

_METHODS = ("get", "post", "put", "patch", "delete")
_ALIAS = "/api/v1.0/"

_START_SCRIPT = """\
const place = document.querySelector("main");
// What scrolls by itself has to be reachable by keyboard.
const reachable = () => {
  for (const each of place.querySelectorAll("pre:not([tabindex])")) each.tabIndex = 0;
};
new MutationObserver(reachable).observe(place, {childList: true, subtree: true});
Redoc.init(
  "/reference/openapi.json",
  {
    nativeScrollbars: true,
    expandResponses: "200",
    downloadUrls: [
      {title: "openapi.yaml", url: "/openapi.yaml"},
      {title: "openapi.json", url: "/openapi.json"},
    ],
    theme: {typography: {fontFamily: "system-ui, sans-serif", headings: {fontFamily: "system-ui, sans-serif"}}},
  },
  place,
);
"""
_STYLE = "body { margin: 0; } noscript { display: block; padding: 2rem; font-family: system-ui, sans-serif; }"

_SHEET_OF_REDOC = "QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc="
"""The hash of the one style sheet that Redoc brings as text, that of its scrollbars."""


@cache
def openapi_yaml() -> bytes:
    """The document as it is kept."""
    return files("vigie.api.operations").joinpath("openapi.yaml").read_bytes()


@cache
def openapi_json() -> bytes:
    """The same in JSON, as `building/hook.py` has made it."""
    return files("vigie.api.operations").joinpath("openapi.json").read_bytes()


def shown_document(origin: str) -> bytes:
    """What the page shows: every call once, with samples that call the server at its own address."""
    return _shown_anywhere().replace(ORIGIN.encode(), origin.encode())


@cache
def renderer(*, packed: bool) -> bytes:
    """Redoc as it was published, compressed with gzip or not."""
    packed_bytes = files("vigie.api.operations").joinpath("vendored", "redoc.standalone.js.gz").read_bytes()
    return packed_bytes if packed else gzip.decompress(packed_bytes)


@cache
def reference_page() -> bytes:
    """The page on which Redoc is started."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", "Vigie: API reference"),
        element("link", rel="icon", href="data:,"),
        element("style", Html(_STYLE)),
    )
    without = element("p", "This page needs scripts. Without them, read ", _link("/openapi.yaml"), ".")
    body = element(
        "body",
        element("main", element("noscript", without)),
        element("script", src=RENDERER_PATH),
        element("script", Html(_START_SCRIPT)),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}".encode()


def reference_policy() -> bytes:
    """What the page may do: run our two scripts, read from this server, and take the sheets that are known.

    The empty sheet is the one that Redoc fills rule by rule, by a script. Its search runs in a worker that is
    made of a blob.
    """
    sheets = " ".join((_hash_of(_STYLE), f"'sha256-{_SHEET_OF_REDOC}'", _hash_of("")))
    return (
        f"default-src 'none'; script-src 'self' {_hash_of(_START_SCRIPT)}; style-src {sheets}; "
        "connect-src 'self'; img-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ).encode()


@cache
def _shown_anywhere() -> bytes:
    document: dict[str, Any] = msgspec.json.decode(openapi_json())
    document["paths"] = {
        path: _shown_path(path, item)
        for path, item in document["paths"].items()
        if not path.startswith(_ALIAS)
    }
    return msgspec.json.encode(document)


def _shown_path(path: str, item: dict[str, Any]) -> dict[str, Any]:
    """A path without HEAD, which is answered wherever GET is."""
    shown = {name: value for name, value in item.items() if name != "head"}
    for method in shown.keys() & set(_METHODS):
        shown[method] = _shown_call(path, method, shown[method])
    return shown


def _shown_call(path: str, method: str, call: dict[str, Any]) -> dict[str, Any]:
    """A call with samples, and with the permissions that open it: Redoc shows none for a bearer token."""
    names = [f"`{name}`" for way in call.get("security", ()) for names in way.values() for name in names]
    needs = f"\n\nOne of these permissions is needed: {', '.join(names)}." if names else ""
    description = call.get("description", "") + needs
    return call | {"description": description, "x-codeSamples": code_samples(path, method, call)}


def _link(path: str) -> Html:
    return element("a", path.removeprefix("/"), href=path)


def _hash_of(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
