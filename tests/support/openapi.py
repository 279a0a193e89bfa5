"""The OpenAPI document as tests read it."""

from functools import cache
from typing import Any

import yaml

from vigie.api.operations.reference import openapi_yaml


@cache
def openapi_document() -> dict[str, Any]:
    """The document, read once in a process by libyaml: the parser in Python takes a second for it."""
    document: dict[str, Any] = yaml.load(openapi_yaml(), Loader=yaml.CSafeLoader)
    return document
