"""Importing: what goes in comes out, what cannot is told with its place, and the counts are true."""

import asyncio
import gzip
import json
from collections.abc import Callable, Coroutine, Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.builders import (
    Document,
    a_redirected_stub,
    an_alert,
    an_incident,
    exactly,
    generated_incidents,
    json_values,
    texts,
    to_json,
)
from tests.support.captured import CAPTURED
from tests.support.house import settings_in
from vigie.application.transfer.importing import BATCH_COUNT, STRICT_REFUSALS_MAX, Import, Rejected, Tally
from vigie.core.audit import AuditContext
from vigie.core.directory import DeviceGroup, Tenant
from vigie.core.instants import Instant
from vigie.runtime.installation import Installation, opened
from vigie.synthetic.generator import generate

CONTEXT = AuditContext(actor="test", request_id="", at=Instant(17_000_000_000_000_000))

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of an import."""

    tally: Tally
    rejected: list[Rejected]
    unread_files_count: int = 0


class Archive:
    """A store with one tenant, opened anew for each question."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.settings = settings_in(directory)
        self.tenant = self._run(
            lambda installation: installation.directory.add_tenant("contoso", guid=None, domain=None)
        )

    def takes(self, *names: str | Path, strict: bool = False, bytes_max: int = 10**6) -> Imported:
        """Import files."""
        return self._run(lambda installation: self._import(installation, names, strict, bytes_max))

    def takes_lines(self, *lines: bytes, strict: bool = False, bytes_max: int = 10**6) -> Imported:
        """Import a file of these lines."""
        file = self.directory / "lines.jsonl"
        file.write_bytes(b"\n".join(lines))
        return self.takes(file, strict=strict, bytes_max=bytes_max)

    def documents(self) -> list[bytes]:
        """All that is in the store, in the order of an export."""

        async def all_documents(installation: Installation) -> list[bytes]:
            found = installation.incidents.all_documents(self.tenant.tenant_id)
            return [document async for document in found]

        return self._run(all_documents)

    def numbers(self) -> list[int]:
        """The numbers of the incidents that are in the store."""
        return [json.loads(document)["incidentId"] for document in self.documents()]

    def ask(self, question: Callable[[Installation, Tenant], Coroutine[Any, Any, T]]) -> T:
        """Anything else about the store."""
        return self._run(lambda installation: question(installation, self.tenant))

    async def _import(
        self, installation: Installation, names: Iterable[str | Path], strict: bool, bytes_max: int
    ) -> Imported:
        rejected: list[Rejected] = []
        run = Import(
            [str(name) for name in names], CONTEXT, on_rejected=rejected.append, incident_bytes_max=bytes_max
        )
        put = run.put_all_or_nothing if strict else run.put_valid
        await put(installation.incidents, self.tenant.tenant_id)
        return Imported(tally=run.tally, rejected=rejected, unread_files_count=run.unread_files_count)

    def _run(self, question: Callable[[Installation], Coroutine[Any, Any, T]]) -> T:
        async def asked() -> T:
            async with opened(self.settings, create=True) as installation:
                return await question(installation)

        return asyncio.run(asked())


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def tally(*, read: int = 0, added: int = 0, replaced: int = 0, refused: int = 0) -> Tally:
    return Tally(read=read, added=added, replaced=replaced, refused=refused)


def numbered(*numbers: int) -> list[bytes]:
    return [to_json(an_incident(incidentId=number)) for number in numbers]


# --- What goes in comes out.

WRITTEN = [
    lambda value: json.dumps(value).encode(),
    lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(),
    lambda value: json.dumps(value, indent=2).encode(),
]


REALISTIC = list(generate(60, seed=7))


