"""The body of an update: the keys it may have, the values they may have, and what is refused in which words."""

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import Document, json_values, texts, to_json
from vigie.api.defender.update_body import (
    COMMENT_LENGTH_MAX,
    TAGS_COUNT_MAX,
    TEXT_LENGTH_MAX,
    UPDATABLE,
    parse_update,
)
from vigie.core.enums import Classification, Determination, Status
from vigie.core.errors import InvalidBody, InvalidInput
from vigie.core.update import Update


def refusal_of(body: bytes) -> str:
    with pytest.raises(InvalidBody) as refused:
        parse_update(body)
    return refused.value.message


def test_a_body_says_what_is_to_change_and_nothing_else() -> None:
    assert parse_update(b'{"status":"Resolved"}') == Update(status=Status.RESOLVED)
    assert parse_update(b'{"assignedTo":"ana@contoso.example"}') == Update(assigned_to="ana@contoso.example")
    assert parse_update(b'{"classification":"TruePositive"}') == Update(
        classification=Classification.TRUE_POSITIVE
    )
    assert parse_update(b'{"determination":"Malware"}') == Update(determination=Determination.MALWARE)
    assert parse_update(b'{"tags":["b","a"]}') == Update(tags=("b", "a"))
    assert parse_update(b'{"comment":"Seen."}') == Update(comment="Seen.")


@pytest.mark.parametrize("nobody", [b'""', b"null"])
def test_the_empty_text_and_null_unassign(nobody: bytes) -> None:
    assert parse_update(b'{"assignedTo":%s}' % nobody) == Update(assigned_to="")


def test_an_empty_list_takes_the_tags_away() -> None:
    assert parse_update(b'{"tags":[]}') == Update(tags=())


@pytest.mark.parametrize("key", [key for key in UPDATABLE if key != "assignedTo"])
def test_null_is_no_value_of_another_key(key: str) -> None:
    assert f"$.{key}" in refusal_of(b'{"%s":null}' % key.encode())


@pytest.mark.parametrize("key", UPDATABLE)
@pytest.mark.parametrize("value", [1, 1.5, True, {}, [1], [[]], ["a", None], {"a": "b"}])
def test_a_value_of_the_wrong_type_is_refused_with_its_place(key: str, value: object) -> None:
    message = refusal_of(to_json({key: value}))

    assert f"$.{key}" in message
    assert not re.search(r"`|\b(str|int|float|decimal|bool|array|None)\b", message)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"status": 1}, "$.status is a number and must be a text"),
        ({"status": 1.5}, "$.status is a number with a fraction and must be a text"),
        ({"status": None}, "$.status is null and must be a text"),
        ({"assignedTo": True}, "$.assignedTo is true or false and must be a text or null"),
        ({"tags": "a"}, "$.tags is a text and must be a list"),
        ({"tags": ["a", {}]}, "$.tags[1] is an object and must be a text"),
    ],
)
def test_types_are_told_in_the_words_of_json(body: object, reason: str) -> None:
    assert refusal_of(to_json(body)) == f"Request body is incorrect: {reason}."


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "there is none"),
        (b" \r\n\t", "there is none"),
        (b"{}", "it says nothing"),
        (b"[]", "it is a list and must be an object"),
        (b'[{"op":"replace","path":"/status","value":"Resolved"}]', "it is a list and must be an object"),
        (b"null", "it is null and must be an object"),
        (b'"Resolved"', "it is a text and must be an object"),
        (b"7", "it is a number and must be an object"),
        (b'{"status":"Resolved"', "truncated"),
        (b'{"status":"Resolved"}}', "trailing characters"),
        (b'{"status":"Resolved",}', "malformed"),
        (b"{'status':'Resolved'}", "malformed"),
        (b"status=Resolved&comment=x", "malformed"),
        (b'{"comment":"\xff"}', "not UTF-8"),
        (b'{"comment":"a\tb"}', "malformed"),
        (b'{"comment":"\\ud800"}', "surrogate"),
        ('{"comment":"é"}'.encode("utf-16"), "malformed"),
        (b'{"status":"Active","status":"Resolved"}', "the key 'status' stands twice"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_object_of_known_keys_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    message = refusal_of(body)

    assert message.startswith("Request body is incorrect: ")
    assert reason in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "key", ["Status", "STATUS", "comments", "severity", "incidentName", "alerts", "", "x" * 9999]
)
def test_an_unknown_key_is_refused_with_those_there_are(key: str) -> None:
    message = refusal_of(to_json({key: "Active", "status": "Active"}))

    assert all(each in message for each in UPDATABLE)
    assert len(message) < 300


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_update(b'\xef\xbb\xbf{"status":"Active"}') == Update(status=Status.ACTIVE)


