"""The enumerations of an incident.

The value of a member is what the database stores. How a document or an API spells it is that form's.
"""

from enum import StrEnum


class Status(StrEnum):
    """How far the work on an incident is. A redirected one was merged into another."""

    ACTIVE = "Active"
    IN_PROGRESS = "InProgress"
    RESOLVED = "Resolved"
    REDIRECTED = "Redirected"


class Severity(StrEnum):
    """How much harm an incident or an alert may do."""

    UNSPECIFIED = "UnSpecified"
    INFORMATIONAL = "Informational"
    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class Classification(StrEnum):
    """Whether it was an attack."""

    UNKNOWN = "Unknown"
    TRUE_POSITIVE = "TruePositive"
    INFORMATIONAL_EXPECTED_ACTIVITY = "InformationalExpectedActivity"
    FALSE_POSITIVE = "FalsePositive"


class Determination(StrEnum):
    """What it was. `core/classification.py` says which goes with which classification."""

    NOT_AVAILABLE = "NotAvailable"
    MULTI_STAGED_ATTACK = "MultiStagedAttack"
    MALICIOUS_USER_ACTIVITY = "MaliciousUserActivity"
    COMPROMISED_ACCOUNT = "CompromisedAccount"
    MALWARE = "Malware"
    PHISHING = "Phishing"
    SECURITY_TESTING = "SecurityTesting"
    UNWANTED_SOFTWARE = "UnwantedSoftware"
    LINE_OF_BUSINESS_APPLICATION = "LineOfBusinessApplication"
    CONFIRMED_ACTIVITY = "ConfirmedActivity"
    CLEAN = "Clean"
    NOT_ENOUGH_DATA_TO_VALIDATE = "NoEnoughDataToValidate"
    OTHER = "Other"
    APT = "Apt"
    SECURITY_PERSONNEL = "SecurityPersonnel"
