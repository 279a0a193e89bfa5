"""How an incident is graded: which determination goes with which classification.

Source: contract 5.7, 9 and 13; the names of the update page are kept, those of the resource-type page taken for
them.
"""

from collections.abc import Iterator

from vigie.core.refusals import InvalidBody, said

UNKNOWN = "Unknown"
NOT_AVAILABLE = "NotAvailable"

DETERMINATIONS = {
    UNKNOWN: (),
    "TruePositive": (
        "MultiStagedAttack",
        "MaliciousUserActivity",
        "CompromisedAccount",
        "Malware",
        "Phishing",
        "UnwantedSoftware",
        "Other",
    ),
    "InformationalExpectedActivity": (
        "SecurityTesting",
        "LineOfBusinessApplication",
        "ConfirmedActivity",
        "Other",
    ),
    "FalsePositive": ("Clean", "NoEnoughDataToValidate", "Other"),
}
"""What may be set; `NotAvailable` always may."""

ALIASES = {
    "Informational, expected activity": "InformationalExpectedActivity",
    "CompromisedUser": "CompromisedAccount",
    "ConfirmedUserActivity": "ConfirmedActivity",
    "InsufficientData": "NoEnoughDataToValidate",
}
"""Other spellings that clients send, and the names they are kept under."""

ONCE_ALLOWED = {"TruePositive": ("Apt", "SecurityPersonnel", "SecurityTesting")}
"""What old incidents may still carry."""


def classification_named(name: str) -> str:
    """The classification of a name, aliases included. Raises InvalidBody."""
    known = ALIASES.get(name, name)
    if known not in DETERMINATIONS:
        raise InvalidBody(
            f"'{said(name[:60])}' is not a classification; there are {', '.join(DETERMINATIONS)}."
        )
    return known


def determination_named(name: str) -> str:
    """The determination of a name, whatever its classification, aliases included. Raises InvalidBody."""
    known = ALIASES.get(name, name)
    if known not in _all_determinations():
        names = ", ".join(dict.fromkeys(_all_determinations()))
        raise InvalidBody(f"'{said(name[:60])}' is not a determination; there are {names}.")
    return known


def check_pair(classification: str, determination: str) -> None:
    """See that a determination may be set beside a classification. Raises InvalidBody, naming those that may."""
    allowed = _beside(classification)
    if determination in (NOT_AVAILABLE, *allowed):
        return
    if not allowed:
        raise InvalidBody(
            f"The determination '{determination}' needs a classification; beside "
            f"'{said(classification[:60])}' only {NOT_AVAILABLE} is allowed."
        )
    raise InvalidBody(
        f"The determination '{determination}' does not go with the classification '{classification}'; "
        f"allowed: {', '.join((*allowed, NOT_AVAILABLE))}."
    )


def may_stay(classification: str, determination: str) -> bool:
    """Whether a stored determination still goes with a new classification, in whatever spelling it is stored."""
    allowed = (NOT_AVAILABLE, *_beside(classification), *ONCE_ALLOWED.get(classification, ()))
    return ALIASES.get(determination, determination) in allowed


def _beside(classification: str) -> tuple[str, ...]:
    return DETERMINATIONS.get(ALIASES.get(classification, classification), ())


def _all_determinations() -> Iterator[str]:
    for row in DETERMINATIONS.values():
        yield from row
    yield NOT_AVAILABLE
