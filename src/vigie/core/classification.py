"""How an incident is graded: which determination goes with which classification.

Source: contract 5.7, 9 and 13, amendments A6 to A8; the names of the update page are the documented ones, and those
of other pages and of the portal are aliases of them.
"""

from collections.abc import Iterable

from vigie.core.errors import InvalidBody, user_text
from vigie.core.letter_case import canonical

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
        "SecurityTesting",
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

CLASSIFICATION_ALIASES = {"Informational, expected activity": "InformationalExpectedActivity"}
"""A label that clients send for a classification; it is always stored as the documented word."""

DETERMINATION_ALIASES = {
    "CompromisedUser": "CompromisedAccount",
    "ConfirmedUserActivity": "ConfirmedActivity",
    "InsufficientData": "NoEnoughDataToValidate",
    "NotEnoughDataToValidate": "NoEnoughDataToValidate",
    "NotMalicious": "Clean",
}
"""Other words that clients send for a determination. docs/divergences.md, "Grading"."""

ONCE_ALLOWED = {"TruePositive": ("Apt", "SecurityPersonnel")}
"""What old incidents may still carry."""

_CLASSIFICATIONS = (*DETERMINATIONS, *CLASSIFICATION_ALIASES)
_DOCUMENTED = tuple(
    dict.fromkeys((*(name for row in DETERMINATIONS.values() for name in row), NOT_AVAILABLE))
)
_DETERMINATIONS = (*_DOCUMENTED, *DETERMINATION_ALIASES)


def classification_named(name: str) -> str:
    """The documented classification of a name in any letter case, aliases included. Raises InvalidBody."""
    found = canonical(name, _CLASSIFICATIONS)
    if found is None:
        raise InvalidBody(_no_such("classification", name, DETERMINATIONS))
    return CLASSIFICATION_ALIASES.get(found, found)


def determination_named(name: str, *, as_sent: bool = False) -> str:
    """The determination of a name in any letter case, whatever its classification. Raises InvalidBody.

    An alias becomes the documented word, unless it is to be kept `as_sent`; its case is canonical either way.
    """
    found = canonical(name, _DETERMINATIONS)
    if found is None:
        raise InvalidBody(_no_such("determination", name, _DOCUMENTED))
    return found if as_sent else DETERMINATION_ALIASES.get(found, found)


def check_pair(classification: str, determination: str) -> None:
    """See that a determination may be set beside a classification. Raises InvalidBody, naming those that may."""
    allowed = _beside(classification)
    if _documented(determination) in (NOT_AVAILABLE, *allowed):
        return
    if not allowed:
        raise InvalidBody(
            f"The determination '{determination}' needs a classification; beside "
            f"'{user_text(classification[:60])}' only {NOT_AVAILABLE} is allowed."
        )
    raise InvalidBody(
        f"The determination '{determination}' does not go with the classification '{classification}'; "
        f"allowed: {', '.join((*allowed, NOT_AVAILABLE))}."
    )


def may_stay(classification: str, determination: str) -> bool:
    """Whether a stored determination still goes with a new classification, in whatever spelling it is stored."""
    once = ONCE_ALLOWED.get(classification, ())
    return (
        _documented(determination) in (NOT_AVAILABLE, *_beside(classification))
        or canonical(determination, once) is not None
    )


def _beside(classification: str) -> tuple[str, ...]:
    found = canonical(classification, _CLASSIFICATIONS) or ""
    return DETERMINATIONS.get(CLASSIFICATION_ALIASES.get(found, found), ())


def _documented(determination: str) -> str | None:
    found = canonical(determination, _DETERMINATIONS)
    return None if found is None else DETERMINATION_ALIASES.get(found, found)


def _no_such(kind: str, name: str, names: Iterable[str]) -> str:
    return f"'{user_text(name[:60])}' is not a {kind}; there are {', '.join(names)}."
