"""The keys of another issuer: fetched when needed, kept while it is away, and never at any price."""

import asyncio
import gc
import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.foreign_issuers import (
    DISCOVERY,
    DOMAIN,
    JWKS,
    ForeignIssuer,
    TrustingHouse,
    ec_pair,
    foreign_issuer,
    rsa_pair,
    trusting,
)
from tests.support.house import INCIDENTS_API, Clock, House, RunningHouse, eventually
from vigie.config.issuer_settings import ApplicationMarkSettings, IssuerSettings
from vigie.config.settings import TlsSettings
from vigie.core.errors import IssuerUnavailable
from vigie.identity.federation.http_client import BYTES_MAX, fetch
from vigie.identity.federation.jwks_cache import STALE_SECONDS, WAITING_MAX, Fetched, JwksCache
from vigie.identity.federation.oidc_discovery import KEYS_READ_MAX, NotPublished, read_discovery, read_key_set

GOOD, UNKNOWN = 404, 401


class Known:
    """The keys of an issuer as a server knows them, with a clock that a test moves."""

    def __init__(self, issuer: ForeignIssuer) -> None:
        self.clock = Clock()
        self.ended: list[Fetched] = []
        self.keys = JwksCache(
            issuer.url,
            f"{issuer.url}{DISCOVERY}",
            fetch=partial(fetch, ca=""),
            steady_clock=self.clock.now,
            on_fetched=self.ended.append,
        )

    def has(self, kid: str) -> bool | None:
        """Whether a key is known; None when the issuer cannot be asked."""
        return asyncio.run(self.asks(kid))

    async def asks(self, kid: str) -> bool | None:
        """The same, within a loop."""
        try:
            return bool(await self.keys.find(kid))
        except IssuerUnavailable:
            return None

    @property
    def failure(self) -> str:
        """Why the last fetch failed, which has to have been one."""
        return self.ended[-1].failure


@pytest.fixture
def issuer() -> Iterator[ForeignIssuer]:
    with foreign_issuer(rsa_pair(), ec_pair()) as issuer:
        yield issuer


@pytest.fixture
def known(issuer: ForeignIssuer) -> Known:
    return Known(issuer)


# When they are fetched


def test_nothing_is_fetched_before_a_key_is_needed(issuer: ForeignIssuer, known: Known) -> None:
    asyncio.run(known.keys.refresh())

    assert issuer.asked == {}


def test_keys_are_fetched_once_and_then_known(issuer: ForeignIssuer, known: Known) -> None:
    assert [known.has(kid) for kid in ("rsa-1", "ec-1", "rsa-1")] == [True, True, True]
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}
    assert known.ended == [Fetched(issuer=issuer.url, key_count=2)]


def test_a_flood_of_unknown_key_ids_asks_the_issuer_once_a_minute(
    issuer: ForeignIssuer, known: Known
) -> None:
    async def flood() -> list[bool | None]:
        return await asyncio.gather(*(known.asks(f"made-up-{number}") for number in range(90)))

    for minute in range(3):
        assert asyncio.run(flood()) == [False] * 90
        assert known.has("made-up") is False
        known.clock.forward(seconds=59.9)
        assert known.has("made-up") is False
        assert issuer.asked[JWKS] == minute + 1
        known.clock.forward(seconds=0.1)


def test_a_key_that_is_rolled_is_found_at_its_first_token(issuer: ForeignIssuer, known: Known) -> None:
    known.has("rsa-1")
    issuer.pairs = [rsa_pair("rsa-2"), *issuer.pairs]
    known.clock.forward(seconds=60)

    assert known.has("rsa-2") is True


def test_old_keys_are_fetched_anew_without_being_asked_for(issuer: ForeignIssuer, known: Known) -> None:
    known.has("rsa-1")
    issuer.pairs = [rsa_pair("rsa-2")]
    known.clock.forward(seconds=STALE_SECONDS - 1)
    asyncio.run(known.keys.refresh())
    before = issuer.asked[JWKS]
    known.clock.forward(seconds=1)
    asyncio.run(known.keys.refresh())

    assert (before, issuer.asked[JWKS], known.keys.losses) == (1, 2, 1)
    assert known.has("rsa-1") is False


