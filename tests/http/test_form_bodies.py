"""Forms as clients encode them: what is read as fields, and what is refused as no form."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.house import INCIDENTS_API, READ_ALL, Answer, House
from tests.support.multipart import post_multipart
from tests.support.sign_in_client import SCOPE, Program, a_public_program
from vigie.http.form_bodies import FORM_FIELDS_MAX, read_fields

MULTIPART = "multipart/form-data; boundary=x"


def part(name: str, value: bytes, *headers: str) -> bytes:
    """One field as `curl -F` writes it."""
    head = "\r\n".join((f'Content-Disposition: form-data; name="{name}"', *headers))
    return f"--x\r\n{head}\r\n\r\n".encode() + value + b"\r\n"


# At the endpoints


def by_secret(house: House) -> tuple[Program, dict[str, str | None]]:
    application, secret = house.add_application(READ_ALL)
    return Program(house, application, secret), {"grant_type": "client_credentials", "client_secret": secret}


def by_code(house: House) -> tuple[Program, dict[str, str | None]]:
    program = a_public_program(house)
    code = program.code(house.add_person())
    form = {"code": code, "redirect_uri": "http://localhost/back", "code_verifier": program.verifier}
    return program, {"grant_type": "authorization_code", **form}


def by_refresh_token(house: House) -> tuple[Program, dict[str, str | None]]:
    program = a_public_program(house)
    token = program.tokens_of(house.add_person())["refresh_token"]
    return program, {"grant_type": "refresh_token", "refresh_token": token}


def by_device_code(house: House) -> tuple[Program, dict[str, str | None]]:
    program = a_public_program(house)
    codes = post_multipart(
        house.running,
        f"/{house.tenant.guid}/oauth2/v2.0/devicecode",
        {"client_id": program.application.client_id, "scope": SCOPE},
    ).json
    program.approve(codes["user_code"], house.add_person())
    return program, {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": codes["device_code"],
    }


WANTED = {
    "/oauth2/v2.0/token": {"scope": f"{INCIDENTS_API}/.default"},
    "/oauth2/token": {"resource": INCIDENTS_API},
}


@pytest.mark.parametrize("path", WANTED)
@pytest.mark.parametrize("begun", [by_secret, by_code, by_refresh_token, by_device_code])
def test_every_grant_takes_its_form_as_multipart(
    house: House, begun: Callable[[House], tuple[Program, dict[str, str | None]]], path: str
) -> None:
    program, form = begun(house)
    client = {"client_id": program.application.client_id, **WANTED[path]}

    answer = post_multipart(house.running, f"/{house.tenant.guid}{path}", {**client, **form})

    assert answer.status == 200, answer.body
    assert house.get("/api/incidents", answer.json["access_token"]).status == 200


def test_the_older_device_endpoint_takes_multipart_too(house: House) -> None:
    form = {"client_id": a_public_program(house).application.client_id, "resource": INCIDENTS_API}

    answer = post_multipart(house.running, f"/{house.tenant.guid}/oauth2/devicecode", form)

    assert set(answer.json) >= {"device_code", "verification_url"}


def ask(house: House, content_type: str, body: bytes) -> Answer:
    path = f"/{house.tenant.guid}/oauth2/v2.0/token"
    return house.running.request("POST", path, [("Content-Type", content_type)], body=body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"grant_type": "client_credentials"}'),
        ("multipart/form-data", part("grant_type", b"client_credentials") + b"--x--"),
        (MULTIPART, b"grant_type=client_credentials"),
        (MULTIPART, part("grant_type", b"client_credentials")),
        (MULTIPART, b""),
    ],
)
def test_what_is_no_form_is_refused_as_one_without_a_grant_type(
    house: House, content_type: str, body: bytes
) -> None:
    answer = ask(house, content_type, body)

    assert (answer.status, answer.error_code) == (400, 900144)


def test_a_form_that_is_hard_to_read_is_refused_soon(house: House) -> None:
    begun = time.monotonic()

    hard = [
        ask(house, f"multipart/form-data{';' * 30_000}", b""),
        ask(house, MULTIPART, part('"' + ';"\\' * 20_000, b"") + b"--x--"),
        ask(house, MULTIPART, b"\r\n--x" * 12_000),
    ]

    assert [answer.error_code for answer in hard] == [900144] * 3
    assert time.monotonic() - begun < 0.5


# Fields


def test_multipart_keeps_order_line_breaks_and_what_comes_twice() -> None:
    parts = (part("a", b"1"), part("b", b"\r\n\r\n- \r\n--y"), part("a", "é&=+%20".encode()))

    fields = read_fields(b"".join(parts) + b"--x--\r\n", MULTIPART)

    assert fields == [("a", "1"), ("b", "\r\n\r\n- \r\n--y"), ("a", "é&=+%20")]


@pytest.mark.parametrize(
    "body",
    [
        part("a", b"1") + b"--x--",
        part("a", b"1") + b"--x-- \r\nan epilogue",
        b"a preamble\r\n" + part("a", b"1") + b"--x--",
        part("a", b"1", "Content-Type: text/plain; charset=UTF-8", "X-Other: 2") + b"--x--",
        part("a", b"1").replace(b'"', b"") + b"--x--",
    ],
)
def test_multipart_is_read_in_every_form_that_its_standard_has(body: bytes) -> None:
    assert read_fields(body, MULTIPART) == [("a", "1")]


@pytest.mark.parametrize(
    "content_type", ['Multipart/Form-Data; Boundary="x"', " multipart/form-data ;boundary=x"]
)
def test_the_content_type_may_be_spelled_as_headers_are(content_type: str) -> None:
    assert read_fields(part("a", b"1") + b"--x--", content_type) == [("a", "1")]


@pytest.mark.parametrize(
    "body",
    [
        part("a", b"1"),
        b"--x\r\n\r\n1\r\n--x--",
        b'--xy\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--',
        part("a", b"\xff") + b"--x--",
        part("a", b"1", f"X-Long: {'x' * 1024}") + b"--x--",
        part("a", b"1") * (FORM_FIELDS_MAX + 1) + b"--x--",
    ],
)
def test_multipart_that_breaks_its_standard_or_a_bound_is_no_form(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read_fields(body, MULTIPART)


def test_as_many_fields_are_read_as_may_be_there() -> None:
    assert len(read_fields(part("a", b"1") * FORM_FIELDS_MAX + b"--x--", MULTIPART)) == FORM_FIELDS_MAX


@given(st.binary(max_size=300), st.text(max_size=60))
def test_no_body_and_no_content_type_make_a_defect(body: bytes, content_type: str) -> None:
    for kind in (content_type, MULTIPART, f"multipart/form-data; boundary={content_type}"):
        try:
            fields = read_fields(b"--x\r\n" + body + b"\r\n--x--", kind)
        except ValueError:
            continue
        assert all(isinstance(name, str) for name, _ in fields)
