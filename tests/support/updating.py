"""Updating in tests: who may, how it is sent, and many at once."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from tests.support.builders import to_json
from tests.support.house import Answer, Headers, House

T = TypeVar("T")

WRITE_ALL = "Incident.ReadWrite.All"
WRITE = "Incident.ReadWrite"
JSON = ("Content-Type", "application/json")


def update(
    house: House, incident: int | str, token: str | None, body: object, headers: Headers = (JSON,)
) -> Answer:
    """Update an incident by its number, or at any path; a body that is bytes is sent as it is."""
    path = incident if isinstance(incident, str) else f"/api/incidents/{incident}"
    bearer = [("Authorization", f"Bearer {token}")] if token is not None else []
    text = body if isinstance(body, bytes) else to_json(body)
    return house.running.request("PATCH", path, [*bearer, *headers], body=text)


def head_of(house: House, number: int, token: str, *headers: str) -> bytes:
    """The head of an update, for bodies that do not come as they should."""
    lines = [
        f"PATCH /api/incidents/{number} HTTP/1.1",
        f"Host: {urlsplit(house.running.url).netloc}",
        f"Authorization: Bearer {token}",
        *headers,
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def writer_of(house: House) -> str:
    """The token of a new application that may read and write."""
    return house.a_token(WRITE_ALL)


def operator_over(house: House, *device_groups: str) -> str:
    """The token of a new user who may view and manage these device groups; without any, the tenant."""
    return house.token_of(house.add_user(*device_groups, role="security-operator"), WRITE)


def comments_in(house: House, number: int, token: str) -> list[str]:
    return [each["comment"] for each in house.get(number, token).json["comments"]]


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """Do all of it at the same moment, on as many threads."""
    gate = threading.Barrier(len(works))
    results: dict[int, T] = {}

    def run(place: int, work: Callable[[], T]) -> None:
        gate.wait()
        results[place] = work()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[place] for place in range(len(works))]
