"""The query options of a list, spelled as clients spell them."""

from urllib.parse import parse_qs, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.client_filters import CLIENT_QUERIES, ClientQuery
from vigie.api.defender.query_options import parse_filter, parse_page_request, refuse_query_options
from vigie.core.conditions import And, Comparison, Operator, Property
from vigie.core.errors import InvalidQuery
from vigie.core.instants import parse_instant
from vigie.core.queries import DEFAULT_ORDER, Order, PageRequest
from vigie.odata.options import query_of_next_page

UPDATED, CREATED, STATUS, ASSIGNED = Property

MOMENTS = {
    name: dict.fromkeys(range(1600), "2026-02-11T07:41:09.3066667Z") for name in ("created", "updated")
}


def refusal_of(query: bytes) -> str:
    with pytest.raises(InvalidQuery) as refused:
        parse_page_request(query)
    return refused.value.message


def assignee_in(query: bytes) -> object:
    """Whom a query asks for, if it asks for an assignee."""
    expression = parse_page_request(query).filter
    return expression.value if isinstance(expression, Comparison) else None


# Spellings


@pytest.mark.parametrize(
    "query",
    [
        b"$filter=status eq 'Active'",
        b"$filter=status+eq+'Active'",
        b"$filter=status%20eq%20'Active'",
        b"$filter=status+eq%20%27Active%27",
        b"%24filter=status+eq+%27Active%27",
        b"$FILTER=status+eq+'Active'",
        b"%24Filter=status+eq+'Active'",
        b"+$filter+=++status+eq+'Active'++",
        b"%20%24filter%20=status+eq+'Active'",
        b"%24%66%69%6cter=status+eq+'Active'",
        b"x=1&$filter=status+eq+'Active'&$top=&$skip=",
        b"&&$filter=status+eq+'Active'&&",
        b"$filter=status+eq+'Active'&$filter=status%20eq%20'Active'",
        b"$filter=status+eq+'Active'&$filter=",
    ],
)
def test_a_filter_is_read_in_every_spelling(query: bytes) -> None:
    assert parse_page_request(query) == PageRequest(filter=Comparison(STATUS, Operator.EQ, "Active"))


@pytest.mark.parametrize(
    ("query", "assignee"),
    [
        (b"$filter=assignedTo+eq+'a+b'", "a b"),
        (b"$filter=assignedTo+eq+'a%2Bb'", "a+b"),
        (b"$filter=assignedTo+eq+'a%20b'", "a b"),
        (b"$filter=assignedTo+eq+'a%26b'", "a&b"),
        (b"$filter=assignedTo+eq+'a=b'", "a=b"),
        (b"$filter=assignedTo+eq+'a%3Db'", "a=b"),
        (b"$filter=assignedTo+eq+'a;b'", "a;b"),
        (b"$filter=assignedTo+eq+'50%'", "50%"),
        (b"$filter=assignedTo+eq+'%zz'", "%zz"),
        (b"$filter=assignedTo+eq+'%2541'", "%41"),
        (b"$filter=assignedTo+eq+'O''Neil'", "O'Neil"),
        (b"$filter=assignedTo+eq+'J%C3%A9r%C3%B4me'", "Jérôme"),
        # Not encoded at all, as some command lines send it.
        ("$filter=assignedTo+eq+'Jérôme'".encode(), "Jérôme"),
        (b"$filter=assignedTo+eq+'%F0%9F%98%80'", "😀"),
    ],
)
def test_a_value_is_decoded_once(query: bytes, assignee: str) -> None:
    assert assignee_in(query) == assignee


@pytest.mark.parametrize("plus", [b"+", b"%2B", b"%20"])
def test_the_plus_of_an_offset_may_be_bare(plus: bytes) -> None:
    request = parse_page_request(b"$filter=lastUpdateTime+gt+2021-02-01T01:00:00" + plus + b"01:00")

    assert request.filter == Comparison(UPDATED, Operator.GT, parse_instant("2021-02-01T00:00:00Z"))


@pytest.mark.parametrize(
    "query",
    [b"$filter=assignedTo+eq+'%FF'", b"$filter=assignedTo+eq+'\xe9'", b"$top=%C3", b"$filter=%ED%A0%80"],
)
def test_what_is_not_utf_8_is_refused(query: bytes) -> None:
    assert refusal_of(query).endswith("is not UTF-8.")


# What is ignored, and what is not


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"&",
        b"=",
        b"?",
        b"$filter=&$top=&$skip=&$orderby=&$count=",
        b"$filter&$top",
        b"$filter=+%20",
        b"$select=&$expand",
        b"filter=nonsense&top=5&orderby=severity",
        b"api-version=1.0&tenant=x",
        b"x=$filter&y=%24top",
        b"%FF=%FF",
        # What is left of `$filter` and `$dateTime` when PowerShell has expanded one or both to nothing.
        b"=lastUpdateTime+ge+2021-02-01T03:00:00.1234567Z",
        b"=lastUpdateTime+ge+",
    ],
)
def test_empty_and_unknown_parameters_are_ignored(query: bytes) -> None:
    assert parse_page_request(query) == PageRequest()


@pytest.mark.parametrize(
    "option", ["$select", "$expand", "$search", "$skiptoken", "$format", "$apply", "$x", "$"]
)
@pytest.mark.parametrize("spelling", ["{}=1", "%24{0[1]}=1", "a=b&{}=1&$top=1", "{}=%20x"])
def test_other_options_are_refused_by_name(option: str, spelling: str) -> None:
    query = spelling.format(option) if "[" not in spelling else f"%24{option[1:]}=1"

    assert refusal_of(query.encode()) == (
        f"Invalid OData URI query: the query option '{option}' cannot be used;"
        " allowed: $filter, $top, $skip, $orderby, $count."
    )


