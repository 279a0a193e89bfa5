"""The evidence of a Defender document: every type of entity, any junk, and nothing that is hidden."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import a_device, an_alert, an_entity, an_incident, to_json
from tests.support.captured import CAPTURED
from vigie.core.access import Exposure
from vigie.core.evidence import EvidenceKind
from vigie.documents.defender.evidence import ALERT_EVIDENCE_MAX, evidence_in
from vigie.documents.defender.redaction import redact
from vigie.synthetic.generator import generate_lines

Fields = dict[str, Any]
ACCOUNT = {
    "accountName": "Joao",
    "domainName": "FABRIKAM",
    "userSid": "S-1-5-21-1-1104",
    "aadUserId": "D2A1F0C4",
    "userPrincipalName": "Joao@fabrikam.example",
}
ACCOUNTS = {
    ("account", "fabrikam\\joao"),
    ("account", "s-1-5-21-1-1104"),
    ("account", "d2a1f0c4"),
    ("account", "joao@fabrikam.example"),
}
HASHES = {"sha1": "A0B1", "sha256": "C2D3", "md5": "E4F5"}
HASHED = {("fileHash", "a0b1"), ("fileHash", "c2d3"), ("fileHash", "e4f5")}
DEVICE = ("device", "5d0c")


def values_of(document: object) -> list[tuple[str, str]]:
    return [(each.evidence.kind.value, each.evidence.value) for each in evidence_in(to_json(document))]


def of_entity(**fields: object) -> set[tuple[str, str]]:
    alert = an_alert(devices=[], entities=[{"verdict": "Suspicious", "deviceId": "5D0C", **fields}])
    return set(values_of(an_incident(alert)))


@pytest.mark.parametrize(
    ("entity_type", "fields", "found"),
    [
        ("User", ACCOUNT, ACCOUNTS),
        ("User", {"accountName": "root", "domainName": None}, {("account", "root")}),
        ("Ip", {"ipAddress": "::ffff:198.51.100.7"}, {("address", "198.51.100.7")}),
        (
            "Url",
            {"url": "https://Evil.example/x"},
            {("url", "https://evil.example/x"), ("host", "evil.example")},
        ),
        ("File", {**HASHES, "fileName": "grab.exe", "filePath": "C:\\Users"}, HASHED),
        (
            "Process",
            {
                **HASHES,
                **ACCOUNT,
                "fileName": "CMD.exe",
                "filePath": "C:\\Windows\\",
                "processCommandLine": "CMD /c x",
            },
            {*HASHED, *ACCOUNTS, ("process", "c:\\windows\\cmd.exe"), ("process", "cmd /c x")},
        ),
        ("Process", {"fileName": "sh", "filePath": "/usr/bin"}, {("process", "/usr/bin/sh")}),
        ("Process", {"fileName": "sh", "filePath": "/usr/bin/sh"}, {("process", "/usr/bin/sh")}),
        ("Process", {"fileName": "sh"}, {("process", "sh")}),
        (
            "MailBox",
            {**ACCOUNT, "mailboxAddress": "J@fabrikam.example"},
            {*ACCOUNTS, ("mailbox", "j@fabrikam.example"), ("mailbox", "joao@fabrikam.example")},
        ),
        ("mailbox", {"mailboxAddress": "J@fabrikam.example"}, {("mailbox", "j@fabrikam.example")}),
        (
            "MailMessage",
            {"sender": "A@evil.example", "recipient": "B@fabrikam.example", "senderIp": "198.51.100.7"},
            {("mailbox", "a@evil.example"), ("mailbox", "b@fabrikam.example"), ("address", "198.51.100.7")},
        ),
        ("MailCluster", {"clusterBy": "Subject", "clusterByValue": "x"}, set()),
        (
            "Registry",
            {
                "registryHive": "HKEY_LOCAL_MACHINE",
                "registryKey": "SOFTWARE\\Run",
                "registryValueName": "Upd",
            },
            {
                ("registry", "hkey_local_machine\\software\\run"),
                ("registry", "hkey_local_machine\\software\\run\\upd"),
            },
        ),
        (
            "Registry",
            {"registryHive": "HKEY_LOCAL_MACHINE", "registryKey": "HKEY_LOCAL_MACHINE\\SOFTWARE"},
            {("registry", "hkey_local_machine\\software")},
        ),
        ("SecurityGroup", {"securityGroupId": "x", "securityGroupName": "y"}, set()),
        ("FileHash", {"algorithm": "md5", "value": "E4F5"}, {("fileHash", "e4f5")}),
        ("Dns", {"dnsDomainName": "Evil.example."}, {("host", "evil.example")}),
        (
            "CloudLogonSession",
            {**ACCOUNT, "ipAddress": "198.51.100.7"},
            {*ACCOUNTS, ("address", "198.51.100.7")},
        ),
        (None, {"ipAddress": "198.51.100.7"}, {("address", "198.51.100.7")}),
    ],
)
def test_every_type_of_entity_has_its_evidence(
    entity_type: str | None, fields: Fields, found: set[tuple[str, str]]
) -> None:
    assert of_entity(entityType=entity_type, **fields) == {*found, DEVICE}


def test_a_device_is_known_by_its_ids_and_its_name() -> None:
    device = a_device(mdatpDeviceId="5D0C", aadDeviceId="9A1C", deviceDnsName="LAP.fabrikam.example.")

    found = values_of(an_incident(an_alert(devices=[device], entities=[])))

    assert found == [DEVICE, ("device", "9a1c"), ("device", "lap.fabrikam.example")]


def test_evidence_stands_once_with_each_alert_that_names_it() -> None:
    twice = [an_entity(sha1="AA"), an_entity(sha1="aa", fileName="other.exe")]
    alerts = [an_alert(alertId=name, entities=twice) for name in ("a1", "a2")]
    own = {"devices": [{"mdatpDeviceId": "5d0c"}]}

    found = list(evidence_in(to_json(an_incident(*alerts, **own))))

    assert [(each.evidence.value, each.place, each.alert_id) for each in found] == [
        ("5d0c", None, None),
        ("aa", 0, "a1"),
        ("aa", 1, "a2"),
    ]


def test_entities_inside_a_device_count() -> None:
    device = {**a_device(mdatpDeviceId="5d0c", deviceDnsName=None), "entities": [an_entity(sha1="aa")]}

    found = values_of(an_incident(an_alert(devices=[device], entities=[])))

    assert found == [DEVICE, ("fileHash", "aa")]


def test_of_an_alert_with_very_much_evidence_the_first_is_read() -> None:
    entities = [{"entityType": "Ip", "ipAddress": f"10.0.{each >> 8}.{each & 255}"} for each in range(3_000)]

    found = values_of(an_incident(an_alert(entities=entities)))

    assert len(found) == ALERT_EVIDENCE_MAX
    assert found[0] == ("address", "10.0.0.0")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "deviceId",
    "sha1",
    "url",
    "ipAddress",
    "fileName",
    "filePath",
    "registryKey",
    "userSid",
    "accountName",
)
ENTITIES = st.fixed_dictionaries(
    {"entityType": JUNK | st.sampled_from(["Process", "Url", "Registry", "User"])}
).flatmap(lambda entity: st.dictionaries(st.sampled_from(KEYS), JUNK).map(lambda more: {**entity, **more}))


@given(st.lists(JUNK | ENTITIES, max_size=4) | JUNK, JUNK, JUNK)
def test_junk_is_passed_over(entities: object, devices: object, alert_id: object) -> None:
    holder = {"entities": entities, "devices": devices, "alertId": alert_id}
    for document in (holder, {"alerts": [holder, entities]}, {"alerts": entities}, entities):
        assert all(each.evidence.value for each in evidence_in(to_json(document)))


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"alerts": [', b"\xff\xfe", b'"text"', b"7"])
def test_a_damaged_document_has_no_evidence(damaged: bytes) -> None:
    assert list(evidence_in(damaged)) == []


def test_hidden_devices_and_alerts_have_no_evidence() -> None:
    seen, hidden = a_device("laptops"), a_device("servers")
    in_part = an_alert(
        devices=[seen, hidden], entities=[an_entity(seen, sha1="aa"), an_entity(hidden, sha1="bb")]
    )
    whole = an_alert(devices=[hidden], entities=[an_entity(sha1="cc")])
    exposure = Exposure(device_groups=frozenset({11}))

    left = redact(an_incident(in_part, whole), exposure)

    values = {value for _, value in values_of(left)}
    assert values == {seen["mdatpDeviceId"], seen["deviceDnsName"], "aa"}


def test_synthetic_incidents_have_evidence_of_every_kind() -> None:
    found = {each.evidence.kind for line in generate_lines(300, seed=3) for each in evidence_in(line)}

    assert found == set(EvidenceKind)


CAPTURED_FILES = ("captured-list", "captured-incident", "documented-example")


@pytest.mark.skipif(not CAPTURED.exists(), reason="captured answers are not here")
@pytest.mark.parametrize("name", CAPTURED_FILES)
def test_captured_answers_have_the_evidence_that_stands_in_them(name: str) -> None:
    answer = json.loads((CAPTURED / f"{name}.json").read_bytes())

    for incident in answer.get("value", [answer]):
        found = {value for _, value in values_of(incident)}
        for alert in incident["alerts"]:
            assert texts_of(alert) <= found


def texts_of(alert: Fields) -> set[str]:
    """Some of what stands in an alert, read in another way."""
    entities = [each for each in alert["entities"] if isinstance(each, dict)]
    keys = ("sha1", "sha256", "ipAddress", "userSid", "aadUserId", "userPrincipalName", "mailboxAddress")
    named = {each.get(key) for each in entities for key in keys}
    named |= {each.get("mdatpDeviceId") for each in alert["devices"]}
    return {each.casefold() for each in named if each}
