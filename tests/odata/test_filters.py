"""`$filter`: what each form means, what is refused and in which words, and that nothing else ever happens."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.client_filters import ZERO_TRUST_ASSESSMENT, ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES
from tests.support.naive_lists import holds
from vigie.api.defender.properties import PROPERTIES
from vigie.api.defender.query_options import parse_filter
from vigie.core.conditions import And, Comparison, Expression, Not, Operator, Or, Property
from vigie.core.errors import InvalidQuery
from vigie.core.instants import TICKS_PER_SECOND, Instant, format_instant, parse_instant
from vigie.documents.defender.enum_spellings import STATUSES as WORDS
from vigie.odata import filters
from vigie.odata.errors import InvalidOption
from vigie.odata.filters import DEPTH_MAX, LENGTH_MAX, TERMS_MAX
from vigie.odata.properties import LiteralKind, QueryProperty

UPDATED, CREATED, STATUS, ASSIGNED = Property
EQ, NE, GT, GE, LT, LE = Operator

NAMES = {described.property: name for name, described in PROPERTIES.items()}
STATUSES = tuple(WORDS.members)

NOON = parse_instant("2026-02-11T12:00:00Z")


def is_(property_: Property, operator: Operator, value: Any) -> Comparison:
    return Comparison(property_, operator, value)


def refusal_of(text: str) -> str:
    with pytest.raises(InvalidQuery) as refused:
        parse_filter(text)
    return refused.value.message


# Comparisons


@pytest.mark.parametrize("operator", Operator)
@pytest.mark.parametrize("property_", [UPDATED, CREATED])
def test_times_are_compared_in_every_way(property_: Property, operator: Operator) -> None:
    text = f"{NAMES[property_]} {operator.value} 2026-02-11T12:00:00Z"

    assert parse_filter(text) == is_(property_, operator, NOON)


@pytest.mark.parametrize("operator", Operator)
def test_assignees_are_compared_in_every_way(operator: Operator) -> None:
    assert parse_filter(f"assignedTo {operator.value} 'ana'") == is_(ASSIGNED, operator, "ana")


@pytest.mark.parametrize("operator", [EQ, NE])
def test_a_status_is_compared_for_equality(operator: Operator) -> None:
    assert parse_filter(f"status {operator.value} 'Active'") == is_(STATUS, operator, "Active")


@pytest.mark.parametrize("operator", [GT, GE, LT, LE])
def test_a_status_is_not_more_or_less_than_another(operator: Operator) -> None:
    assert refusal_of(f"status {operator.value} 'Active'") == (
        "Invalid OData URI query: $filter: status can be compared with eq, ne and in only,"
        f" not with {operator.value}."
    )


@pytest.mark.parametrize("word", ["EQ", "Eq", "eQ"])
def test_operators_may_be_written_in_any_case(word: str) -> None:
    assert parse_filter(f"assignedTo {word} 'ana'") == is_(ASSIGNED, EQ, "ana")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-11T12:00:00Z eq createdTime", is_(CREATED, EQ, NOON)),
        ("2026-02-11T12:00:00Z ne createdTime", is_(CREATED, NE, NOON)),
        ("2026-02-11T12:00:00Z gt createdTime", is_(CREATED, LT, NOON)),
        ("2026-02-11T12:00:00Z ge createdTime", is_(CREATED, LE, NOON)),
        ("2026-02-11T12:00:00Z lt createdTime", is_(CREATED, GT, NOON)),
        ("2026-02-11T12:00:00Z le createdTime", is_(CREATED, GE, NOON)),
        ("'Active' eq status", is_(STATUS, EQ, "Active")),
        ("null ne assignedTo", is_(ASSIGNED, NE, None)),
    ],
)
def test_a_value_may_stand_on_the_left(text: str, expected: Expression) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "status eq Active",
            "a status stands in single quotes, as in 'Active', 'InProgress', 'Resolved', 'Redirected';"
            " it was Active",
        ),
        (
            "assignedTo eq ana@contoso.example",
            "assignedTo is compared with a text in single quotes or null; it was ana@contoso.example",
        ),
        ("assignedTo in (ana)", "assignedTo is compared with a text in single quotes or null; it was ana"),
        (
            "createdTime gt yesterday",
            "createdTime is compared with a time such as 2026-02-11T07:41:09.3066667Z, without quotes;"
            " it was yesterday",
        ),
        ('status eq "Active"', "'\"Active\"' at character 11 cannot be read; texts stand in single quotes"),
        ("status eq 'Active", '"\'Active" at character 11 cannot be read; texts stand in single quotes'),
    ],
)
def test_who_forgets_the_quotes_is_told_of_them(text: str, reason: str) -> None:
    assert refusal_of(text) == f"Invalid OData URI query: $filter: {reason}."


def test_names_of_properties_are_case_sensitive() -> None:
    assert "property 'Status' cannot be used" in refusal_of("Status eq 'Active'")


# Times


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("2026-02-11T12:00:00Z", "2026-02-11T12:00:00Z"),
        ("2026-02-11T12:00:00.1Z", "2026-02-11T12:00:00.1Z"),
        ("2026-02-11T12:00:00.12Z", "2026-02-11T12:00:00.12Z"),
        ("2026-02-11T12:00:00.123Z", "2026-02-11T12:00:00.123Z"),
        ("2026-02-11T12:00:00.1234Z", "2026-02-11T12:00:00.1234Z"),
        ("2026-02-11T12:00:00.12345Z", "2026-02-11T12:00:00.12345Z"),
        ("2026-02-11T12:00:00.123456Z", "2026-02-11T12:00:00.123456Z"),
        ("2026-02-11T12:00:00.1234567Z", "2026-02-11T12:00:00.1234567Z"),
        ("2026-02-11T12:00:00.5000000Z", "2026-02-11T12:00:00.5Z"),
        ("2026-02-11T13:00:00+01:00", "2026-02-11T12:00:00Z"),
        ("2026-02-11T06:30:00-05:30", "2026-02-11T12:00:00Z"),
        ("2026-02-11T12:00:00+00:00", "2026-02-11T12:00:00Z"),
        # The plus of an offset, sent bare, has become a blank.
        ("2026-02-11T13:00:00 01:00", "2026-02-11T12:00:00Z"),
        ("2026-02-11T12:00:00.1234567 00:00", "2026-02-11T12:00:00.1234567Z"),
        ("2026-02-11", "2026-02-11T00:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
        ("2026-02-11T12:00Z", "2026-02-11T12:00:00Z"),
        ("2026-02-11T13:00+01:00", "2026-02-11T12:00:00Z"),
        ("2026-02-11T13:00 01:00", "2026-02-11T12:00:00Z"),
        ("2026-02-11t12:00:00.5z", "2026-02-11T12:00:00.5Z"),
        ("2026-02-11T12:00:00.12345678Z", "2026-02-11T12:00:00.1234567Z"),
        ("2026-02-11T12:00:00.123456789Z", "2026-02-11T12:00:00.1234567Z"),
        ("2026-02-11T12:00:00.999999999999+00:00", "2026-02-11T12:00:00.9999999Z"),
    ],
)
def test_a_time_is_read_as_odata_writes_it_to_seven_decimals(text: str, same_as: str) -> None:
    expected = is_(UPDATED, GT, parse_instant(same_as))
    equal = is_(UPDATED, EQ, parse_instant(same_as))

    assert parse_filter(f"lastUpdateTime gt {text}") == expected
    assert parse_filter(f"(lastUpdateTime gt {text})") == expected
    assert parse_filter(f"lastUpdateTime in ({text})") == Or((equal,))
    assert parse_filter(f"lastUpdateTime in ({text}, {text})") == Or((equal, equal))
    assert parse_filter(f"lastUpdateTime gt {text} and status eq 'Active'") == And(
        (expected, is_(STATUS, EQ, "Active"))
    )


def test_one_tick_of_100_ns_makes_a_difference() -> None:
    one, other = (parse_filter(f"createdTime gt 2026-02-11T12:00:00.123456{digit}Z") for digit in (7, 8))

    assert isinstance(one, Comparison)
    assert isinstance(other, Comparison)
    assert (one.value, other.value) == (NOON + 1_234_567, NOON + 1_234_568)


@pytest.mark.parametrize(
    "text",
    [
        "'2026-02-11T12:00:00Z'",
        "2026-02-11T12:00",
        "2026-02-11T12:00:00",
        "2026-02-11T12Z",
        "2026-02-11T12:00:000Z",
        "2026-02-11T12:00:00.Z",
        "2026-02-11T12:00.5Z",
        "2026-02-30",
        "0000-01-01",
        "2026-02-30T12:00:00Z",
        "2026-02-11T24:00:00Z",
        "2026-02-11T12:00:00+0100",
        "2026-02-11T12:00:00+24:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "1770811200",
        "true",
        "''",
    ],
)
def test_what_is_no_time_is_refused_with_an_example_of_one(text: str) -> None:
    message = refusal_of(f"createdTime gt {text}")

    assert message.startswith(
        "Invalid OData URI query: $filter: createdTime is compared with a time such as"
        " 2026-02-11T07:41:09.3066667Z, without quotes; "
    )
    assert message.count("such as") == 1
    assert len(message) < 300


@pytest.mark.parametrize("text", ["11/02/2026", "2026-2-11", "2026-02-11Z", "20260211T120000Z"])
def test_what_does_not_even_begin_as_a_time_is_refused_where_it_stands(text: str) -> None:
    assert "Invalid OData URI query: $filter: " in refusal_of(f"createdTime gt {text}")


# Texts and null


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''", ""),
        ("'ana@contoso.example'", "ana@contoso.example"),
        ("'O''Neil'", "O'Neil"),
        ("''''", "'"),
        ("'''''''' ", "'''"),
        ("' blanks stay '", " blanks stay "),
        ("'and or not ( ) , : $ & %'", "and or not ( ) , : $ & %"),
        ("'éŁ😀'", "éŁ😀"),
        ("'null'", "null"),
        ("'2026-02-11T12:00:00Z'", "2026-02-11T12:00:00Z"),
        ("'line\nbreak'", "line\nbreak"),
        ("'\x00'", "\x00"),
        ("'--; DROP TABLE incident'", "--; DROP TABLE incident"),
    ],
)
def test_a_text_stands_in_quotes_and_a_quote_in_it_is_doubled(text: str, value: str) -> None:
    assert parse_filter(f"assignedTo eq {text}") == is_(ASSIGNED, EQ, value)


@pytest.mark.parametrize("null", ["null", "NULL", "Null"])
def test_null_is_nobody(null: str) -> None:
    assert parse_filter(f"assignedTo eq {null}") == is_(ASSIGNED, EQ, None)
    assert parse_filter(f"assignedTo ne {null}") == is_(ASSIGNED, NE, None)


def test_what_is_never_null_may_be_asked_for() -> None:
    assert parse_filter("status eq null") == is_(STATUS, EQ, None)
    assert parse_filter("createdTime eq null") == is_(CREATED, EQ, None)
    assert parse_filter("null ne lastUpdateTime") == is_(UPDATED, NE, None)


@pytest.mark.parametrize("operator", [GT, GE, LT, LE])
def test_nothing_is_more_or_less_than_null(operator: Operator) -> None:
    for name in ("assignedTo", "createdTime"):
        assert "null can be compared with eq, ne and in only" in refusal_of(f"{name} {operator.value} null")


@pytest.mark.parametrize("value", ["5", "true", "2026-02-11T12:00:00Z"])
def test_an_assignee_is_a_text(value: str) -> None:
    assert refusal_of(f"assignedTo eq {value}").endswith(
        f"assignedTo is compared with a text in single quotes or null; it was {value}."
    )


# Statuses


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_may_be_written_in_any_case(status: str) -> None:
    for written in (status, status.lower(), status.upper(), status.swapcase()):
        assert parse_filter(f"status eq '{written}'") == is_(STATUS, EQ, status)


@pytest.mark.parametrize("type_", ["vigie.Status", "Microsoft.Some_Other.Name"])
def test_a_status_may_have_the_name_of_its_type_in_front(type_: str) -> None:
    expected = is_(STATUS, EQ, "Active")

    assert parse_filter(f"status eq {type_}'Active'") == expected
    assert parse_filter(f"{type_}'active' eq status") == expected
    assert parse_filter(f"status in ({type_}'Active',{type_}'Active')") == Or((expected, expected))


def test_no_other_value_has_the_name_of_a_type_in_front() -> None:
    assert "assignedTo is compared with a text" in refusal_of("assignedTo eq Edm.String'ana'")
    assert "createdTime is compared with a time" in refusal_of("createdTime gt Edm.Date'2026-02-11'")
    assert "vigie.Status'New' is not a status" in refusal_of("status eq vigie.Status'New'")


@pytest.mark.parametrize("value", ["'New'", "''", "' Active'", "'Act''ive'", "5", "true"])
def test_an_unknown_status_is_told_which_there_are(value: str) -> None:
    assert refusal_of(f"status eq {value}") == (
        f"Invalid OData URI query: $filter: {value} is not a status;"
        " there are 'Active', 'InProgress', 'Resolved', 'Redirected'."
    )


# And, or, not, brackets, in

A, B, C = (is_(ASSIGNED, EQ, name) for name in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a}", A),
        ("({a})", A),
        ("(({a}))", A),
        ("{a} and {b}", And((A, B))),
        ("{a} or {b}", Or((A, B))),
        ("{a} and {b} and {c}", And((A, B, C))),
        ("{a} or {b} or {c}", Or((A, B, C))),
        ("{a} and {b} or {c}", Or((And((A, B)), C))),
        ("{a} or {b} and {c}", Or((A, And((B, C))))),
        ("({a} or {b}) and {c}", And((Or((A, B)), C))),
        ("{a} and ({b} or {c})", And((A, Or((B, C))))),
        ("not {a}", Not(A)),
        ("not({a})", Not(A)),
        ("not not {a}", Not(Not(A))),
        ("not {a} and {b}", And((Not(A), B))),
        ("not ({a} and {b})", Not(And((A, B)))),
        ("{a} and not {b} or not {c}", Or((And((A, Not(B))), Not(C)))),
        ("({a})and({b})or({c})", Or((And((A, B)), C))),
        ("{a} AND {b} Or NOT {c}", Or((And((A, B)), Not(C)))),
        ("  {a}\t and\r\n{b}  ", And((A, B))),
    ],
)
def test_or_binds_less_than_and_and_and_less_than_not(text: str, expected: Expression) -> None:
    terms = {name: f"assignedTo eq '{name}'" for name in "abc"}

    assert parse_filter(text.format(**terms)) == expected


@given(st.data())
def test_what_is_true_is_what_python_thinks_is_true(data: st.DataObject) -> None:
    truths = {True: "assignedTo eq 'ana'", False: "assignedTo ne 'ana'"}

    def draw_term(depth: int) -> tuple[str, str]:
        is_negated = data.draw(st.sampled_from(["", "", "not "]))
        if depth and data.draw(st.booleans()):
            ours, pythons = draw_chain(depth - 1)
            return f"{is_negated}({ours})", f"{is_negated}({pythons})"
        truth = data.draw(st.booleans())
        return f"{is_negated}{truths[truth]}", f"{is_negated}{truth}"

    def draw_chain(depth: int) -> tuple[str, str]:
        ours, pythons = draw_term(depth)
        for _ in range(data.draw(st.integers(0, 3))):
            word = data.draw(st.sampled_from([" and ", " or "]))
            more_ours, more_pythons = draw_term(depth)
            ours, pythons = ours + word + more_ours, pythons + word + more_pythons
        return ours, pythons

    ours, pythons = draw_chain(2)

    assert holds(parse_filter(ours), {"assignedTo": "ana"}) is eval(pythons)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assignedTo in ('a')", Or((A,))),
        ("assignedTo in ('a','b', 'c')", Or((A, B, C))),
        ("assignedTo IN('a', null)", Or((A, is_(ASSIGNED, EQ, None)))),
        ("status in ('active', 'RESOLVED')", Or((is_(STATUS, EQ, "Active"), is_(STATUS, EQ, "Resolved")))),
        ("createdTime in (2026-02-11T12:00:00Z)", Or((is_(CREATED, EQ, NOON),))),
        ("not assignedTo in ('a') and assignedTo in ('b')", And((Not(Or((A,))), Or((B,))))),
    ],
)
def test_in_is_equal_to_any_of_a_list(text: str, expected: Expression) -> None:
    assert parse_filter(text) == expected


@pytest.mark.parametrize(
    "text", ["assignedTo in ()", "assignedTo in 'a'", "assignedTo in ('a',)", "assignedTo in"]
)
def test_a_list_has_brackets_and_members(text: str) -> None:
    assert "where" in refusal_of(text)


# What cannot be filtered

ALLOWED = "allowed: lastUpdateTime, createdTime, status, assignedTo."
OPERATORS = "eq, ne, gt, ge, lt, le, in."


@pytest.mark.parametrize(
    "name", ["severity", "classification", "determination", "incidentId", "tags", "alerts/severity", "a.b"]
)
@pytest.mark.parametrize(
    "text", ["{} eq 'High'", "'High' ne {}", "{} in (1, 2)", "status eq 'Active' and {} gt 5"]
)
def test_another_property_is_named_and_those_allowed_too(name: str, text: str) -> None:
    assert refusal_of(text.format(name)) == (
        f"Invalid OData URI query: $filter: the property '{name}' cannot be used; {ALLOWED}"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("contains(assignedTo, 'ana')", "contains"),
        ("contains(assignedTo,'ana') eq true", "contains"),
        ("startswith(tolower(assignedTo), 'a')", "startswith"),
        ("not endswith(assignedTo, 'a')", "endswith"),
        ("year(createdTime) eq 2026", "year"),
        ("createdTime gt now()", "now"),
        ("date(createdTime) eq 2026-02-11", "date"),
        ("length(assignedTo) gt 5 and severity eq 'High'", "length"),
        ("alerts/any(alert: alert/severity eq 'High')", "alerts/any"),
        ("alerts/all(a:a/status eq 'New' or (a/x eq 1))", "alerts/all"),
        ("tags/any()", "tags/any"),
        ("status eq 'Active' and comments/any(c: contains(c/comment, 'it''s'))", "comments/any"),
    ],
)
def test_a_function_is_named(text: str, name: str) -> None:
    assert refusal_of(text) == (
        f"Invalid OData URI query: $filter: the function '{name}' cannot be used;"
        f" no functions are allowed; {ALLOWED[:-1]} with {OPERATORS}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "severity eq 'High' and title eq 'x'",
        "severity eq 'High' or contains(title, 'x')",
        "severity eq 'High' or alerts/any(a: a/b eq 1)",
        "(status eq 'Active' and (severity eq 'High' or status eq 'None'))",
        "severity eq lastUpdateTime",
    ],
)
def test_of_several_the_first_is_named(text: str) -> None:
    assert "the property 'severity' cannot be used" in refusal_of(text)


def test_a_mistake_in_the_grammar_is_told_before_a_name_that_cannot_be_used() -> None:
    assert "where an operator: eq, ne, gt, ge, lt, le or in should be" in refusal_of(
        "severity eq 'High' and status 'Active'"
    )


def test_properties_are_not_compared_with_each_other() -> None:
    assert "'createdTime' can be compared with a value only" in refusal_of("createdTime lt lastUpdateTime")


def test_values_are_not_compared_with_each_other() -> None:
    assert "'a' is compared with a value; name a property" in refusal_of("'a' eq 'a'")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{} eq 5", 60),
        ("{}(status) eq 5", 60),
        ("createdTime eq {}", 60),
        ("createdTime eq '{}'", 59),  # and the quote before it
        ("status eq '{}'", 59),
        ("'{}' eq 'a'", 39),
        ("status {}", 40),
        ("status ;{}", 19),  # and the mark before it
        ("{} eq status", 60),
    ],
)
def test_what_is_long_is_cut_in_the_message(text: str, shown: int) -> None:
    message = refusal_of(text.format("x" * 3000))

    assert "x" * shown in message
    assert "x" * (shown + 1) not in message


def test_a_long_number_is_cut_in_the_message() -> None:
    message = refusal_of(f"assignedTo eq {'7' * 3000}")

    assert message.endswith(f"it was {'7' * 60}.")


def test_a_property_that_is_called_is_a_function() -> None:
    assert "the function 'status' cannot be used" in refusal_of("status(1) eq 'Active'")


@pytest.mark.parametrize("word", ["and", "or", "not", "in", "AND", "Or", "NOT", "In"])
def test_a_word_of_the_grammar_is_no_value(word: str) -> None:
    assert refusal_of(f"assignedTo eq {word}").endswith(
        f"'{word}' stands at character 15, where a property or a value should be."
    )


@pytest.mark.parametrize("word", ["true", "false", "True", "FALSE"])
def test_a_boolean_is_a_value_of_no_property(word: str) -> None:
    assert refusal_of(f"assignedTo eq {word}").endswith(f"it was {word}.")


# The grammar


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it ends at character 1, where a property or a value should be"),
        ("   ", "it ends at character 1, where a property or a value should be"),
        ("status", "it ends at character 7, where an operator: eq, ne, gt, ge, lt, le or in should be"),
        ("status eq", "it ends at character 10, where a property or a value should be"),
        (
            "status = 'Active'",
            "\"= 'Active'\" at character 8 cannot be read",
        ),
        (
            "status like 'A'",
            "'like' stands at character 8, where an operator: eq, ne, gt, ge, lt, le or in should be",
        ),
        ("status eq 'Active", '"\'Active" at character 11 cannot be read'),
        (
            "status eq 'Active' status eq 'x'",
            "'status' stands at character 20, where 'and', 'or' or the end should be",
        ),
        ("(status eq 'Active'", "it ends at character 20, where ')' should be"),
        ("status eq 'Active')", "')' stands at character 19, where 'and', 'or' or the end should be"),
        ("and status eq 'Active'", "'and' stands at character 1, where a property or a value should be"),
        ("status eq 'Active' or", "it ends at character 22, where a property or a value should be"),
        ("not", "it ends at character 4, where a property or a value should be"),
        ("()", "')' stands at character 2, where a property or a value should be"),
        ("true", "it ends at character 5, where an operator: eq, ne, gt, ge, lt, le or in should be"),
        ("status eq in", "'in' stands at character 11, where a property or a value should be"),
        ("contains(assignedTo", "it ends at character 20, where ')' should be"),
        ("status eq 'Active';", "';' at character 19 cannot be read"),
        ('status eq "Active"', "'\"Active\"' at character 11 cannot be read"),
        ("status eq $it", "'$it' at character 11 cannot be read"),
        ("createdTime add 1 gt 5", "'add' stands at character 13, where an operator"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, reason: str) -> None:
    assert reason in refusal_of(text)


# Limits


def test_it_may_have_4000_characters() -> None:
    filling = "x" * (LENGTH_MAX - len("assignedTo eq ''"))

    assert parse_filter(f"assignedTo eq '{filling}'") == is_(ASSIGNED, EQ, filling)
    assert refusal_of(f"assignedTo eq '{filling}x'") == (
        "Invalid OData URI query: $filter: it has 4001 characters; at most 4000 are allowed."
    )


@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("not ", ""), ("f(", ")")])
def test_it_may_be_20_deep(opening: str, closing: str) -> None:
    def nested(depth: int) -> str:
        inner = "assignedTo" if opening == "f(" else "assignedTo eq 'a'"
        return opening * depth + inner + closing * depth

    deepest, deeper = nested(DEPTH_MAX), nested(DEPTH_MAX + 1)

    assert refusal_of(deeper) == "Invalid OData URI query: $filter: it is nested more than 20 deep."
    assert "nested" not in (refusal_of(deepest) if opening == "f(" else str(parse_filter(deepest)))


def test_depth_is_counted_as_it_is_and_not_over_the_whole_text() -> None:
    side_by_side = " and ".join(["(not ((assignedTo eq 'a')))"] * 50)

    assert parse_filter(side_by_side) == And((Not(A),) * 50)


@pytest.mark.parametrize("closed", ["(assignedTo eq 'a')", "not assignedTo eq 'a'", "f(assignedTo)"])
@pytest.mark.parametrize("times", [1, 3])
def test_what_has_been_closed_does_not_count_any_more(closed: str, times: int) -> None:
    """Half-way down, after something nested has ended, there is room for the other half and no more."""

    def nested(depth: int) -> str:
        above, below = DEPTH_MAX // 2, depth - DEPTH_MAX // 2
        left = " and ".join([closed] * times)
        return f"{'(' * above}{left} and {'(' * below}assignedTo eq 'a'{')' * depth}"

    assert "nested" in refusal_of(nested(DEPTH_MAX + 1))
    if "f(" in closed:
        assert "the function 'f' cannot be used" in refusal_of(nested(DEPTH_MAX))
    else:
        assert isinstance(parse_filter(nested(DEPTH_MAX)), And)


def test_it_may_have_100_terms() -> None:
    parts = ["assignedTo eq 'a'"] * TERMS_MAX

    assert parse_filter(" or ".join(parts)) == Or((A,) * TERMS_MAX)
    assert refusal_of(" or ".join([*parts, parts[0]])) == (
        "Invalid OData URI query: $filter: it has more than 100 terms."
    )


def test_each_member_of_a_list_is_a_term() -> None:
    def text(count: int) -> str:
        return f"status eq 'Active' and assignedTo in ({','.join(['null'] * count)})"

    assert isinstance(parse_filter(text(TERMS_MAX - 1)), And)
    assert "more than 100 terms" in refusal_of(text(TERMS_MAX))
    assert "more than 100 terms" in refusal_of(f"({text(TERMS_MAX - 1)}) and assignedTo eq null")


# Whatever comes

FRAGMENTS = [
    *("status", "createdTime", "lastUpdateTime", "assignedTo", "severity", "alerts/any", "contains", "f"),
    *("eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "not", "has", "add"),
    *(
        "(",
        ")",
        ",",
        ":",
        "'",
        "''",
        "'Active'",
        "'a",
        "null",
        "true",
        "5",
        "-1",
        "1e9",
        "/",
        "$",
        "@x",
        "\\",
        "\x00",
    ),
    *(
        "2026-02-11T12:00:00Z",
        "2026-02-11",
        "2026-02-11T12:00:00 01:00",
        "9999-99-99T99:99:99.9999999Z",
        "\u0662",
    ),
]
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=40).flatmap(
    lambda parts: st.sampled_from(["", " "]).map(lambda blank: blank.join(parts))
)


@given(hostile | st.text())
@example("(" * LENGTH_MAX)
@example("not " * 1000)
@example("f(" * 2000)
@example("'" * (LENGTH_MAX - 1))
@example("assignedTo eq " + "''" * 1990)
@example("9" * LENGTH_MAX)
@example("2026-02-11T" + ":" * 3900)
@example(" " * LENGTH_MAX)
@example("\ud800")
def test_a_text_is_a_filter_or_is_refused_in_a_short_sentence(text: str) -> None:
    with suppress(InvalidQuery):
        parse_filter(text)
        return
    message = refusal_of(text)

    assert message.startswith("Invalid OData URI query: $filter: ")
    assert len(message) < 300


# There and back

instants = st.integers(parse_instant("1900-01-01T00:00:00Z"), parse_instant("2100-01-01T00:00:00Z")).map(
    Instant
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

comparisons = st.one_of(
    st.builds(Comparison, st.sampled_from([UPDATED, CREATED]), st.sampled_from(Operator), instants),
    st.builds(Comparison, st.just(STATUS), st.sampled_from([EQ, NE]), st.sampled_from(STATUSES)),
    st.builds(Comparison, st.just(ASSIGNED), st.sampled_from(Operator), names),
    st.builds(Comparison, st.just(ASSIGNED), st.sampled_from([EQ, NE]), st.none()),
)


def expressions(depth: int = 3) -> st.SearchStrategy[Expression]:
    if not depth:
        return comparisons
    inner = expressions(depth - 1)
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(comparisons, st.builds(And, several), st.builds(Or, several), st.builds(Not, inner))


@st.composite
def printed(draw: st.DrawFn, expression: Expression) -> str:
    """The expression in one of its spellings."""
    match expression:
        case And(parts) | Or(parts):
            word = draw(
                st.sampled_from([" and ", " AND "] if isinstance(expression, And) else [" or ", "  or "])
            )
            return word.join([f"({draw(printed(part))})" for part in parts])
        case Not(part):
            return f"not ({draw(printed(part))})"
        case Comparison(property_, operator, value):
            written = draw(printed_value(property_, value))
            if operator in (EQ, NE) and draw(st.booleans()):
                return f"{written} {operator.value} {NAMES[property_]}"
            return f"{NAMES[property_]} {operator.value} {written}"


@st.composite
def printed_value(draw: st.DrawFn, property_: Property, value: Instant | str | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, int):
        minutes = draw(st.integers(-14 * 60, 14 * 60))
        shifted = format_instant(Instant(value + minutes * 60 * TICKS_PER_SECOND)).rstrip("Z")
        sign = "-" if minutes < 0 else draw(st.sampled_from(["+", " "]))
        hours, rest = divmod(abs(minutes), 60)
        return f"{shifted}{sign}{hours:02}:{rest:02}"
    if property_ is STATUS:
        value = draw(st.sampled_from([value, value.upper(), value.lower()]))
    quoted = value.replace("'", "''")
    return f"'{quoted}'"


@given(st.data())
def test_what_is_printed_is_read_as_it_was(data: st.DataObject) -> None:
    expression = data.draw(expressions())
    text = data.draw(printed(expression))

    assert parse_filter(text) == expression


def test_the_names_and_words_are_those_of_the_api() -> None:
    properties = {
        "lastUpdateDateTime": QueryProperty(UPDATED, LiteralKind.TIME),
        "status": QueryProperty(STATUS, LiteralKind.WORD, {"awaitingAction": "Active"}),
    }

    def read(text: str) -> Expression:
        return filters.parse_filter(text, properties)

    assert read("lastUpdateDateTime gt 2026-02-11T12:00:00Z") == is_(UPDATED, GT, NOON)
    assert read("status eq 'AwaitingAction'") == is_(STATUS, EQ, "Active")
    with pytest.raises(InvalidOption, match=r"allowed: lastUpdateDateTime, status$"):
        read("assignedTo eq 'ana'")
    with pytest.raises(InvalidOption, match=r"is not a status; there are 'awaitingAction'$"):
        read("status eq 'Active'")


# The hard one: docs/api/clients.md

MOMENTS = {
    "created": {300: "2026-02-01T00:00:00Z", 40: "2026-02-10T00:00:00Z"},
}
BEFORE, EARLY, LATE = "2026-01-31T23:59:59.9999999Z", "2026-02-05T00:00:00Z", "2026-02-10T00:00:00Z"


def test_the_zero_trust_assessment_is_refused_naming_the_first_property_that_cannot_be_filtered() -> None:
    assert refusal_of(ZERO_TRUST_ASSESSMENT.format_map(MOMENTS)) == (
        "Invalid OData URI query: $filter: the property 'severity' cannot be used; "
        "allowed: lastUpdateTime, createdTime, status, assignedTo."
    )


@pytest.mark.parametrize(
    ("created", "status", "assigned_to", "is_met"),
    [
        (EARLY, "Active", None, True),
        (EARLY, "InProgress", None, True),
        (EARLY, "Redirected", None, False),
        (EARLY, "Redirected", "ana", False),
        (EARLY, "Active", "ana", True),
        (LATE, "Active", "ana", False),
        (LATE, "Active", None, True),
        (EARLY, "InProgress", "ana", False),
        (EARLY, "Resolved", "ana", True),
        (LATE, "Resolved", "ana", True),
        (BEFORE, "Resolved", None, False),
        (BEFORE, "Active", None, False),
    ],
)
def test_without_its_grades_it_means_what_it_says(
    created: str, status: str, assigned_to: str | None, is_met: bool
) -> None:
    expression = parse_filter(ZERO_TRUST_ASSESSMENT_WITHOUT_GRADES.format_map(MOMENTS))
    incident = {"createdTime": created, "status": status, "assignedTo": assigned_to}

    assert holds(expression, incident) is is_met


def test_what_cannot_be_read_is_told_of_quotes_only_where_they_are_the_matter() -> None:
    assert refusal_of("status # 'a'").endswith("at character 8 cannot be read.")
    assert refusal_of("status `a`").endswith("at character 8 cannot be read; texts stand in single quotes.")


def test_no_more_of_a_value_comes_back_than_says_which_it_was() -> None:
    assert refusal_of(f"status eq {'a' * 61}").endswith(f"it was {'a' * 60}.")


@pytest.mark.parametrize("value", ["true", "false", "True", "FALSE"])
def test_a_boolean_is_a_value_and_no_property(value: str) -> None:
    assert f"{value} is not a status; there are" in refusal_of(f"status eq {value}")


def test_a_time_that_cannot_be_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"\S") as why:
        parse_instant("2026-13-11T07:41:09Z")

    reason = str(why.value).partition(" such as")[0]
    assert reason in refusal_of("createdTime eq 2026-13-11T07:41:09Z")
