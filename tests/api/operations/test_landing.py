"""The landing page at `/`: a page for browsers in their language, the same as JSON for programs."""

from urllib.parse import urlsplit

import pytest

from tests.support.house import House
from tests.support.shown_page import ShownPage
from vigie import __version__

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.9", "application/json"),
        ("text/html;q=0", "application/json"),
        (CHROME, "text/html; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("TEXT/HTML; charset=utf-8; q=0.5, application/json;q=0.4", "text/html; charset=utf-8"),
    ],
)
def test_a_browser_gets_a_page_and_others_json(house: House, accept: str | None, content_type: str) -> None:
    answer = house.running.request("GET", "/", [("Accept", accept)] if accept else [])

    assert (answer.status, answer.header("content-type")) == (200, content_type)
    assert answer.header("vary") == "Accept, Accept-Language, Host"


def test_json_says_where_everything_is_at_the_address_that_was_called(house: House) -> None:
    said = house.running.request("GET", "/", host="vigie.example:8443").json

    assert (said.pop("name"), said.pop("version")) == ("Vigie", __version__)
    assert all(address.startswith("http://vigie.example:8443/") for address in said.values())
    statuses = {name: house.running.request("GET", urlsplit(each).path).status for name, each in said.items()}
    assert statuses == dict.fromkeys(said, 200) | {"incidents": 401}


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Vigie is running"), ("fr-CA,fr", "Vigie est en marche")]
)
def test_the_page_is_in_the_language_of_the_browser_and_leads_everywhere(
    house: House, language: str, said: str
) -> None:
    answer = house.running.request("GET", "/", [("Accept", CHROME), ("Accept-Language", language)])
    page = ShownPage(answer.body)

    assert said in page.text
    assert f"{house.running.url}/api/incidents" in page.text
    assert answer.header("content-language") == language[:2]
    links = set(page.values_of("href"))
    assert links == {"/signin.css", "/reference", "/openapi.json", "/openapi.yaml", "/readyz"}
    assert {house.running.request("GET", link).status for link in links} == {200}


def test_the_page_runs_no_script_and_sends_nothing(house: House) -> None:
    answer = house.running.request("GET", "/", [("Accept", CHROME)])

    assert answer.header("content-security-policy") == (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert {"script", "style", "form", "iframe"}.isdisjoint(ShownPage(answer.body).tags)


def test_a_host_is_shown_and_not_obeyed(house: House) -> None:
    answer = house.running.request("GET", "/", [("Accept", CHROME)], host='"><script>alert(1)</script>')

    assert answer.status == 400
    assert b"<script>" not in answer.body


def test_it_is_only_read(house: House) -> None:
    assert house.running.request("HEAD", "/").status == 200
    assert house.running.request("POST", "/", body=b"x").status == 405