def test_that_a_key_has_gone_or_changed_is_counted_and_that_one_has_come_is_not(
    issuer: ForeignIssuer, known: Known
) -> None:
    def losses_with(*pairs: Any) -> int:
        issuer.pairs = list(pairs)
        known.clock.forward(seconds=STALE_SECONDS)
        asyncio.run(known.keys.refresh())
        return known.keys.losses

    known.has("rsa-1")

    assert losses_with(rsa_pair(), ec_pair()) == 0
    assert losses_with(rsa_pair(), ec_pair(), rsa_pair("rsa-2")) == 0
    assert losses_with(rsa_pair(), rsa_pair("rsa-2")) == 1
    impostor = rsa_pair("impostor")
    assert losses_with(type(impostor)(kid="rsa-1", private=impostor.private), rsa_pair("rsa-2")) == 2


# While it is away


def test_known_keys_go_on_while_the_issuer_is_away(issuer: ForeignIssuer, known: Known) -> None:
    known.has("rsa-1")
    issuer.is_away()
    known.clock.forward(seconds=STALE_SECONDS)
    asyncio.run(known.keys.refresh())

    assert "answered 503" in known.failure
    assert (known.has("rsa-1"), known.keys.losses) == (True, 0)
    assert known.has("rsa-2") is None


def test_an_issuer_that_is_back_is_asked_within_a_minute(issuer: ForeignIssuer, known: Known) -> None:
    issuer.is_away()
    first = known.has("rsa-1")
    issuer.is_back()
    at_once = known.has("rsa-1")
    known.clock.forward(seconds=10)

    assert (first, at_once, known.has("rsa-1")) == (None, None, True)


def test_a_refusal_says_when_the_issuer_is_asked_again(issuer: ForeignIssuer, known: Known) -> None:
    known.has("rsa-1")
    issuer.is_away()
    known.clock.forward(seconds=60)
    known.has("rsa-2")
    known.clock.forward(seconds=18.5)

    with pytest.raises(IssuerUnavailable) as caught:
        asyncio.run(known.keys.find("rsa-2"))

    assert caught.value.retry_after_seconds == 42
    assert "answered 503" in caught.value.detail


# Together


class Held:
    """An answer that comes when the test says so."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer 503 then."""
        self._open.wait(timeout=20)
        handler.send_error(503)

    def end(self) -> None:
        """Let it come."""
        self._open.set()


