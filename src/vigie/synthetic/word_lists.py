"""The words that generated incidents choose from; free text is invented.

Source: docs/api/incident-document.md, "Enumerations".
"""

from typing import NamedTuple


class Grading(NamedTuple):
    """What an incident turned out to be."""

    classification: str
    determination: str


class Course(NamedTuple):
    """How far the work on an incident has come. Resolving an incident may leave an alert behind."""

    status: str
    alert_statuses: tuple[str, ...]
    share_assigned: float
    share_graded: float
    comments_max: int


_ACTIVE = Course("Active", ("New", "New", "New", "InProgress"), 0.25, 0.02, 1)
_IN_PROGRESS = Course("InProgress", ("New", "InProgress", "InProgress", "Resolved"), 1.0, 0.2, 3)
_RESOLVED = Course("Resolved", (*("Resolved",) * 9, "New"), 0.9, 0.85, 4)

COURSES = (*(_ACTIVE,) * 7, *(_IN_PROGRESS,) * 3, *(_RESOLVED,) * 10)

UNGRADED = Grading("Unknown", "NotAvailable")

GRADINGS = (
    *(
        Grading("TruePositive", determination)
        for determination in (
            "MultiStagedAttack",
            "MaliciousUserActivity",
            "CompromisedAccount",
            "Malware",
            "Phishing",
            "UnwantedSoftware",
            "Other",
        )
    ),
    *(
        Grading("InformationalExpectedActivity", determination)
        for determination in ("SecurityTesting", "LineOfBusinessApplication", "ConfirmedActivity", "Other")
    ),
    *(
        Grading("FalsePositive", determination)
        for determination in ("Clean", "NoEnoughDataToValidate", "Other")
    ),
)

GRADINGS_OF_2020 = tuple(
    Grading("TruePositive", word) for word in ("Apt", "SecurityPersonnel", "Malware", "Other")
)

SEVERITIES = ("Informational", "Low", "Medium", "High")
"""Of alerts, rising. An incident has that of its worst alert; a redirected one has `UnSpecified`."""

NEVER_INVESTIGATED = (
    "UnsupportedAlertType",
    "UnsupportedAlertType",
    "UnsupportedAlertType",
    "UnsupportedOs",
    "SuppressedAlert",
    "PreexistingAlert",
    "Unknown",
)
UNDER_INVESTIGATION = ("Queued", "Running", "PendingApproval", "PendingResource", "PartiallyInvestigated")
INVESTIGATED = (
    "Benign",
    "SuccessfullyRemediated",
    "SuccessfullyRemediated",
    "PartiallyRemediated",
    "Terminated",
    "TerminatedByUser",
    "TerminatedBySystem",
    "Failed",
    "InnerFailure",
)

FINDINGS = (
    ("Suspicious", "None"),
    ("Suspicious", "None"),
    ("Suspicious", "PendingApproval"),
    ("Suspicious", "Active"),
    ("Malicious", "Prevented"),
    ("Malicious", "Remediated"),
    ("Malicious", "Blocked"),
    ("Malicious", "PartiallyRemediated"),
    ("Malicious", "NotFound"),
    ("NoThreatsFound", "None"),
    ("Unknown", "None"),
)
"""Verdict and remediation status of a piece of evidence."""

ACTORS = ("Amber Heron", "Slate Otter", "Copper Gannet", "Ashen Petrel")

ASSIGNEES = tuple(
    f"{name}@northharbour.example"
    for name in ("ines", "tomasz", "adaeze", "yuki", "soc-night", "mirela", "soc-duty")
)

TAG_SETS = (
    *((),) * 12,
    ("tier-0",),
    ("vip",),
    ("reviewed",),
    ("phishing-wave-12",),
    ("exercise",),
    ("plant", "safety"),
    ("tier-0", "reviewed"),
    ("à vérifier",),
    ("handed over", "night shift", "waiting for owner"),
)

COMMENTS = (
    "Host owner contacted.",
    "Password reset, sessions revoked.",
    "Device isolated until it is reimaged.",
    "Same sender as last week; block list updated.",
    "Asked the plant for a maintenance window.",
    "Known backup job, confirmed with its owner.",
    "Collected the investigation package.\nNothing beyond the first alert.",
    "Part of the announced exercise.",
    "No answer yet, trying the line manager.",
    "Device released from isolation.",
    "Vu avec l'équipe réseau : rien d'anormal.",
    "Rule tuned, see change 20418.",
    "Looks clean now, closing. 👍",
    'User says: "I never opened it".',
)

STAGES = (
    "Initial access & Execution",
    "Execution & Lateral movement",
    "Credential access & Exfiltration",
    "Persistence & Command and control",
)
"""What the name of an incident of several products speaks of."""

ODD_INCIDENT_NAMES = ("20418", "Exercise 🔥 quay 3", "moved from the old console\u200b")
