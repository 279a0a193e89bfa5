"""HTTPS as it is served: the real program and real clients, certificates that change, and doors that are held."""

import asyncio
import json
import os
import pty
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import msgspec
import pytest
import uvloop

from tests.support.builders import an_alert, an_incident, to_json
from tests.support.commands import done, run, run_program, running_program, served
from tests.support.handshakes import (
    MACHINE,
    NAMES,
    VENDOR,
    a_certificate,
    a_key,
    an_authority,
    client_context,
    days_from_now,
    old_client_context,
    public_pem,
    server_context,
)
from tests.support.house import Clock, House, RunningHouse, eventually
from vigie.api.defender.resource import INCIDENTS
from vigie.certificates.issuing import issue
from vigie.cli.trust_help import how_to_trust
from vigie.config.settings import ServerSettings, Settings, SettingsError, TlsSettings
from vigie.config.sources import load_settings
from vigie.http.protocol import Reason
from vigie.http.tls_listener import TlsListener, TlsListenerLimits
from vigie.runtime.tls_setup import LocalAuthority, machine_name, secure

BY_AUTO = TlsSettings(mode="auto", names=(*VENDOR, "10.1.2.3"), check_seconds=0.1)


@contextmanager
def a_secured_house(
    folder: Path, tls: TlsSettings = BY_AUTO, clock: Clock | None = None, **sections: Any
) -> Iterator[RunningHouse]:
    """A house that speaks HTTPS, with the shared authority unless it has certificates from elsewhere."""
    (folder / "ca-key.pem").write_bytes(an_authority().to_pem())
    (folder / "ca-key.pem").chmod(0o600)
    with RunningHouse(folder, clock=clock, tls=tls, **sections) as running:
        yield running


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """One house for the tests that only call it."""
    with a_secured_house(tmp_path_factory.mktemp("secured")) as running:
        yield running


def ca_of(running: RunningHouse) -> Path:
    return running.folder / "ca.pem"


@contextmanager
def connected(url: str, context: ssl.SSLContext, name: str = "localhost") -> Iterator[ssl.SSLSocket]:
    """A connection to a server under a name, wherever that name leads otherwise."""
    place = urlsplit(url)
    with (
        socket.create_connection((place.hostname, place.port), timeout=20) as connection,
        context.wrap_socket(connection, server_hostname=name) as secured_connection,
    ):
        yield secured_connection


def serial_of(running: RunningHouse) -> str:
    """The serial number of the certificate that a new client sees."""
    with connected(running.url, client_context(ca_of(running))) as connection:
        return str((connection.getpeercert() or {})["serialNumber"])


def say_hello(connection: ssl.SSLSocket) -> bytes:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection.recv(65536)


def fetch(
    url: str, ca: Path, *, token: str | None = None, form: dict[str, str] | None = None
) -> tuple[int, Any]:
    """What the standard library's client gets, which trusts one file and nothing else."""
    request = urllib.request.Request(url, data=urlencode(form).encode() if form else None)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=ca)
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return answer.status, json.load(answer)


# The program


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_makes_its_own_certificate_and_a_client_gets_token_and_incident(
    working_directory: Path,
) -> None:
    tenant = done("tenant", "add", "contoso")["id"]
    app = done("app", "add", "reader", "--tenant", "contoso", "--permission", "Incident.Read.All")
    incident = an_incident(an_alert("laptops"))
    Path("incident.json").write_bytes(to_json(incident))
    done("import", "incident.json", "--tenant", "contoso")
    form = {
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
        "scope": "https://api.security.microsoft.com/.default",
    }

    with served("--port", "0", "--tls", "auto", "--tls-name", "Vigie.example") as (_, said):
        url, ca = said["url"], Path(said["ca"])
        _, answer = fetch(f"{url}/{tenant}/oauth2/v2.0/token", ca, form=form)
        status, read = fetch(
            f"{url}/api/incidents/{incident['incidentId']}", ca, token=answer["access_token"]
        )
        with connected(url, client_context(ca), "vigie.example") as connection:
            assert say_hello(connection).startswith(b"HTTP/1.1 200 ")

    assert url.startswith("https://127.0.0.1:")
    assert ca == Path(".vigie/ca.pem")
    assert (status, read["incidentId"]) == (200, incident["incidentId"])
    assert read["@odata.context"].startswith(f"{url}/")