@st.composite
def mutated(draw: st.DrawFn) -> Document:
    """A realistic incident to which anything was done that leaves it one."""
    document: Document = deepcopy(draw(st.sampled_from(REALISTIC)))
    alerts = document["alerts"]
    parts = [each for alert in alerts for key in ("devices", "entities") for each in alert[key]]
    for holder in draw(st.lists(st.sampled_from([document, *alerts, *parts]), max_size=4)):
        additions = draw(st.dictionaries(texts.map("x-{}".format), json_values, max_size=3))
        pairs = draw(st.permutations([*{**holder, **additions}.items()]))
        holder.clear()
        holder.update(pairs)
    if alerts and draw(st.booleans()):
        alerts.append(alerts[0])
    return document


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(st.lists(generated_incidents() | mutated(), min_size=1, max_size=4), st.sampled_from(WRITTEN))
def test_what_is_imported_comes_out_and_goes_in_again(
    documents: list[Document], written: Callable[[object], bytes]
) -> None:
    by_number = {document["incidentId"]: document for document in documents}
    expected = [exactly(to_json(by_number[number])) for number in sorted(by_number)]

    with TemporaryDirectory() as directory:
        first, second = Archive(Path(directory, "first")), Archive(Path(directory, "second"))
        imported = first.takes_lines(written([by_number[number] for number in by_number]))
        second.takes_lines(*first.documents())

        assert imported.tally == tally(read=len(by_number), added=len(by_number))
        assert [exactly(document) for document in first.documents()] == expected
        assert second.documents() == first.documents()


@pytest.mark.parametrize(
    "value",
    [
        *("1.0", "1.10", "-0.0", "1E+400", "9223372036854775807", "123456789012345678901234567890"),
        *('"two\\nlines"', '"title\\u200b"', '"\\ud83d\\ude00"', '"\\u0000"', '"é"', '"\u2028"'),
        *("null", "[]", "{}", '{"":null}', "[[],{},[null]]", "true"),
    ],
)
def test_a_value_that_others_lose_survives_wherever_it_stands(archive: Archive, value: str) -> None:
    text = (
        '{"z":VALUE,"incidentId":7,"createdTime":"2026-02-11T07:41:09.3066667Z",'
        '"lastUpdateTime":"2026-02-11T07:52:30.81Z","status":"Active","x":VALUE,"severity":VALUE,"alerts":['
        '{"alertId":"same","v":VALUE,"devices":[{"v":VALUE}],"entities":[{"v":VALUE}]},{"alertId":"same"}],'
        '"a":VALUE}'
    ).replace("VALUE", value)

    imported = archive.takes_lines(text.encode())

    assert imported.tally == tally(read=1, added=1)
    assert [exactly(each) for each in archive.documents()] == [exactly(text.encode())]


def test_of_an_answer_only_its_context_is_left_behind(archive: Archive) -> None:
    incident = an_incident(an_alert("laptops"), incidentId=7)

    archive.takes_lines(to_json({"@odata.context": "https://x/$metadata#Incidents/$entity", **incident}))

    assert [exactly(each) for each in archive.documents()] == [exactly(to_json(incident))]


@pytest.mark.parametrize("name", ["captured-list.json", "captured-incident.json", "documented-example.json"])
def test_captured_answers_come_out_as_they_came(archive: Archive, name: str) -> None:
    if not (CAPTURED / name).is_file():
        pytest.skip(f"captured answers are not here: {CAPTURED / name}")
    answer = json.loads((CAPTURED / name).read_bytes())
    incidents = answer.get("value", [answer])
    bare = [{key: value for key, value in each.items() if key != "@odata.context"} for each in incidents]

    imported = archive.takes(CAPTURED / name)

    assert imported.rejected == []
    assert imported.tally == tally(read=len(bare), added=len(bare))
    in_order = sorted(bare, key=lambda each: int(each["incidentId"]))
    assert [exactly(each) for each in archive.documents()] == [exactly(to_json(each)) for each in in_order]


def test_generated_incidents_come_out_byte_for_byte(archive: Archive, tmp_path: Path) -> None:
    lines = [json.dumps(each, separators=(",", ":"), ensure_ascii=False).encode() for each in REALISTIC]

    archive.takes_lines(*lines)

    assert archive.documents() == lines


