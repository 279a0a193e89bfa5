"""Whatever is imported, updated and removed: what lists read always says what the rows say."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import Document, a_device, an_alert, an_audit_context, an_incident, to_json
from tests.support.database_access import below
from tests.support.house import House, RunningHouse
from tests.support.naive_lists import inherited_by, is_redirected
from tests.support.store_changes import updating
from vigie.core.enums import Status
from vigie.core.incident import Spans, decode_spans, inheriting, visibility_of
from vigie.core.instants import Instant, format_instant, parse_instant
from vigie.core.update import Update
from vigie.documents.defender.reading import keep_incident
from vigie.storage.visibility import labels_text, visibility_label

NOON = parse_instant("2026-02-11T12:00:00Z")
MOMENTS = st.integers(-3, 3).map(lambda ticks: Instant(NOON + ticks))
# Few of each, so that the same incident is met again and again; groups with numbers, without, and none.
NUMBERS = st.integers(1, 4)
GROUPS = st.sampled_from(("laptops", "servers", "branch", "", None))
ASSIGNEES = st.sampled_from((None, "", "ana", "élise"))

LISTING_COLUMNS = ("incident_id", "last_update_at", "created_at", "status", "assigned_to")

Step = tuple[str, Any]


class Store:
    """The incidents of one tenant, changed through the store and looked at past it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._incidents = house.running.installation.incidents
        self._tenant_id = house.tenant.tenant_id

    def take(self, step: Step) -> None:
        """Make one change."""
        kind, what = step
        match kind:
            case "import":
                kept = [keep_incident(to_json(document)) for document in what]
                self._house.running.run(
                    self._incidents.put_incidents(self._tenant_id, kept, an_audit_context())
                )
            case "update":
                number, update, at = what
                change = updating(number, update, at)
                self._house.running.run(
                    self._incidents.change(self._tenant_id, an_audit_context(at=at), change)
                )
            case "remove":
                self._house.running.run(
                    self._incidents.remove_incident(self._tenant_id, what, an_audit_context())
                )
            case "retire":
                retire = self._incidents.remove_incidents_before(self._tenant_id, what, an_audit_context())
                self._house.running.run(retire)

    def put(self, document: Document, on_written: Callable[[], object]) -> None:
        """Import an incident, and hear when it is written."""
        kept = [keep_incident(to_json(document))]
        self._house.running.run(
            self._incidents.put_incidents(self._tenant_id, kept, an_audit_context(), on_written=on_written)
        )

    def rows(self) -> list[dict[str, Any]]:
        """Every incident, by its columns."""
        return list(self._select(f"SELECT {', '.join(LISTING_COLUMNS)}, spans, document FROM incident"))

    def listings(self) -> list[tuple[object, ...]]:
        """Every row that lists read, with its labels, in order."""
        tables = "incident_listing JOIN visibility USING (tenant_id, visibility_id)"
        rows = self._select(f"SELECT labels, {', '.join(LISTING_COLUMNS)} FROM {tables}")
        return sorted((tuple(row.values()) for row in rows), key=repr)

    def sets_by_labels(self) -> dict[str, set[str]]:
        """The labels of every set that is stored, by what they are as one text."""
        tables = "visibility JOIN visibility_label USING (tenant_id, visibility_id)"
        sets: dict[str, set[str]] = {}
        for row in self._select(f"SELECT labels, label FROM {tables}"):
            sets.setdefault(row["labels"], set()).add(row["label"])
        return sets

    def _select(self, statement: str) -> Iterator[dict[str, Any]]:
        columns = statement.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
        store = below(self._house.running.settings.database)
        for row in store.rows(f"{statement} WHERE tenant_id = {self._tenant_id}"):
            yield dict(zip(columns, row, strict=True))