def test_on_a_terminal_the_first_start_says_how_to_trust_it(working_directory: Path) -> None:
    ours, theirs = pty.openpty()
    shown = b""

    with running_program("serve", "--port", "0", "--tls", "auto", stderr=theirs):
        while b"on Linux" not in shown or not shown.endswith(b"\n"):
            shown += os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)

    text = shown.decode()
    ca = working_directory / ".vigie" / "ca.pem"
    assert f"REQUESTS_CA_BUNDLE={ca} " in text
    assert f"SSL_CERT_FILE={ca} " in text
    assert f"NODE_EXTRA_CA_CERTS={ca}" in text
    assert f"curl --cacert {ca}" in text
    assert f"on Linux SSL_CERT_FILE={ca}" in text
    (made,) = (line for line in text.splitlines() if " authority_created " in line)
    assert " file=.vigie/ca.pem " in made
    assert ' names="127.0.0.1, ::1, localhost' in made
    assert made.partition(" sha256=")[2].partition(" ")[0] in text.partition("Clients must trust")[2]
    # Where nobody watches a terminal, this is all that is said.
    assert ' todo="clients must trust this file: docs/tls.md says how' in made


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--tls-cert", "cert.pem"], "[tls] cert is set without [tls] key: set both, or neither"),
        (
            ["--tls-cert", "cert.pem", "--tls-key", "other.pem"],
            "[tls] key: other.pem is not the key of the certificate in cert.pem",
        ),
    ],
)
def test_what_cannot_be_served_with_is_one_line_and_exit_2(
    arguments: list[str], reason: str, working_directory: Path
) -> None:
    Path("cert.pem").write_bytes(public_pem(a_certificate("own")))
    Path("other.pem").touch(mode=0o600)
    Path("other.pem").write_bytes(an_authority().to_pem())

    ended = run_program("serve", "--port", "0", *arguments)

    assert (ended.code, ended.refusal) == (2, f"vigie: {reason}")


def test_a_mode_that_there_is_not_is_one_line_and_exit_2(working_directory: Path) -> None:
    ended = run("serve", "--tls", "on")

    assert (ended.code, ended.refusal) == (
        2,
        'vigie: --tls: [tls] mode = "on": must be empty, auto or off',
    )


def test_a_name_that_others_have_names_below_is_refused_before_anything_is_made(
    working_directory: Path,
) -> None:
    ended = run_program("serve", "--port", "0", "--tls", "auto", "--tls-name", "COM")

    assert ended.code == 2
    assert ended.refusal.startswith(
        "vigie: [tls] names: com has no dot, and a certificate authority for it could sign"
    )
    assert not Path(".vigie/ca.pem").exists()


@pytest.mark.parametrize("own", ["desk.contoso.example", "desk"])
def test_the_machines_own_name_needs_no_dot(
    own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: own)
    names = ("desk", "localhost", "::1", "10.1.2.3")

    with (
        a_secured_house(tmp_path, tls=TlsSettings(mode="auto", names=names)) as running,
        connected(running.url, client_context(ca_of(running)), "desk") as connection,
    ):
        assert say_hello(connection).startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    ("arrange", "reason"),
    [
        (
            lambda file: file.touch(mode=0o600),
            " is not a certificate authority of Vigie; restore the file, or remove it",
        ),
        # Not "cannot listen at": the address has nothing to do with it.
        (lambda file: file.mkdir(), ": Is a directory"),
    ],
    ids=["damaged", "unreadable"],
)
def test_an_authority_that_cannot_be_used_is_one_line_and_exit_1(
    arrange: Callable[[Path], object], reason: str, working_directory: Path
) -> None:
    Path(".vigie").mkdir()
    arrange(Path(".vigie/ca-key.pem"))

    ended = run_program("serve", "--port", "0", "--tls", "auto")

    assert ended.code == 1
    assert ended.refusal.startswith(f"vigie: .vigie/ca-key.pem{reason}")


def test_the_demo_speaks_http_whatever_is_set(working_directory: Path) -> None:
    ended = run_program("demo", "--once", "--port", "0", "--json", environ={"VIGIE_TLS_MODE": "auto"})

    assert ended.json["url"].startswith("http://")


# Settings


def test_without_being_asked_for_there_is_no_https(tmp_path: Path) -> None:
    assert not Settings().tls.is_on
    with RunningHouse(tmp_path) as running:
        assert running.url.startswith("http://")
        assert {file.name for file in tmp_path.iterdir()} >= {"signing-keys.json"}
        assert not list(tmp_path.glob("*.pem*"))


