"""The words of Defender incident documents for the enumerations.

Aliases are the words of other pages of the documentation, of the portal and of clients: docs/divergences.md,
"Grading".
"""

from vigie.core.enums import Classification, Determination, Severity, Status
from vigie.documents.spelling import Spelling

STATUSES = Spelling(
    {
        "Active": Status.ACTIVE,
        "InProgress": Status.IN_PROGRESS,
        "Resolved": Status.RESOLVED,
        "Redirected": Status.REDIRECTED,
    }
)

SEVERITIES = Spelling(
    {
        "UnSpecified": Severity.UNSPECIFIED,
        "Informational": Severity.INFORMATIONAL,
        "Low": Severity.LOW,
        "Medium": Severity.MEDIUM,
        "High": Severity.HIGH,
    }
)

CLASSIFICATIONS = Spelling(
    {
        "Unknown": Classification.UNKNOWN,
        "TruePositive": Classification.TRUE_POSITIVE,
        "InformationalExpectedActivity": Classification.INFORMATIONAL_EXPECTED_ACTIVITY,
        "FalsePositive": Classification.FALSE_POSITIVE,
    },
    {"Informational, expected activity": Classification.INFORMATIONAL_EXPECTED_ACTIVITY},
)

DETERMINATIONS = Spelling(
    {
        "NotAvailable": Determination.NOT_AVAILABLE,
        "MultiStagedAttack": Determination.MULTI_STAGED_ATTACK,
        "MaliciousUserActivity": Determination.MALICIOUS_USER_ACTIVITY,
        "CompromisedAccount": Determination.COMPROMISED_ACCOUNT,
        "Malware": Determination.MALWARE,
        "Phishing": Determination.PHISHING,
        "SecurityTesting": Determination.SECURITY_TESTING,
        "UnwantedSoftware": Determination.UNWANTED_SOFTWARE,
        "Other": Determination.OTHER,
        "LineOfBusinessApplication": Determination.LINE_OF_BUSINESS_APPLICATION,
        "ConfirmedActivity": Determination.CONFIRMED_ACTIVITY,
        "Clean": Determination.CLEAN,
        "NoEnoughDataToValidate": Determination.NOT_ENOUGH_DATA_TO_VALIDATE,
        "Apt": Determination.APT,
        "SecurityPersonnel": Determination.SECURITY_PERSONNEL,
    },
    {
        "CompromisedUser": Determination.COMPROMISED_ACCOUNT,
        "ConfirmedUserActivity": Determination.CONFIRMED_ACTIVITY,
        "InsufficientData": Determination.NOT_ENOUGH_DATA_TO_VALIDATE,
        "NotEnoughDataToValidate": Determination.NOT_ENOUGH_DATA_TO_VALIDATE,
        "NotMalicious": Determination.CLEAN,
    },
)
