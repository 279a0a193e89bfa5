"""The OpenAPI document as tests read it."""

from functools import cache
from typing import Any

import yaml

from vigie.api.defender import handlers as defender
from vigie.api.description import ApiDescription
from vigie.api.oauth import endpoints as oauth
from vigie.api.operations import handlers as operations

DESCRIPTION = ApiDescription((defender.OPENAPI, oauth.OPENAPI, operations.OPENAPI))


@cache
def openapi_document() -> dict[str, Any]:
    """The document, read once in a process by libyaml: the parser in Python takes a second for it."""
    document: dict[str, Any] = yaml.load(DESCRIPTION.yaml, Loader=yaml.CSafeLoader)
    return document