@pytest.mark.parametrize(
    ("tls", "is_on"),
    [
        (TlsSettings(mode="auto"), True),
        (TlsSettings(mode="off"), False),
        (TlsSettings(cert="a", key="b"), True),
        (TlsSettings(mode="off", cert="a", key="b"), False),
        (TlsSettings(names=("vigie.example",)), False),
    ],
)
def test_https_is_on_when_it_is_asked_for_or_has_files(tls: TlsSettings, is_on: bool) -> None:
    tls.check()

    assert tls.is_on == is_on


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        (TlsSettings(cert="a"), "[tls] cert is set without [tls] key: set both, or neither"),
        (TlsSettings(key="b"), "[tls] key is set without [tls] cert: set both, or neither"),
        (
            TlsSettings(mode="auto", cert="a", key="b"),
            "[tls] mode = auto cannot be combined with [tls] cert and key: set one of them",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tls: TlsSettings, reason: str) -> None:
    with pytest.raises(SettingsError) as caught:
        tls.check()

    assert str(caught.value) == reason


def test_files_named_in_a_settings_file_are_seen_from_there(working_directory: Path) -> None:
    Path("conf").mkdir()
    Path("conf/vigie.toml").write_text('[tls]\ncert = "a.pem"\nkey = "/etc/b.pem"\n', encoding="utf-8")

    tls = load_settings(file=Path("conf/vigie.toml"), environ={}).tls

    assert (tls.cert, tls.key) == ("conf/a.pem", "/etc/b.pem")


def test_the_public_url_and_this_machine_are_among_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Watchtower")
    url = "https://vigie.example:8443"
    settings = load_settings(
        file=None,
        environ={},
        overrides={
            "tls.mode": "auto",
            "server.public_url": url,
            "database.url": f"sqlite:///{tmp_path}/vigie.sqlite3",
        },
    )

    secured = secure(settings, url, days_from_now(0))

    assert secured.authority
    assert secured.authority.names == "127.0.0.1, ::1, localhost, vigie.example, watchtower"


@pytest.mark.parametrize("name", ["localhost", "my_machine.", "a" * 64, "", "-x"])
def test_a_machine_whose_name_no_certificate_can_hold_goes_without(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert machine_name() == frozenset()


# Clients


@pytest.mark.parametrize("name", sorted(NAMES | MACHINE))
def test_every_name_is_answered_over_https(name: str, secured: RunningHouse) -> None:
    with connected(secured.url, client_context(ca_of(secured)), name) as connection:
        assert say_hello(connection).startswith(b"HTTP/1.1 200 ")
        assert connection.selected_alpn_protocol() is None


@pytest.mark.parametrize("name", ["evil.example", "graph.microsoft.com", "10.1.2.4"])
def test_no_other_name_is_believed(name: str, secured: RunningHouse) -> None:
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        connected(secured.url, client_context(ca_of(secured)), name),
    ):
        pass


def test_a_client_that_does_not_trust_the_authority_gets_nothing(secured: RunningHouse) -> None:
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        connected(secured.url, ssl.create_default_context()),
    ):
        pass


def test_old_versions_of_tls_are_refused(secured: RunningHouse) -> None:
    with (
        pytest.raises(ssl.SSLError),
        connected(secured.url, old_client_context(ssl.TLSVersion.TLSv1_1)),
    ):
        pass