def test_those_who_need_a_key_at_once_wait_for_one_fetch_and_only_so_many(
    issuer: ForeignIssuer, known: Known
) -> None:
    held = issuer.instead[JWKS] = Held()

    async def ask() -> tuple[int, list[bool | None]]:
        waiting = [asyncio.create_task(known.asks("rsa-1")) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        started = time.monotonic()
        one_more = await known.asks("rsa-1")
        assert one_more is None
        assert time.monotonic() - started < 1
        waiting[0].cancel()
        held.end()
        answers = await asyncio.gather(*waiting[1:])
        return issuer.asked[JWKS], answers

    asked, answers = asyncio.run(ask())

    assert asked == 1
    assert answers == [None] * (WAITING_MAX - 1)


def test_other_tokens_do_not_wait_for_an_issuer_that_is_slow(tmp_path: Path) -> None:
    with (
        foreign_issuer() as slow,
        foreign_issuer(ec_pair()) as quick,
        TrustingHouse(tmp_path, trusting(slow), trusting(quick)) as trusted,
    ):
        held = slow.instead[DISCOVERY] = Held()
        own, foreign = trusted.house.a_token(), quick.token()
        statuses: list[int] = []
        waits = threading.Thread(target=lambda: statuses.append(trusted.status(slow.token())))
        waits.start()
        while not slow.asked:
            time.sleep(0.005)

        started = time.monotonic()
        others = [trusted.status(own), trusted.status(foreign)]
        took_seconds = time.monotonic() - started
        held.end()
        waits.join(timeout=20)

    assert others == [GOOD, GOOD]
    assert took_seconds < 2
    assert statuses == [503]


# What may come


def hostile(body: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that begins well."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        body(handler)

    return respond


def a_million_keys(handler: BaseHTTPRequestHandler) -> None:
    key = json.dumps(rsa_pair().jwk()).encode()
    handler.wfile.write(b'{"keys":[')
    for _ in range(1000):
        handler.wfile.write((key + b",") * 1000)


def a_byte_now_and_then(handler: BaseHTTPRequestHandler) -> None:
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


@pytest.mark.parametrize("place", [DISCOVERY, JWKS])
def test_an_answer_without_end_is_cut(issuer: ForeignIssuer, known: Known, place: str) -> None:
    issuer.instead[place] = hostile(a_million_keys)

    started = time.monotonic()

    assert known.has("rsa-1") is None
    assert known.failure.endswith(f"answered more than {BYTES_MAX} bytes")
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("place", [DISCOVERY, JWKS])
def test_an_answer_that_comes_a_byte_at_a_time_is_cut(
    issuer: ForeignIssuer, known: Known, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The machinery is the same; waiting five seconds would say no more.
    monkeypatch.setattr("vigie.identity.federation.http_client.SECONDS_MAX", 0.5)
    issuer.instead[place] = hostile(a_byte_now_and_then)

    started = time.monotonic()

    assert known.has("rsa-1") is None
    assert known.failure.endswith("did not answer within 0.5 s")
    assert time.monotonic() - started < 3


def test_an_issuer_that_takes_the_connection_and_says_nothing_is_given_up(
    issuer: ForeignIssuer, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigie.identity.federation.http_client.SECONDS_MAX", 0.3)
    issuer.instead[DISCOVERY] = lambda _: time.sleep(2)

    assert known.has("rsa-1") is None
    assert "did not answer" in known.failure


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", [DISCOVERY, JWKS])
def test_a_redirect_is_not_followed(issuer: ForeignIssuer, known: Known, place: str, status: int) -> None:
    with foreign_issuer() as elsewhere:
        issuer.answers(place, b"", status=status, Location=f"{elsewhere.url}{place}")

        assert known.has("rsa-1") is None
        assert known.failure.endswith(f"answered {status}")
        assert elsewhere.asked == {}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_a_compressed_answer_is_refused_for_it_may_be_any_size_inside(
    issuer: ForeignIssuer, known: Known, encoding: str
) -> None:
    issuer.answers(JWKS, b"x", Content_Encoding=encoding)

    assert known.has("rsa-1") is None
    assert "encoding" in known.failure


@pytest.mark.parametrize(
    "named",
    ["https://elsewhere.example", None, 1, ["x"], "", "with a slash at the end"],
)
def test_a_document_that_names_another_issuer_is_refused(
    issuer: ForeignIssuer, known: Known, named: object
) -> None:
    named = f"{issuer.url}/" if named == "with a slash at the end" else named
    issuer.answers(DISCOVERY, issuer.document(issuer=named))

    assert known.has("rsa-1") is None
    assert "its discovery document is that of" in known.failure
    assert issuer.asked[JWKS] == 0


@pytest.mark.parametrize(
    "url",
    [
        "http://keys.example/jwks",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://keys.example/jwks",
        "https://user:password@keys.example/jwks",
        "https://",
        "//keys.example/jwks",
        "https://keys.example:99999/jwks",
        "https://[::1/jwks",
        "https://keys.example/a\nb",
        "https://keys.example/#x",
        None,
        1,
        ["https://keys.example/jwks"],
    ],
    ids=repr,
)
def test_keys_are_not_fetched_from_just_anywhere(issuer: ForeignIssuer, known: Known, url: object) -> None:
    issuer.answers(DISCOVERY, issuer.document(jwks_uri=url))

    assert known.has("rsa-1") is None
    assert known.failure.endswith("is not an https:// URL")


def test_an_issuer_elsewhere_cannot_send_us_to_this_machine_in_the_clear() -> None:
    document = {"issuer": "https://login.example", "jwks_uri": "http://127.0.0.1:8400/healthz"}

    with pytest.raises(NotPublished, match="is not an https:// URL"):
        read_discovery(json.dumps(document).encode(), "https://login.example")


def many(count: int) -> bytes:
    return json.dumps({"keys": [{}] * count}).encode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"keys":' * 10_000, "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "not a list"),
        (b'{"keys":{}}', "not a list"),
        (b'{"keys":[]}', "it is empty"),
        (many(KEYS_READ_MAX), "has no kid"),
        (many(KEYS_READ_MAX + 1), "at most 100 keys"),
        (many(80_000), "at most 100 keys"),
        (b'{"keys":[null, 1, "x", []]}', "has no kid"),
        (b'{"keys":[{"kid":1}]}', "has no kid"),
        (b'{"keys":[{"kid":"a"}]}', "kty"),
    ],
    ids=lambda value: str(value[:20]),
)
def test_a_key_set_that_is_none_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(NotPublished, match=said):
        read_key_set(text)


def test_keys_that_cannot_be_used_do_not_hide_those_that_can() -> None:
    keys = [{"kty": "oct", "kid": "a", "k": "AAAA"}, {"kid": "rsa-1", "kty": "?"}, rsa_pair().jwk()]

    assert list(read_key_set(json.dumps({"keys": keys}).encode())) == ["rsa-1"]


def test_reading_hostile_sets_again_and_again_keeps_no_memory(issuer: ForeignIssuer, known: Known) -> None:
    issuer.instead[JWKS] = hostile(a_million_keys)
    known.has("rsa-1")
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(5):
        known.clock.forward(seconds=60)
        known.has("rsa-1")
    gc.collect()

    assert len(gc.get_objects()) - before < 2_000


# Through a real server


def test_what_a_withdrawn_key_has_signed_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    with (
        foreign_issuer(rsa_pair(), ec_pair()) as issuer,
        TrustingHouse(tmp_path, trusting(issuer), clock=clock) as trusted,
    ):
        old = issuer.token()
        before = trusted.status(old)
        issuer.pairs = [ec_pair()]
        remembered = trusted.status(old)
        clock.forward(seconds=60)
        unknown = trusted.status(issuer.token(kid="made-up"))

        assert (before, remembered, unknown) == (GOOD, GOOD, UNKNOWN)
        assert eventually(lambda: trusted.status(old) == UNKNOWN)
        assert trusted.status(issuer.token()) == GOOD


def test_fetches_are_counted(tmp_path: Path) -> None:
    with foreign_issuer() as issuer, TrustingHouse(tmp_path, trusting(issuer)) as trusted:
        trusted.status(issuer.token())

        metrics = trusted.running.request("GET", "/metrics").body

    assert b'vigie_issuer_fetches_total{outcome="fetched"} 1.0' in metrics
    assert b'vigie_issuer_fetches_total{outcome="failed"} 0.0' in metrics


def test_keys_come_over_https_from_whom_the_file_of_certificates_trusts(tmp_path: Path) -> None:
    """The issuer is another Vigie: what it publishes is fetched like anybody's."""
    folders = [tmp_path / name for name in ("issuing", "trusting", "distrusting")]
    for folder in folders:
        folder.mkdir()
    with RunningHouse(folders[0], tls=TlsSettings(mode="auto")) as issuing:
        house = House(issuing)
        settings = IssuerSettings(
            issuer=f"{issuing.url}/{house.tenant.guid}/",
            ca=str(folders[0] / "ca.pem"),
            audiences=(INCIDENTS_API,),
            tenants=(DOMAIN,),
            token_types=("JWT",),
            application_when=ApplicationMarkSettings(absent="scp"),
            may_grant=("Incident.Read.All",),
        )
        token = house.a_token()
        with TrustingHouse(folders[1], settings) as trusted:
            assert trusted.status(token) == GOOD
        with TrustingHouse(folders[2], msgspec.structs.replace(settings, ca="")) as trusted:
            assert trusted.status(token) == 503
