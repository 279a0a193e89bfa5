"""The HTTP client of deliveries against real receivers on the loopback, slow, huge and hostile ones included."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.support.webhook_receiver import WebhookReceiver, a_webhook_receiver
from vigie.certificates.issuing import issue, new_authority
from vigie.core.webhook_urls import Address
from vigie.core.webhooks import DeliveryResult, Outcome
from vigie.runtime.clock import now
from vigie.webhooks.http_client import WebhookClient

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
NAME = "soar.example"


class Names:
    """Name resolution that answers what a test says, one answer after the other; the last one stays."""

    def __init__(self, *answers: str | tuple[str, ...]) -> None:
        self.answers = [answer if isinstance(answer, tuple) else (answer,) for answer in answers]
        self.asked: list[str] = []

    def __call__(self, host: str, _port: int) -> list[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(each) for each in answer]


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A receiver over plain HTTP."""
    with a_webhook_receiver() as found:
        yield found


def post(url: str, *, count: int = 1, allows_private: bool = True, **options: Any) -> list[DeliveryResult]:
    """Send some deliveries in one turn, and say what became of them."""

    async def send() -> list[DeliveryResult]:
        client = WebhookClient(**{"private": LOOPBACK, "ca_file": "", "seconds_max": 2.0, **options})
        try:
            async with client.receiver(url, allows_private=allows_private) as to:
                return [await to.post({"webhook-id": f"wh_1_{n}"}, b"{}") for n in range(count)]
        finally:
            client.close()

    return asyncio.run(send())


def named(receiver: WebhookReceiver, name: str = NAME) -> str:
    """The URL of a receiver under a name."""
    return receiver.url.replace("127.0.0.1", name)


# What is sent and what counts as delivered


def test_a_delivery_has_the_host_of_the_url_and_goes_to_the_address(receiver: WebhookReceiver) -> None:
    names = Names("127.0.0.1")

    (result,) = post(f"{named(receiver)}?key=a%20b", resolve=names)

    assert result == DeliveryResult(outcome=Outcome.DELIVERED)
    (got,) = receiver.got
    assert got.path == "/hook?key=a%20b"
    assert got.headers["host"] == named(receiver).split("/")[2]
    assert got.headers["webhook-id"] == "wh_1_0"
    assert "cookie" not in got.headers
    assert names.asked == [NAME]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_is_a_success(receiver: WebhookReceiver, status: int) -> None:
    receiver.answers(status)

    assert post(receiver.url) == [DeliveryResult(outcome=Outcome.DELIVERED)]


@pytest.mark.parametrize(
    ("status", "reason"),
    [(302, "answered 302; redirects are not followed"), (400, "answered 400"), (500, "answered 500")],
)
def test_everything_else_is_a_failure(receiver: WebhookReceiver, status: int, reason: str) -> None:
    receiver.answers(status, Location="http://169.254.169.254/")

    assert post(receiver.url) == [DeliveryResult(outcome=Outcome.REJECTED, reason=reason)]
    assert len(receiver.got) == 1


def test_410_says_that_no_more_is_wanted(receiver: WebhookReceiver) -> None:
    receiver.answers(410)

    (result,) = post(receiver.url)

    assert result.is_gone


@pytest.mark.parametrize(
    ("status", "value", "seconds"),
    [
        (503, "120", 120),
        (429, "7", 7),
        (500, "120", 0),
        (503, "soon", 0),
        (503, "-5", 0),
        (503, "Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (503, "9" * 400, 999_999_999),
    ],
)
def test_retry_after_counts_where_it_has_a_meaning(
    receiver: WebhookReceiver, status: int, value: str, seconds: int
) -> None:
    receiver.answers(status, Retry_After=value)

    (result,) = post(receiver.url)

    assert result.retry_after_seconds == seconds


def test_retry_after_may_be_a_date(receiver: WebhookReceiver) -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 600))
    receiver.answers(503, Retry_After=at)

    (result,) = post(receiver.url)

    assert 590 <= result.retry_after_seconds <= 601


