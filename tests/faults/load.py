"""Callers that read, list and update on all servers by turns, and what each was told."""

import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any

from tests.faults.cluster import NUMBERS

LOST = 0
"""The status of an answer that did not come, or not to its end."""

KINDS = ("read", "list", "update")
UPDATERS, READERS, LISTERS = 3, 2, 1
_ANSWER_SECONDS_MAX = 60
_PAUSE_SECONDS = 0.02
_GIVEN_UP_AFTER_SECONDS = 60


@dataclass(kw_only=True)
class Load:
    """What callers were told. `told` has the moment, the kind of the call and the status of each answer."""

    ports: Sequence[int]
    token: str
    told: list[tuple[float, str, int]] = field(default_factory=list)
    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    given_up: list[tuple[int, str]] = field(default_factory=list)
    unseen: list[tuple[int, str]] = field(default_factory=list)
    sent_again_count: int = 0
    is_over: threading.Event = field(default_factory=threading.Event)
    before: Counter[tuple[int, str]] = field(default_factory=Counter)

    def statuses(self, *kinds: str, since: float = 0.0) -> Counter[int]:
        """How often each status was answered from a moment on, to calls of some kinds or to all."""
        return Counter(
            status for at, kind, status in list(self.told) if at >= since and kind in (kinds or KINDS)
        )

    def last_failure(self) -> float:
        """The moment of the last answer that was none of success, 0 when there was none."""
        return max((at for at, _, status in list(self.told) if status != 200), default=0.0)

    def update(self, rng: random.Random) -> None:
        """Comment on an incident until that is acknowledged, under one key; then look for it elsewhere."""
        number, comment = rng.choice(NUMBERS), str(uuid.uuid4())
        ends_at = time.monotonic() + _GIVEN_UP_AFTER_SECONDS
        while self._ask("update", rng, f"/api/incidents/{number}", comment)[0] != 200:
            if time.monotonic() > ends_at:
                self.given_up.append((number, comment))
                return
            self.sent_again_count += 1
            time.sleep(10 * _PAUSE_SECONDS)
        self.acknowledged.append((number, comment))
        status, incident = self._ask("read", rng, f"/api/incidents/{number}")
        if status == 200 and comment not in comments_of(incident):
            self.unseen.append((number, comment))

    def read(self, rng: random.Random) -> None:
        """Get an incident."""
        self._ask("read", rng, f"/api/incidents/{rng.choice(NUMBERS)}")

    def list(self, rng: random.Random) -> None:
        """List all incidents."""
        status, page = self._ask("list", rng, "/api/incidents")
        assert status != 200 or len(page["value"]) == len(NUMBERS)

    def _ask(self, kind: str, rng: random.Random, path: str, comment: str = "") -> tuple[int, Any]:
        status, answer = ask(rng.choice(self.ports), self.token, path, comment)
        self.told.append((time.monotonic(), kind, status))
        return status, answer


def ask(port: int, token: str, path: str, comment: str = "") -> tuple[int, Any]:
    """The status and the value that one server answers, to a comment or without one to a question."""
    headers = {"Authorization": f"Bearer {token}"}
    body = None
    if comment:
        headers |= {"Content-Type": "application/json", "Idempotency-Key": comment}
        body = json.dumps({"comment": comment})
    connection = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS_MAX)
    try:
        connection.request("PATCH" if comment else "GET", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, HTTPException):
        return LOST, None
    finally:
        connection.close()


def ready(port: int) -> int:
    """What /readyz answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS_MAX)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    connection.close()
    return status


def comments_of(incident: Any) -> list[str]:
    """What was said, in order."""
    return [each["comment"] for each in incident["comments"]]


@contextmanager
def loaded(ports: Sequence[int], token: str) -> Iterator[Load]:
    """Callers at work while the block lasts; at its end each finishes what it is at."""
    load = Load(ports=ports, token=token, before=_all_comments(ports[0], token))
    failures: list[BaseException] = []
    works = [load.update] * UPDATERS + [load.read] * READERS + [load.list] * LISTERS

    def work_on(place: int) -> None:
        rng = random.Random(place)
        try:
            while not load.is_over.is_set():
                works[place](rng)
                time.sleep(_PAUSE_SECONDS)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work_on, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        load.is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []


def assert_nothing_lost(load: Load) -> None:
    """Every acknowledged comment is there once on every server, and nothing else is."""
    assert load.acknowledged
    assert load.given_up == []
    assert load.unseen == []
    for port in load.ports:
        assert _all_comments(port, load.token) - load.before == Counter(load.acknowledged)


def _all_comments(port: int, token: str) -> Counter[tuple[int, str]]:
    return Counter(
        (number, comment)
        for number in NUMBERS
        for comment in comments_of(ask(port, token, f"/api/incidents/{number}")[1])
    )
