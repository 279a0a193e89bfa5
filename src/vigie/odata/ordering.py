"""The grammar of `$orderby`."""

from vigie.core.queries import Order
from vigie.odata.errors import InvalidOption
from vigie.odata.properties import Properties, allowed


def parse_order(text: str, properties: Properties) -> tuple[Order, ...]:
    """The terms of a `$orderby`. Raises InvalidOption, naming what is allowed."""
    terms = tuple(_order(term.split(), properties) for term in text.split(","))
    if len({term.property for term in terms}) < len(terms):
        raise _refusal("a property stands twice")
    return terms


def _order(words: list[str], properties: Properties) -> Order:
    if not 1 <= len(words) <= 2 or [word.lower() for word in words[1:]] not in ([], ["asc"], ["desc"]):
        raise _refusal("it is a list of properties, each with 'asc' or 'desc' behind it or nothing")
    found = properties.get(words[0])
    if found is None:
        raise _refusal(f"the property '{words[0][:60]}' cannot be used; {allowed(properties)}")
    return Order(found.property, is_descending=words[-1].lower() == "desc")


def _refusal(reason: str) -> InvalidOption:
    return InvalidOption(f"$orderby: {reason}")