def test_one_connection_is_used_again_in_a_turn(receiver: WebhookReceiver) -> None:
    ports = []

    def respond(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.send_header("Set-Cookie", "a=b")
        handler.end_headers()
        handler.wfile.write(b"ok")

    receiver.respond = respond

    assert len(post(receiver.url, count=3)) == len(ports) == 3
    assert len(set(ports)) == 1
    assert not any("cookie" in got.headers for got in receiver.got)


# Hostile receivers


def test_a_receiver_that_never_answers_is_left_in_time(receiver: WebhookReceiver) -> None:
    receiver.respond = lambda _: time.sleep(3)
    begin = time.monotonic()

    (result,) = post(receiver.url, seconds_max=0.5)

    assert result == DeliveryResult(outcome=Outcome.UNREACHABLE, reason="no answer within 0.5 s")
    assert time.monotonic() - begin < 2.5


def test_a_receiver_that_answers_in_drops_is_left_in_time(receiver: WebhookReceiver) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        for each in b"HTTP/1.1 200 OK\r\nX: ":
            handler.wfile.write(bytes([each]))
            handler.wfile.flush()
            time.sleep(0.1)

    receiver.respond = drip

    (result,) = post(receiver.url, seconds_max=0.5)

    assert result.outcome is Outcome.UNREACHABLE


def test_no_more_than_a_little_of_a_huge_answer_is_read(receiver: WebhookReceiver) -> None:
    sent = []

    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(2**40))
        handler.end_headers()
        for _ in range(1_000):
            handler.wfile.write(b"x" * 2**16)
            sent.append(2**16)

    receiver.respond = flood

    (result,) = post(receiver.url)

    assert result.outcome is Outcome.DELIVERED
    # What the system's buffers take, and not the 64 MB.
    assert sum(sent) < 2**25


