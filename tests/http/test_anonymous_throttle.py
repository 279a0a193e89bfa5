"""Floods of bad tokens, bad secrets and wrong passwords wait for their answers; those who hold good ones do not."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import msal  # type: ignore[import-untyped]
import pytest
import requests

from tests.support.browser_double import Visitor, asking
from tests.support.builders import an_incident
from tests.support.house import INCIDENTS_API, READ_ALL, House, RunningHouse, a_name, eventually
from tests.support.routes import ROUTES
from vigie.config.settings import IdentitySettings, QuotaSettings, ServerSettings, TlsSettings
from vigie.http.anonymous_throttle import HELD_MAX, HELD_SECONDS, READY_HELD_SECONDS, AnonymousThrottle
from vigie.ui.style_sheet import STYLE_PATH

FLOODERS = 20
AS_BY_DEFAULT = ServerSettings(port=0)
AT_ONCE_PER_SECOND = AS_BY_DEFAULT.anonymous_answers_per_second
PAGES_AT_ONCE_PER_SECOND = AT_ONCE_PER_SECOND // 4
STARTING_CLIENTS = 64


@pytest.fixture(scope="module")
def flooded(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house of its own, so that other tests do not have to wait."""
    quotas = QuotaSettings(get_per_minute=1_000_000, get_per_hour=1_000_000)
    with RunningHouse(tmp_path_factory.mktemp("flooded"), server=AS_BY_DEFAULT, quotas=quotas) as running:
        yield House(running)


@contextmanager
def a_flood(house: House, kind: str) -> Iterator[list[int]]:
    """Threads that ask again as soon as they are answered, and the statuses they got."""
    statuses: list[int] = []
    over = threading.Event()
    application, secret = house.add_application(READ_ALL)
    forged = f"{house.a_token().rpartition('.')[0]}.AAAA"
    elsewhere = house.a_token(audience="https://graph.microsoft.com")
    form: dict[str, str | None] = {"client_id": application.client_id, "client_secret": f"{secret}x"}
    number = house.takes(an_incident())

    page = asking(house)

    def ask_for_page() -> Callable[[], int]:
        visitor = Visitor(house).get(page.url)
        return lambda: visitor.submit(username=a_name("somebody"), password="guess").shown.status

    def ask() -> None:
        ways: dict[str, Callable[[], int]] = {
            "tokens": lambda: house.get(number, forged).status,
            "audiences": lambda: house.get(number, elsewhere).status,
            "secrets": lambda: house.ask_for_token(form).status,
            "pages": lambda: house.running.request("GET", page.url).status,
        }
        once = ways[kind] if kind in ways else ask_for_page()
        while not over.is_set():
            statuses.append(once())

    threads = [threading.Thread(target=ask) for _ in range(FLOODERS)]
    for thread in threads:
        thread.start()
    try:
        yield statuses
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=20)