# --- The forms a file may have.


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    "shape",
    [
        lambda incidents: b"\n".join(map(to_json, incidents)),
        lambda incidents: json.dumps(incidents, indent=1).encode(),
        lambda incidents: to_json({"@odata.context": "https://x", "value": incidents}),
        lambda incidents: b"\xef\xbb\xbf" + to_json(incidents),
    ],
)
@pytest.mark.sqlite_alone
def test_every_form_of_file_is_taken(
    archive: Archive, shape: Callable[[list[Document]], bytes], pack: Callable[[bytes], bytes]
) -> None:
    file = archive.directory / "incidents"
    file.write_bytes(pack(shape([an_incident(incidentId=7), an_incident(incidentId=8)])))

    imported = archive.takes(file)

    assert imported == Imported(tally=tally(read=2, added=2), rejected=[])
    assert archive.numbers() == [7, 8]


def test_importing_again_replaces(archive: Archive) -> None:
    archive.takes_lines(*numbered(1, 2))

    imported = archive.takes_lines(to_json(an_incident(incidentId=2, incidentName="new")), *numbered(3))

    assert imported.tally == tally(read=2, added=1, replaced=1)
    assert json.loads(archive.documents()[1])["incidentName"] == "new"


@pytest.mark.sqlite_alone
def test_an_empty_file_is_nothing(archive: Archive) -> None:
    assert archive.takes_lines(b"") == Imported(tally=tally(), rejected=[])


def test_the_device_groups_that_are_met_are_created(archive: Archive) -> None:
    archive.takes_lines(to_json(an_incident(an_alert("laptops", "servers"), an_alert(None))))

    groups = archive.ask(lambda installation, tenant: installation.directory.device_groups(tenant))

    assert DeviceGroup(name="laptops", number=11) in groups
    assert DeviceGroup(name="servers", number=12) in groups
    assert [group.name for group in groups].count("Ungrouped devices") == 1


def test_the_history_says_who_imported_and_when(archive: Archive) -> None:
    archive.takes_lines(*numbered(1))

    (entry,) = archive.ask(lambda installation, tenant: installation.incidents.history(tenant.tenant_id, 1))

    assert (entry.action, entry.actor, entry.at) == ("import", CONTEXT.actor, CONTEXT.at)


# --- What is refused, and where.

SOUND = an_incident(an_alert(), an_alert("laptops", "servers"), incidentId=5)


def changed(**keys: object) -> bytes:
    """The sound incident with other values; without those that are `...`."""
    return to_json({key: value for key, value in {**SOUND, **keys}.items() if value is not ...})


def with_text(text: bytes) -> bytes:
    """The sound incident with one more key, of any text."""
    return to_json(SOUND)[:-1] + b',"x":' + text + b"}"


