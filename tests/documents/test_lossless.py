"""JSON in and out without loss, and what cannot be kept without loss refused in a sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.builders import exactly, json_values
from vigie.documents.lossless import DEPTH_MAX, NotJson, decode, encode

# Numbers as texts: what a float would lose is lost before a test could see it.
digits = st.text("0123456789", min_size=1, max_size=40).map(lambda text: text.lstrip("0") or "0")
number_texts = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]),
    digits,
    st.just("") | digits.map(".{}".format) | st.sampled_from([".0", ".10", ".000"]),
    st.just("") | st.integers(-400, 400).map("e{}".format) | st.sampled_from(["E+5", "e05"]),
).filter(lambda text: text != "-0")


@given(json_values, st.booleans())
def test_every_value_comes_out_as_it_came(value: object, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii).encode()

    assert exactly(encode(decode(text))) == exactly(text)


@given(number_texts)
def test_no_number_changes(number: str) -> None:
    text = f'{{"n":[{number}]}}'.encode()

    assert exactly(encode(decode(text))) == exactly(text)


@given(json_values)
def test_what_came_out_once_comes_out_the_same_for_ever(value: object) -> None:
    once = encode(decode(json.dumps(value).encode()))

    assert encode(decode(once)) == once


@pytest.mark.parametrize(
    "number",
    ["1.0", "1.10", "-0.0", "0", "9223372036854775807", "18446744073709551616", "1" * 60, "0.1", "1.5"],
)
def test_a_number_keeps_its_very_digits(number: str) -> None:
    assert encode(decode(number.encode())) == number.encode()


@pytest.mark.parametrize(
    "text", ["two\nlines", "title\u200b", "\U0001f6a8", "\x00", "\x7f", "\u2028", "é", '"\\/', "\ufffd"]
)
def test_text_survives_raw_and_escaped(text: str) -> None:
    for is_ascii in (True, False):
        assert decode(encode(decode(json.dumps(text, ensure_ascii=is_ascii).encode()))) == text


@given(st.permutations(["b", "a", "", "é", "1", "A"]))
def test_keys_keep_their_order(keys: list[str]) -> None:
    value = decode(encode(decode(json.dumps(dict.fromkeys(keys)).encode())))

    assert list(value) == keys


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"{}{}", "trailing"),
        (b"{'a':1}", "malformed"),
        (b'{"a":1,}', "malformed"),
        (b"[NaN]", "malformed|invalid"),
        (b"[Infinity]", "malformed|invalid"),
        (b"[01]", "malformed|invalid"),
        (b"[1.]", "malformed|invalid"),
        (b"// no", "malformed|invalid"),
        (b'\xef\xbb\xbf{"a":1}', "malformed|invalid"),
        (b'["\xff"]', "UTF-8"),
        (b'["\xed\xa0\x80"]', "UTF-8"),
        (b'["\xc0\xaf"]', "UTF-8"),
        (b'{"\xff":1}', "UTF-8"),
        (rb'["\ud800"]', "surrogate"),
        (rb'["\udc00"]', "surrogate"),
        (rb'["\ud800A"]', "surrogate"),
        (b'["raw\nbreak"]', "malformed|invalid|control"),
        (b'{"a":1,"a":1}', "key 'a' stands twice"),
        (b'{"a":1,"\\u0061":2}', "key 'a' stands twice"),
        (b'[{"b":{"a":1, "a":2}}]', "key 'a' stands twice"),
        (b"[" * 100_000, "deep"),
        (b"[" * 100_000 + b"]" * 100_000, "deep"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "deep"),
        (b"[1e99999999999999999999]", "too large"),
    ],
)
def test_what_cannot_be_kept_without_loss_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(NotJson, match=f"(?i){reason}") as refused:
        decode(text)

    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("text", "place"),
    [(b'{"a": [1, ', "10 bytes"), (b'{\n "a": [1, ', "12 bytes, in line 2 behind column 10")],
)
def test_the_end_of_what_was_cut_has_a_line_only_where_there_are_several(text: bytes, place: str) -> None:
    with pytest.raises(NotJson) as caught:
        decode(text)

    assert str(caught.value) == f"the JSON is truncated: it ends after {place}"


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_refused(text: bytes) -> None:
    try:
        value = decode(text)
    except NotJson:
        return

    assert exactly(encode(value)) == exactly(text)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_is_nested_deeper_than_any_stack_can_read_is_refused(opening: bytes, closing: bytes) -> None:
    deepest = opening * DEPTH_MAX + (b"1" if closing == b"}" else b"") + closing * DEPTH_MAX

    assert encode(decode(deepest)) == deepest
    with pytest.raises(NotJson, match=f"more than {DEPTH_MAX} deep"):
        decode(b"[" + deepest + b"]")