@pytest.mark.parametrize("kind", ["tokens", "audiences", "secrets", "passwords", "pages"])
def test_a_flood_gets_few_answers_and_good_callers_get_theirs_at_once(flooded: House, kind: str) -> None:
    number, token = flooded.takes(an_incident()), flooded.a_token()
    flooded.get(number, token)
    at_once = PAGES_AT_ONCE_PER_SECOND if kind in ("pages", "passwords") else AT_ONCE_PER_SECOND
    with a_flood(flooded, kind) as statuses:
        while len(statuses) <= at_once:
            time.sleep(0.01)
        began, before = time.monotonic(), len(statuses)
        good = []
        while time.monotonic() < began + 2 * HELD_SECONDS:
            asked = time.monotonic()
            assert flooded.get(number, token).status == 200
            good.append(time.monotonic() - asked)
        seconds, refused = time.monotonic() - began, len(statuses) - before

    # The page says that a password is wrong, or that too many are being tried.
    assert set(statuses) <= {"passwords": {403, 503}, "pages": {200}}.get(kind, {401})
    assert refused <= (seconds + 1) * (AT_ONCE_PER_SECOND + FLOODERS / HELD_SECONDS)
    assert sorted(good)[len(good) // 2] < HELD_SECONDS / 2


def test_what_was_held_is_counted(flooded: House) -> None:
    metrics = flooded.running.request("GET", "/metrics").body.decode()

    (line,) = (line for line in metrics.splitlines() if line.startswith("vigie_refusals_held_total "))
    assert float(line.split()[1]) > 0


def test_refusals_to_known_callers_and_a_few_to_unknown_ones_are_not_held(tmp_path: Path) -> None:
    quotas = QuotaSettings(get_per_minute=1_000_000, get_per_hour=1_000_000)
    with RunningHouse(tmp_path, server=AS_BY_DEFAULT, quotas=quotas) as running:
        house = House(running)
        token, without = house.a_token(), house.a_token_without_permission()

        for _ in range(AT_ONCE_PER_SECOND):
            house.get(404_404, token)
            house.get(404_404, without)
        house.get(1, None)
        metrics = running.request("GET", "/metrics").body

    assert b"vigie_refusals_held_total 0.0" in metrics


def test_every_public_answer_is_held_once_there_are_many_but_liveness_is_not(tmp_path: Path) -> None:
    one_a_second = ServerSettings(port=0, anonymous_answers_per_second=1)
    with RunningHouse(tmp_path, server=one_a_second) as running:
        house = House(running)

        def seconds(path: str) -> float:
            began = time.monotonic()
            for _ in range(3):
                assert running.request("GET", path).status < 500
            return time.monotonic() - began

        public = [asking(house).url]
        public += [
            row.path.format(tenant=house.tenant.guid)
            for row in ROUTES
            if "GET" in row.methods and not row.is_direct
        ]
        with ThreadPoolExecutor(len(public)) as pool:
            took = dict(zip(public, pool.map(seconds, public), strict=True))

    alive = took.pop("/healthz")
    assert alive < READY_HELD_SECONDS
    assert {path: took[path] for path in took if took[path] < READY_HELD_SECONDS} == {}


def test_those_who_come_to_sign_in_are_held_by_a_flood_and_none_is_refused(flooded: House) -> None:
    user = flooded.add_person()
    page = asking(flooded)

    with a_flood(flooded, "pages") as statuses:
        while len(statuses) <= PAGES_AT_ONCE_PER_SECOND:
            time.sleep(0.01)
        began = time.monotonic()
        visitor = Visitor(flooded).get(page.url)
        sheet = Visitor(flooded).get(STYLE_PATH)
        consent = visitor.signs_in(user)
        seconds = time.monotonic() - began

    assert (visitor.shown.status, sheet.shown.status, consent.shown.status) == (200, 200, 200)
    # Each of the three is held once at most; the rest is the password, on a machine that others use too.
    assert seconds < 3 * HELD_SECONDS + 5


def test_a_flood_of_pages_holds_no_prober_and_no_client_that_starts(flooded: House) -> None:
    application, secret = flooded.add_application(READ_ALL)

    def seconds(ask: Callable[[], object]) -> float:
        began = time.monotonic()
        ask()
        return time.monotonic() - began

    with a_flood(flooded, "pages") as statuses:
        while len(statuses) <= PAGES_AT_ONCE_PER_SECOND:
            time.sleep(0.01)
        probes = [seconds(lambda: flooded.running.request("GET", "/readyz")) for _ in range(9)]
        tokens = [seconds(lambda: flooded.fetch_token(application, secret)) for _ in range(9)]

    assert sorted(probes)[4] < READY_HELD_SECONDS
    assert sorted(tokens)[4] < HELD_SECONDS


def test_many_clients_that_start_at_once_are_not_held(tmp_path: Path) -> None:
    with RunningHouse(tmp_path, server=AS_BY_DEFAULT, tls=TlsSettings(mode="auto")) as running:
        house = House(running)
        application, secret = house.add_application(READ_ALL)

        def start(_: int) -> str:
            http = requests.Session()
            # The environment may name other authorities, which would go before this one.
            http.trust_env, http.verify = False, str(tmp_path / "ca.pem")
            client = msal.ConfidentialClientApplication(
                application.client_id,
                client_credential=secret,
                authority=f"{running.url}/{house.tenant.guid}",
                instance_discovery=False,
                http_client=http,
            )
            return str(client.acquire_token_for_client([f"{INCIDENTS_API}/.default"])["access_token"])

        with ThreadPoolExecutor(STARTING_CLIENTS) as pool:
            tokens = list(pool.map(start, range(STARTING_CLIENTS)))
        trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with urlopen(f"{running.url}/metrics", context=trust) as answer:
            metrics = answer.read()

    assert all(tokens)
    assert b"vigie_public_answers_held_total 0.0" in metrics


def test_all_who_ask_at_a_time_whether_the_store_answers_have_each_statement_read_once(
    tmp_path: Path,
) -> None:
    reads: list[str] = []
    # It looks at its directory by itself, seldom enough here.
    seldom = IdentitySettings(revocation_seconds=60)
    with RunningHouse(tmp_path, server=AS_BY_DEFAULT, answer_age_seconds_max=60, identity=seldom) as running:
        running.installation.database.observe = lambda name, _seconds: reads.append(name)
        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(lambda _: running.request("GET", "/readyz").status, range(20)))

    assert statuses == {200}
    assert len(reads) == len(set(reads)) > 0


def test_as_many_as_there_may_be_in_a_second_go_at_once_and_then_each_waits() -> None:
    async def ask() -> list[bool]:
        pace = AnonymousThrottle(AT_ONCE_PER_SECOND, held_seconds=0.01, clock=lambda: 7.5)
        return await asyncio.gather(*(pace.wait() for _ in range(AT_ONCE_PER_SECOND + 5)))

    assert asyncio.run(ask()) == [False] * AT_ONCE_PER_SECOND + [True] * 5


def test_only_so_many_are_held_at_a_time() -> None:
    async def ask() -> int:
        pace = AnonymousThrottle(AT_ONCE_PER_SECOND, held_seconds=0.01, clock=lambda: 7.5)
        held = await asyncio.gather(*(pace.wait() for _ in range(AT_ONCE_PER_SECOND + HELD_MAX + 50)))
        return sum(held)

    assert asyncio.run(ask()) == HELD_MAX


def test_clients_that_leave_while_they_are_held_are_no_defect(flooded: House) -> None:
    place = urlsplit(flooded.running.url)
    before, held = answered(flooded, 401), 2 * AT_ONCE_PER_SECOND
    for _ in range(held):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(b"GET /api/incidents/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    assert eventually(lambda: answered(flooded, 401) >= before + held, within_seconds=10)
    assert answered(flooded, 500) == 0


def answered(house: House, status: int) -> float:
    """How many answers of a status there were, whether or not somebody was there to take them."""
    metrics = house.running.request("GET", "/metrics").body.decode()
    found = re.findall(rf'^vigie_http_requests_total\{{.*status="{status}"\}} (\S+)$', metrics, re.M)
    return sum(map(float, found))
