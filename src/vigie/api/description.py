"""The OpenAPI document of a server: one head, and a part for each API that it serves."""

import re
from collections.abc import Iterable
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec

from vigie.http.profile import OpenApiPart

HEAD = OpenApiPart(package="vigie.api")
"""What describes the server as a whole, and the components that APIs share."""

_COMPONENTS = "components"


class ApiDescription:
    """The document in YAML as it is kept, and in JSON as `building/hook.py` has made it. Each is merged once.

    All parts are declared before the document is asked for.
    """

    def __init__(self, parts: Iterable[OpenApiPart] = ()) -> None:
        self.parts = [*parts]

    def declare(self, parts: Iterable[OpenApiPart]) -> None:
        """Add the parts of more APIs, in this order."""
        self.parts += parts

    @cached_property
    def yaml(self) -> bytes:
        """The document, with the comments and in the layout of the files."""
        return _merged_yaml([_read(part, "openapi.yaml").decode() for part in (HEAD, *self.parts)]).encode()

    @cached_property
    def json(self) -> bytes:
        """The same in JSON."""
        return msgspec.json.encode(self.document())

    def document(self) -> dict[str, Any]:
        """The same as a new value."""
        merged, *parts = (
            msgspec.json.decode(_read(part, "openapi.json"), type=dict[str, Any])
            for part in (HEAD, *self.parts)
        )
        merged |= {"tags": [], "paths": {}}
        for part in parts:
            merged["tags"] += part["tags"]
            merged["paths"] |= part["paths"]
            for kind, named in part.get(_COMPONENTS, {}).items():
                merged[_COMPONENTS].setdefault(kind, {}).update(named)
        return merged


def _read(part: OpenApiPart, name: str) -> bytes:
    return files(part.package).joinpath(name).read_bytes()


def _merged_yaml(texts: Iterable[str], indent: str = "") -> str:
    """Texts of sections as one, sections of one name joined; of the components also their kinds.

    What stands above the first section is kept of the first text alone.
    """
    section = re.compile(rf"^{indent}(\w+):\n", re.MULTILINE)
    heads, bodies = list[str](), dict[str, list[str]]()
    for text in texts:
        head, *pieces = section.split(text)
        heads.append(head)
        for name, body in zip(pieces[::2], pieces[1::2], strict=True):
            bodies.setdefault(name, []).append(body.rstrip("\n") + "\n")
    merged = [
        (name, _merged_yaml(found, "  ") if name == _COMPONENTS else "\n".join(found))
        for name, found in bodies.items()
    ]
    return heads[0] + "\n".join(f"{indent}{name}:\n{body}" for name, body in merged)