@pytest.mark.parametrize("query", [b"$top=1&$top=2", b"$top=1&%24TOP=2", b"$filter=a&$filter=b"])
def test_an_option_that_says_two_things_is_refused(query: bytes) -> None:
    assert "stands twice with different values" in refusal_of(query)


# Numbers


@pytest.mark.parametrize(
    ("text", "top"), [("0", 0), ("1", 1), ("50", 50), ("100", 100), ("007", 7), ("+5", 5)]
)
def test_top_is_0_to_100(text: str, top: int) -> None:
    assert parse_page_request(f"$top={text}".encode()).top == top


@pytest.mark.parametrize(
    "text",
    [
        "101",
        "1000",
        "-1",
        "1.0",
        "1e1",
        "0x10",
        "ten",
        "%D9%A5",
        "1 0",
        "99999999999",
        "9" * 4000,
        "%00",
    ],
)
def test_any_other_top_is_refused(text: str) -> None:
    message = refusal_of(f"$top={text}".encode())

    assert message.startswith("Invalid OData URI query: $top must be a whole number from 0 to 100; it was '")
    assert len(message) < 150


@pytest.mark.parametrize(("text", "skip"), [("0", 0), ("100", 100), ("2147483647", 2147483647)])
def test_skip_is_any_whole_number(text: str, skip: int) -> None:
    assert parse_page_request(f"$skip={text}".encode()).skip == skip


@pytest.mark.parametrize("text", ["-1", "1.5", "2147483648", "x", "9" * 4000])
def test_any_other_skip_is_refused(text: str) -> None:
    assert "$skip must be a whole number from 0 to 2147483647" in refusal_of(f"$skip={text}".encode())


@pytest.mark.parametrize(
    ("text", "count"), [("true", True), ("TRUE", True), ("false", False), ("False", False)]
)
def test_count_is_true_or_false(text: str, count: bool) -> None:
    assert parse_page_request(f"$count={text}".encode()).count is count


@pytest.mark.parametrize("text", ["1", "yes", "truee"])
def test_any_other_count_is_refused(text: str) -> None:
    assert f"$count must be true or false; it was '{text}'" in refusal_of(f"$count={text}".encode())


def test_an_order_is_read() -> None:
    order = parse_page_request(b"$orderby=createdTime+asc,status%20desc").order

    assert order == (Order(CREATED), Order(STATUS, is_descending=True))
    assert parse_page_request(b"$top=5").order == DEFAULT_ORDER


@given(st.binary(max_size=60) | st.text("$%24=&+filtertopskip01 '\u00e9", max_size=60).map(str.encode))
@example(b"%24" * 1000)
@example(b"$" * 5000)
def test_a_query_is_read_or_refused(query: bytes) -> None:
    try:
        parse_page_request(query)
    except InvalidQuery as refusal:
        assert len(refusal.message) < 300  # noqa: PT017  most of them are read


# Clients


@pytest.mark.parametrize("query", CLIENT_QUERIES, ids=lambda query: query.client)
def test_what_clients_send_is_read(query: ClientQuery) -> None:
    options = query.options(MOMENTS)

    request = parse_page_request(urlencode(options).encode())

    assert request == parse_page_request(urlencode(options, safe="$").replace("+", "%20").encode())
    assert request.filter == (parse_filter(options["$filter"]) if query.filter else None)
    assert (request.top, request.skip) == (query.top, query.skip)


def test_rapid7_joins_a_status_and_two_times() -> None:
    query = (
        b"%24filter=status+eq+%27Active%27+and+createdTime+ge+2021-02-01T00%3A30%3A00.123456Z"
        b"+and+lastUpdateTime+ge+2021-02-01T00%3A30%3A00.123456Z"
    )
    at = parse_instant("2021-02-01T00:30:00.123456Z")

    assert parse_page_request(query).filter == And(
        (
            Comparison(STATUS, Operator.EQ, "Active"),
            Comparison(CREATED, Operator.GE, at),
            Comparison(UPDATED, Operator.GE, at),
        )
    )


# The next page


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", "$skip=100"),
        (b"x=1&$skip=", "$skip=100"),
        (b"$skip=5&$count=true", "$count=true&$skip=100"),
        (b"%24filter=status%20eq%20'Active'", "$filter=status+eq+%27Active%27&$skip=100"),
        (b"$select=&$orderby=status", "$orderby=status&$skip=100"),
    ],
)
def test_the_next_page_is_asked_for_in_one_spelling(query: bytes, expected: str) -> None:
    assert query_of_next_page(query, 100) == expected


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 2**31 - 1))
def test_the_next_page_asks_for_the_same_further_on(assignee: str, skip: int) -> None:
    filter_ = "assignedTo eq '{}'".format(assignee.replace("'", "''"))
    query = urlencode({"$filter": filter_, "$orderby": "createdTime desc", "$skip": "3"}).encode()

    link = query_of_next_page(query, skip)

    first, second = parse_page_request(query), parse_page_request(link.encode())
    assert (second.filter, second.order, second.skip) == (first.filter, first.order, skip)
    assert parse_qs(link)["$skip"] == [str(skip)]
    assert not set(link) & set('"\\<> ')


# A single incident


def test_a_single_incident_takes_no_options() -> None:
    refuse_query_options(b"x=1&=y&filter=5")

    with pytest.raises(InvalidQuery, match="'\\$top' cannot be used for a single incident"):
        refuse_query_options(b"x=1&%24top=1")
