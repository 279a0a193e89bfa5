"""Reading import files: every format found whole, every fault told with its place, and memory bounded."""

import gzip
import io
import json
import re
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigie.application.transfer.import_file_reader import (
    Finding,
    RawIncident,
    Unreadable,
    Unwrapped,
    open_source,
    read_incidents,
)

MEGABYTE = 1024 * 1024

# These tests are about what is read; a busy machine may take its time.
unhurried = settings(deadline=None)

Incident = dict[str, object]


class Trickle:
    """A stream that hands over the pieces it is given, never more than one at a time."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = filter(None, pieces)

    def read(self, _size_bytes: int) -> bytes:
        return next(self._pieces, b"")


def trickling(pieces: Iterable[bytes]) -> BinaryIO:
    return cast(BinaryIO, Trickle(pieces))


def in_chunks(data: bytes, size_bytes: int) -> BinaryIO:
    return trickling(data[at : at + size_bytes] for at in range(0, len(data), size_bytes))


def found_in(
    data: bytes, *, chunk_bytes: int = MEGABYTE, incident_bytes_max: int = MEGABYTE
) -> list[Finding]:
    return list(read_incidents(in_chunks(data, chunk_bytes), incident_bytes_max=incident_bytes_max))


def places(findings: Iterable[Finding]) -> list[tuple[int, str, str]]:
    """Line, path, and the text of an incident; or of a fault its first words behind "!"."""
    return [
        (
            finding.line,
            finding.path,
            finding.text.decode() if isinstance(finding, RawIncident) else f"!{finding.reason[:16]}",
        )
        for finding in findings
        if not isinstance(finding, Unwrapped)
    ]


def incidents_of(findings: Iterable[Finding]) -> list[RawIncident]:
    return [finding for finding in findings if isinstance(finding, RawIncident)]


# --- Every format, whole.

texts = st.text(alphabet=st.sampled_from('"\\{}[],: \n\r\tné😀\u2028x/'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "alerts", "@odata.type"]) | texts, inner, max_size=3)
    ),
    max_leaves=8,
)
incidents = st.builds(
    lambda number, rest: {"incidentId": number, **rest},
    st.integers(min_value=1),
    st.dictionaries(st.sampled_from(["value", "alerts", "@odata.id", "tags"]) | texts, values, max_size=4),
)


def _lines(items: list[Incident]) -> str:
    return "".join(f"{json.dumps(item)}\n" for item in items)


def _gappy_lines(items: list[Incident]) -> str:
    return "\n \n\n".join(json.dumps(item, ensure_ascii=False) for item in items)


def _array(items: list[Incident]) -> str:
    return json.dumps(items, separators=(",", ":"))


def _tall_array(items: list[Incident]) -> str:
    return json.dumps(items, indent=2, ensure_ascii=False) + "\n"


def _array_of_lines(items: list[Incident]) -> str:
    return "[\n" + ",\n".join(json.dumps(item) for item in items) + "\n]\n"


def _answer(items: list[Incident]) -> str:
    return json.dumps(
        {"@odata.context": 'h"\\ttps', "@odata.count": -1.5e3, "value": items, "@odata.nextLink": "x"}
    )


def _bare_answer(items: list[Incident]) -> str:
    return json.dumps({"value": items}, indent="\t")


def _tall_answer(items: list[Incident]) -> str:
    return json.dumps({"@odata.context": "https://", "value": items, "@odata.deltaLink": [{}]}, indent=1)


def _foreign_answer(items: list[Incident]) -> str:
    return json.dumps({"tenant": {"value": 1, "x": "]}"}, "count": len(items), "value": items})


def _tall_foreign_answer(items: list[Incident]) -> str:
    return json.dumps({"@odata.context": ["no", "scalar"], "value": items, "more": None}, indent=2)


def _documents(items: list[Incident]) -> str:
    return "\n".join(json.dumps(item, indent=2) for item in items)


def _joined_documents(items: list[Incident]) -> str:
    return "".join(json.dumps(item, indent=0) for item in items)


def _joined_lines(items: list[Incident]) -> str:
    return "".join(json.dumps(item) for item in items)


def _alone(_index: int) -> str:
    return "$"


def _in_array(index: int) -> str:
    return f"$[{index}]"


def _in_value(index: int) -> str:
    return f"$.value[{index}]"


FORMATS: list[tuple[Callable[[list[Incident]], str], Callable[[int], str]]] = [
    (_lines, _alone),
    (_gappy_lines, _alone),
    (_array, _in_array),
    (_tall_array, _in_array),
    (_array_of_lines, _in_array),
    (_answer, _in_value),
    (_bare_answer, _in_value),
    (_tall_answer, _in_value),
    (_foreign_answer, _in_value),
    (_tall_foreign_answer, _in_value),
    (_documents, _alone),
    (_joined_documents, _alone),
    (_joined_lines, _alone),
]


_BEGINS = re.compile(rb'\{\s*"incidentId":')


def lines_in(data: bytes) -> list[int]:
    """The line of each incident, told from the first key that each of them has, and nothing else."""
    return [1 + data.count(b"\n", 0, begin.start()) for begin in _BEGINS.finditer(data)]


@unhurried
@given(
    st.lists(incidents, max_size=4),
    st.sampled_from(FORMATS),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1, 2, 3, 7, 64, MEGABYTE]),
)
def test_every_format_gives_the_same_incidents_with_their_places(
    items: list[Incident],
    form: tuple[Callable[[list[Incident]], str], Callable[[int], str]],
    has_bom: bool,
    has_crlf: bool,
    chunk_bytes: int,
) -> None:
    write, path_of = form
    data = write(items).encode("utf-8-sig" if has_bom else "utf-8")
    data = data.replace(b"\n", b"\r\n") if has_crlf else data

    findings = found_in(data, chunk_bytes=chunk_bytes)

    assert [json.loads(found.text) for found in incidents_of(findings)] == items
    assert [(found.line, found.path) for found in findings] == [
        (line, path_of(index)) for index, line in enumerate(lines_in(data))
    ]


@unhurried
@given(st.lists(st.lists(incidents, max_size=3), min_size=1, max_size=3), st.sampled_from([1, 5, MEGABYTE]))
def test_list_answers_may_follow_one_another_with_and_without_line_ends(
    pages: list[list[Incident]], chunk_bytes: int
) -> None:
    wide = [_answer(page) for page in pages]
    tall = [_tall_answer(page) for page in pages]

    for data in ("\n".join(wide), "".join(wide), "\n".join(tall), "".join(tall)):
        found = incidents_of(found_in(data.encode(), chunk_bytes=chunk_bytes))

        assert [json.loads(incident.text) for incident in found] == list(chain.from_iterable(pages))
        assert [incident.path for incident in found] == [
            _in_value(index) for page in pages for index in range(len(page))
        ]
        assert [incident.line for incident in found] == lines_in(data.encode())


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b" \r\n\n\t", b"[]", b'{"value": [ ]}\n'])
def test_an_empty_file_has_no_incidents(data: bytes) -> None:
    assert found_in(data) == []


def test_a_line_longer_than_a_chunk_is_found_whole() -> None:
    long = json.dumps({"incidentId": 1, "x": '"\\' * 300_000}).encode()

    for data in (long + b"\n" + long, long + long, b"[" + long + b"," + long + b"]"):
        found = incidents_of(found_in(data, chunk_bytes=65_537, incident_bytes_max=2 * MEGABYTE))

        assert [incident.text for incident in found] == [long, long]


@pytest.mark.parametrize("elements_count", [10, 100])
def test_a_list_answer_on_one_long_line_is_read_by_its_elements(elements_count: int) -> None:
    elements = b",".join([b'{"a":"%s"}' % (b"x" * 50_000)] * elements_count)
    page = b'{"@odata.context":"x","value":[' + elements + b"]}\n"

    found = incidents_of(found_in(page * 2, chunk_bytes=30_000, incident_bytes_max=60_000))

    assert [(incident.line, incident.path) for incident in found] == [
        (line, _in_value(index)) for line in (1, 2) for index in range(elements_count)
    ]


# --- What is wrong is told with its place, and the rest goes on.

FAULTS: dict[str, tuple[bytes, list[tuple[int, str, str]]]] = {
    "broken inside, brackets balanced": (
        b'[{"a": nope},\n{"b":1}]',
        [(1, "$[0]", '{"a": nope}'), (2, "$[1]", '{"b":1}')],
    ),
    "elements that are no objects": (
        b'[1, null,\n"a, {[\\"", [2], -1e5]',
        [
            (1, "$[0]", "1"),
            (1, "$[1]", "null"),
            (2, "$[2]", '"a, {[\\""'),
            (2, "$[3]", "[2]"),
            (2, "$[4]", "-1e5"),
        ],
    ),
    "missing comma": (
        b'[{"a":1}\n{"b":1}]',
        [(1, "$[0]", '{"a":1}'), (2, "$[1]", "!There is no comm"), (2, "$[1]", '{"b":1}')],
    ),
    "trailing comma": (b'[{"a":1},\n]', [(1, "$[0]", '{"a":1}'), (2, "$[1]", "!The array ends i")]),
    "comma after comma": (
        b'[{"a":1},\n,{"b":1}]',
        [(1, "$[0]", '{"a":1}'), (2, "$[1]", "!No element stand"), (2, "$[1]", '{"b":1}')],
    ),
    "comma first": (b'[,{"b":1}]', [(1, "$[0]", "!No element stand"), (1, "$[0]", '{"b":1}')]),
    "rubbish between": (
        b'[{"a":1} or so\n, {"b":1}]',
        [(1, "$[0]", '{"a":1}'), (1, "$[1]", "!This is neither "), (2, "$[1]", '{"b":1}')],
    ),
    "a brace too many": (
        b'[{"a":1}}, {"b":1}, }]',
        [
            (1, "$[0]", '{"a":1}'),
            (1, "$[1]", "!This is neither "),
            (1, "$[1]", '{"b":1}'),
            (1, "$[2]", "!This is neither "),
            (1, "$[2]", "!The array ends i"),
        ],
    ),
    "a quote too few spoils its line only": (
        b'[\n{"a":"x},\n{"b":1}},\n{"c":1}]',
        [(2, "$[0]", '{"a":"x},\n{"b":1}}'), (4, "$[1]", '{"c":1}')],
    ),
    "array cut short between": (b'[{"a":1},\n', [(1, "$[0]", '{"a":1}'), (2, "$", "!What begins on l")]),
    "array cut short inside": (
        b'[{"a":1},\n{"b":[{"c":\n',
        [(1, "$[0]", '{"a":1}'), (3, "$[1]", "!What begins on l")],
    ),
    "array cut short in a string": (b'["a\\', [(1, "$[0]", "!What begins on l")]),
    "list answer cut short": (
        b'{"value":[{"a":1}],"x"',
        [(1, "$.value[0]", '{"a":1}'), (1, "$", "!What begins on l")],
    ),
    "rubbish behind an array": (
        b'[{"a":1}]\n] {"b":1}',
        [(1, "$[0]", '{"a":1}'), (2, "$", "!After the end of")],
    ),
    "rubbish behind a list answer": (
        b'{"value":[{"a":1}]}, {"b":1}',
        [(1, "$.value[0]", '{"a":1}'), (1, "$", "!After the end of")],
    ),
    "rubbish behind a document": (b'{\n"a":1}\n#', [(1, "$", '{\n"a":1}'), (3, "$", "!After the end of")]),
    "array of a list answer closed too early": (
        b'{"value":[{"a":1}],\n{"b":1}]}',
        [(1, "$.value[0]", '{"a":1}'), (1, "$", "!What follows the"), (2, "$", "!After the end of")],
    ),
    "a second value": (
        b'{"value":[{"a":1}],"value":[{"b":1}]}',
        [(1, "$.value[0]", '{"a":1}'), (1, "$", "!What follows the")],
    ),
    "list answer with an ending that is no text": (
        b'{"value":[{"a":1}],"\x80":0}',
        [(1, "$.value[0]", '{"a":1}'), (1, "$", "!What follows the")],
    ),
    "document cut short": (b'{\n"a":1,\n', [(3, "$", "!What begins on l")]),
    "broken line": (
        b'{"a":1}\n{"b":\n \n{"c":1}\nnope\n[1]\n',
        [
            (1, "$", '{"a":1}'),
            (2, "$", '{"b":'),
            (4, "$", '{"c":1}'),
            (5, "$", "nope"),
            (6, "$", "[1]"),
        ],
    ),
    "broken first line": (b'{"a":"x\n\n{"b":1}', [(1, "$", '{"a":"x'), (3, "$", '{"b":1}')]),
    "first line with a brace too many": (b'{"a":1}}\n{"b":1}', [(1, "$", '{"a":1}}'), (2, "$", '{"b":1}')]),
    "list answer broken on its line": (
        b'{"value":[{"a":1},]}\n{"value":[{"b":1},{"c":\n{"value":[{"d":1}]}',
        [
            (1, "$.value[0]", '{"a":1}'),
            (1, "$.value[1]", "!The array ends i"),
            (2, "$.value[0]", '{"b":1}'),
            (2, "$.value[1]", "!What begins on l"),
            (3, "$.value[0]", '{"d":1}'),
        ],
    ),
    "several on a line, then lines": (
        b'{"a":1} {"b":1}\n{"c":1}\n{"d":\n{"e":1}',
        [
            (1, "$", '{"a":1}'),
            (1, "$", '{"b":1}'),
            (2, "$", '{"c":1}'),
            (3, "$", '{"d":'),
            (4, "$", '{"e":1}'),
        ],
    ),
    "array cut where dots say so": (
        b'[{"a":1},\n{"b":1},\n...\n',
        [(1, "$[0]", '{"a":1}'), (2, "$[1]", '{"b":1}'), (3, "$[2]", "!What begins on l")],
    ),
    "array cut and closed": (
        b'[{"a":1}, ...\n]\n',
        [(1, "$[0]", '{"a":1}'), (1, "$[1]", "!What begins on l")],
    ),
    "array cut with one sign": (
        '[{"a":1},\u2026]'.encode(),
        [(1, "$[0]", '{"a":1}'), (1, "$[1]", "!What begins on l")],
    ),
    "dots in the middle are one element": (
        b'[{"a":1}, ..., {"b":1}]',
        [(1, "$[0]", '{"a":1}'), (1, "$[1]", "..."), (1, "$[2]", '{"b":1}')],
    ),
    "element cut where dots say so": (
        b'{"value":[{"a":1},\n{"b":[{"c":1},...',
        [(1, "$.value[0]", '{"a":1}'), (2, "$.value[1]", "!What begins on l")],
    ),
    "lines cut where dots say so": (
        b'{"a":1}\n{"b":1}\n...\n',
        [(1, "$", '{"a":1}'), (2, "$", '{"b":1}'), (3, "$", "!What begins on l")],
    ),
    "last line cut where dots say so": (
        b'{"a":1}\n{"b":[...\n',
        [(1, "$", '{"a":1}'), (2, "$", "!What begins on l")],
    ),
    "web page": (b"\n<html>\n<p>", [(2, "$", "!The file starts ")]),
    "number": (b"12", [(1, "$", "!The file starts ")]),
    "string": (b'"{}"', [(1, "$", "!The file starts ")]),
    "binary": (b"\x00\x01\x02{}", [(1, "$", "!The file starts ")]),
    "UTF-16": ("\ufeff{}".encode("utf-16-le"), [(1, "$", "!The file is UTF-")]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("chunk_bytes", [1, 3, MEGABYTE])
def test_a_fault_is_told_with_its_place_and_what_is_whole_is_read(fault: str, chunk_bytes: int) -> None:
    data, expected = FAULTS[fault]

    assert places(found_in(data, chunk_bytes=chunk_bytes)) == expected


def test_dots_at_the_end_are_told_as_what_they_are() -> None:
    [_, cut] = found_in(b'[{"a":1},\n...\n')

    assert isinstance(cut, Unreadable)
    assert (
        cut.reason == "What begins on line 1 was cut here, where it ends in `...`; export or copy it again."
    )


INSIDE: list[tuple[str, list[str]]] = [
    ('{"response_list":[%s,%s]}', ["$.response_list[0]", "$.response_list[1]"]),
    (
        '{"status":200,"json_body":{"value":[%s,%s],"@odata.count":2}}',
        ["$.json_body.value[0]", "$.json_body.value[1]"],
    ),
    ('{"a":{"b":[{"c":{"d":[%s,%s]}}]},"e":[1]}', ["$.a.b[0].c.d[0]", "$.a.b[0].c.d[1]"]),
]


@pytest.mark.parametrize(("key_encryption", "paths"), INSIDE)
@pytest.mark.parametrize("chunk_bytes", [1, MEGABYTE])
@pytest.mark.parametrize("is_tall", [False, True])
def test_the_single_list_of_incidents_inside_an_object_is_found(
    key_encryption: str, paths: list[str], chunk_bytes: int, is_tall: bool
) -> None:
    items = [{"incidentId": number, "alerts": [{"alertId": "a", "incidentId": number}]} for number in (1, 2)]
    data = key_encryption % tuple(map(json.dumps, items))
    if is_tall:
        data = json.dumps(json.loads(data), indent=2)

    where, *found = found_in(data.encode(), chunk_bytes=chunk_bytes)

    assert isinstance(where, Unwrapped)
    assert f"{where.path}[0]" == paths[0]
    assert [json.loads(each.text) for each in incidents_of(found)] == items
    assert [each.path for each in found] == paths
    assert [each.line for each in found] == lines_in(data.encode())


def test_so_is_a_single_incident() -> None:
    where, found = found_in(b'{"ok":true,\n"incident":{"incidentId":1}}')

    assert where == Unwrapped(line=2, path="$.incident")
    assert found == RawIncident(line=2, path="$.incident", text=b'{"incidentId":1}')


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b'{"old":[{"incidentId":1}],"new":[{"incidentId":1}]}', "at $.old and $.new, and none"),
        (b'{"pages":[[{"incidentId":1}],[{"incidentId":2}]]}', "at $.pages[0] and $.pages[1], and none"),
        (b'{"x":[{"incidentId":1}],"value":[{"incidentId":2}]}', "at $.x and $.value, and none"),
        (b'{"a":{"incidentId":1},"b":{"incidentId":2}}', "at $.a and $.b, and none"),
        (
            b"{%s}" % b",".join(b'"%d":[{"incidentId":1}]' % each for each in range(5)),
            "$.2 and 2 more places",
        ),
    ],
)
def test_of_two_lists_none_is_chosen_and_both_are_named(data: bytes, named: str) -> None:
    for written in (data, data + b"\n" + data):
        faults = found_in(written)

        assert all(isinstance(fault, Unreadable) and named in fault.reason for fault in faults)
        assert len(faults) == written.count(b"\n") + 1


@pytest.mark.parametrize("first", [b"", b'"x":"y",'])
def test_incidents_beside_those_of_a_list_answer_are_told(first: bytes) -> None:
    data = b'{%b"value":[{"incidentId":1}],"more":{"value":[{"incidentId":2}]}}' % first

    found, fault = found_in(data)

    assert isinstance(found, RawIncident)
    assert isinstance(fault, Unreadable)
    assert "at $.more.value too" in fault.reason


@pytest.mark.parametrize(
    "data",
    [
        b'{"incidentId":1,"related":[{"incidentId":2}]}',
        b'{"related":[{"incidentId":2}],"incidentId":1}',
        b'{"alerts":[{"alertId":"a","incidentId":2}]}',
        b'{"response_list":[{"incidentId":1}',
        b'{"response_list":[{"incidentId":1}],}',
        b'{"a":' * 60 + b'{"incidentId":1}' + b"}" * 60,
    ],
)
def test_nothing_is_looked_for_inside_an_incident_an_alert_or_what_is_no_json(data: bytes) -> None:
    assert not any(isinstance(each, Unwrapped) for each in found_in(data))
    assert len(found_in(data)) == 1


@pytest.mark.parametrize(
    ("data", "is_list_answer"),
    [
        (b'{"incidentId":1,"value":[{}]}', False),
        (b'{"x":1,"value":[{}],"incidentId":1}', False),
        (b'{"x":1,"value":{"y":[{}]}}', False),
        (b'{"x":{"value":[{}]}}', False),
        (b'{"x":"y","value":[{}]}', True),
        (b'{"@odata.count":1,"value" :\t[{}]}', True),
    ],
)
def test_a_list_answer_is_known_by_its_value_and_by_having_no_incident_id(
    data: bytes, is_list_answer: bool
) -> None:
    expected = [(1, "$.value[0]", "{}")] if is_list_answer else [(1, "$", data.decode())]

    assert places(found_in(data)) == expected
    assert places(found_in(data + b"\n" + data)) == [
        *expected,
        *((2, path, text) for _line, path, text in expected),
    ]


def test_what_is_not_accepted_is_shown_and_what_is_accepted_named() -> None:
    [fault] = found_in(b"<!DOCTYPE html>\x1b[31m the rest of it")

    assert isinstance(fault, Unreadable)
    assert "'<!DOCTYPE html>\\x1b[31m'" in fault.reason
    assert "one incident on each line" in fault.reason


@pytest.mark.parametrize("data", [b'{"\x80":1,"value":[{}]}', b'{"x":1,"value":[{"y":"\x80"}]}'])
def test_text_that_is_not_utf8_is_left_to_the_caller(data: bytes) -> None:
    assert all(isinstance(found, RawIncident) for found in found_in(data) + found_in(data + b"\n" + data))


def test_nesting_deeper_than_the_decoder_goes_is_left_to_the_caller() -> None:
    deep = b'{"x":1,"value":' + b"[" * 100_000 + b"]" * 100_000 + b"}"

    assert [found.path for found in found_in(deep + b"\n" + deep)] == ["$", "$"]
    assert [found.path for found in found_in(b"[" + deep + b"]")] == ["$[0]"]


@pytest.mark.parametrize(
    "data", [b'{"a":"%s"}\n{"b":1}\n', b'{"a":1}\n{"a":%s\n{"b":1}\n', b'[{"a":"%s"},\n{"b":1}]']
)
def test_what_is_too_large_is_passed_over(data: bytes) -> None:
    findings = found_in(data % (b"x" * 3_000), chunk_bytes=1_000, incident_bytes_max=2_000)

    fault, last = findings[-2:]
    assert isinstance(fault, Unreadable)
    assert "2,000 bytes" in fault.reason
    assert isinstance(last, RawIncident)
    assert (last.line, last.text) == (fault.line + 1, b'{"b":1}')


def test_an_incident_of_exactly_the_largest_size_is_read() -> None:
    assert places(found_in(b'[{"a":1},{"a":12}]', incident_bytes_max=7)) == [
        (1, "$[0]", '{"a":1}'),
        (1, "$[1]", "!One incident may"),
    ]


# --- Damage of any kind.

whole_files = st.builds(
    lambda items, form: form[0](items).encode(),
    st.lists(incidents, min_size=1, max_size=4),
    st.sampled_from(FORMATS),
)
shreds = st.binary(max_size=4) | st.text(alphabet='"\\{}[],:\n', max_size=4).map(str.encode)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    data: bytes = draw(whole_files)
    for _ in range(draw(st.integers(min_value=1, max_value=3))):
        at = draw(st.integers(min_value=0, max_value=len(data)))
        length = draw(st.integers(min_value=0, max_value=6))
        shred = draw(shreds)
        data = data[:at] + shred + data[at + length :]
    return data


@unhurried
@given(damaged_files(), st.integers(min_value=1, max_value=200))
def test_damage_never_raises_and_reads_the_same_however_it_arrives(
    data: bytes, incident_bytes_max: int
) -> None:
    at_once = found_in(data, incident_bytes_max=incident_bytes_max)

    assert found_in(data, chunk_bytes=1, incident_bytes_max=incident_bytes_max) == at_once
    assert all(1 <= found.line <= 1 + data.count(b"\n") for found in at_once)


@unhurried
@given(
    st.lists(incidents, min_size=1, max_size=4),
    st.sampled_from([_array, _tall_array, _answer, _lines]),
    st.data(),
)
def test_a_file_cut_short_gives_everything_before_the_cut(
    items: list[Incident], write: Callable[[list[Incident]], str], data: st.DataObject
) -> None:
    whole = write(items).encode()
    cut_at = data.draw(st.integers(min_value=0, max_value=len(whole)))
    begins = [begin.start() for begin in _BEGINS.finditer(whole)]
    every = incidents_of(found_in(whole))
    complete = [
        found for found, begin in zip(every, begins, strict=True) if begin + len(found.text) <= cut_at
    ]

    assert incidents_of(found_in(whole[:cut_at]))[: len(complete)] == complete


@unhurried
@given(st.lists(incidents, min_size=3, max_size=5), st.binary(max_size=30), st.data())
def test_a_broken_line_does_not_disturb_the_others(
    items: list[Incident], rubbish: bytes, data: st.DataObject
) -> None:
    lines = _lines(items).encode().splitlines()
    broken = data.draw(st.integers(min_value=1, max_value=len(lines) - 1))
    lines[broken] = rubbish.replace(b"\n", b"")

    findings = found_in(b"\n".join(lines))

    assert [found for found in findings if found.line != broken + 1] == [
        RawIncident(line=line, path="$", text=text)
        for line, text in enumerate(lines, start=1)
        if line != broken + 1
    ]


# --- Sources.


def found_in_source(name: str) -> list[Finding]:
    with open_source(name) as stream:
        return list(read_incidents(stream))


@pytest.fixture
def as_stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[BinaryIO], None]:
    def set_stdin(stream: BinaryIO) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))

    return set_stdin


class OneByteAtATime(io.RawIOBase):
    def __init__(self, data: bytes) -> None:
        self._rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        return self._rest.readinto(memoryview(buffer)[:1])


@unhurried
@given(whole_files)
def test_gzip_is_unpacked_whatever_its_name(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("sources")
    (folder / "plain.gz").write_bytes(data)
    (folder / "packed.json").write_bytes(gzip.compress(data[:9]) + gzip.compress(data[9:]))

    assert found_in_source(str(folder / "plain.gz")) == found_in(data)
    assert found_in_source(str(folder / "packed.json")) == found_in(data)


@pytest.mark.parametrize("data", [b"", b"{", b'{"a":1}\n[', gzip.compress(b'{"a":1}\n[', mtime=0)])
def test_standard_input_is_a_source_and_stays_open(as_stdin: Callable[[BinaryIO], None], data: bytes) -> None:
    as_stdin(cast(BinaryIO, io.BufferedReader(OneByteAtATime(data))))

    findings = found_in_source("-")

    assert findings == found_in(gzip.decompress(data) if data[:1] == b"\x1f" else data)
    assert not sys.stdin.closed


def test_a_file_that_cannot_be_opened_is_the_callers_to_tell(tmp_path: Path) -> None:
    for name in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(OSError, match=re.escape(str(name))), open_source(str(name)):
            pass


@unhurried
@given(st.lists(incidents, min_size=1, max_size=4), st.data())
def test_damaged_gzip_gives_what_was_whole_and_then_a_fault(
    tmp_path_factory: pytest.TempPathFactory, items: list[Incident], data: st.DataObject
) -> None:
    packed = gzip.compress(_lines(items).encode())
    cut_at = data.draw(st.integers(min_value=2, max_value=len(packed) - 1))
    file = tmp_path_factory.mktemp("sources") / "cut.gz"
    file.write_bytes(packed[:cut_at])

    *whole, fault = found_in_source(str(file))

    assert isinstance(fault, Unreadable)
    assert "compressed data is damaged" in fault.reason
    assert [found.line for found in whole] == list(range(1, len(whole) + 1))


@unhurried
@given(
    st.lists(incidents, min_size=1, max_size=4), st.integers(min_value=2), st.binary(min_size=1, max_size=5)
)
def test_corrupted_gzip_never_raises(
    tmp_path_factory: pytest.TempPathFactory, items: list[Incident], at: int, rubbish: bytes
) -> None:
    packed = bytearray(gzip.compress(_array(items).encode()))
    at = 2 + at % (len(packed) - 2)
    packed[at : at + len(rubbish)] = rubbish
    file = tmp_path_factory.mktemp("sources") / "bad.gz"
    file.write_bytes(packed)

    assert all(isinstance(found, Finding) for found in found_in_source(str(file)))


def test_a_wrong_checksum_is_told_after_the_incidents(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b'{"a":1}'))
    packed[-8] ^= 1
    (tmp_path / "bad.gz").write_bytes(packed)

    incident, fault = found_in_source(str(tmp_path / "bad.gz"))

    assert isinstance(incident, RawIncident)
    assert incident.text == b'{"a":1}'
    assert isinstance(fault, Unreadable)


# --- Nothing is read or held before its time.


def test_incidents_are_found_while_the_rest_is_still_to_come() -> None:
    for beginning, element in (
        (b"", b'{"incidentId":1}\n'),
        (b"[", b'{"incidentId":1},'),
        (b'{"value":[', b"{},"),
    ):
        endless = read_incidents(trickling(chain([beginning], repeat(element))))

        assert len(list(islice(endless, 1_000))) == 1_000


def two_hundred_megabytes(before: bytes, piece: bytes, after: bytes) -> Iterator[bytes]:
    block = piece * (MEGABYTE // len(piece))
    return chain([before], repeat(block, 200), [after])


@pytest.mark.parametrize(
    ("before", "piece", "after"),
    [
        (b'{"a":"', b"x", b'"}\n{"b":1}\n'),
        (b'{"a":"', b"x", b'\n{"b":1}\n'),
        (b'{"a":1}\n{"a":"', b"\\\\", b'"}\n{"b":1}\n'),
        (b'[{"a":"', b"\\\\", b'"},{"b":1}]'),
        (b'[{"a":[', b'{"c":"%s"},' % (b"x" * 9_000), b'{}]},{"b":1}]'),
        (b"[", b"1", b',{"b":1}]'),
        (b'["', b"x", b'",{"b":1}]'),
        (b'{"value":[{"a":"', b"x", b'"},{"b":1}]}'),
        (b'{\n"a":"', b"x", b'"}{"b":1}'),
        (b"", b" ", b'{"b":1}'),
    ],
)
def test_memory_is_bounded_by_the_largest_incident(before: bytes, piece: bytes, after: bytes) -> None:
    stream = trickling(two_hundred_megabytes(before, piece, after))

    tracemalloc.start()
    findings = list(read_incidents(stream, incident_bytes_max=8 * MEGABYTE))
    _now, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    last = findings[-1]
    assert isinstance(last, RawIncident)
    assert last.text == b'{"b":1}'
    assert all(
        isinstance(found, Unreadable) for found in findings[:-1] if found.path != "$" or found.line > 1
    )
    assert peak_bytes < 16 * MEGABYTE


def test_a_decompression_bomb_is_passed_over(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bomb.gz", "wb", compresslevel=1) as bomb:
        for piece in two_hundred_megabytes(b'{"a":"', b"x", b'"}\n{"b":1}\n'):
            bomb.write(piece)

    tracemalloc.start()
    with open_source(str(tmp_path / "bomb.gz")) as stream:
        findings = list(read_incidents(stream, incident_bytes_max=8 * MEGABYTE))
    _now, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert places(findings) == [(1, "$", "!One incident may"), (2, "$", '{"b":1}')]
    assert peak_bytes < 16 * MEGABYTE


@pytest.mark.parametrize(
    "around", [(b"", b""), (b"[", b"]"), (b'{"value":[', b"]}"), (b'{"a":1,"value":[', b"]}")]
)
def test_an_incident_of_very_many_parts_is_refused_undecoded(around: tuple[bytes, bytes]) -> None:
    before, after = around
    hostile = b'{"incidentId":1,"alerts":[' + b"{}," * 2_000_000 + b"{}]}"

    (found,) = read_incidents(io.BytesIO(before + hostile + after))

    assert isinstance(found, Unreadable)
    assert found.reason.startswith("One incident may have at most 4,000,000 parts")