def test_tls_1_2_is_spoken(secured: RunningHouse) -> None:
    with connected(secured.url, old_client_context(ssl.TLSVersion.TLSv1_2)) as connection:
        assert say_hello(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", ["GET", "PATCH", "QUERY"])
def test_plain_http_is_told_that_this_is_https(method: str, secured: RunningHouse) -> None:
    answer = secured.send(f"{method} /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    assert answer.status == 400
    assert answer.json["error"]["message"] == "This port speaks HTTPS: call it with https:// in front."


def test_nothing_of_what_comes_in_plain_http_is_a_request(secured: RunningHouse) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    hidden = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    place = urlsplit(secured.url)

    for _ in range(5):
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
            connection.sendall(head.ljust(64 * 1024, b"x") + hidden)
            with suppress(ConnectionError):
                while connection.recv(1024):
                    pass

    with connected(secured.url, client_context(ca_of(secured))) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
        metrics = b"".join(iter(partial(connection.recv, 65536), b"")).decode()
    assert re.search(r'vigie_connections_refused_total\{reason="plain_http"\} [1-9]', metrics)
    assert 'vigie_http_requests_total{api="operations",route="/readyz"' not in metrics


def test_a_list_is_whole_over_tls(secured: RunningHouse) -> None:
    house = House(secured)
    numbers = [house.takes(an_incident(an_alert(description="x" * 5_000))) for _ in range(40)]

    status, answer = fetch(f"{secured.url}/api/incidents", ca_of(secured), token=house.a_token())

    assert status == 200
    assert {each["incidentId"] for each in answer["value"]} >= set(numbers)


@pytest.mark.programs("curl")
@pytest.mark.parametrize("name", ["localhost", "login.microsoftonline.com"])
def test_curl_takes_the_file(name: str, secured: RunningHouse) -> None:
    port = urlsplit(secured.url).port
    options = ["--silent", "--show-error", "--cacert", str(ca_of(secured)), "--noproxy", "*"]

    ended = subprocess.run(
        ["curl", *options, "--resolve", f"{name}:{port}:127.0.0.1", f"https://{name}:{port}/healthz"],
        capture_output=True,
        text=True,
        timeout=20,
    )

    assert (ended.stdout, ended.stderr) == ('{"status":"alive"}', "")


def test_answers_and_tokens_say_https(secured: RunningHouse) -> None:
    house = House(secured)
    incident = house.takes(an_incident(an_alert("laptops")))

    status, answer = fetch(f"{secured.url}/api/incidents/{incident}", ca_of(secured), token=house.a_token())

    assert secured.url.startswith("https://127.0.0.1:")
    assert status == 200
    assert answer["@odata.context"].startswith(f"{secured.url}/")
    assert secured.run(secured.installation.issuer()) == secured.url
    assert secured.installation.audiences(secured.url).grants_access(INCIDENTS, secured.url)


# Certificates that change


def test_a_certificate_is_renewed_under_a_server_that_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    clock.forward(seconds=-330 * 86_400)

    with (
        a_secured_house(tmp_path, clock=clock) as running,
        connected(running.url, client_context(an_authority().root)) as before,
    ):
        first = serial_of(running)
        still = serial_of(running)
        clock.forward(seconds=330 * 86_400)

        assert still == first
        assert eventually(lambda: serial_of(running) != first, within_seconds=10)
        assert say_hello(before).startswith(b"HTTP/1.1 200 ")


def test_files_that_somebody_else_renews_are_taken_over(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def put() -> None:
        own = issue(an_authority(), days_from_now(0))
        cert.write_bytes(public_pem(own))
        key.write_bytes(own.to_pem())
        key.chmod(0o600)

    put()
    (tmp_path / "ca.pem").write_bytes(an_authority().root_pem())
    tls = TlsSettings(cert=str(cert), key=str(key), check_seconds=0.1)

    with a_secured_house(tmp_path, tls) as running:
        first = serial_of(running)
        put()

        assert eventually(lambda: serial_of(running) != first)


def test_a_server_whose_authority_was_replaced_serves_on_and_fights_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vigie.certificates.issuing.generate_private_key", lambda *_: a_key())

    with a_secured_house(tmp_path) as running:
        old = client_context(an_authority().root)
        tls = TlsSettings(mode="auto", folder=str(tmp_path))
        settings = msgspec.structs.replace(running.settings, tls=tls)
        replaced = secure(settings, running.url, days_from_now(0))
        theirs = (tmp_path / "server.pem").read_bytes()
        time.sleep(0.3)

        assert replaced.authority
        assert replaced.authority.is_new
        assert (tmp_path / "server.pem").read_bytes() == theirs
        with connected(running.url, old) as connection:
            assert say_hello(connection).startswith(b"HTTP/1.1 200 ")


# The door


class Greeting(asyncio.Protocol):
    """Says hello to each client that says something."""

    transport: asyncio.Transport
    refuses: Reason | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's have all its methods, but are none by name.
        self.transport = cast("asyncio.Transport", transport)
        if self.refuses is not None:
            self.transport.write(self.refuses.encode())
            self.transport.close()

    def data_received(self, _: bytes) -> None:
        self.transport.write(b"hello")
        self.transport.close()


@asynccontextmanager
async def a_door(folder: Path, refused: list[str], **limits: Any) -> AsyncIterator[int]:
    """A door on a port of its own."""
    context = server_context(issue(an_authority(), days_from_now(0)), folder)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        tls_listener = TlsListener(lambda: context, TlsListenerLimits(**limits), refused.append)
        tls_listener.open(listener, Greeting, 100)
        try:
            yield listener.getsockname()[1]
        finally:
            tls_listener.close()
            await tls_listener.wait_closed()


async def greeted(port: int) -> bytes:
    context = client_context(an_authority().root)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    writer.write(b"?")
    said = await reader.read()
    writer.close()
    return said


async def hold(port: int) -> asyncio.StreamReader:
    """Connect and say nothing. The reader ends when the server has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    _held.append(writer)
    return reader


_held: list[asyncio.StreamWriter] = []


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Both kinds of loops: the one that serves, and the one whose interface it is."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner
        for writer in _held:
            writer.close()
        _held.clear()


def test_who_does_not_shake_hands_is_let_go_in_time(tmp_path: Path, runner: asyncio.Runner) -> None:
    async def scene() -> None:
        async with a_door(tmp_path, [], handshake_seconds=1) as port:
            silent = await hold(port)
            begun = time.monotonic()

            assert await asyncio.wait_for(silent.read(), 5) == b""
            assert time.monotonic() - begun >= 0.9
            assert await greeted(port) == b"hello"

    runner.run(scene())


def test_who_speaks_plainly_is_refused_in_words(tmp_path: Path, runner: asyncio.Runner) -> None:
    async def scene() -> None:
        async with a_door(tmp_path, []) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            _held.append(writer)
            writer.write(b"GET / HTTP/1.1\r\n" + b"x" * 10_000)

            assert await asyncio.wait_for(reader.read(), 5) == b"plain_http"
            assert await greeted(port) == b"hello"

    runner.run(scene())


def test_the_one_that_has_held_the_door_longest_makes_room(tmp_path: Path, runner: asyncio.Runner) -> None:
    refused: list[str] = []

    async def scene() -> None:
        async with a_door(tmp_path, refused, handshakes_max=3) as port:
            first, second, third = [await hold(port) for _ in range(3)]
            await asyncio.sleep(0.05)

            assert await greeted(port) == b"hello"
            assert await asyncio.wait_for(first.read(), 5) == b""
            assert not second.at_eof()
            assert not third.at_eof()

    runner.run(scene())

    assert refused == ["evicted"]


def test_a_closing_door_waits_for_nobody(tmp_path: Path, runner: asyncio.Runner) -> None:
    async def scene() -> None:
        async with a_door(tmp_path, []) as port:
            silent = await hold(port)
            await asyncio.sleep(0.05)
        assert await asyncio.wait_for(silent.read(), 5) == b""

    runner.run(scene())


@pytest.mark.parametrize(
    "said",
    [b"", b"\x16", b"\x16\x03\x01\xff\xff" + b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70_000],
    ids=["nothing", "little", "cut", "http", "much"],
)
def test_who_says_something_else_and_goes_harms_nobody(
    said: bytes, tmp_path: Path, runner: asyncio.Runner
) -> None:
    unhandled: list[dict[str, Any]] = []

    async def scene() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with a_door(tmp_path, [], handshake_seconds=5) as port:
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(said)
                await asyncio.sleep(0)
            assert await greeted(port) == b"hello"

    runner.run(scene())

    assert unhandled == []


def test_a_stopping_server_does_not_wait_for_handshakes(tmp_path: Path) -> None:
    with a_secured_house(tmp_path, server=ServerSettings(port=0, drain_seconds=20)) as running:
        place = urlsplit(running.url)
        silent = socket.create_connection((place.hostname, place.port))
        serial_of(running)
        begun = time.monotonic()

    with silent:
        assert time.monotonic() - begun < 5


def test_a_stopping_server_does_not_wait_for_the_farewell_of_idle_clients(tmp_path: Path) -> None:
    with ExitStack() as clients:
        with a_secured_house(tmp_path, server=ServerSettings(port=0, drain_seconds=20)) as running:
            idle = clients.enter_context(connected(running.url, client_context(ca_of(running))))
            assert say_hello(idle).startswith(b"HTTP/1.1 200")
            begun = time.monotonic()

        assert time.monotonic() - begun < 5


# What people are told


def an_authority_for_people(**changes: Any) -> LocalAuthority:
    said: dict[str, Any] = {"names": "localhost", "sha256": "AB:CD", "is_new": True, "set_aside": ()}
    return LocalAuthority(file=Path("/srv/ca.pem"), **(said | changes))


def test_a_replaced_authority_is_said_loudly_first() -> None:
    first, second, *_ = how_to_trust(an_authority_for_people(set_aside=(Path("/srv/ca.pem.0123abcd"),)))

    assert first.startswith("NEW CERTIFICATE AUTHORITY")
    assert second.endswith("/srv/ca.pem.0123abcd")


def test_a_known_authority_is_said_in_one_line() -> None:
    lines = list(how_to_trust(an_authority_for_people(is_new=False)))

    assert lines == ["Clients must trust /srv/ca.pem; see docs/tls.md"]