def with_alert(**keys: object) -> bytes:
    return changed(alerts=[SOUND["alerts"][0], {**SOUND["alerts"][1], **keys}])


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "cut off": (to_json(SOUND)[:-20], "$", f"it ends after {len(to_json(SOUND)) - 20} bytes"),
    "a comma too many": (changed()[:-1] + b",}", "$", "trailing comma"),
    "a quote missing": (changed().replace(b'"status"', b'"status'), "$", "malformed"),
    "not JSON at all": (b"{'incidentId': 5}", "$", "malformed"),
    "NaN": (with_text(b"NaN"), "$", "malformed"),
    "nothing in it": (b"{}", "$", "'incidentId' is missing"),
    **{
        f"no {key}": (changed(**{key: ...}), "$", f"the key '{key}' is missing")
        for key in ("incidentId", "createdTime", "lastUpdateTime", "status", "alerts")
    },
    **{
        f"{key} null": (changed(**{key: None}), f"$.{key}", "it is null and must be a")
        for key in ("incidentId", "createdTime", "lastUpdateTime", "status", "alerts")
    },
    "a number that is text": (
        changed(incidentId="5"),
        "$.incidentId",
        "it is a text and must be a whole number",
    ),
    "a number with a fraction": (
        changed(incidentId=5.5),
        "$.incidentId",
        "it is a number with a fraction and must be a whole number",
    ),
    "a number that is true": (changed(incidentId=True), "$.incidentId", "it is true or false and must be"),
    "number 0": (changed(incidentId=0), "$.incidentId", "at least 1"),
    "number -5": (changed(incidentId=-5), "$.incidentId", "at least 1"),
    "number 2^63": (changed(incidentId=2**63), "$.incidentId", "at most 9223372036854775807"),
    "a number of 40 digits": (changed(incidentId=10**40), "$.incidentId", "at most 9223372036854775807"),
    "a status nobody knows": (
        changed(status="Open"),
        "$.status",
        "invalid status 'Open'; allowed: Active, InProgress, Resolved, Redirected",
    ),
    "a time in words": (changed(createdTime="yesterday"), "$.createdTime", "'yesterday' is not a time"),
    "a day that is none": (
        changed(lastUpdateTime="2026-02-30T00:00:00Z"),
        "$.lastUpdateTime",
        "not a day of the calendar",
    ),
    "a time as a number": (
        changed(createdTime=1770795669),
        "$.createdTime",
        "it is a number and must be a text",
    ),
    "alerts that are no list": (changed(alerts={}), "$.alerts", "it is an object and must be a list"),
    "an alert that is text": (changed(alerts=["x"]), "$.alerts[0]", "it is a text and must be an object"),
    "devices that are no list": (
        with_alert(devices={}),
        "$.alerts[1].devices",
        "it is an object and must be a list",
    ),
    "a device that is none": (
        with_alert(devices=[{}, 7]),
        "$.alerts[1].devices[1]",
        "it is a number and must be an object",
    ),
    "a device group as text": (
        with_alert(devices=[{"rbacGroupId": "12"}]),
        "$.alerts[1].devices[0].rbacGroupId",
        "it is a text and must be a whole number or null",
    ),
    "an entity's device as a number": (
        with_alert(entities=[{"deviceId": 7}]),
        "$.alerts[1].entities[0].deviceId",
        "it is a number and must be a text or null",
    ),
    "a key twice": (changed()[:-1] + b',"status":"Active"}', "$", "'status' stands twice"),
    "a key twice, deep down": (with_text(b'[{"a":{"b":1,"b":1}}]'), "$", "'b' stands twice"),
    "half of a surrogate pair": (with_text(b'"\\ud83d"'), "$", "half of a surrogate pair"),
    "text that is not UTF-8": (with_text(b'"caf\xe9"'), "$", "not UTF-8"),
    "nested too deeply": (with_text(b"[" * 20_000 + b"]" * 20_000), "$", "nested too deeply"),
    "a number too large to keep": (with_text(b"1E99999999999999999999"), "$", "too large"),
    "too long": (with_text(b'"' + b"x" * 200_000 + b'"'), "$", "at most 100,000 bytes"),
}
every_refusal = pytest.mark.parametrize(("text", "path", "reason"), REFUSED.values(), ids=REFUSED)


@every_refusal
@pytest.mark.sqlite_alone
def test_what_cannot_be_taken_is_refused_with_its_place_and_the_rest_is_imported(
    archive: Archive, text: bytes, path: str, reason: str
) -> None:
    before, after = numbered(1, 9)

    imported = archive.takes_lines(before, b"", text, after, bytes_max=100_000)

    (refused,) = imported.rejected
    assert (refused.source, refused.line, refused.path) == (str(archive.directory / "lines.jsonl"), 3, path)
    assert reason in refused.reason
    assert imported.tally == tally(read=3, added=2, refused=1)
    assert archive.numbers() == [1, 9]


@every_refusal
@pytest.mark.sqlite_alone
def test_strictly_one_that_cannot_be_taken_keeps_all_out(
    archive: Archive, text: bytes, path: str, reason: str
) -> None:
    before, after = numbered(1, 9)

    imported = archive.takes_lines(before, text, after, strict=True, bytes_max=100_000)

    assert imported.tally == tally(read=3, refused=1)
    assert archive.numbers() == []