@pytest.mark.parametrize("status", ["Active", "InProgress", "Resolved"])
def test_three_statuses_can_be_set(status: str) -> None:
    assert parse_update(to_json({"status": status})).status == status


@pytest.mark.parametrize("status", [b"Redirected", b"redirected", b"REDIRECTED"])
def test_redirected_comes_from_merging_alone(status: bytes) -> None:
    with pytest.raises(InvalidInput, match="merging"):
        parse_update(b'{"status":"%s"}' % status)


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("active", "Active"),
        ("RESOLVED", "Resolved"),
        ("inprogress", "InProgress"),
        ("iNPROGRESS", "InProgress"),
    ],
)
def test_a_status_may_have_any_letter_case(written: str, status: str) -> None:
    assert parse_update(to_json({"status": written})).status == status


@pytest.mark.parametrize(
    "status", ["re\u017folved", "In Progress", "New", "AwaitingAction", "", " Active", "x" * 9999]
)
def test_another_status_is_refused_with_those_there_are(status: str) -> None:
    message = refusal_of(to_json({"status": status}))

    assert "Active, InProgress, Resolved" in message
    assert "Redirected" not in message
    assert len(message) < 300


@pytest.mark.parametrize("comment", ["", " ", "\n\t", "\u00a0"])
def test_a_comment_says_something(comment: str) -> None:
    assert "empty" in refusal_of(to_json({"comment": comment}))


def test_lengths_are_counted_in_characters_and_the_longest_are_taken() -> None:
    comment, name = "é" * COMMENT_LENGTH_MAX, "é" * TEXT_LENGTH_MAX
    tags = [name] * TAGS_COUNT_MAX

    longest = parse_update(to_json({"comment": comment, "assignedTo": name, "tags": tags}))

    assert longest == Update(comment=comment, assigned_to=name, tags=tuple(tags))


@pytest.mark.parametrize(
    ("body", "stated"),
    [
        (
            {"comment": "x" * (COMMENT_LENGTH_MAX + 1)},
            "A comment may have at most 10000 characters; it had 10001",
        ),
        (
            {"assignedTo": "x" * (TEXT_LENGTH_MAX + 1)},
            "assignedTo may have at most 320 characters; it had 321",
        ),
        ({"tags": ["x" * (TEXT_LENGTH_MAX + 1)]}, "A tag may have at most 320 characters; it had 321"),
        ({"tags": ["x"] * (TAGS_COUNT_MAX + 1)}, "at most 200 tags; there were 201"),
        ({"tags": ["a", ""]}, "may not be empty"),
    ],
)
def test_what_is_too_much_is_refused_with_the_limit(body: Document, stated: str) -> None:
    assert stated in refusal_of(to_json(body))


CONTROL = [chr(number) for number in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.mark.parametrize("character", CONTROL)
def test_control_characters_are_refused_by_their_number(character: str) -> None:
    text, number = f"a{character}b", f"U+{ord(character):04X}"

    assert number in refusal_of(json.dumps({"assignedTo": text}).encode())
    assert number in refusal_of(json.dumps({"tags": ["a", text]}).encode())
    if character in "\n\r\t":
        assert parse_update(json.dumps({"comment": text}).encode()).comment == text
    else:
        assert number in refusal_of(json.dumps({"comment": text}).encode())


@pytest.mark.parametrize("character", ["\u200b", "\u202e", "\ufeff", "\U0001f512", "é", "\u2028"])
def test_other_characters_are_kept(character: str) -> None:
    assert parse_update(to_json({"comment": character + "x"})).comment == character + "x"


@given(st.binary(max_size=60) | json_values.map(to_json) | st.dictionaries(texts, json_values).map(to_json))
def test_whatever_comes_is_an_update_or_a_refusal(body: bytes) -> None:
    with suppress(InvalidBody, InvalidInput):
        assert parse_update(body) != Update()
