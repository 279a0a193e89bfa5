"""Evidence, and the alerts in which it was seen, as each exposure may know them."""

import pytest

from tests.support.builders import Document, a_device, a_redirected_stub, an_alert, an_entity, an_incident
from tests.support.evidence_tables import ProjectedTenant
from tests.support.house import House
from vigie.application.evidence import SeenEvidence
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.errors import IncidentNotFound
from vigie.core.evidence import EvidenceKind
from vigie.runtime.clock import now

LAPTOPS = Exposure(device_groups=frozenset({11}))
SERVERS = Exposure(device_groups=frozenset({12}))
BOTH = Exposure(device_groups=frozenset({11, 12}))
NONE = Exposure()


class Evidence(ProjectedTenant):
    """A tenant of which questions about evidence are asked."""

    def find(
        self, value: str, exposure: Exposure = WHOLE_TENANT, kind: EvidenceKind | None = None
    ) -> list[tuple[int, str | None]]:
        """The incidents and alerts in which a value is."""
        return [(each.incident_id, each.alert_id) for each in self.seen(value, exposure, kind)]

    def seen(
        self, value: str, exposure: Exposure = WHOLE_TENANT, kind: EvidenceKind | None = None
    ) -> list[SeenEvidence]:
        self.catch_up()
        service = self.installation.evidence_service()

        async def found() -> list[SeenEvidence]:
            return [
                each async for each in service.find_evidence(self.tenant_id, exposure, kind, value, now())
            ]

        return self.run(found())

    def of(self, incident_id: int, exposure: Exposure = WHOLE_TENANT) -> list[str]:
        service = self.installation.evidence_service()
        found = self.run(service.evidence_of(self.tenant_id, exposure, incident_id, now()))
        return [each.evidence.value for each in found]


@pytest.fixture
def evidence(house: House) -> Evidence:
    return Evidence(house)


def an_alert_on(name: str, *groups: str, **entity: object) -> Document:
    """An alert with a device in each group, and an entity of no device."""
    devices = [a_device(group, mdatpDeviceId=f"{group}-{name}") for group in groups]
    return an_alert(alertId=name, devices=devices, entities=[an_entity() | entity])


def test_a_value_is_found_in_every_alert_that_names_it_the_newest_incident_first(evidence: Evidence) -> None:
    evidence.put(
        an_incident(an_alert_on("a1", sha1="aa"), an_alert_on("a2", sha1="AA"), incidentId=1),
        an_incident(an_alert_on("a3", sha1="bb"), incidentId=2),
        an_incident(an_alert_on("a4", sha1="aa"), incidentId=3),
    )

    assert evidence.find("AA") == [(3, "a4"), (1, "a1"), (1, "a2")]
    assert evidence.find("aa", kind=EvidenceKind.FILE_HASH) == evidence.find("AA")
    assert evidence.find("aa", kind=EvidenceKind.DEVICE) == []
    assert evidence.find("unknown") == []


def test_without_a_kind_a_value_is_found_in_all_kinds(evidence: Evidence) -> None:
    user = {"entityType": "User", "userPrincipalName": "ada@contoso.example"}
    mailbox = {"entityType": "Mailbox", "mailboxAddress": "Ada@contoso.example"}
    evidence.put(
        an_incident(an_alert(alertId="a1", entities=[user]), incidentId=1),
        an_incident(an_alert(alertId="a2", entities=[mailbox]), incidentId=2),
        an_incident(an_alert(alertId="a3", entities=[user, mailbox]), incidentId=3),
    )

    assert sorted(evidence.find("ADA@contoso.example")) == [(1, "a1"), (2, "a2"), (3, "a3"), (3, "a3")]
    assert evidence.find("ADA@contoso.example", kind=EvidenceKind.MAILBOX) == [(3, "a3"), (2, "a2")]