def listings_by(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """The rows that lists ought to read: one for each incident, with the labels that its spans give."""
    listings = (
        (
            labels_text(frozenset(labels_by(decode_spans(row["spans"])))),
            *(row[name] for name in LISTING_COLUMNS),
        )
        for row in rows
    )
    return sorted(listings, key=repr)


def labels_by(spans: Spans) -> set[str]:
    return {
        *map(visibility_label, visibility_of(spans)),
        *([">"] if spans.inherited is not None else []),
    }


def inherited(rows: list[dict[str, Any]]) -> dict[int, frozenset[object] | None]:
    """What each incident ought to be visible by for what it was merged into; None for what is no stub."""
    by_number = {row["incident_id"]: json.loads(row["document"]) for row in rows}
    return {
        number: None
        if document["alerts"] or not is_redirected(document)
        else inherited_by(document, by_number)
        for number, document in by_number.items()
    }


def kept_inherited(rows: list[dict[str, Any]]) -> dict[int, frozenset[object] | None]:
    """What is kept of that."""
    kept = {row["incident_id"]: decode_spans(row["spans"]).inherited for row in rows}
    return {number: None if labels is None else frozenset(labels) for number, labels in kept.items()}


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    numbers = draw(st.lists(NUMBERS, min_size=1, max_size=3, unique=True))
    return [draw(document_of(number)) for number in numbers]


@st.composite
def document_of(draw: st.DrawFn, number: int) -> Document:
    alerts = draw(st.lists(st.lists(GROUPS, max_size=2), max_size=2))
    status = draw(st.sampled_from(Status))
    target = draw(st.none() | NUMBERS)
    return an_incident(
        incidentId=number,
        createdTime=format_instant(draw(MOMENTS)),
        lastUpdateTime=format_instant(draw(MOMENTS)),
        status=status,
        assignedTo=draw(ASSIGNEES),
        redirectIncidentId=target,
        alerts=[an_alert(devices=[a_device(group) for group in groups]) for groups in alerts],
    )


updates = st.builds(
    Update,
    status=st.none() | st.sampled_from((Status.ACTIVE, Status.IN_PROGRESS, Status.RESOLVED)),
    assigned_to=st.none() | st.sampled_from(("", "ana", "élise")),
    comment=st.none() | st.just("seen"),
)

steps = st.one_of(
    st.tuples(st.just("import"), documents()),
    st.tuples(st.just("update"), st.tuples(NUMBERS, updates, MOMENTS)),
    st.tuples(st.just("remove"), NUMBERS),
    st.tuples(st.just("retire"), MOMENTS),
)


@settings(max_examples=60)
@given(st.lists(steps, max_size=12))
def test_lists_read_what_spans_and_columns_say_after_every_change(
    running_house: RunningHouse, changes: list[Step]
) -> None:
    store = Store(House(running_house))

    for change in changes:
        store.take(change)

        rows = store.rows()
        assert store.listings() == listings_by(rows), change
        assert kept_inherited(rows) == inherited(rows), change
        assert {text: labels_text(frozenset(labels)) for text, labels in store.sets_by_labels().items()} == {
            text: text for text in store.sets_by_labels()
        }


@settings(max_examples=30)
@given(st.lists(steps, max_size=12))
def test_the_columns_and_spans_of_a_row_are_what_its_document_says(
    running_house: RunningHouse, changes: list[Step]
) -> None:
    store = Store(House(running_house))

    for change in changes:
        store.take(change)

    for row in store.rows():
        kept = keep_incident(row["document"])
        inherited_labels = decode_spans(row["spans"]).inherited
        spans = kept.spans if inherited_labels is None else inheriting(kept.spans, inherited_labels)
        assert row == {**{name: getattr(kept, name) for name in row}, "spans": spans}


@pytest.mark.parametrize("last", [("remove", 1), ("retire", Instant(NOON + 1_000_000))])
def test_an_incident_that_is_gone_is_in_no_list(house: House, last: Step) -> None:
    store = Store(house)
    store.take(("import", [an_incident(an_alert("laptops"), an_alert("servers"), incidentId=1)]))
    assert [row[0] for row in store.listings()] == ["#11\n#12"]

    store.take(last)

    assert store.listings() == []


def test_label_sets_that_no_incident_has_any_more_go_with_the_retired(house: House) -> None:
    store = Store(house)
    old = an_incident(an_alert("servers"), incidentId=1, lastUpdateTime=format_instant(NOON))
    new = an_incident(an_alert("laptops"), incidentId=2, lastUpdateTime=format_instant(Instant(NOON + 2)))
    store.take(("import", [old, new]))
    assert store.sets_by_labels().keys() == {"#11", "#12"}

    store.take(("retire", Instant(NOON + 1)))

    assert store.sets_by_labels() == {"#11": {"#11"}}


def test_that_incidents_are_written_is_told_once_and_before_others_see_them(house: House) -> None:
    store = Store(house)
    seen: list[int] = []

    with ThreadPoolExecutor() as another:
        store.put(an_incident(), lambda: seen.append(len(another.submit(store.rows).result())))

    assert seen == [0]
    assert len(store.rows()) == 1