WHOLE_VALUES = {
    name: row
    for name, row in REFUSED.items()
    # An array with one of these in it is no array.
    if name not in {"cut off", "a quote missing"}
}


@pytest.mark.parametrize(("text", "path", "reason"), WHOLE_VALUES.values(), ids=WHOLE_VALUES)
@pytest.mark.sqlite_alone
def test_the_place_in_an_array_or_a_list_answer_is_told_too(
    archive: Archive, text: bytes, path: str, reason: str
) -> None:
    before, after = numbered(1, 9)
    elements = b"[" + before + b",\n" + text + b",\n" + after + b"]"
    file = archive.directory / "several"

    for outer, shape in (("$", elements), ("$.value", b'{"value":' + elements + b"}")):
        file.write_bytes(shape)
        imported = archive.takes(file, bytes_max=100_000)

        assert [(each.line, each.path) for each in imported.rejected] == [(2, f"{outer}[1]{path[1:]}")]
        assert imported.tally.read - imported.tally.refused == 2


@pytest.mark.sqlite_alone
def test_elements_that_are_no_objects_are_refused_one_by_one(archive: Archive) -> None:
    imported = archive.takes_lines(b'[1,null,"x",[],' + numbered(1)[0] + b"]")

    assert [each.path for each in imported.rejected] == ["$[0]", "$[1]", "$[2]", "$[3]"]
    assert archive.numbers() == [1]


GRAPH_ALERT = {"id": "a", "incidentId": "7", "alertWebUrl": "https://x", "incidentWebUrl": "https://x"}
GRAPH_INCIDENT = {
    "id": "7",
    "displayName": "x",
    "status": "active",
    "createdDateTime": "2026-03-04T16:20:31Z",
}
GRAPH_FORMS: list[tuple[Document, str]] = [
    (GRAPH_INCIDENT, "$"),
    ({"@odata.type": "#microsoft.graph.security.incident", "id": "7"}, "$"),
    (
        {
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#security/incidents/$entity",
            "id": "7",
        },
        "$",
    ),
    ({"id": "7", "incidentWebUrl": "https://x", "alerts": [GRAPH_ALERT]}, "$"),
    (GRAPH_ALERT, "$"),
    ({"value": [GRAPH_INCIDENT]}, "$.value[0]"),
    ({"json_body": {"value": [GRAPH_INCIDENT | {"incidentWebUrl": "https://x"}]}}, "$.json_body.value[0]"),
]


@pytest.mark.parametrize(("document", "path"), GRAPH_FORMS)
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.sqlite_alone
def test_the_form_of_graph_is_told_apart_from_what_is_wrong(
    archive: Archive, document: Document, path: str, indent: int | None
) -> None:
    imported = archive.takes_lines(json.dumps(document, indent=indent).encode())

    (refused,) = imported.rejected
    assert refused.path == path
    assert refused.reason.startswith("Microsoft Graph incidents are not supported yet")


@pytest.mark.parametrize(
    "wrong", [b"{}", b"nope", b'{"incidentId": "x", "incidentName": "displayName"}', b"[1]"]
)
@pytest.mark.sqlite_alone
def test_what_is_wrong_otherwise_is_no_form_of_graph(archive: Archive, wrong: bytes) -> None:
    imported = archive.takes_lines(*numbered(1), wrong)

    assert imported.rejected
    assert all("Graph" not in each.reason for each in imported.rejected)


def test_of_two_with_one_number_in_a_file_the_second_is_refused(archive: Archive) -> None:
    first, again = (to_json(an_incident(incidentId=2, incidentName=name)) for name in ("first", "again"))

    imported = archive.takes_lines(*numbered(1), first, again, *numbered(3))

    (refused,) = imported.rejected
    assert (refused.line, refused.path) == (3, "$.incidentId")
    assert "duplicate incident 2 in this file" in refused.reason
    assert imported.tally == tally(read=4, added=3, refused=1)
    assert json.loads(archive.documents()[1])["incidentName"] == "first"