def test_a_hidden_alert_is_not_there(evidence: Evidence) -> None:
    evidence.put(
        an_incident(an_alert_on("a1", "laptops", sha1="aa"), incidentId=1),
        an_incident(an_alert_on("a2", "servers", sha1="aa"), incidentId=2),
        an_incident(
            an_alert_on("a3", "laptops", sha1="bb"), an_alert_on("a4", "servers", sha1="aa"), incidentId=3
        ),
        an_incident(an_alert_on("a5", sha1="aa"), incidentId=4),
    )

    assert evidence.find("aa", LAPTOPS) == [(4, "a5"), (1, "a1")]
    assert evidence.find("aa", SERVERS) == [(4, "a5"), (3, "a4"), (2, "a2")]
    assert evidence.find("aa", NONE) == [(4, "a5")]
    assert evidence.find("aa", BOTH) == evidence.find("aa")


def test_a_hidden_device_is_not_there_nor_what_was_found_on_it(evidence: Evidence) -> None:
    laptop, server = a_device("laptops", mdatpDeviceId="d1"), a_device("servers", mdatpDeviceId="d2")
    entities = [an_entity(laptop, sha1="aa"), an_entity(server, sha1="bb"), an_entity(sha1="cc")]
    evidence.put(
        an_incident(an_alert(alertId="a1", devices=[laptop, server], entities=entities), incidentId=1)
    )

    assert evidence.find("d2") == evidence.find("bb") == [(1, "a1")]
    assert [evidence.find(each, LAPTOPS) for each in ("d1", "aa", "cc")] == [[(1, "a1")]] * 3
    assert [evidence.find(each, LAPTOPS) for each in ("d2", "bb", server["deviceDnsName"])] == [[], [], []]
    assert not {"d2", "bb", server["deviceDnsName"]} & {*evidence.of(1, LAPTOPS)}
    assert {"d1", "aa", "cc"} <= {*evidence.of(1, LAPTOPS)}


def test_a_device_of_the_incident_itself_is_of_no_alert(evidence: Evidence) -> None:
    devices = [a_device("servers", mdatpDeviceId="d2")]
    evidence.put(an_incident(an_alert_on("a1", "laptops", sha1="aa"), incidentId=1, devices=devices))

    assert evidence.find("d2") == [(1, None)]
    assert evidence.find("d2", LAPTOPS) == []


def test_evidence_of_a_hidden_incident_is_refused_as_for_a_missing_one(evidence: Evidence) -> None:
    evidence.put(an_incident(an_alert_on("a1", "servers"), incidentId=1), a_redirected_stub(1, incidentId=2))

    for incident_id in (1, 2, 3):
        with pytest.raises(IncidentNotFound):
            evidence.of(incident_id, LAPTOPS)
    assert evidence.of(2, SERVERS) == []


def test_what_has_left_an_incident_is_not_answered_even_before_the_projection_knows(
    evidence: Evidence,
) -> None:
    evidence.put(an_incident(an_alert_on("a1", sha1="aa"), incidentId=1))
    evidence.catch_up()
    evidence.put(an_incident(an_alert_on("a1", sha1="bb"), incidentId=1))
    service = evidence.installation.evidence_service()

    async def found_at_once() -> list[SeenEvidence]:
        matches = service.find_evidence(evidence.tenant_id, WHOLE_TENANT, None, "aa", now())
        return [each async for each in matches]

    assert evidence.run(found_at_once()) == []


def test_two_values_with_one_digest_are_told_apart(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an attacker might make two: 64 bits are no more than a place to look."""
    monkeypatch.setattr("vigie.storage.evidence.evidence_id_of", lambda _: 7)
    evidence.put(
        an_incident(an_alert_on("a1", sha1="aa"), incidentId=1),
        an_incident(an_alert_on("a2", sha1="bb"), incidentId=2),
    )

    assert evidence.find("aa") == [(1, "a1")]
    assert evidence.find("bb") == [(2, "a2")]
    assert evidence.find("cc") == []
