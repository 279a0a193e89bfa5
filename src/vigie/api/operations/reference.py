"""The OpenAPI document as the reference page shows it, and the script that the page loads."""

import gzip
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import msgspec

from vigie.api.description import ApiDescription
from vigie.api.operations.code_samples import ORIGIN, code_samples

RENDERER_PATH = "/reference/redoc.js"
SHOWN_DOCUMENT_PATH = "/reference/openapi.json"

_METHODS = ("get", "post", "put", "patch", "delete")


class ShownDocument:
    """What the page shows: every call once, with samples that call the server at its own address."""

    def __init__(self, description: ApiDescription) -> None:
        self._description = description

    def for_origin(self, origin: str) -> bytes:
        """The document, for a server that is called by an origin."""
        return self._for_any_origin.replace(ORIGIN.encode(), origin.encode())

    @cached_property
    def _for_any_origin(self) -> bytes:
        parts = self._description.parts
        aliases = tuple(prefix for part in parts for prefix in part.alias_prefixes)
        queries = {path: query for part in parts for path, query in part.sample_queries.items()}
        document = self._description.document()
        document["paths"] = {
            path: _shown_path(path, item, queries.get(path, {}))
            for path, item in document["paths"].items()
            if not path.startswith(aliases)
        }
        return msgspec.json.encode(document)


@cache
def renderer(*, packed: bool) -> bytes:
    """Redoc as it was published, compressed with gzip or not."""
    packed_bytes = files("vigie.api.operations").joinpath("vendored", "redoc.standalone.js.gz").read_bytes()
    return packed_bytes if packed else gzip.decompress(packed_bytes)


def _shown_path(path: str, item: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """A path without HEAD, which is answered wherever GET is."""
    shown = {name: value for name, value in item.items() if name != "head"}
    for method in shown.keys() & set(_METHODS):
        shown[method] = _shown_call(path, method, shown[method], query)
    return shown


def _shown_call(path: str, method: str, call: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """A call with samples, and with the permissions that open it: Redoc shows none for a bearer token."""
    names = [f"`{name}`" for way in call.get("security", ()) for names in way.values() for name in names]
    needs = f"\n\nOne of these permissions is needed: {', '.join(names)}." if names else ""
    description = call.get("description", "") + needs
    return call | {"description": description, "x-codeSamples": code_samples(path, method, call, query)}
