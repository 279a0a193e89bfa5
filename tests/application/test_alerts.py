"""Single alerts: read, added, moved and merged, whatever else happens to the incidents that they are in."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.builders import (
    Document,
    a_device,
    a_redirected_stub,
    an_alert,
    an_audit_context,
    an_entity,
    an_incident,
    to_json,
)
from tests.support.database_access import below
from tests.support.house import House, RunningHouse
from tests.support.store_changes import updating
from vigie.application.alerts import AlertService
from vigie.application.change_feed import told_to
from vigie.core.access import WHOLE_TENANT, Caller, CallerKind, DeviceGroupLabel, Exposure
from vigie.core.changes import Change
from vigie.core.errors import (
    AlertNotFound,
    DisallowedOperation,
    IncidentNotFound,
    InvalidInput,
    PermissionMissing,
    Refusal,
)
from vigie.core.incident import decode_spans, visibility_of
from vigie.core.instants import parse_instant
from vigie.core.queries import PageRequest
from vigie.core.update import Update
from vigie.documents import lossless
from vigie.documents.defender.reading import keep_incident, keep_single_alert

NOON = parse_instant("2026-02-11T12:00:00Z")
NUMBERS = st.integers(1, 4)
LAPTOPS = Exposure(device_groups=frozenset({11}))
SERVERS = Exposure(device_groups=frozenset({12}))
EXPOSURES = (WHOLE_TENANT, LAPTOPS, SERVERS, Exposure(device_groups=frozenset({11, 12})), Exposure())
LARGE = "x" * 70_000
"""A text with which an answer is not written again with each alert."""

Step = tuple[str, Any]


class Alerts:
    """The alerts and incidents of one tenant, changed through the application and looked at past it."""

    def __init__(self, house: House) -> None:
        self.tenant_id = house.tenant.tenant_id
        self.run = house.running.run
        self.database = house.running.settings.database
        self.feed = house.running.installation.change_feed
        self.incidents = house.running.installation.incidents
        self.service = AlertService(self.incidents, house.running.installation.incident_service())

    def put(self, *documents: Document) -> None:
        kept = [keep_incident(to_json(each)) for each in documents]
        self.run(self.incidents.put_incidents(self.tenant_id, kept, an_audit_context()))

    def update(self, number: int) -> None:
        change = updating(number, Update(comment="seen"), NOON)
        self.run(self.incidents.change(self.tenant_id, an_audit_context(), change))

    def remove(self, number: int) -> None:
        self.run(self.incidents.remove_incident(self.tenant_id, number, an_audit_context()))

    def add(self, number: int, alert: Document, source_group: DeviceGroupLabel | None = None) -> None:
        kept = keep_single_alert(to_json({**alert, "incidentId": number}))
        kept = replace(kept, source_group=source_group)
        self.run(self.service.add_alert(self.tenant_id, number, kept, an_audit_context()))

    def move(
        self, ids: list[str], target: int, exposure: Exposure = WHOLE_TENANT, manages: Exposure | None = None
    ) -> None:
        caller = self.caller(manages or exposure)
        self.run(self.service.move_alerts(caller, exposure, ids, target, an_audit_context()))

    def merge(
        self,
        *numbers: int,
        exposure: Exposure = WHOLE_TENANT,
        manages: Exposure | None = None,
        comment: str = "",
    ) -> int:
        caller = self.caller(manages or exposure)
        merging = self.service.merge_incidents(
            caller, exposure, numbers, an_audit_context(), comment=comment or None
        )
        return self.run(merging)

    def caller(self, manages: Exposure) -> Caller:
        return Caller(
            tenant_id=self.tenant_id,
            tenant_guid="",
            kind=CallerKind.USER,
            application_id="",
            name="ana",
            granted=(),
            exposure=manages,
            manages=manages,
        )

    def answer(self, number: int, exposure: Exposure = WHOLE_TENANT) -> bytes | None:
        return self.run(self.incidents.find_incident(self.tenant_id, number, exposure))

    def document(self, number: int, exposure: Exposure = WHOLE_TENANT) -> Document:
        answer = self.answer(number, exposure)
        assert answer is not None
        return json.loads(answer)  # type: ignore[no-any-return]

    def alert(self, alert_id: str, exposure: Exposure = WHOLE_TENANT) -> bytes | None:
        try:
            return self.run(self.service.get_alert(self.tenant_id, exposure, alert_id, NOON))
        except AlertNotFound:
            return None

    def listed(self, exposure: Exposure) -> dict[int, bytes]:
        async def page() -> list[bytes]:
            async with self.incidents.page(self.tenant_id, exposure, PageRequest()) as found:
                return [each async for batch in found.batches for each in batch]

        return {json.loads(each)["incidentId"]: each for each in self.run(page())}

    def absent(self) -> list[int]:
        rows = self.rows("SELECT incident_id FROM incident WHERE {} AND head IS NOT NULL")
        return [number for (number,) in rows]

    def put_answers_back(self) -> None:
        for number in self.absent():
            self.run(self.incidents.put_answer(self.tenant_id, number))

    def changes(self, after: int = 0) -> list[Change]:
        return self.run(self.feed.changes_after(self.tenant_id, after, 10_000))

    def told(self, exposure: Exposure, after: int = 0) -> list[tuple[str, int, str | None]]:
        heard = [told_to(change, exposure) for change in self.changes(after)]
        return [(each.kind.value, each.incident_id, each.alert_id) for each in heard if each]

    def latest(self) -> int:
        return self.run(self.feed.latest(self.tenant_id))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return below(self.database).rows(query.format(f"tenant_id = {self.tenant_id}"))


@pytest.fixture
def alerts(house: House) -> Alerts:
    return Alerts(house)


def ids_of(document: Document) -> list[str]:
    return [alert["alertId"] for alert in document["alerts"]]


# Reading


def test_an_alert_is_read_by_its_id(alerts: Alerts) -> None:
    alert = an_alert("laptops")
    alerts.put(an_incident(an_alert("servers"), alert, incidentId=1))

    assert json.loads(alerts.alert(alert["alertId"]) or b"") == alert
    assert alerts.alert("nothing") is None


def test_a_hidden_alert_is_like_a_missing_one(alerts: Alerts) -> None:
    hidden = an_alert("servers")
    alerts.put(an_incident(an_alert("laptops"), hidden, incidentId=1))

    with pytest.raises(AlertNotFound) as of_hidden:
        alerts.run(alerts.service.get_alert(alerts.tenant_id, LAPTOPS, hidden["alertId"], NOON))
    with pytest.raises(AlertNotFound) as of_missing:
        alerts.run(alerts.service.get_alert(alerts.tenant_id, LAPTOPS, "x" * len(hidden["alertId"]), NOON))

    assert of_hidden.value.message.replace(hidden["alertId"], "") == of_missing.value.message.replace(
        "x" * len(hidden["alertId"]), ""
    )
    assert of_hidden.value.detail == of_missing.value.detail


def test_alerts_of_one_id_go_in_and_out(alerts: Alerts) -> None:
    twin = an_alert("laptops")
    incident = an_incident(twin, {**twin, "title": "another"}, incidentId=1)
    alerts.put(incident, an_incident({**twin, "incidentId": 2}, incidentId=2))

    assert alerts.document(1) == incident
    assert json.loads(alerts.alert(twin["alertId"]) or b"") == twin
    alerts.remove(1)
    assert json.loads(alerts.alert(twin["alertId"]) or b"")["incidentId"] == 2


def test_an_alert_without_an_id_is_kept(alerts: Alerts) -> None:
    nameless = {key: value for key, value in an_alert().items() if key != "alertId"}
    alerts.put(an_incident(nameless, {**nameless, "alertId": 7}, incidentId=1))

    assert alerts.document(1)["alerts"] == [nameless, {**nameless, "alertId": 7}]


# Adding


@pytest.mark.parametrize("text", ["", LARGE])
def test_an_added_alert_is_there_at_once(alerts: Alerts, text: str) -> None:
    first, second = an_alert("laptops", description=text), an_alert("servers")
    alerts.put(an_incident(first, incidentId=1))

    alerts.add(1, second)

    assert alerts.absent() == ([1] if text else [])
    before = alerts.answer(1)
    assert alerts.document(1)["alerts"] == [first, second]
    assert alerts.listed(SERVERS) == {1: alerts.answer(1, SERVERS)}
    assert ids_of(alerts.document(1, SERVERS)) == [second["alertId"]]
    alerts.put_answers_back()
    assert alerts.absent() == []
    assert alerts.answer(1) == before
    assert alerts.told(WHOLE_TENANT, after=1) == [("alertAdded", 1, second["alertId"])]
    assert alerts.told(SERVERS) == [("created", 1, None)]


def test_an_alert_moves_the_incident_behind_all_that_was_seen(alerts: Alerts) -> None:
    alerts.put(an_incident(incidentId=1), an_incident(incidentId=2, lastUpdateTime="2026-03-01T00:00:00Z"))

    alerts.add(1, an_alert())

    assert alerts.document(1)["lastUpdateTime"] == "2026-03-01T00:00:00.0000001Z"


@pytest.mark.parametrize("text", ["", LARGE])
def test_the_group_of_its_source_hides_an_alert_without_devices(alerts: Alerts, text: str) -> None:
    first, hidden = an_alert("laptops", description=text), an_alert()
    alerts.put(an_incident(first, incidentId=1), an_incident(an_alert("laptops"), incidentId=2))

    def is_hidden(number: int) -> bool:
        shown = ids_of(alerts.document(number, LAPTOPS))
        return hidden["alertId"] not in shown and alerts.alert(hidden["alertId"], LAPTOPS) is None

    alerts.add(1, hidden, source_group=12)
    assert is_hidden(1)
    alerts.put_answers_back()
    alerts.update(1)
    assert is_hidden(1)
    assert ids_of(alerts.document(1, SERVERS)) == [hidden["alertId"]]
    alerts.move([hidden["alertId"]], 2)
    alerts.put_answers_back()
    assert is_hidden(2)
    assert {each for _, _, each in alerts.told(LAPTOPS)} == {None}


def test_who_could_not_see_an_alert_does_not_hear_that_it_is_gone(alerts: Alerts) -> None:
    incident, hidden = an_incident(an_alert("laptops"), incidentId=1), an_alert()
    alerts.put(incident)
    alerts.add(1, hidden, source_group=12)
    before = alerts.latest()

    alerts.put(incident)

    assert ("removed", 1, hidden["alertId"]) in alerts.told(WHOLE_TENANT, before)
    assert {each for _, _, each in alerts.told(LAPTOPS, before)} == {None}


def test_an_added_alert_says_in_which_incident_it_is(alerts: Alerts) -> None:
    alerts.put(an_incident(incidentId=7))
    of_another = an_alert()

    alerts.run(
        alerts.service.add_alert(
            alerts.tenant_id, 7, keep_single_alert(to_json(of_another)), an_audit_context()
        )
    )

    assert alerts.document(7)["alerts"][1] == {**of_another, "incidentId": 7}
    assert json.loads(alerts.alert(of_another["alertId"]) or b"")["incidentId"] == 7


def test_nothing_is_added_to_a_stub_or_to_nothing(alerts: Alerts) -> None:
    alerts.put(an_incident(incidentId=1), a_redirected_stub(1, incidentId=2))

    with pytest.raises(DisallowedOperation):
        alerts.add(2, an_alert())
    with pytest.raises(IncidentNotFound):
        alerts.add(3, an_alert())


# Moving


def test_a_move_changes_both_incidents(alerts: Alerts) -> None:
    stays, moves, there = an_alert("laptops"), an_alert("servers"), an_alert("laptops")
    alerts.put(an_incident(stays, moves, incidentId=1), an_incident(there, incidentId=2))
    after = alerts.latest()

    alerts.move([moves["alertId"]], 2)

    assert alerts.document(1)["alerts"] == [stays]
    assert alerts.document(2)["alerts"] == [there, {**moves, "incidentId": 2}]
    assert alerts.told(WHOLE_TENANT, after) == [
        ("updated", 1, None),
        ("updated", 2, None),
        ("alertMoved", 2, moves["alertId"]),
    ]
    assert alerts.told(LAPTOPS, after) == [("updated", 1, None), ("updated", 2, None)]
    assert alerts.told(SERVERS, after) == [
        ("removed", 1, None),
        ("created", 2, None),
        ("alertMoved", 2, moves["alertId"]),
    ]
    assert alerts.document(1)["lastUpdateTime"] < alerts.document(2)["lastUpdateTime"]


def test_a_move_of_the_last_alert_is_a_merge(alerts: Alerts) -> None:
    alert = an_alert("servers")
    alerts.put(an_incident(alert, incidentId=1), an_incident(an_alert("laptops"), incidentId=2))

    alerts.move([alert["alertId"]], 2)

    stub = alerts.document(1)
    assert (stub["status"], stub["redirectIncidentId"], stub["alerts"]) == ("Redirected", 2, [])
    assert alerts.listed(Exposure()) == {}


def test_a_hidden_alert_cannot_be_moved_and_looks_missing(alerts: Alerts) -> None:
    hidden = an_alert("servers")
    alerts.put(an_incident(an_alert("laptops"), hidden, incidentId=1), an_incident(incidentId=2))
    after = alerts.latest()

    with pytest.raises(AlertNotFound):
        alerts.move([hidden["alertId"]], 2, exposure=LAPTOPS)

    assert alerts.latest() == after


def test_who_may_not_manage_an_alert_or_an_incident_may_not_move(alerts: Alerts) -> None:
    one, other = an_alert("servers"), an_alert("laptops")
    alerts.put(an_incident(one, other, incidentId=1), an_incident(an_alert("servers"), incidentId=2))
    both = Exposure(device_groups=frozenset({11, 12}))

    with pytest.raises(PermissionMissing):
        alerts.move([one["alertId"]], 2, exposure=both, manages=LAPTOPS)
    with pytest.raises(IncidentNotFound):
        alerts.move([other["alertId"]], 2, exposure=LAPTOPS)
    with pytest.raises(PermissionMissing):
        alerts.merge(1, 2, exposure=both, manages=LAPTOPS)
    with pytest.raises(InvalidInput):
        alerts.move([], 2)


@pytest.mark.parametrize("moved", [0, 2])
def test_alerts_are_not_parted_from_what_hides_their_entities(alerts: Alerts, moved: int) -> None:
    hidden = a_device("servers")
    of_hidden = an_entity(hidden, ipAddress="10.1.1.1")
    naming, other = an_alert("laptops", entities=[of_hidden]), an_alert("laptops")
    incident = an_incident(naming, other, an_alert("servers", devices=[hidden]), incidentId=1)
    alerts.put(incident, an_incident(an_alert("laptops"), incidentId=2))
    after = alerts.latest()

    with pytest.raises(DisallowedOperation):
        alerts.move([ids_of(incident)[moved]], 2)

    assert alerts.latest() == after
    alerts.move([ids_of(incident)[0], ids_of(incident)[2]], 2)
    assert alerts.document(2)["alerts"][1]["entities"] == [of_hidden]
    assert alerts.document(2, LAPTOPS)["alerts"][1]["entities"] == []


# Merging


def test_a_merge_leaves_a_stub_and_loses_nothing(alerts: Alerts) -> None:
    comment = {"comment": "mine", "createdBy": "ana", "createdTime": "2026-02-11T08:00:00Z"}
    target = an_incident(
        an_alert("laptops"), incidentId=1, createdTime="2026-02-01T00:00:00Z", severity="Low"
    )
    source = an_incident(an_alert("servers"), incidentId=2, tags=["b"], comments=[comment])
    alerts.put(target, source)
    after = alerts.latest()

    assert alerts.merge(2, 1, comment="one attack") == 1

    merged, stub = alerts.document(1), alerts.document(2)
    assert ids_of(merged) == [*ids_of(target), *ids_of(source)]
    assert (merged["tags"], merged["severity"]) == (["tier-0", "b"], "High")
    assert [each["comment"] for each in merged["comments"]] == ["mine", "one attack"]
    assert stub == {
        **source,
        "redirectIncidentId": 1,
        "lastUpdateTime": stub["lastUpdateTime"],
        "status": "Redirected",
        "severity": "UnSpecified",
        "tags": [],
        "comments": [],
        "alerts": [],
    }
    assert alerts.told(WHOLE_TENANT, after) == [
        ("updated", 1, None),
        ("alertMoved", 1, ids_of(source)[0]),
        ("merged", 2, None),
    ]
    assert alerts.told(SERVERS, after)[0] == ("created", 1, None)
    with pytest.raises(DisallowedOperation):
        alerts.merge(1, 2)


def test_merges_made_here_name_the_incident_that_is_left(alerts: Alerts) -> None:
    def created(number: int) -> Document:
        return an_incident(an_alert("laptops"), incidentId=number, createdTime=f"2026-02-0{number}T00:00:00Z")

    imported = a_redirected_stub(2, incidentId=9)
    alerts.put(created(1), created(2), created(3), imported)

    alerts.merge(2, 3)
    alerts.merge(1, 2)

    assert [alerts.document(number)["redirectIncidentId"] for number in (2, 3, 9)] == [1, 1, 2]
    assert sorted(alerts.listed(LAPTOPS)) == [1, 2, 3, 9]


@pytest.mark.parametrize("count", [1, 6])
def test_a_merge_takes_two_to_five(alerts: Alerts, count: int) -> None:
    alerts.put(*(an_incident(incidentId=number) for number in range(1, 7)))

    with pytest.raises(InvalidInput):
        alerts.merge(*range(1, count + 1))


# Everything


@st.composite
def documents(draw: st.DrawFn) -> Document:
    alerts = draw(st.lists(some_alerts(), max_size=3))
    return an_incident(incidentId=draw(NUMBERS), alerts=alerts)


@st.composite
def some_alerts(draw: st.DrawFn) -> Document:
    groups = draw(st.lists(st.sampled_from(("laptops", "servers")), max_size=2))
    # Few devices, so that one stands in several alerts, in different groups.
    devices = [a_device(group, mdatpDeviceId=f"{draw(st.integers(1, 2)):040x}") for group in groups]
    return an_alert(
        devices=devices,
        entities=[{"deviceId": f"{draw(st.integers(1, 2)):040x}"}],
        description=draw(st.sampled_from(("", LARGE))),
    )


steps: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("put"), documents()),
    st.tuples(st.just("put"), documents()),
    st.tuples(st.just("update"), NUMBERS),
    st.tuples(st.just("remove"), NUMBERS),
    st.tuples(st.just("add"), st.tuples(NUMBERS, some_alerts())),
    st.tuples(st.just("move"), st.tuples(NUMBERS, NUMBERS, st.integers(0, 3))),
    st.tuples(st.just("merge"), st.lists(NUMBERS, min_size=2, max_size=3, unique=True)),
    st.tuples(st.just("put back"), st.none()),
)


def take(alerts: Alerts, step: Step) -> None:
    """Make one change, or be refused."""
    kind, what = step
    match kind:
        case "put":
            alerts.put(what)
        case "update":
            alerts.update(what)
        case "remove":
            alerts.remove(what)
        case "add":
            alerts.add(*what)
        case "move":
            source, target, place = what
            ids = ids_of(alerts.document(source)) if alerts.answer(source) else []
            alerts.move(ids[place : place + 1] or ["missing"], target)
        case "merge":
            alerts.merge(*what)
        case _:
            alerts.put_answers_back()


@settings(max_examples=40)
@given(st.lists(steps, max_size=10))
def test_rows_answers_lists_and_feed_say_the_same_after_every_change(
    running_house: RunningHouse, changes: list[Step]
) -> None:
    alerts = Alerts(House(running_house))

    for change in changes:
        before = alerts.latest(), whole(alerts)
        try:
            take(alerts, change)
        except Refusal:
            assert (alerts.latest(), whole(alerts)) == before

    check_rows(alerts)
    check_exposures(alerts)
    answers = whole(alerts)
    alerts.put_answers_back()
    assert whole(alerts) == answers
    check_rows(alerts)


def whole(alerts: Alerts) -> dict[int, bytes]:
    found = {number: alerts.answer(number) for number in range(1, 5)}
    return {number: answer for number, answer in found.items() if answer is not None}


def check_rows(alerts: Alerts) -> None:
    """See that rows of alerts, spans and answers are made of the same."""
    stored = {
        number: (spans, bool(head))
        for number, spans, head in alerts.rows("SELECT incident_id, spans, head FROM incident WHERE {}")
    }
    answers = whole(alerts)
    assert stored.keys() == answers.keys()
    natives: dict[int, list[bytes]] = {number: [] for number in answers}
    for number, native in alerts.rows(
        "SELECT incident_id, native FROM alert WHERE {} ORDER BY incident_id, place"
    ):
        natives[number].append(native)
    for number, (spans, is_absent) in stored.items():
        kept = keep_incident(answers[number])
        assert natives[number] == [
            lossless.encode(each) for each in lossless.decode(answers[number])["alerts"]
        ]
        if decode_spans(spans).inherited is None:
            assert visibility_of(decode_spans(spans)) == visibility_of(decode_spans(kept.spans))
            assert is_absent or spans == kept.spans


def check_exposures(alerts: Alerts) -> None:
    """See that lists, single reads, single alerts and the feed show the same to every reader."""
    every_id = [alert_id for number in whole(alerts) for alert_id in ids_of(alerts.document(number))]
    for exposure in EXPOSURES:
        answers = {number: alerts.answer(number, exposure) for number in whole(alerts)}
        visible = {number: answer for number, answer in answers.items() if answer is not None}
        assert alerts.listed(exposure) == visible
        shown = {
            alert["alertId"]: lossless.encode(alert)
            for answer in visible.values()
            for alert in lossless.decode(answer)["alerts"]
        }
        assert {each: found for each in every_id if (found := alerts.alert(each, exposure))} == shown
        assert set(following(alerts.told(exposure))) == visible.keys()


def following(told: list[tuple[str, int, str | None]]) -> Iterator[int]:
    """The incidents that are left to somebody who has followed the feed from the beginning."""
    there: set[int] = set()
    for kind, number, alert_id in told:
        if kind == "created":
            assert number not in there
            there.add(number)
        elif kind == "removed" and alert_id is None:
            there.remove(number)
        else:
            assert number in there
    yield from there
