"""The query options of the Defender API: its property names and its messages around the grammar of OData.

Which options a list takes: docs/api/list-incidents.md.
"""

from vigie.api.defender.properties import PROPERTIES
from vigie.core.conditions import Expression
from vigie.core.errors import InvalidQuery
from vigie.core.queries import PageRequest
from vigie.odata import filters, options
from vigie.odata.errors import InvalidOption


def parse_page_request(query: bytes) -> PageRequest:
    """The page that a query string asks for. Raises InvalidQuery, naming the option."""
    try:
        return options.parse_page_request(query, PROPERTIES)
    except InvalidOption as error:
        raise _refusal(error) from error


def parse_filter(text: str) -> Expression:
    """The expression of a `$filter` alone. Raises InvalidQuery."""
    try:
        return filters.parse_filter(text, PROPERTIES)
    except InvalidOption as error:
        raise _refusal(error) from error


def refuse_query_options(query: bytes) -> None:
    """Raise InvalidQuery for the first query option: a single incident takes none."""
    try:
        name = next((name for name, _ in options.options_of(query)), None)
    except InvalidOption as error:
        raise _refusal(error) from error
    if name is not None:
        raise _refusal(f"the query option '{name[:60]}' cannot be used for a single incident")


def _refusal(reason: InvalidOption | str) -> InvalidQuery:
    return InvalidQuery(f"Invalid OData URI query: {reason}.")
