"""The OpenAPI document as tests read it."""

from functools import cache
from typing import Any

import yaml

from tests.support.routes import APIS
from vigie.api.description import ApiDescription

DESCRIPTION = ApiDescription(api.OPENAPI for api in APIS if hasattr(api, "OPENAPI"))


@cache
def openapi_document() -> dict[str, Any]:
    """The document, read once in a process by libyaml: the parser in Python takes a second for it."""
    document: dict[str, Any] = yaml.load(DESCRIPTION.yaml, Loader=yaml.CSafeLoader)
    return document
