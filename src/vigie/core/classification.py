"""Determinations beside classifications: which may be set, and which may stay."""

from vigie.core.enums import Classification, Determination

DETERMINATIONS = {
    Classification.UNKNOWN: (),
    Classification.TRUE_POSITIVE: (
        Determination.MULTI_STAGED_ATTACK,
        Determination.MALICIOUS_USER_ACTIVITY,
        Determination.COMPROMISED_ACCOUNT,
        Determination.MALWARE,
        Determination.PHISHING,
        Determination.SECURITY_TESTING,
        Determination.UNWANTED_SOFTWARE,
        Determination.OTHER,
    ),
    Classification.INFORMATIONAL_EXPECTED_ACTIVITY: (
        Determination.SECURITY_TESTING,
        Determination.LINE_OF_BUSINESS_APPLICATION,
        Determination.CONFIRMED_ACTIVITY,
        Determination.OTHER,
    ),
    Classification.FALSE_POSITIVE: (
        Determination.CLEAN,
        Determination.NOT_ENOUGH_DATA_TO_VALIDATE,
        Determination.OTHER,
    ),
}
"""The determinations that may be set beside a classification; NOT_AVAILABLE always may."""

ONCE_ALLOWED = {Classification.TRUE_POSITIVE: (Determination.APT, Determination.SECURITY_PERSONNEL)}
"""The determinations that old incidents may still carry."""

SETTABLE = tuple(
    dict.fromkeys((*(each for row in DETERMINATIONS.values() for each in row), Determination.NOT_AVAILABLE))
)
"""The determinations that may be set beside some classification."""


def determinations_beside(classification: Classification | None) -> tuple[Determination, ...]:
    """The determinations that may be set; None is a classification that nobody knows."""
    row = DETERMINATIONS[classification] if classification else ()
    return (*row, Determination.NOT_AVAILABLE)


def may_stay(classification: Classification, determination: Determination | None) -> bool:
    """Whether a stored determination still goes with a new classification; None is one that nobody knows."""
    return determination in (*determinations_beside(classification), *ONCE_ALLOWED.get(classification, ()))
