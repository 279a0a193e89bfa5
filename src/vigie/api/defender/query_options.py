"""The query options of a list, from the query string as clients send it.

Source: contract section 8; clients.md, rules 14 and 15.
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes, urlencode

from vigie.core.errors import InvalidQuery, user_text
from vigie.core.filters import parse_filter
from vigie.core.letter_case import lowered
from vigie.core.queries import DEFAULT_ORDER, PAGE_SIZE_MAX, SKIP_MAX, PageRequest, parse_order

OPTIONS = ("$filter", "$top", "$skip", "$orderby", "$count")


def parse_page_request(query: bytes) -> PageRequest:
    """What a list is asked for. Raises InvalidQuery, naming the option.

    Empty parameters and those that are not options are ignored, also one without a name: what is left of
    `$filter` when PowerShell has expanded it to nothing.
    """
    options: dict[str, str] = {}
    for name, value in _options(query):
        if value and name not in OPTIONS:
            raise _refusal(f"the query option '{name[:60]}' cannot be used; allowed: {', '.join(OPTIONS)}")
        if value and options.setdefault(name, value) != value:
            raise _refusal(f"the query option '{name}' stands twice with different values")
    return PageRequest(
        filter=parse_filter(options["$filter"]) if "$filter" in options else None,
        order=parse_order(options["$orderby"]) if "$orderby" in options else DEFAULT_ORDER,
        top=_number("$top", options["$top"], 0, PAGE_SIZE_MAX) if "$top" in options else None,
        skip=_number("$skip", options.get("$skip", "0"), 0, SKIP_MAX),
        count=_boolean("$count", options.get("$count", "false")),
    )


def refuse_query_options(query: bytes) -> None:
    """Where no option is known. Raises InvalidQuery for the first that is given."""
    for name, _ in _options(query):
        raise _refusal(f"the query option '{name[:60]}' cannot be used for a single incident")


def query_of_next_page(query: bytes, skip: int) -> str:
    """The same query, further on."""
    kept = [(name, value) for name, value in _options(query) if name != "$skip" and value]
    return urlencode([*kept, ("$skip", str(skip))], safe="$")


def _options(query: bytes) -> Iterator[tuple[str, str]]:
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
                raise _refusal(f"the query option '{option[:60]}' is not UTF-8") from error


def _unquoted(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or not lowest <= int(text) <= highest:
        raise _refusal(
            f"{name} must be a whole number from {lowest} to {highest}; it was '{user_text(text[:40])}'"
        )
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if lowered(text) not in ("true", "false"):
        raise _refusal(f"{name} must be true or false; it was '{user_text(text[:40])}'")
    return lowered(text) == "true"


def _refusal(reason: str) -> InvalidQuery:
    return InvalidQuery(f"Invalid OData URI query: {reason}.")