def test_one_that_was_refused_does_not_stand_in_the_way_of_its_number(archive: Archive) -> None:
    imported = archive.takes_lines(changed(status="Open"), changed())

    assert imported.tally == tally(read=2, added=1, refused=1)


def test_the_same_number_in_two_files_replaces(archive: Archive, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(to_json(an_incident(incidentId=2, incidentName=name)))

    imported = archive.takes(tmp_path / "one", tmp_path / "two")

    assert imported.tally == tally(read=2, added=1, replaced=1)
    assert json.loads(archive.documents()[0])["incidentName"] == "two"


@given(st.lists(st.integers(1, 600) | st.integers(2**62, 2**62 + 300), max_size=40))
@settings(max_examples=25)
def test_every_number_is_taken_once_from_a_file_and_the_counts_add_up(numbers: list[int]) -> None:
    with TemporaryDirectory() as directory:
        archive = Archive(Path(directory))
        imported = archive.takes_lines(
            *(to_json(a_redirected_stub(1, incidentId=number)) for number in numbers)
        )

        distinct = sorted(set(numbers))
        assert archive.numbers() == distinct
        refused = len(numbers) - len(distinct)
        assert imported.tally == tally(read=len(numbers), added=len(distinct), refused=refused)


# --- Files that cannot be read.


@pytest.mark.sqlite_alone
def test_files_that_cannot_be_read_are_told_and_the_others_imported(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(numbered(1)[0])

    imported = archive.takes(tmp_path / "missing", tmp_path / "good", tmp_path)

    assert [str(each) for each in imported.rejected] == [
        f"{tmp_path / 'missing'}: cannot read the file: No such file or directory",
        f"{tmp_path}: cannot read the file: Is a directory",
    ]
    assert imported.unread_files_count == 2
    assert imported.tally == tally(read=1, added=1)


def test_strictly_a_file_that_cannot_be_read_keeps_all_out(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"\n".join([*numbered(1), b"{}"]))

    imported = archive.takes(tmp_path / "good", tmp_path / "missing", strict=True)

    assert len(imported.rejected) == 2
    assert imported.tally == tally(read=2, refused=1)
    assert archive.numbers() == []


def test_what_can_be_read_of_damaged_compressed_data_is_imported(archive: Archive, tmp_path: Path) -> None:
    packed = gzip.compress(b"\n".join(to_json(each) for each in generate(3000, seed=3)))
    (tmp_path / "cut.gz").write_bytes(packed[: len(packed) // 2])

    imported = archive.takes(tmp_path / "cut.gz")

    assert "compressed data is damaged" in imported.rejected[-1].reason
    assert imported.tally.added == len(archive.numbers()) > 500


# --- All or nothing.


def test_strictly_all_files_go_in_together(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"\n".join(numbered(*range(1, 251))))
    (tmp_path / "two").write_bytes(b"\n".join(numbered(*range(200, 301))))

    imported = archive.takes(tmp_path / "one", tmp_path / "two", strict=True)

    assert imported == Imported(tally=tally(read=351, added=300, replaced=51), rejected=[])
    assert archive.numbers() == list(range(1, 301))


def test_strictly_a_refusal_at_the_very_end_undoes_what_was_written(archive: Archive) -> None:
    archive.takes_lines(*numbered(1))
    before = archive.documents()

    imported = archive.takes_lines(*numbered(*range(1, 5 * BATCH_COUNT)), b"{}", strict=True)

    assert imported.tally == tally(read=5 * BATCH_COUNT, refused=1)
    assert archive.documents() == before


def test_strictly_what_else_cannot_be_taken_is_told_too_up_to_a_limit(archive: Archive) -> None:
    few = archive.takes_lines(b"{}", *numbered(*range(1, 301)), b"{}", strict=True)
    many = archive.takes_lines(*[b"{}"] * 1000, *numbered(1), strict=True)

    assert [each.line for each in few.rejected] == [1, 302]
    assert few.tally == tally(read=302, refused=2)
    assert len(many.rejected) == STRICT_REFUSALS_MAX
    assert archive.numbers() == []
