"""The OpenAPI document in YAML and JSON, and the files that the reference page loads."""

import gzip
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from vigie.api.operations.code_samples import ORIGIN, code_samples

RENDERER_PATH = "/reference/redoc.js"
SHOWN_DOCUMENT_PATH = "/reference/openapi.json"

_METHODS = ("get", "post", "put", "patch", "delete")
_ALIAS = "/api/v1.0/"


@cache
def openapi_yaml() -> bytes:
    """The document as it is kept."""
    return files("vigie.api.operations").joinpath("openapi.yaml").read_bytes()


@cache
def openapi_json() -> bytes:
    """The same in JSON, as `building/hook.py` has made it."""
    return files("vigie.api.operations").joinpath("openapi.json").read_bytes()


def shown_document(origin: str) -> bytes:
    """The document of the reference page: every call once, with samples that call the server at its own address."""
    return _shown_anywhere().replace(ORIGIN.encode(), origin.encode())


@cache
def renderer(*, packed: bool) -> bytes:
    """Redoc as it was published, compressed with gzip or not."""
    packed_bytes = files("vigie.api.operations").joinpath("vendored", "redoc.standalone.js.gz").read_bytes()
    return packed_bytes if packed else gzip.decompress(packed_bytes)


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
