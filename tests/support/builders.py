"""Incidents for tests: whole, valid and invented; a test names only what matters to it."""

import json
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import strategies as st

from vigie.core.audit import AuditContext
from vigie.core.instants import Instant

Document = dict[str, Any]

GROUP_NUMBERS = {"laptops": 11, "servers": 12, "kiosks": 13}

_numbers = count(41_000)


def a_device(device_group: str | None = "laptops", **changes: object) -> Document:
    """A device in a group, known by name and number; in none for None."""
    number = next(_numbers)
    return {
        "mdatpDeviceId": f"{number:040x}",
        "aadDeviceId": None,
        "deviceDnsName": f"pc-{number}.contoso.example",
        "osPlatform": "Windows11",
        "version": "24H2",
        "osProcessor": "x64",
        "osBuild": 26100,
        "healthStatus": "Active",
        "riskScore": "High",
        "rbacGroupName": device_group,
        "rbacGroupId": GROUP_NUMBERS.get(device_group, 0) if device_group else 0,
        "firstSeen": "2025-05-19T12:03:44.9031277Z",
        "tags": [],
        "defenderAvStatus": "Updated",
        "onboardingStatus": "Onboarded",
        "vmMetadata": None,
        **changes,
    }


def an_entity(device: Document | None = None, **changes: object) -> Document:
    """A file found on a device, if one is given."""
    return {
        "entityType": "File",
        "evidenceCreationTime": "2026-02-11T07:41:09.2133333Z",
        "verdict": "Malicious",
        "remediationStatus": "Prevented",
        "sha1": "a0b1c2d3e4f5061728394a5b6c7d8e9f00112233",
        "fileName": "grab.exe",
        **({"deviceId": device["mdatpDeviceId"]} if device else {}),
        **changes,
    }


def an_alert(*device_groups: str | None, **changes: object) -> Document:
    """An alert with one device in each of the groups, and an entity that names it; without any, no device."""
    number = next(_numbers)
    devices = [a_device(device_group) for device_group in device_groups]
    return {
        "alertId": f"da6390638526891{number}_-771204455",
        "providerAlertId": f"6390638526891{number}_-771204455",
        "incidentId": 1,
        "serviceSource": "MicrosoftDefenderForEndpoint",
        "creationTime": "2026-02-11T07:41:08.9112233Z",
        "lastUpdatedTime": "2026-02-11T07:41:10.4433333Z",
        "resolvedTime": None,
        "firstActivity": "2026-02-11T07:36:55.120499Z",
        "lastActivity": "2026-02-11T07:38:01Z",
        "title": "Credential dumping tool was prevented",
        "description": "A tool able to read logon secrets was found.\n\nCheck how it reached the device.",
        "category": "CredentialAccess",
        "status": "New",
        "severity": "High",
        "investigationId": 3120,
        "investigationState": "PendingApproval",
        "classification": None,
        "determination": None,
        "detectionSource": "WindowsDefenderAv",
        "detectorId": "0f6a2f7d-44b1-4d2e-9a31-6f0f4f3f8c10",
        "assignedTo": "Automation",
        "actorName": None,
        "threatFamilyName": "Lasgrab",
        "mitreTechniques": ["T1003", "T1003.001"],
        "devices": devices,
        "entities": [an_entity(device) for device in devices],
        **changes,
    }


def an_incident(*alerts: Document, **changes: object) -> Document:
    """An incident of these alerts, or of one without devices, under a number of its own."""
    number = next(_numbers)
    return {
        "incidentId": number,
        "incidentUri": f"https://security.microsoft.com/incidents/{number}",
        "redirectIncidentId": None,
        "incidentName": "Credential dumping tool on one endpoint involving one user",
        "createdTime": "2026-02-11T07:41:09.3066667Z",
        "lastUpdateTime": "2026-02-11T07:52:30.81Z",
        "assignedTo": None,
        "classification": "Unknown",
        "determination": "NotAvailable",
        "status": "Active",
        "severity": "High",
        "tags": ["tier-0"],
        "comments": [],
        "alerts": list(alerts or (an_alert(),)),
        **changes,
    }


def a_redirected_stub(target: int, **changes: object) -> Document:
    """The stub of an incident that was merged: docs/api/incident-document.md, "Merged incidents"."""
    stub = an_incident(status="Redirected", severity="UnSpecified", redirectIncidentId=target)
    return {**stub, "tags": [], "alerts": [], **changes}


def an_audit_context(**changes: Any) -> AuditContext:
    """What somebody did at some time."""
    return AuditContext(**{"actor": "tests", "request_id": "|7e57.1.", "at": Instant(0), **changes})


def to_json(value: object) -> bytes:
    """JSON text in UTF-8, as a program that is not Vigie writes it."""
    return json.dumps(value, ensure_ascii=False).encode()


def exactly(text: bytes) -> object:
    """A JSON text as values that tell everything apart: the order of keys, 1 from 1.0, 1.0 from 1.00."""

    def digits(number: str) -> object:
        return Decimal(number).as_tuple()

    return json.loads(
        text,
        object_pairs_hook=lambda pairs: ("object", pairs),
        parse_float=digits,
        parse_int=digits,
    )


# Generated documents

device_group_names = st.sampled_from([None, "", "laptops", "servers", "kiosks", "Ungrouped devices"])
device_group_numbers = st.sampled_from([None, 0, 11, 12, 13])
device_groups = st.frozensets(
    st.sampled_from([11, 12, 13, "laptops", "servers", "kiosks", "Ungrouped devices"]), max_size=5
)
"""What an exposure may hold: groups by number and by name."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)

# Few devices, so that alerts and entities often mean the same one; one in both cases of its letters.
_device_ids = st.sampled_from([None, "", "a1", "A1", "b2", "c3"])
_unknown_keys = st.dictionaries(texts.map("x-{}".format), json_values, max_size=2)


@st.composite
def _objects(draw: st.DrawFn, /, **keys: st.SearchStrategy[Any]) -> Document:
    """An object with some of the keys and some unknown ones, in any order."""
    present = {key: draw(values) for key, values in keys.items() if draw(st.booleans())}
    pairs = draw(st.permutations([*present.items(), *draw(_unknown_keys).items()]))
    return dict(pairs)


def _lists(of: st.SearchStrategy[Document]) -> st.SearchStrategy[list[Document] | None]:
    return st.none() | st.lists(of, max_size=3)


generated_devices = _objects(
    mdatpDeviceId=_device_ids, rbacGroupId=device_group_numbers, rbacGroupName=device_group_names
)
generated_entities = _objects(deviceId=_device_ids, entityType=texts)
generated_alerts = _objects(
    alertId=texts, devices=_lists(generated_devices), entities=_lists(generated_entities)
)


@st.composite
def generated_incidents(draw: st.DrawFn) -> Document:
    """An incident with all that is required, anything besides, and its keys in any order."""
    required = {
        "incidentId": draw(st.integers(1, 2**63 - 1)),
        "createdTime": "2026-02-11T07:41:09.3066667Z",
        "lastUpdateTime": "2026-02-11T07:52:30.81Z",
        "status": draw(st.sampled_from(["Active", "InProgress", "Resolved", "Redirected"])),
        "alerts": draw(st.lists(generated_alerts, max_size=4)),
    }
    optional = draw(
        _objects(
            assignedTo=st.none() | texts,
            severity=json_values,
            devices=_lists(generated_devices),
            entities=_lists(generated_entities),
        )
    )
    return dict(draw(st.permutations([*required.items(), *optional.items()])))