def test_an_endless_head_is_a_failure(receiver: WebhookReceiver) -> None:
    def flood(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            handler.wfile.write(b"X-%d: %s\r\n" % (number, b"x" * 1_000))

    receiver.respond = flood

    (result,) = post(receiver.url)

    assert result.outcome is Outcome.UNREACHABLE


@pytest.mark.parametrize(
    "answer", [b"220 mail.example ESMTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nmail.example ESMTP\r\n\r\n"]
)
def test_an_answer_that_is_no_http_is_a_failure_and_not_repeated(
    receiver: WebhookReceiver, answer: bytes
) -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(answer)
        handler.close_connection = True

    receiver.respond = greet

    (result,) = post(receiver.url)

    assert result.outcome is Outcome.UNREACHABLE
    assert result.reason.startswith("illegal")
    assert "ESMTP" not in result.reason


def test_nobody_there_is_a_failure_that_does_not_name_the_url() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        port = gone.getsockname()[1]

    (result,) = post(f"http://127.0.0.1:{port}/hook?key=verysecret")

    assert result.outcome is Outcome.UNREACHABLE
    assert "verysecret" not in result.reason


@pytest.mark.parametrize("host", ["xn--a.example", "xn--0.example", "a--b.example"])
def test_an_odd_name_is_a_failure_and_no_error(host: str) -> None:
    (result,) = post(f"http://{host}:9009/", seconds_max=0.5, resolve=Names("127.0.0.1"))

    assert result.outcome is Outcome.UNREACHABLE


def test_a_name_that_leads_nowhere_is_said_so() -> None:
    def fail(_host: str, _port: int) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    (result,) = post("https://nowhere.example/", resolve=fail)

    assert result.reason == "its host name cannot be resolved: Name or service not known"


# Addresses


def test_a_private_address_gets_nothing_unless_both_allow_it(receiver: WebhookReceiver) -> None:
    forbidden = [
        *post(named(receiver).replace("http:", "https:"), allows_private=False, resolve=Names("127.0.0.1")),
        *post(named(receiver), private=(), resolve=Names("127.0.0.1")),
        *post(named(receiver), private=(ip_network("10.0.0.0/8"),), resolve=Names("127.0.0.1")),
    ]

    assert [each.outcome for each in forbidden] == [Outcome.NOT_SENT] * 3
    assert forbidden[0].reason == "127.0.0.1 is a private or reserved address"
    assert receiver.got == []


def test_one_forbidden_address_among_those_of_a_name_is_enough(receiver: WebhookReceiver) -> None:
    (result,) = post(named(receiver), resolve=Names(("127.0.0.1", "169.254.169.254")))

    assert result.outcome is Outcome.NOT_SENT
    assert receiver.got == []


def test_plain_http_does_not_go_to_a_public_address() -> None:
    (result,) = post("http://soar.example/", resolve=Names("8.8.8.8"))

    assert result.reason == "8.8.8.8 is a public address, which needs https://"


def test_a_name_that_leads_elsewhere_a_moment_later_changes_nothing(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system would now resolve the name to somebody else; nobody asks it."""
    with a_webhook_receiver(host="127.0.0.2") as other:
        port = receiver.url.split(":")[2].split("/")[0]

        def rebound(*_: object, **__: object) -> Any:
            raise AssertionError("the name was resolved again")

        names = Names("127.0.0.1", "127.0.0.2", "169.254.169.254")
        resolve = socket.getaddrinfo

        def numeric_only(host: Any, *arguments: Any, **named: Any) -> Any:
            return rebound() if host == NAME else resolve(host, *arguments, **named)

        monkeypatch.setattr(socket, "getaddrinfo", numeric_only)
        results = post(f"http://{NAME}:{port}/hook", count=3, resolve=names)

    assert [each.outcome for each in results] == [Outcome.DELIVERED] * 3
    assert len(receiver.got) == 3
    assert other.got == []
    assert names.asked == [NAME]


def test_a_later_turn_checks_anew(receiver: WebhookReceiver) -> None:
    names = Names("127.0.0.1", "169.254.169.254")

    results = [*post(named(receiver), resolve=names), *post(named(receiver), resolve=names)]

    assert [each.outcome for each in results] == [Outcome.DELIVERED, Outcome.NOT_SENT]


def test_another_address_of_the_name_is_tried_when_one_does_not_answer(receiver: WebhookReceiver) -> None:
    (result,) = post(named(receiver), resolve=Names(("127.0.0.3", "127.0.0.1")))

    assert result.outcome is Outcome.DELIVERED


def test_an_ipv6_address_may_be_a_receiver() -> None:
    with a_webhook_receiver(host="::1") as receiver:
        (result,) = post(receiver.url)

    assert result.outcome is Outcome.DELIVERED
    assert receiver.got[0].headers["host"] == receiver.url.split("/")[2]


def test_proxies_of_the_environment_are_not_used(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_webhook_receiver() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        (result,) = post(receiver.url)

    assert result.outcome is Outcome.DELIVERED
    assert proxy.got == []


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The authority's certificate, and the certificate of `soar.example` with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority = new_authority(frozenset({NAME}), frozenset(), now())
    certified = issue(authority, now())
    ca, both = folder / "ca.pem", folder / "server.pem"
    ca.write_bytes(authority.root_pem())
    both.touch(mode=0o600)
    both.write_bytes(certified.to_pem())
    return ca, both, both


def test_the_certificate_is_checked_against_the_name(certificate: tuple[Path, Path, Path]) -> None:
    ca, *tls = certificate
    with a_webhook_receiver(tls=(tls[0], tls[1]), name=NAME) as receiver:
        (good,) = post(receiver.url, ca_file=str(ca), resolve=Names("127.0.0.1"))
        (other,) = post(
            receiver.url.replace(NAME, "other.example"), ca_file=str(ca), resolve=Names("127.0.0.1")
        )

    assert good.outcome is Outcome.DELIVERED
    assert other.outcome is Outcome.UNREACHABLE
    assert other.reason.startswith("its certificate is not trusted: Hostname mismatch")
    assert len(receiver.got) == 1


def test_a_certificate_of_an_unknown_authority_is_not_trusted(certificate: tuple[Path, Path, Path]) -> None:
    _, *tls = certificate
    with a_webhook_receiver(tls=(tls[0], tls[1]), name=NAME) as receiver:
        (result,) = post(receiver.url, resolve=Names("127.0.0.1"))

    assert result.reason.startswith("its certificate is not trusted: ")
    assert receiver.got == []


def test_a_ca_file_that_is_not_there_is_said_so() -> None:
    (result,) = post("https://127.0.0.1/", ca_file="/nowhere/ca.pem")

    assert result.outcome is Outcome.UNREACHABLE
    assert "No such file" in result.reason
