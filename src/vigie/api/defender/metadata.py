"""The metadata of the incidents API for OData clients: its types, enumerations and entity sets, as CSDL XML.

The types are open, as incidents keep keys that are not named here. The words of enumerations are those of the
documents; tests hold the other names against the OpenAPI document. docs/api/odata.md; OData CSDL XML 4.01.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import msgspec

from vigie.core.classification import DETERMINATIONS as ALLOWED
from vigie.core.classification import ONCE_ALLOWED
from vigie.core.enums import Determination
from vigie.documents.defender.enum_spellings import CLASSIFICATIONS, DETERMINATIONS, SEVERITIES, STATUSES

ENTITY_SET = "Incidents"
NAMESPACE = "vigie"

_STRING, _INTEGER, _TIME = "Edm.String", "Edm.Int64", "Edm.DateTimeOffset"


def _all_of(name: str) -> str:
    return f"Collection({name})"


def _own(name: str) -> str:
    return f"{NAMESPACE}.{name}"


def _determinations() -> Iterator[str]:
    """What may be set, what aliases are stored as where that is set, and what old incidents still carry."""
    yield DETERMINATIONS.word(Determination.NOT_AVAILABLE)
    for row in ALLOWED.values():
        yield from map(DETERMINATIONS.word, row)
    yield from DETERMINATIONS.aliases
    for row in ONCE_ALLOWED.values():
        yield from map(DETERMINATIONS.word, row)


ENUMERATIONS: Mapping[str, tuple[str, ...]] = {
    "Status": tuple(STATUSES.members),
    "Classification": tuple(CLASSIFICATIONS.members),
    "Determination": tuple(dict.fromkeys(_determinations())),
    "Severity": tuple(SEVERITIES.members),
    "AlertStatus": ("New", "Active", "InProgress", "Resolved"),
    "InvestigationState": (
        "Unknown",
        "Terminated",
        "SuccessfullyRemediated",
        "Benign",
        "Failed",
        "PartiallyRemediated",
        "Running",
        "PendingApproval",
        "PendingResource",
        "PartiallyInvestigated",
        "TerminatedByUser",
        "TerminatedBySystem",
        "Queued",
        "InnerFailure",
        "PreexistingAlert",
        "UnsupportedOs",
        "UnsupportedAlertType",
        "SuppressedAlert",
    ),
}

INCIDENT: Mapping[str, str] = {
    "incidentId": _INTEGER,
    "incidentUri": _STRING,
    "redirectIncidentId": _INTEGER,
    "incidentName": _STRING,
    "createdTime": _TIME,
    "lastUpdateTime": _TIME,
    "assignedTo": _STRING,
    "classification": _own("Classification"),
    "determination": _own("Determination"),
    "status": _own("Status"),
    "severity": _own("Severity"),
    "tags": _all_of(_STRING),
    "comments": _all_of(_own("Comment")),
    "alerts": _all_of(_own("Alert")),
}

NEVER_NULL = frozenset({"incidentId", "createdTime", "lastUpdateTime", "status"})
"""Of an incident; every other single value may be null, and no collection ever is."""

COMPLEX_TYPES: Mapping[str, Mapping[str, str]] = {
    "Comment": {"comment": _STRING, "createdBy": _STRING, "createdTime": _TIME},
    "Alert": {
        "alertId": _STRING,
        "providerAlertId": _STRING,
        "incidentId": _INTEGER,
        "serviceSource": _STRING,
        "creationTime": _TIME,
        "lastUpdatedTime": _TIME,
        "resolvedTime": _TIME,
        "firstActivity": _TIME,
        "lastActivity": _TIME,
        "title": _STRING,
        "description": _STRING,
        "category": _STRING,
        "status": _own("AlertStatus"),
        "severity": _own("Severity"),
        "investigationId": _INTEGER,
        "investigationState": _own("InvestigationState"),
        "classification": _own("Classification"),
        "determination": _own("Determination"),
        "detectionSource": _STRING,
        "detectorId": _STRING,
        "assignedTo": _STRING,
        "actorName": _STRING,
        "threatFamilyName": _STRING,
        "mitreTechniques": _all_of(_STRING),
        "devices": _all_of(_own("Device")),
        "entities": _all_of(_own("Entity")),
    },
    "Device": {
        **dict.fromkeys(("mdatpDeviceId", "aadDeviceId", "deviceDnsName", "osPlatform", "version"), _STRING),
        "osProcessor": _STRING,
        "osBuild": _INTEGER,
        "healthStatus": _STRING,
        "riskScore": _STRING,
        "rbacGroupName": _STRING,
        "rbacGroupId": _INTEGER,
        "firstSeen": _TIME,
        "tags": _all_of(_STRING),
        "defenderAvStatus": _STRING,
        "onboardingStatus": _STRING,
        "vmMetadata": _own("VmMetadata"),
    },
    "VmMetadata": {},
    "Entity": {
        "entityType": _STRING,
        "evidenceCreationTime": _TIME,
        **dict.fromkeys(("verdict", "remediationStatus", "sha1", "sha256", "fileName", "filePath"), _STRING),
        "processId": _INTEGER,
        "processCommandLine": _STRING,
        "processCreationTime": _TIME,
        "parentProcessId": _INTEGER,
        "parentProcessCreationTime": _TIME,
        **dict.fromkeys(("ipAddress", "url", "accountName", "domainName", "userSid", "aadUserId"), _STRING),
        **dict.fromkeys(("userPrincipalName", "mailboxDisplayName", "mailboxAddress"), _STRING),
        **dict.fromkeys(("clusterBy", "clusterByValue"), _STRING),
        "emailCount": _INTEGER,
        **dict.fromkeys(("sender", "recipient", "subject", "deliveryAction", "internetMessageId"), _STRING),
        **dict.fromkeys(("securityGroupId", "securityGroupName"), _STRING),
        **dict.fromkeys(("registryHive", "registryKey", "registryValueType", "registryValue"), _STRING),
        "deviceId": _STRING,
    },
}


@cache
def metadata_document() -> bytes:
    """The answer to `$metadata`."""
    return "\n".join(
        (
            '<?xml version="1.0" encoding="utf-8"?>',
            '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>',
            f'<Schema Namespace="{NAMESPACE}" xmlns="http://docs.oasis-open.org/odata/ns/edm">',
            *_enumerations(),
            '<EntityType Name="Incident" OpenType="true"><Key><PropertyRef Name="incidentId"/></Key>',
            *_properties(INCIDENT, NEVER_NULL),
            "</EntityType>",
            *_complex_types(),
            '<EntityContainer Name="Container">',
            f'<EntitySet Name="{ENTITY_SET}" EntityType="{_own("Incident")}"/>',
            # The address has a small letter, and the contexts of answers a capital one.
            f'<EntitySet Name="{ENTITY_SET.lower()}" EntityType="{_own("Incident")}"'
            ' IncludeInServiceDocument="false"/>',
            "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>\n",
        )
    ).encode()


def service_document(origin: str) -> bytes:
    """What there is under `/api`, on the origin that was called: one set."""
    collection = {"name": ENTITY_SET, "kind": "EntitySet", "url": ENTITY_SET.lower()}
    return msgspec.json.encode({"@odata.context": f"{origin}/api/$metadata", "value": [collection]})


def _enumerations() -> Iterator[str]:
    for name, members in ENUMERATIONS.items():
        yield f'<EnumType Name="{name}">'
        yield from (f'<Member Name="{member}" Value="{value}"/>' for value, member in enumerate(members))
        yield "</EnumType>"


def _complex_types() -> Iterator[str]:
    for name, properties in COMPLEX_TYPES.items():
        yield f'<ComplexType Name="{name}" OpenType="true">'
        yield from _properties(properties, ())
        yield "</ComplexType>"


def _properties(properties: Mapping[str, str], never_null: Iterable[str]) -> Iterator[str]:
    for name, type_ in properties.items():
        precision = ' Precision="7"' if type_ == _TIME else ""
        nullable = ' Nullable="false"' if name in never_null or type_.startswith("Collection") else ""
        yield f'<Property Name="{name}" Type="{type_}"{precision}{nullable}/>'
