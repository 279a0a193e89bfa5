"""The id that a client gives a request: repeated in every answer, found in the log, and nothing else."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.builders import an_alert, an_incident
from tests.support.house import House, RunningHouse
from tests.support.updating import WRITE_ALL, update
from vigie.config.settings import LoggingSettings

SENT = "48f6b1c2-e5d7-4a30-b9f8-27c3d06a1e54"
LARGE = 300_000


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that logs nothing but defects."""
    with RunningHouse(tmp_path_factory.mktemp("quiet")) as running:
        yield House(running)


def logged(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The lines of requests, of a house that has stopped."""
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    return [line for line in lines if line["event"] == "request"]


def test_the_id_that_a_client_gives_a_request_is_repeated_and_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningHouse(tmp_path, logging=LoggingSettings(level="info")) as running:
        house = House(running)
        number, token = house.takes(an_incident()), house.a_token(WRITE_ALL)
        large = house.takes(an_incident(an_alert(description="x" * LARGE)))
        named = [("client-request-id", SENT)]
        authorized = [("Authorization", f"Bearer {token}"), *named]
        capfd.readouterr()

        answers = [
            *(
                running.request("GET", f"/api/incidents/{each}", authorized)
                for each in (number, large, 987654)
            ),
            *(
                running.request("HEAD", f"/api/{each}", authorized)
                for each in (f"incidents/{number}", "incidents")
            ),
            running.request("GET", "/api/incidents?$top=1", authorized),
            running.request("GET", "/api/incidents", [*authorized, ("Accept-Encoding", "gzip")]),
            update(house, number, token, {"tags": ["a"]}, [("Content-Type", "application/json"), *named]),
            update(house, number, token, b"{", named),
            running.request("DELETE", "/api/incidents", authorized),
            running.request("GET", "/api/incidents", named),
            running.request("POST", f"/{house.tenant.guid}/oauth2/v2.0/token", named, body=b"x=y"),
            running.request("GET", "/healthz", named),
            running.request("GET", "/nowhere", named),
        ]

    assert [answer.header("client-request-id") for answer in answers] == [SENT] * len(answers)
    assert [line["client_request_id"] for line in logged(capfd)] == [SENT] * len(answers)


def test_a_connection_that_asks_again_under_one_id_hears_it_each_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with RunningHouse(tmp_path, logging=LoggingSettings(level="info")) as running:
        house = House(running)
        number, token = house.takes(an_incident()), house.a_token()
        headers = {"Authorization": f"Bearer {token}", "client-request-id": SENT}
        capfd.readouterr()

        with closing(http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=20)) as connection:
            repeated = []
            for _ in range(5):
                connection.request("GET", f"/api/incidents/{number}", headers=headers)
                answer = connection.getresponse()
                answer.read()
                repeated.append(answer.headers["client-request-id"])

    assert repeated == [SENT] * 5
    assert [line["client_request_id"] for line in logged(capfd)] == [SENT] * 5


@pytest.mark.parametrize(
    ("sent", "repeated"),
    [
        ("{48F6B1C2-E5D7-4A30-B9F8-27C3D06A1E54}", "{48F6B1C2-E5D7-4A30-B9F8-27C3D06A1E54}"),
        ("|7d1f0c22.1a2b.", "7d1f0c22.1a2b."),
        ("a b\t<script>\x80\xe9\"'\\", "abscript"),
        ("x" * 64, "x" * 64),
        ("x" * 5000, "x" * 64),
        ("\xff" * 70 + "x", None),
        ("", None),
    ],
)
def test_an_id_of_the_client_is_cut_and_cleaned(house: House, sent: str, repeated: str | None) -> None:
    answer = house.running.request("GET", "/healthz", [("client-request-id", sent)])

    assert (answer.status, answer.header("client-request-id")) == (200, repeated)


def test_of_several_ids_the_first_counts(house: House) -> None:
    sent = [("client-request-id", "first"), ("client-request-id", "second")]

    answer = house.running.request("GET", "/healthz", sent)

    assert [value for name, value in answer.headers if name == "client-request-id"] == ["first"]


def test_who_gives_no_id_hears_of_none(house: House) -> None:
    answer = house.get("/api/incidents", house.a_token())

    assert answer.header("client-request-id") is None


@pytest.mark.parametrize("secret", ["eyJhbGciOiJSUzI1NiJ9.eyJ0aWQi", "q8Q~" + "s3cret" * 8])
def test_a_secret_in_the_place_of_an_id_is_not_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], secret: str
) -> None:
    with RunningHouse(tmp_path, logging=LoggingSettings(level="info")) as running:
        capfd.readouterr()
        running.request("GET", "/healthz", [("client-request-id", secret)])

    (line,) = logged(capfd)
    assert line["client_request_id"] == "[removed]"
