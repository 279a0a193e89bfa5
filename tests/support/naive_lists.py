"""Lists worked out without a database: filters over documents, sorting, slicing."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.builders import Document
from vigie.api.defender.properties import PROPERTIES
from vigie.core.access import DeviceGroupLabel, Exposure
from vigie.core.conditions import And, Comparison, Expression, Not, Operator, Or, Property
from vigie.core.instants import Instant, parse_instant
from vigie.core.queries import Order, PageRequest
from vigie.documents.defender.redaction import redact

NAMES = {described.property: name for name, described in PROPERTIES.items()}
"""The properties by their keys in a document."""

TIMES = (Property.LAST_UPDATE_TIME, Property.CREATED_TIME)


def value_of(incident: Mapping[str, Any], property_: Property) -> Any:
    """A property as it is compared: a time as its instant."""
    if property_ in TIMES:
        return parse_instant(incident[NAMES[property_]])
    return incident.get(NAMES[property_])


def holds(expression: Expression | None, incident: Mapping[str, Any]) -> bool:
    """Whether an incident matches."""
    match expression:
        case None:
            return True
        case And(parts):
            return all(holds(part, incident) for part in parts)
        case Or(parts):
            return any(holds(part, incident) for part in parts)
        case Not(part):
            return not holds(part, incident)
        case Comparison(property_, operator, value):
            return compares(value_of(incident, property_), operator, value)


def compares(left: Any, operator: Operator, right: Any) -> bool:
    """As OData compares: null equals null alone, and is neither more nor less than anything."""
    if operator is Operator.EQ:
        return bool(left == right)
    if operator is Operator.NE:
        return bool(left != right)
    if left is None or right is None:
        return False
    answers = {
        Operator.GT: left > right,
        Operator.GE: left >= right,
        Operator.LT: left < right,
        Operator.LE: left <= right,
    }
    return bool(answers[operator])


def listed(
    incidents: Sequence[Document],
    exposure: Exposure,
    request: PageRequest,
    *,
    retained_since: Instant | None = None,
) -> list[Document]:
    """All that a request finds, over all pages, as the exposure lets it be seen."""
    matching = [each for each in incidents if holds(request.filter, each)]
    kept = [each for each in matching if retained_since is None or _updated(each) >= retained_since]
    kept.sort(key=lambda each: int(each["incidentId"]))
    # From the last term to the first: sorting keeps the order of what is equal.
    for term in reversed(request.whole_order):
        kept.sort(key=lambda each, term=term: _sort_key(each, term), reverse=term.is_descending)  # type: ignore[misc]
    by_number = {each["incidentId"]: each for each in incidents}
    seen = (redact(each, exposure, inherited_by(each, by_number)) for each in kept)
    return [each for each in seen if each is not None]


def inherited_by(incident: Document, incidents: Mapping[int, Document]) -> frozenset[DeviceGroupLabel | None]:
    """What the end of an incident's redirects is visible by; nothing, where they have no end."""
    passed: set[int] = set()
    while not incident["alerts"] and is_redirected(incident):
        passed.add(incident["incidentId"])
        target = incident.get("redirectIncidentId")
        if target is None or target in passed or target not in incidents:
            return frozenset()
        incident = incidents[target]
    labels: set[DeviceGroupLabel | None] = set()
    for alert in incident["alerts"]:
        labels.update([label_of(device) for device in alert["devices"]] or [None])
    return frozenset(labels if incident["alerts"] else [None])


def is_redirected(incident: Document) -> bool:
    """Whether it says that it was merged into another."""
    return incident["status"] == "Redirected" or incident.get("redirectIncidentId") is not None


def label_of(device: Document) -> DeviceGroupLabel:
    """By what a scope would name the group of a device."""
    return device.get("rbacGroupId") or device.get("rbacGroupName") or "Ungrouped devices"


def _updated(incident: Document) -> Instant:
    return parse_instant(incident["lastUpdateTime"])


def _sort_key(incident: Document, term: Order) -> tuple[bool, Any]:
    """Nobody comes before everybody."""
    value = value_of(incident, term.property)
    return (value is not None, 0 if value is None else value)
