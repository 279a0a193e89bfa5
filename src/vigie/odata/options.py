"""Query options, from the query string as clients send it: `$filter`, `$orderby`, `$top`, `$skip`, `$count`."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes, urlencode

from vigie.core.errors import user_text
from vigie.core.letter_case import lowered
from vigie.core.queries import DEFAULT_ORDER, PAGE_SIZE_MAX, SKIP_MAX, PageRequest
from vigie.odata.errors import InvalidOption
from vigie.odata.filters import parse_filter
from vigie.odata.ordering import parse_order
from vigie.odata.properties import Properties

OPTIONS = ("$filter", "$top", "$skip", "$orderby", "$count")


def parse_page_request(query: bytes, properties: Properties) -> PageRequest:
    """The page that a query string asks for. Raises InvalidOption, naming the option.

    Empty parameters and those that are not options are ignored, also one without a name: what is left of
    `$filter` when PowerShell has expanded it to nothing.
    """
    options: dict[str, str] = {}
    for name, value in options_of(query):
        if value and name not in OPTIONS:
            raise InvalidOption(
                f"the query option '{name[:60]}' cannot be used; allowed: {', '.join(OPTIONS)}"
            )
        if value and options.setdefault(name, value) != value:
            raise InvalidOption(f"the query option '{name}' stands twice with different values")
    return PageRequest(
        filter=parse_filter(options["$filter"], properties) if "$filter" in options else None,
        order=parse_order(options["$orderby"], properties) if "$orderby" in options else DEFAULT_ORDER,
        top=_number("$top", options["$top"], 0, PAGE_SIZE_MAX) if "$top" in options else None,
        skip=_number("$skip", options.get("$skip", "0"), 0, SKIP_MAX),
        count=_boolean("$count", options.get("$count", "false")),
    )


def query_of_next_page(query: bytes, skip: int) -> str:
    """The same query, further on."""
    kept = [(name, value) for name, value in options_of(query) if name != "$skip" and value]
    return urlencode([*kept, ("$skip", str(skip))], safe="$")


def options_of(query: bytes) -> Iterator[tuple[str, str]]:
    """The parameters whose names begin with `$`, bare or encoded, in lower case."""
    if b"$" not in query and b"%24" not in query:
        return
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        option = lowered(_unquoted(name).decode(errors="replace").strip())
        if option.startswith("$"):
            try:
                yield option, _unquoted(value).decode().strip()
            except UnicodeDecodeError as error:
                raise InvalidOption(f"the query option '{option[:60]}' is not UTF-8") from error


def _unquoted(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not lowest <= int(text) <= highest:
        raise InvalidOption(
            f"{name} must be a whole number from {lowest} to {highest}; it was '{user_text(text[:40])}'"
        )
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if lowered(text) not in ("true", "false"):
        raise InvalidOption(f"{name} must be true or false; it was '{user_text(text[:40])}'")
    return lowered(text) == "true"
