"""The change feed: no change without a number, no number without a change, and who hears of which."""

import asyncio

import pytest

from tests.support.builders import Document, a_device, an_alert, an_audit_context, an_incident, to_json
from tests.support.house import House
from tests.support.store_changes import updating
from vigie.application.change_feed import told_to
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.audit import AuditContext
from vigie.core.changes import Change, ChangeKind
from vigie.core.enums import Status
from vigie.core.errors import ChangesGone
from vigie.core.instants import Instant
from vigie.core.update import Update
from vigie.documents.defender.reading import keep_incident
from vigie.storage.incident_transaction import IncidentTransaction

LAPTOPS = Exposure(device_groups=frozenset({11}))
SERVERS = Exposure(device_groups=frozenset({12}))


class Feed:
    """One tenant's incidents, changed through the store, and its feed."""

    def __init__(self, house: House) -> None:
        self.tenant_id = house.tenant.tenant_id
        self.run = house.running.run
        self.installation = house.running.installation
        self.feed = self.installation.change_feed

    def put(self, *incidents: object, audit_context: AuditContext | None = None) -> None:
        kept = [keep_incident(to_json(each)) for each in incidents]
        self.run(
            self.installation.incidents.put_incidents(
                self.tenant_id, kept, audit_context or an_audit_context()
            )
        )

    def update(self, number: int, update: Update) -> None:
        context = an_audit_context()
        change = updating(number, update, context.at)
        self.run(self.installation.incidents.change(self.tenant_id, context, change))

    def remove(self, number: int) -> None:
        self.run(self.installation.incidents.remove_incident(self.tenant_id, number, an_audit_context()))

    def changes(self, after: int = 0, limit: int = 1_000) -> list[Change]:
        return self.run(self.feed.changes_after(self.tenant_id, after, limit))

    def told(self, exposure: Exposure, after: int = 0) -> list[tuple[str, int]]:
        heard = [told_to(change, exposure) for change in self.changes(after)]
        return [(each.kind.value, each.incident_id) for each in heard if each]


@pytest.fixture
def feed(house: House) -> Feed:
    return Feed(house)


def an_incident_of(number: int, *groups: str, **changes: object) -> Document:
    alerts = [an_alert(group) for group in groups]
    return an_incident(incidentId=number, alerts=alerts, **changes)


def kinds(changes: list[Change]) -> list[tuple[int, str, int]]:
    return [(change.number, change.kind.value, change.incident_id) for change in changes]


def test_every_change_has_the_next_number(feed: Feed) -> None:
    feed.put(an_incident_of(1), an_incident_of(2))
    feed.update(2, Update(status=Status.RESOLVED))
    feed.put(an_incident_of(1, incidentName="another name"))
    feed.remove(1)

    assert kinds(feed.changes()) == [
        (1, "created", 1),
        (2, "created", 2),
        (3, "updated", 2),
        (4, "updated", 1),
        (5, "removed", 1),
    ]
    assert kinds(feed.changes(after=2, limit=2)) == [(3, "updated", 2), (4, "updated", 1)]
    assert feed.run(feed.feed.latest(feed.tenant_id)) == 5


def test_what_changes_nothing_has_no_number(feed: Feed) -> None:
    incident = an_incident_of(1)
    feed.put(incident)
    feed.put(incident)
    feed.remove(7)

    assert kinds(feed.changes()) == [(1, "created", 1)]


def test_a_change_that_is_undone_has_no_number(feed: Feed) -> None:
    feed.put(an_incident_of(1))

    async def change(transaction: IncidentTransaction) -> None:
        await updating(1, Update(status=Status.RESOLVED), an_audit_context().at)(transaction)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        feed.run(feed.installation.incidents.change(feed.tenant_id, an_audit_context(), change))
    feed.update(1, Update(status=Status.RESOLVED))

    assert kinds(feed.changes()) == [(1, "created", 1), (2, "updated", 1)]


def test_a_change_says_whose_it_was_and_when(feed: Feed) -> None:
    feed.put(an_incident_of(1), audit_context=AuditContext(actor="someone", request_id="r1", at=Instant(77)))

    (change,) = feed.changes()

    assert (change.actor, change.request_id, change.at, change.alert_id) == ("someone", "r1", 77, None)


def test_changes_of_several_writers_are_numbered_without_a_gap(feed: Feed) -> None:
    feed.put(*(an_incident_of(number) for number in range(1, 41)))

    async def all_at_once() -> None:
        context = an_audit_context()
        changes = [updating(number, Update(status=Status.RESOLVED), context.at) for number in range(1, 41)]
        incidents = feed.installation.incidents
        await asyncio.gather(*(incidents.change(feed.tenant_id, context, change) for change in changes))

    feed.run(all_at_once())

    changes = feed.changes(after=40)
    assert [change.number for change in changes] == list(range(41, 81))
    assert {change.incident_id for change in changes} == set(range(1, 41))


def test_a_scoped_reader_hears_of_what_is_visible_alone(feed: Feed) -> None:
    feed.put(an_incident_of(1, "laptops"), an_incident_of(2, "servers"), an_incident_of(3))

    assert feed.told(WHOLE_TENANT) == [("created", 1), ("created", 2), ("created", 3)]
    assert feed.told(LAPTOPS) == [("created", 1), ("created", 3)]
    assert feed.told(Exposure()) == [("created", 3)]


