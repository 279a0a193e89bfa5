"""Redaction for scoped callers: two ways that agree, and a third written here alone."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given

from tests.support.builders import (
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_entity,
    an_incident,
    device_groups,
    exactly,
    generated_incidents,
    to_json,
)
from tests.support.naive_lists import is_redirected
from vigie.core.access import WHOLE_TENANT, DeviceGroupLabel, Exposure
from vigie.core.incident import decode_spans, inheriting, visibility_of
from vigie.core.redaction import cached_slices, is_visible
from vigie.documents import lossless
from vigie.documents.defender.reading import keep_document, keep_incident
from vigie.documents.defender.redaction import is_device_visible, redact, visible_document

Groups = frozenset[DeviceGroupLabel]


# The definition once more, from docs/api/get-incident.md, "Visibility", with nothing of the program's.


def group_of(device: Document) -> DeviceGroupLabel:
    if device.get("rbacGroupId"):
        return int(device["rbacGroupId"])
    return str(device.get("rbacGroupName") or "Ungrouped devices")


def every_device(incident: Document) -> Iterable[Document]:
    for holder in [incident, *incident["alerts"]]:
        yield from holder.get("devices") or []


def naively_filtered(incident: Document, groups: Groups) -> Document | None:
    out_of_scope = {
        device["mdatpDeviceId"].lower()
        for device in every_device(incident)
        if device.get("mdatpDeviceId") and group_of(device) not in groups
    }

    def in_scope(holder: Document) -> Document:
        left: Document = {}
        for key, value in holder.items():
            if key == "devices" and value:
                left[key] = [device for device in value if group_of(device) in groups]
            elif key == "entities" and value:
                left[key] = [
                    entity
                    for entity in value
                    if not entity.get("deviceId") or entity["deviceId"].lower() not in out_of_scope
                ]
            else:
                left[key] = value
        return left

    def is_visible(alert: Document) -> bool:
        devices = alert.get("devices") or []
        return not devices or any(group_of(device) in groups for device in devices)

    if not incident["alerts"] and is_redirected(incident):
        return None
    alerts = [in_scope(alert) for alert in incident["alerts"] if is_visible(alert)]
    if incident["alerts"] and not alerts:
        return None
    return {**in_scope(incident), "alerts": alerts}


def spliced(incident: Document, exposure: Exposure) -> bytes | None:
    # What was found out before must not be the answer to a change of the code.
    cached_slices.cache_clear()
    kept = keep_document(incident)
    return visible_document(kept.document, kept.alerts_at, kept.spans, exposure)


def seen_by(incident: Document, *groups: DeviceGroupLabel) -> Any:
    """What someone exposed to the groups reads, as a value; None when it is nothing."""
    left = spliced(incident, Exposure(device_groups=frozenset(groups)))
    return None if left is None else json.loads(left)


# Splicing, trimming and the definition agree


@given(generated_incidents(), device_groups)
def test_what_is_left_is_what_a_naive_filter_of_the_parsed_incident_leaves(
    incident: Document, groups: Groups
) -> None:
    left = spliced(incident, Exposure(device_groups=groups))

    expected = naively_filtered(json.loads(to_json(incident)), groups)
    assert (left and exactly(left)) == (expected and exactly(to_json(expected)))


@given(generated_incidents(), device_groups)
def test_splicing_gives_the_bytes_of_parsing_filtering_and_encoding(
    incident: Document, groups: Groups
) -> None:
    exposure = Exposure(device_groups=groups)
    kept = keep_incident(to_json(incident))

    trimmed = redact(lossless.decode(kept.document), exposure)

    left = visible_document(kept.document, kept.alerts_at, kept.spans, exposure)
    assert left == (None if trimmed is None else lossless.encode(trimmed))


@given(generated_incidents(), device_groups)
def test_the_labels_in_the_database_agree_about_what_is_hidden(incident: Document, groups: Groups) -> None:
    visibility = visibility_of(decode_spans(keep_document(incident).spans))

    is_visible = not visibility.isdisjoint(groups | {None})
    assert is_visible == (spliced(incident, Exposure(device_groups=groups)) is not None)


@given(generated_incidents(), device_groups, device_groups)
def test_a_wider_scope_never_shows_fewer_devices(incident: Document, some: Groups, more: Groups) -> None:
    def device_count(groups: Groups) -> int:
        return len(list(every_device(seen_by(incident, *groups) or {"alerts": []})))

    assert device_count(some) <= device_count(some | more)


@given(generated_incidents(), device_groups)
def test_no_device_out_of_scope_is_left_anywhere(incident: Document, groups: Groups) -> None:
    left = seen_by(incident, *groups)

    for device in every_device(left or {"alerts": []}):
        assert is_device_visible(device, groups)


@given(generated_incidents())
@example(a_redirected_stub(41877))
def test_the_whole_tenant_is_shown_the_very_bytes_that_are_kept(incident: Document) -> None:
    assert spliced(incident, WHOLE_TENANT) == keep_document(incident).document
    assert redact(incident, WHOLE_TENANT) == incident


# The rules, one by one


def test_an_alert_without_devices_is_open_to_every_reader() -> None:
    incident = an_incident(an_alert(), an_alert("servers"), an_alert(devices=None))

    assert [alert["devices"] for alert in seen_by(incident)["alerts"]] == [[], None]


def test_an_incident_whose_alerts_are_all_out_of_scope_is_hidden() -> None:
    assert seen_by(an_incident(an_alert("servers"), an_alert("kiosks")), 11) is None


def test_an_incident_without_alerts_is_open_to_every_reader() -> None:
    empty = an_incident(alerts=[])

    assert seen_by(empty) == empty


@pytest.mark.parametrize(
    ("inherited", "exposure", "is_seen"),
    [
        ([], Exposure(device_groups=frozenset({11})), False),
        ([12, "laptops"], Exposure(device_groups=frozenset({11})), False),
        ([11, 12], Exposure(device_groups=frozenset({11})), True),
        ([None], Exposure(), True),
        ([], Exposure(every_stub=True), True),
        ([], WHOLE_TENANT, True),
    ],
)
def test_a_stub_is_seen_by_what_it_inherits(
    inherited: list[DeviceGroupLabel | None], exposure: Exposure, is_seen: bool
) -> None:
    for stub in (a_redirected_stub(41877), a_redirected_stub(41877, devices=[a_device("servers")])):
        kept = keep_document(stub)
        spans = inheriting(kept.spans, inherited)

        left = visible_document(kept.document, kept.alerts_at, spans, exposure)

        trimmed = redact(stub, exposure, inherited)
        assert left == (lossless.encode(trimmed) if trimmed is not None else None)
        assert (left is not None) is is_visible(decode_spans(spans), exposure) is is_seen


def test_it_is_hidden_as_well_where_it_has_devices_outside_its_alerts() -> None:
    incident = an_incident(an_alert("servers"), devices=[a_device("servers")])

    assert spliced(incident, Exposure(device_groups=frozenset({11}))) is None


def test_one_device_in_scope_shows_the_alert_without_the_others() -> None:
    incident = an_incident(an_alert("servers", "laptops", "kiosks"))

    (alert,) = seen_by(incident, 11)["alerts"]

    assert [device["rbacGroupName"] for device in alert["devices"]] == ["laptops"]
    assert [entity["deviceId"] for entity in alert["entities"]] == [alert["devices"][0]["mdatpDeviceId"]]


def test_the_rest_of_the_incident_is_left_untouched() -> None:
    incident = an_incident(an_alert("servers"), an_alert("laptops"), severity="High", tags=["a"])

    left = seen_by(incident, 11)

    assert {**left, "alerts": []} == {**incident, "alerts": []}
    assert list(left) == list(incident)


def test_an_entity_that_names_a_device_out_of_scope_goes_wherever_it_stands() -> None:
    server = a_device("servers")
    incident = an_incident(
        an_alert(devices=[server]),
        an_alert(entities=[an_entity(server, fileName="in another alert"), an_entity(fileName="kept")]),
        entities=[an_entity(server, fileName="outside every alert"), an_entity(fileName="kept")],
    )

    left = seen_by(incident, 11)

    assert [entity["fileName"] for entity in left["entities"]] == ["kept"]
    assert [entity["fileName"] for entity in left["alerts"][0]["entities"]] == ["kept"]


def test_an_entity_that_names_a_device_the_incident_does_not_have_stays() -> None:
    incident = an_incident(an_alert(entities=[an_entity(a_device("servers"))]))

    assert len(seen_by(incident)["alerts"][0]["entities"]) == 1


def test_a_device_is_the_same_in_any_case_of_its_letters() -> None:
    server = a_device("servers", mdatpDeviceId="ABCDEF")
    incident = an_incident(
        an_alert(devices=[server, a_device("laptops")], entities=[an_entity(deviceId="abcdef")])
    )

    assert seen_by(incident, 11)["alerts"][0]["entities"] == []


def test_of_two_snapshots_of_a_device_the_stricter_one_counts_for_entities() -> None:
    before = a_device("servers", mdatpDeviceId="a1")
    after = a_device("laptops", mdatpDeviceId="a1")
    incident = an_incident(an_alert(devices=[before]), an_alert(devices=[after], entities=[an_entity(after)]))

    (alert,) = seen_by(incident, 11)["alerts"]

    assert (len(alert["devices"]), alert["entities"]) == (1, [])


def test_devices_outside_every_alert_are_in_scope_or_left_out() -> None:
    incident = an_incident(an_alert(), devices=[a_device("servers"), a_device("laptops")])

    assert [device["rbacGroupName"] for device in seen_by(incident, 11)["devices"]] == ["laptops"]


@pytest.mark.parametrize(
    ("device", "label"),
    [
        ({"rbacGroupId": 12, "rbacGroupName": "servers"}, 12),
        ({"rbacGroupId": 0, "rbacGroupName": "servers"}, "servers"),
        ({"rbacGroupId": None, "rbacGroupName": "servers"}, "servers"),
        ({"rbacGroupName": "12"}, "12"),
        ({"rbacGroupId": 0, "rbacGroupName": None}, "Ungrouped devices"),
        ({"rbacGroupId": None}, "Ungrouped devices"),
        ({}, "Ungrouped devices"),
    ],
)
def test_a_device_is_seen_under_one_label_alone(device: Document, label: DeviceGroupLabel) -> None:
    every_label: set[DeviceGroupLabel] = {12, "12", "servers", "Ungrouped devices", 0, ""}

    seen_under = {each for each in every_label if is_device_visible(device, frozenset({each}))}

    assert seen_under == {label}


def test_alerts_that_stay_whole_keep_their_very_bytes() -> None:
    incident = an_incident(
        an_alert("laptops", score=1.10, big=2**64 - 1, title="title\u200b"), an_alert("servers")
    )
    kept = keep_document(incident)

    left = visible_document(
        kept.document, kept.alerts_at, kept.spans, Exposure(device_groups=frozenset({11}))
    )

    first = decode_spans(kept.spans).alerts[0].length
    assert left is not None
    assert left[kept.alerts_at : kept.alerts_at + first] == kept.document[kept.alerts_at :][:first]


@given(generated_incidents(), device_groups)
def test_an_incident_is_in_sight_when_something_of_it_is_left(incident: Document, groups: Groups) -> None:
    spans = decode_spans(keep_document(incident).spans)

    assert is_visible(spans, WHOLE_TENANT)
    exposure = Exposure(device_groups=groups)
    assert is_visible(spans, exposure) == (naively_filtered(incident, groups) is not None)


def test_an_entity_inside_a_device_is_trimmed_like_any_other() -> None:
    hidden = a_device("servers")
    shown = {**a_device("laptops"), "entities": [an_entity(hidden), an_entity()]}
    incident = an_incident(an_alert(devices=[shown], entities=[]), an_alert(devices=[hidden], entities=[]))
    kept = keep_document(incident)
    exposure = Exposure(device_groups=frozenset({"laptops", shown["rbacGroupId"]}))

    left = visible_document(kept.document, kept.alerts_at, kept.spans, exposure)

    assert left is not None
    assert left == lossless.encode(redact(incident, exposure))
    assert hidden["mdatpDeviceId"].encode() not in left
    (alert,) = json.loads(left)["alerts"]
    assert alert["devices"] == [{**shown, "entities": shown["entities"][1:]}]


@pytest.mark.parametrize(("alert_count", "remembered"), [(3, 1), (300, 0)])
def test_only_of_incidents_with_few_alerts_it_is_remembered_what_stays(
    alert_count: int, remembered: int
) -> None:
    cached_slices.cache_clear()
    kept = keep_document(an_incident(*(an_alert("laptops") for _ in range(alert_count))))

    visible = visible_document(kept.document, kept.alerts_at, kept.spans, Exposure(device_groups=frozenset()))

    assert visible is None
    assert cached_slices.cache_info().currsize == remembered
