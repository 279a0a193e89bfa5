"""The change feed as JSON: in order, without loss, and never a word of what its reader must not know."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import GROUP_NUMBERS, a_device, an_alert, an_incident
from tests.support.database_access import below
from tests.support.house import READ_ALL, Answer, Clock, House, RunningHouse
from tests.support.store_changes import updating
from vigie.api.vigie.cursors import CURSOR_LENGTH, digest_of
from vigie.application.change_feed import LOOKED_AT_MAX
from vigie.config.settings import QuotaSettings
from vigie.core.access import WHOLE_TENANT, Exposure
from vigie.core.audit import AuditContext
from vigie.core.changes import ChangeKind, NewChange
from vigie.core.directory import User
from vigie.core.enums import Status
from vigie.core.instants import TICKS_PER_DAY, Instant, format_instant
from vigie.core.update import Update
from vigie.storage import change_feed
from vigie.storage.database import Session
from vigie.storage.visibility import OPEN_TO_EVERY_READER

PATH = "/api/vigie/changes"
QUOTAS = QuotaSettings(changes_per_minute=10**6, changes_per_hour=10**6)
NOON = Instant(17_700_000_000_000_000)
SCOPE = "Incident.Read"


@dataclass
class Following:
    """A reader that keeps its place."""

    house: House
    token: str
    place: str | int = 0

    def answer(self, **query: object) -> Answer:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.house.get(f"{PATH}?{text}", self.token)

    def read(self, **query: object) -> list[dict[str, Any]]:
        answer = self.answer(after=self.place, **query)
        assert answer.status == 200, answer.body
        self.place = answer.json["next"]
        value: list[dict[str, Any]] = answer.json["value"]
        return value

    def heard(self, **query: object) -> list[tuple[str, int]]:
        return [(each["kind"], each["incidentId"]) for each in self.read(**query)]


@pytest.fixture(scope="module")
def running(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    with RunningHouse(tmp_path_factory.mktemp("changes"), quotas=QUOTAS) as served:
        yield served


def a_tenant_on(served: RunningHouse) -> House:
    """Its device groups have their numbers: a group that learns its number makes another exposure."""
    house = House(served)
    for name, number in GROUP_NUMBERS.items():
        served.run(house.directory.add_device_group(house.tenant, name, number))
    return house


@pytest.fixture
def home(running: RunningHouse) -> House:
    return a_tenant_on(running)


def whole(house: House, place: str | int = 0) -> Following:
    return Following(house, house.a_token(), place)


def scoped(house: House, *groups: str, place: str | int = 0) -> Following:
    return Following(house, house.a_token_exposed_to(*groups), place)


def an_incident_of(number: int, *groups: str | None, **changes: object) -> dict[str, object]:
    alerts = [an_alert(devices=[a_device(group)] if group else []) for group in groups]
    return an_incident(incidentId=number, alerts=alerts, **changes)


def update(house: House, number: int, actor: str = "someone", at: Instant = NOON) -> None:
    change = updating(number, Update(status=Status.RESOLVED), at)
    context = AuditContext(actor=actor, request_id="r1", at=at)
    house.running.run(house.running.installation.incidents.change(house.tenant.tenant_id, context, change))


def record(house: House, *changes: NewChange, at: Instant = NOON) -> None:
    """Write to the feed what no command writes yet, or much of it."""

    async def write(session: Session) -> None:
        context = AuditContext(actor="someone", request_id="r1", at=at)
        await change_feed.record(session, house.tenant.tenant_id, changes, context, last_update_at=NOON)

    house.running.run(house.running.installation.database.write(write))


def seen_by(*labels: str) -> frozenset[str]:
    return frozenset(labels)


def a_change(number: int, *labels: str, kind: ChangeKind = ChangeKind.UPDATED, **changes: Any) -> NewChange:
    seen = {"visible_before": seen_by(*labels), "visible_after": seen_by(*labels)}
    return NewChange(**{"kind": kind, "incident_id": number, **seen, **changes})


# A reader of the whole tenant


def test_a_reader_of_the_whole_tenant_gets_every_change_with_its_number(home: House) -> None:
    home.takes(an_incident_of(1, "laptops"))
    home.takes(an_incident_of(2, "servers"))
    update(home, 1)

    answer = whole(home).answer()

    assert answer.status == 200
    assert answer.json["value"][2] == {
        "number": 3,
        "at": format_instant(NOON),
        "kind": "updated",
        "incidentId": 1,
        "alertId": None,
        "actor": "someone",
    }
    assert [each["number"] for each in answer.json["value"]] == [1, 2, 3]
    assert answer.json["next"] == 3


def test_a_limit_is_kept_and_next_goes_on_behind_it(home: House) -> None:
    for number in range(1, 6):
        home.takes(an_incident_of(number))
    reader = whole(home)

    read = [[each["number"] for each in reader.read(limit=2)] for _ in range(4)]

    assert read == [[1, 2], [3, 4], [5], []]
    assert reader.place == 5


def test_latest_is_the_place_of_now(home: House) -> None:
    home.takes(an_incident_of(1))
    reader = whole(home, "latest")

    assert reader.read() == []
    home.takes(an_incident_of(2))

    assert reader.heard() == [("created", 2)]


def test_the_headers_are_those_of_an_answer_that_nobody_keeps(home: House) -> None:
    answer = whole(home).answer()

    assert answer.header("content-type") == "application/json; charset=utf-8"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("vary") == "Accept, Accept-Encoding"


def test_a_user_with_a_role_over_the_whole_tenant_gets_numbers_too(home: House) -> None:
    home.takes(an_incident_of(1, "laptops"))

    assert [each["number"] for each in scoped(home).read()] == [1]


def test_tenants_have_feeds_of_their_own(home: House) -> None:
    home.takes(an_incident_of(1))
    other = a_tenant_on(home.running)
    other.takes(an_incident_of(2))

    assert whole(home).heard() == [("created", 1)]
    assert whole(other).heard() == [("created", 2)]


# A scoped reader


def test_a_scoped_reader_hears_of_what_it_sees_alone_and_gets_no_number(home: House) -> None:
    home.takes(an_incident_of(1, "servers"))
    home.takes(an_incident_of(2, "laptops"))
    home.takes(an_incident_of(3))
    update(home, 1)

    answer = scoped(home, "laptops").answer()

    assert [each["incidentId"] for each in answer.json["value"]] == [2, 3]
    assert all(
        each.keys() == {"at", "kind", "incidentId", "alertId", "actor"} for each in answer.json["value"]
    )
    assert re.fullmatch(rf"[A-Za-z0-9_-]{{{CURSOR_LENGTH}}}", answer.json["next"])


def test_what_comes_into_view_is_created_and_what_leaves_it_removed(home: House) -> None:
    reader = scoped(home, "laptops")
    home.takes(an_incident_of(1, "servers"))
    assert reader.heard() == []

    home.takes(an_incident_of(1, "laptops"))
    came = reader.read()
    home.takes(an_incident_of(1, "servers"))
    left = reader.read()

    heard = [(each["kind"], each["actor"]) for each in came + left]
    assert heard == [("created", ""), ("alertAdded", "tests"), ("removed", "")]


def test_a_hidden_alert_of_a_visible_incident_is_not_heard_of(home: House) -> None:
    both = ("#11", "#12")
    for kind in (
        ChangeKind.ALERT_ADDED,
        ChangeKind.ALERT_CHANGED,
        ChangeKind.ALERT_MOVED,
        ChangeKind.REMOVED,
    ):
        record(home, a_change(1, *both, kind=kind, alert_id="hidden", alert_visible=seen_by("#12")))
        record(home, a_change(1, *both, kind=kind, alert_id="seen", alert_visible=seen_by("#11")))
        record(
            home, a_change(1, *both, kind=kind, alert_id="open", alert_visible=seen_by(OPEN_TO_EVERY_READER))
        )

    read = scoped(home, "laptops").read()

    assert [(each["kind"], each["alertId"]) for each in read] == [
        (kind, alert)
        for kind in ("alertAdded", "alertChanged", "alertMoved", "removed")
        for alert in ("seen", "open")
    ]


def test_an_answer_says_nothing_of_how_much_is_hidden(home: House) -> None:
    home.takes(an_incident_of(1, "laptops"))
    reader = scoped(home, "laptops")
    quiet = reader.answer(after=0)
    record(home, *(a_change(number, "#12") for number in range(2, 300)))
    busy = reader.answer(after=0)

    assert len(quiet.body) == len(busy.body)
    assert {name for name, _ in quiet.headers} == {name for name, _ in busy.headers}
    assert quiet.json["value"] == busy.json["value"]
    assert quiet.json["next"] != busy.json["next"]


def test_two_cursors_of_one_place_are_never_the_same(home: House) -> None:
    reader = scoped(home, "laptops")

    cursors = {reader.answer(after="latest").json["next"] for _ in range(5)}

    assert len(cursors) == 5


def test_only_so_many_hidden_changes_are_looked_at_for_one_answer(home: House) -> None:
    hidden = [a_change(1, "#12")] * LOOKED_AT_MAX
    record(home, *hidden)
    home.takes(an_incident_of(2, "laptops"))
    reader = scoped(home, "laptops")

    assert [reader.heard(), reader.heard(), reader.heard()] == [[], [("created", 2)], []]


# Places that are none


def test_a_cursor_of_somebody_else_is_400(home: House) -> None:
    cursor = scoped(home, "laptops").answer(after="latest").json["next"]
    elsewhere = a_tenant_on(home.running)

    for stranger in (scoped(home, "laptops"), scoped(elsewhere, "laptops"), whole(home)):
        answer = stranger.answer(after=cursor)

        assert (answer.status, answer.code) == (400, "InvalidInput")


@pytest.mark.parametrize("place", range(0, CURSOR_LENGTH, 5))
def test_a_cursor_that_was_changed_is_400(home: House, place: int) -> None:
    reader = scoped(home, "laptops")
    cursor = reader.answer(after="latest").json["next"]
    letter = "A" if cursor[place] != "A" else "B"

    answer = reader.answer(after=cursor[:place] + letter + cursor[place + 1 :])

    assert (answer.status, answer.code) == (400, "InvalidInput")


@pytest.mark.parametrize(
    "query",
    [
        "after=",
        "after=-1",
        "after=1.0",
        "after=oldest",
        "after=9223372036854775808",
        "after=%C3%A9",
        "after=1&after=2",
        f"after={'A' * (CURSOR_LENGTH - 1)}",
        f"after={'A' * (CURSOR_LENGTH + 1)}",
        f"after={'=' * CURSOR_LENGTH}",
        "limit=",
        "limit=0",
        "limit=1001",
        "limit=1e2",
        "limit=%D9%A1",
        "top=5",
        "$top=5",
    ],
)
@pytest.mark.parametrize("groups", [(), ("laptops",)])
def test_a_query_that_cannot_be_one_is_400(home: House, query: str, groups: tuple[str, ...]) -> None:
    answer = home.get(f"{PATH}?{query}", home.a_token_exposed_to(*groups))

    assert (answer.status, answer.code) == (400, "InvalidInput")


def test_a_number_is_no_place_of_a_scoped_reader(home: House) -> None:
    home.takes(an_incident_of(1, "laptops"))
    home.takes(an_incident_of(2, "laptops"))

    answer = scoped(home, "laptops").answer(after=1)

    assert (answer.status, answer.code) == (410, "Gone")


def test_a_place_that_the_feed_never_had_is_410(home: House) -> None:
    home.takes(an_incident_of(1))

    answer = whole(home).answer(after=2)

    assert (answer.status, answer.code) == (410, "Gone")


def a_reader_of(house: House, user: User) -> Following:
    return Following(house, house.token_of(user, SCOPE))


def test_a_cursor_of_another_scope_is_410(home: House) -> None:
    user = home.add_user("laptops")
    cursor = a_reader_of(home, user).answer(after="latest").json["next"]
    home.grant(user, "security-reader", "servers")

    wider = a_reader_of(home, user).answer(after=cursor)
    home.grant(user, "security-reader")
    widest = a_reader_of(home, user).answer(after=cursor)

    assert [(each.status, each.code) for each in (wider, widest)] == [(410, "Gone")] * 2
    assert b"What the caller may see" in wider.body


def test_every_exposure_has_a_digest_of_its_own() -> None:
    exposures = [
        WHOLE_TENANT,
        Exposure(),
        Exposure(every_stub=True),
        Exposure(device_groups=frozenset({11})),
        Exposure(device_groups=frozenset({"11"})),
        Exposure(device_groups=frozenset({"1", "1,1"})),
        Exposure(device_groups=frozenset({"1,1,1"})),
    ]

    assert len({digest_of(each) for each in exposures}) == len(exposures)
    assert digest_of(Exposure(device_groups=frozenset({11, "a"}))) == digest_of(
        Exposure(device_groups=frozenset({"a", 11}))
    )


# Too late


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aging(store: str, tmp_path: Path, clock: Clock) -> Iterator[House]:
    with RunningHouse(tmp_path, clock=clock, quotas=QUOTAS) as served:
        yield a_tenant_on(served)


def prune(house: House, before: Instant) -> None:
    house.running.run(house.running.installation.change_feed.prune(house.tenant.tenant_id, before))


def test_who_comes_too_late_is_told_so_and_begins_with_the_oldest_that_is_kept(aging: House) -> None:
    record(aging, a_change(1, "#12"), a_change(2, "#12"), at=Instant(NOON - 5))
    record(aging, a_change(3, "#12"))
    prune(aging, NOON)
    reader = whole(aging)

    late = reader.answer(after=1)

    assert (late.status, late.code) == (410, "Gone")
    assert "get the latest place in the feed, then read the incidents" in late.json["error"]["message"]
    assert reader.heard() == [("updated", 3)]
    assert reader.answer(after=2).status == 200


def test_a_cursor_ages_alike_whether_or_not_there_were_hidden_changes(aging: House, clock: Clock) -> None:
    user = aging.add_user("laptops")
    cursor = a_reader_of(aging, user).answer(after="latest").json["next"]
    record(aging, a_change(1, "#12"), at=clock.now())
    quiet = a_tenant_on(aging.running)
    bystander = quiet.add_user("laptops")
    other_cursor = a_reader_of(quiet, bystander).answer(after="latest").json["next"]

    statuses = []
    for _ in range(4):
        clock.forward(seconds=10 * 86_400)
        prune(aging, Instant(clock.now() - 30 * TICKS_PER_DAY))
        statuses.append(
            (
                a_reader_of(aging, user).answer(after=cursor).status,
                a_reader_of(quiet, bystander).answer(after=other_cursor).status,
            )
        )

    assert statuses == [(200, 200), (200, 200), (410, 410), (410, 410)]


# The key


def test_a_cursor_is_good_on_another_server_and_after_a_restart(store: str, tmp_path: Path) -> None:
    with RunningHouse(tmp_path, quotas=QUOTAS) as first:
        house = a_tenant_on(first)
        tenant, user = house.tenant, house.add_user("laptops")
        reader = a_reader_of(house, user)
        reader.place = reader.answer(after="latest").json["next"]
        # Not long ago, as a server that starts removes old changes.
        record(house, a_change(1, "#11"), at=house.now())
    with RunningHouse(tmp_path, quotas=QUOTAS) as second:
        again = House(second)
        again.tenant = tenant
        reader = Following(again, again.token_of(user, SCOPE), reader.place)

        assert reader.heard() == [("updated", 1)]


def test_the_key_is_made_once(home: House) -> None:
    scoped(home, "laptops").read()
    kept = below(home.running.settings.database).rows(
        "SELECT value FROM installation WHERE name = 'cursor_key'"
    )

    scoped(home, "laptops").read()

    assert kept == below(home.running.settings.database).rows(
        "SELECT value FROM installation WHERE name = 'cursor_key'"
    )
    ((key,),) = kept
    assert len(bytes.fromhex(key)) == 64


# Quota and order of refusals


def test_the_feed_has_a_quota_of_its_own(store: str, tmp_path: Path) -> None:
    with RunningHouse(tmp_path, quotas=QuotaSettings(changes_per_minute=3)) as served:
        house = House(served)
        house.takes(an_incident_of(1))
        reader = whole(house)
        statuses = [reader.answer(after="nonsense").status for _ in range(3)]

        spent = reader.answer(after="nonsense")

        assert statuses == [400] * 3
        assert (spent.status, spent.stated_wait[0]) == (429, "3 per 00:01:00")
        assert house.get("/api/incidents/1", reader.token).status == 200


def test_the_first_that_is_wrong_is_what_is_said(home: House) -> None:
    nothing = home.a_token_without_permission()

    statuses = {
        "path": home.get("/api/vigie/changed?after=x", None).status,
        "root": home.get("/api/vigie?after=x", None).status,
        "method": home.get(f"{PATH}?after=x", None, method="DELETE").status,
        "token": home.get(f"{PATH}?after=x", None).status,
        "permission": home.get(f"{PATH}?after=x", nothing).status,
        "query": home.get(f"{PATH}?after=x", home.a_token(READ_ALL)).status,
        "HEAD": home.get(PATH, home.a_token(READ_ALL), method="HEAD").status,
    }

    assert statuses == {
        "path": 404,
        "root": 404,
        "method": 405,
        "token": 401,
        "permission": 403,
        "query": 400,
        "HEAD": 200,
    }
