"""The reading of an incident: what it must have, the bytes it is stored as, what is known without parsing them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import (
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_entity,
    an_incident,
    exactly,
    generated_incidents,
    json_values,
    texts,
    to_json,
)
from tests.support.captured import CAPTURED
from vigie.core.directory import DeviceGroup
from vigie.core.incident import AlertSpan, Spans, decode_spans
from vigie.core.instants import parse_instant
from vigie.documents.defender.reading import NotAnIncident, keep_document, keep_incident


def spans_of(incident: Document) -> Spans:
    return decode_spans(keep_document(incident).spans)


# What comes in comes out


@given(generated_incidents())
def test_the_document_is_the_incident_as_it_came(incident: Document) -> None:
    text = to_json(incident)

    assert exactly(keep_incident(text).document) == exactly(text)


@given(st.data())
def test_an_incident_survives_any_change_that_leaves_it_one(data: st.DataObject) -> None:
    incident = an_incident(an_alert("servers", "laptops"), an_alert())
    holder = data.draw(
        st.sampled_from([incident, incident["alerts"][0], incident["alerts"][0]["devices"][1]])
    )
    for key in data.draw(st.lists(st.sampled_from(sorted(holder)), max_size=3)):
        holder[key] = data.draw(json_values)
    holder[data.draw(texts)] = data.draw(json_values)
    text = to_json(incident)

    try:
        kept = keep_incident(text)
    except NotAnIncident:
        return

    assert exactly(kept.document) == exactly(text)


@given(st.data())
def test_an_incident_with_broken_bytes_is_kept_whole_or_refused(data: st.DataObject) -> None:
    text = bytearray(to_json(an_incident(an_alert("servers"))))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))

    try:
        kept = keep_incident(bytes(text))
    except NotAnIncident:
        return

    assert exactly(kept.document) == exactly(bytes(text))


@pytest.mark.parametrize("place", [0, 3, 99])
def test_only_the_context_of_the_incident_itself_is_left_out(place: int) -> None:
    incident = an_incident(an_alert(**{"@odata.context": "kept"}))
    keys = list(incident.items())
    with_context = dict([*keys[:place], ("@odata.context", "https://old.example/#x"), *keys[place:]])

    assert exactly(keep_document(with_context).document) == exactly(to_json(incident))


def test_equal_alert_ids_inside_one_incident_survive() -> None:
    incident = an_incident(an_alert(alertId="masked"), an_alert(alertId="masked"))

    kept = json.loads(keep_document(incident).document)

    assert [alert["alertId"] for alert in kept["alerts"]] == ["masked", "masked"]


@pytest.mark.skipif(not CAPTURED.exists(), reason="captured answers are not here")
@pytest.mark.parametrize("name", ["captured-list", "captured-incident", "documented-example"])
def test_real_incidents_come_out_as_they_came(name: str) -> None:
    answer = json.loads((CAPTURED / f"{name}.json").read_bytes())
    incidents = answer.get("value", [answer])

    for incident in incidents:
        without_context = {key: value for key, value in incident.items() if key != "@odata.context"}
        assert exactly(keep_document(incident).document) == exactly(to_json(without_context))


# What is known beside the document


def test_what_lists_filter_and_order_by_stands_beside_the_document() -> None:
    kept = keep_document(
        an_incident(
            incidentId=924565,
            status="InProgress",
            severity="Low",
            assignedTo="ana@contoso.example",
            createdTime="2026-02-11T07:41:09.3066667Z",
            lastUpdateTime="2026-02-11T09:52:30.81+02:00",
        )
    )

    assert (kept.incident_id, kept.status, kept.severity) == (924565, "InProgress", "Low")
    assert kept.assigned_to == "ana@contoso.example"
    assert kept.created_at == parse_instant("2026-02-11T07:41:09.3066667Z")
    assert kept.last_update_at == parse_instant("2026-02-11T07:52:30.81Z")


@given(generated_incidents())
def test_the_spans_cut_the_document_into_its_alerts(incident: Document) -> None:
    kept = keep_document(incident)

    pieces, start = [], kept.alerts_at
    for span in decode_spans(kept.spans).alerts:
        pieces.append(kept.document[start : start + span.length])
        start += span.length + 1

    alerts = json.loads(kept.document)["alerts"]
    assert [json.loads(piece) for piece in pieces] == alerts
    joined = b",".join(pieces)
    assert kept.document[kept.alerts_at - 1 :][: len(joined) + 2] == b"[%s]" % joined


def test_an_alert_is_of_the_groups_of_its_devices_and_names_those_of_its_entities() -> None:
    server, laptop, unknown = a_device("servers"), a_device("laptops"), a_device("kiosks")
    incident = an_incident(
        an_alert(devices=[server], entities=[an_entity(laptop), an_entity(unknown), an_entity()]),
        an_alert(devices=[laptop, a_device(None)], entities=[]),
        an_alert(devices=None, entities=None),
    )

    own_and_named = [(span.own, span.named) for span in spans_of(incident).alerts]

    assert own_and_named == [((12,), (11,)), ((11, "Ungrouped devices"), ()), ((), ())]


def test_devices_outside_every_alert_count_as_outside() -> None:
    server, laptop = a_device("servers"), a_device("laptops")

    incident = an_incident(an_alert(devices=[laptop]), devices=[server], entities=[an_entity(laptop)])

    assert spans_of(incident).outside == (11, 12)


def test_a_device_in_two_groups_names_both() -> None:
    one = a_device("servers", mdatpDeviceId="AB12")
    other = a_device("laptops", mdatpDeviceId="ab12")

    incident = an_incident(an_alert(devices=[one]), an_alert(devices=[other], entities=[an_entity(one)]))

    assert spans_of(incident).alerts[1].named == (11, 12)


def test_a_change_of_the_head_does_not_touch_the_spans() -> None:
    alert = an_alert("servers", "laptops")

    spans = {keep_document(an_incident(alert, incidentName="x" * length)).spans for length in (0, 1, 500)}

    assert len(spans) == 1


@pytest.mark.parametrize(
    ("number", "name", "group"),
    [
        (12, "servers", DeviceGroup(number=12, name="servers")),
        (12, None, DeviceGroup(number=12, name="#12")),
        (12, "", DeviceGroup(number=12, name="#12")),
        (0, "servers", DeviceGroup(number=None, name="servers")),
        (None, "servers", DeviceGroup(number=None, name="servers")),
        (0, None, DeviceGroup(number=None, name="Ungrouped devices")),
        (None, None, DeviceGroup(number=None, name="Ungrouped devices")),
        (0, "", DeviceGroup(number=None, name="Ungrouped devices")),
        (-1, "odd", DeviceGroup(number=-1, name="odd")),
    ],
)
def test_a_group_goes_by_its_number_when_that_is_not_zero_else_by_its_name(
    number: int | None, name: str | None, group: DeviceGroup
) -> None:
    device = a_device(rbacGroupId=number, rbacGroupName=name)
    incident = an_incident(an_alert(devices=[device]))

    assert keep_document(incident).device_groups == {group}
    assert spans_of(incident).alerts[0].own == (group.number or group.name,)


def test_a_device_that_says_nothing_of_groups_is_ungrouped() -> None:
    incident = an_incident(an_alert(devices=[{}]))

    assert spans_of(incident).alerts == (
        AlertSpan(len(to_json_compact(incident["alerts"][0])), ("Ungrouped devices",)),
    )


def test_a_stub_is_kept_without_spans_and_inherits_nothing_by_itself() -> None:
    assert spans_of(a_redirected_stub(41877)) == Spans((), inherited=())
    assert keep_document(a_redirected_stub(41877)).redirect_incident_id == 41877


def test_what_is_no_stub_is_kept_in_the_bytes_of_the_release_before() -> None:
    assert keep_document(an_incident(alerts=[])).spans == bytes.fromhex("929090")


# What cannot be taken


def without(key: str) -> Callable[[Document], None]:
    return lambda incident: incident.pop(key)


def setting(value: object, *path: str | int) -> Callable[[Document], None]:
    def change(incident: Document) -> None:
        holder: Any = incident
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        (without("incidentId"), "$", "incidentId"),
        (without("createdTime"), "$", "createdTime"),
        (without("lastUpdateTime"), "$", "lastUpdateTime"),
        (without("status"), "$", "status"),
        (without("alerts"), "$", "alerts"),
        (setting(None, "incidentId"), "$.incidentId", "a whole number"),
        (setting("41877", "incidentId"), "$.incidentId", "a whole number"),
        (setting(True, "incidentId"), "$.incidentId", "a whole number"),
        (setting(1.5, "incidentId"), "$.incidentId", "a whole number"),
        (setting(0, "incidentId"), "$.incidentId", "at least 1"),
        (setting(-1, "incidentId"), "$.incidentId", "at least 1"),
        (setting(2**63, "incidentId"), "$.incidentId", "at most"),
        (setting(10**30, "incidentId"), "$.incidentId", "at most"),
        (setting("Closed", "status"), "$.status", "Closed"),
        (setting("active", "status"), "$.status", "active"),
        (setting(None, "alerts"), "$.alerts", "a list"),
        (setting({}, "alerts"), "$.alerts", "a list"),
        (setting("yesterday", "createdTime"), "$.createdTime", "yesterday"),
        (setting("2026-02-30T00:00:00Z", "lastUpdateTime"), "$.lastUpdateTime", "calendar"),
        (setting(1770795669, "createdTime"), "$.createdTime", "a text"),
        (setting(7, "assignedTo"), "$.assignedTo", "a text"),
        (setting("alert", "alerts", 0), "$.alerts[0]", "an object"),
        (setting({}, "alerts", 0, "devices"), "$.alerts[0].devices", "a list"),
        (setting(None, "alerts", 0, "devices", 0), "$.alerts[0].devices[0]", "an object"),
        (
            setting("12", "alerts", 0, "devices", 0, "rbacGroupId"),
            "$.alerts[0].devices[0].rbacGroupId",
            "a whole number",
        ),
        (
            setting(2**63, "alerts", 0, "devices", 0, "rbacGroupId"),
            "$.alerts[0].devices[0].rbacGroupId",
            "at most",
        ),
        (
            setting(12, "alerts", 0, "devices", 0, "rbacGroupName"),
            "$.alerts[0].devices[0].rbacGroupName",
            "a text",
        ),
        (
            setting(5, "alerts", 0, "devices", 0, "mdatpDeviceId"),
            "$.alerts[0].devices[0].mdatpDeviceId",
            "a text",
        ),
        (setting([], "alerts", 0, "entities", 0), "$.alerts[0].entities[0]", "an object"),
        (setting([], "alerts", 0, "entities", 0, "deviceId"), "$.alerts[0].entities[0].deviceId", "a text"),
        (setting("x", "devices"), "$.devices", "a list"),
    ],
)
def test_what_is_not_an_incident_is_refused_with_the_place_and_the_reason(
    change: Callable[[Document], None], path: str, reason: str
) -> None:
    incident = an_incident(an_alert("servers"))
    change(incident)

    with pytest.raises(NotAnIncident) as refused:
        keep_incident(to_json(incident))

    assert refused.value.path == path
    assert reason in refused.value.reason


@pytest.mark.parametrize("text", [b"[]", b"null", b"1", b'"incident"', b"{}"])
def test_another_json_value_is_no_incident(text: bytes) -> None:
    with pytest.raises(NotAnIncident):
        keep_incident(text)


@pytest.mark.parametrize("text", [b"", b"{", b'{"incidentId":1,"incidentId":2}', b"\xff"])
def test_a_text_that_is_no_json_is_no_incident(text: bytes) -> None:
    with pytest.raises(NotAnIncident) as refused:
        keep_incident(text)

    assert refused.value.path == "$"


@pytest.mark.parametrize("number", [1, 2**63 - 1])
def test_the_first_and_the_last_number_are_numbers_of_incidents(number: int) -> None:
    assert keep_document(an_incident(incidentId=number)).incident_id == number


def to_json_compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