def test_what_comes_into_view_is_created_and_what_leaves_it_removed(feed: Feed) -> None:
    feed.put(an_incident_of(1, "laptops"))
    feed.put(an_incident_of(1, "servers"))
    feed.remove(1)

    assert feed.told(WHOLE_TENANT) == [
        ("created", 1),
        ("updated", 1),
        ("alertAdded", 1),
        ("removed", 1),
        ("removed", 1),
    ]
    assert feed.told(LAPTOPS) == [("created", 1), ("removed", 1)]
    assert feed.told(SERVERS) == [("created", 1), ("alertAdded", 1), ("removed", 1)]


def test_a_hidden_alert_that_comes_or_goes_is_not_heard_of(feed: Feed) -> None:
    incident = an_incident_of(1, "laptops")
    feed.put(incident)
    feed.put({**incident, "alerts": [*incident["alerts"], an_alert("servers")]})
    feed.put(incident)

    assert feed.told(WHOLE_TENANT, after=1) == [
        ("visibilityChanged", 1),
        ("alertAdded", 1),
        ("visibilityChanged", 1),
        ("removed", 1),
    ]
    assert feed.told(LAPTOPS, after=1) == []
    assert feed.told(SERVERS, after=1) == [("created", 1), ("alertAdded", 1), ("removed", 1)]


def test_nothing_is_told_of_those_who_changed_what_leaves_a_view(feed: Feed) -> None:
    feed.put(an_incident_of(1, "laptops"))
    feed.put(an_incident_of(1, "servers"))

    left = told_to(feed.changes(after=1)[0], LAPTOPS)

    assert left is not None
    assert (left.kind, left.actor, left.request_id) == (ChangeKind.REMOVED, "", "")


def test_who_sees_an_alert_no_more_hears_that_it_changed(feed: Feed) -> None:
    moving, of_laptops, of_servers = an_alert("laptops"), an_alert("laptops"), an_alert("servers")
    incident = an_incident(moving, of_laptops, of_servers, incidentId=1)
    feed.put(incident)
    moved = {**moving, "devices": [a_device("servers")], "entities": []}
    feed.put({**incident, "alerts": [moved, of_laptops, of_servers]})

    for exposure in (LAPTOPS, SERVERS):
        assert feed.told(exposure, after=1) == [("alertChanged", 1)]
    assert feed.told(Exposure(device_groups=frozenset({13})), after=1) == []


def test_a_stub_follows_its_target(feed: Feed) -> None:
    stub = an_incident(incidentId=2, alerts=[], status="Redirected", redirectIncidentId=1)
    target = an_incident_of(1, "laptops")
    feed.put(target, stub)
    feed.put({**target, "alerts": [*target["alerts"], an_alert("servers")]})
    feed.remove(1)

    assert feed.told(WHOLE_TENANT, after=2) == [
        ("visibilityChanged", 2),
        ("visibilityChanged", 1),
        ("alertAdded", 1),
        ("visibilityChanged", 2),
        ("removed", 1),
    ]
    assert feed.told(LAPTOPS, after=2) == [("removed", 2), ("removed", 1)]
    assert feed.told(SERVERS, after=2) == [
        ("created", 2),
        ("created", 1),
        ("alertAdded", 1),
        ("removed", 2),
        ("removed", 1),
    ]
    assert feed.told(Exposure(every_stub=True)) == [("created", 2)]


def test_a_consumer_that_comes_too_late_is_told(feed: Feed) -> None:
    for number, at in ((1, 100), (2, 200), (3, 300)):
        audit_context = AuditContext(actor="", request_id="", at=Instant(at))
        feed.put(an_incident_of(number), audit_context=audit_context)

    assert feed.run(feed.feed.prune(feed.tenant_id, Instant(250))) == 2

    with pytest.raises(ChangesGone) as gone:
        feed.changes(after=1)
    assert gone.value.oldest == 3
    assert kinds(feed.changes(after=2)) == [(3, "created", 3)]
    assert feed.run(feed.feed.prune(feed.tenant_id, Instant(1_000))) == 1
    assert feed.changes(after=3) == []
    feed.remove(1)
    assert kinds(feed.changes(after=3)) == [(4, "removed", 1)]


def test_a_position_moves_from_where_it_was(feed: Feed) -> None:
    def advance(before: int | None, after: int) -> bool:
        return feed.run(feed.feed.advance(feed.tenant_id, "mirror", before, after))

    assert feed.run(feed.feed.position(feed.tenant_id, "mirror")) is None
    assert [advance(None, 3), advance(None, 4), advance(3, 5), advance(3, 6)] == [True, False, True, False]
    assert feed.run(feed.feed.position(feed.tenant_id, "mirror")) == 5


def test_updates_that_are_committed_together_are_told_in_their_order_and_beside_one_that_fails(
    feed: Feed,
) -> None:
    feed.put(*(an_incident_of(number) for number in range(1, 4)))

    async def failing(transaction: IncidentTransaction) -> None:
        await updating(2, Update(status=Status.RESOLVED), an_audit_context().at)(transaction)
        raise ZeroDivisionError

    async def all_at_once() -> list[object]:
        context = an_audit_context()
        good = [updating(number, Update(status=Status.RESOLVED), context.at) for number in (3, 1)]
        changes = [good[0], failing, good[1]]
        return await asyncio.gather(
            *(feed.installation.incidents.change(feed.tenant_id, context, each) for each in changes),
            return_exceptions=True,
        )

    results = feed.run(all_at_once())

    assert [isinstance(each, ZeroDivisionError) for each in results] == [False, True, False]
    assert [each.incident_id for each in feed.changes(after=3)] == [3, 1]
