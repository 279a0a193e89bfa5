"""A flood of strangers beside readers with good tokens: `python -m bench.floods --help`.

Serves a store with the real program, pinned to one core, and loads it from another: readers alone and the same
readers beside each flood, in turn. Every connection sends its next request when the last is answered. What counts
is what readers keep of their reads: for each second, or for each second of the server's processor time, whichever
is more. Any other use of the machine disturbs the first; the second also counts what hashing passwords takes of a
core that nobody needs.

Floods of what has to be checked come beside 16 readers, which must keep half; floods of what is public beside
one, which must keep 60 %: it has one connection against all of theirs. Ends with 1 if less is kept beside any.
"""

import argparse
import http.client
import multiprocessing
import re
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from urllib.parse import urlencode

from tests.support.foreign_issuers import foreign_issuer
from tests.support.house import to_base64

from bench.serving import Target, cpu_seconds, memory_mib, pin, served
from vigie.api.operations.reference import RENDERER_PATH, SHOWN_DOCUMENT_PATH
from vigie.ui.style_sheet import STYLE_PATH

BYTES_READ = 64 * 1024


Requests = Callable[[int], bytes]
"""The request that is sent as the n-th."""


def main() -> None:
    """Serve, load, print a table, and judge it."""
    options = _options()
    kept: dict[str, float] = {}
    with (
        foreign_issuer() as issuer,
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), issuer) as target,
    ):
        print(f"{'':<36} {'reads/s':>8} {'kept':>6} {'per CPU s':>10} {'kept':>6} {'memory':>10}")
        for name in options.only or FLOODS:
            for flooders in options.flooders:
                kept[f"{flooders} x {name}"] = _share_kept(target, options, name, flooders)
    sys.exit(judged(kept, options.kept))


def _share_kept(target: Target, options: argparse.Namespace, name: str, flooders: int) -> float:
    """Print what readers do alone, and beside a flood; which share they keep, of what must be kept."""
    flood = FLOODS[name]
    readers, requests = options.readers or flood.readers, flood.requests(target)
    rounds = [
        (
            _load_both(target, options.seconds, readers, None),
            _load_both(target, options.seconds, readers, Flooding(requests, flooders)),
        )
        for _ in range(options.rounds)
    ]
    alone, beside = (_middle(loads) for loads in zip(*rounds, strict=True))
    share = beside.per_second / alone.per_second
    cpu_share = beside.per_cpu_second / alone.per_cpu_second
    print(f"{f'{readers} alone':<36} {alone.per_second:>8,.0f} {'':>6} {alone.per_cpu_second:>10,.0f}")
    print(
        f"{f'with {flooders} x {name}':<36} {beside.per_second:>8,.0f} {share:>6.0%} "
        f"{beside.per_cpu_second:>10,.0f} {cpu_share:>6.0%} {memory_mib(target.pid):>6.0f} MiB",
        flush=True,
    )
    return max(share, cpu_share)


def judged(kept: Mapping[str, float], least: float | None) -> int:
    """Say what readers keep beside the worst of the floods; 1 if that is less than they must.

    Without `least` each flood says what must be kept beside it, and the worst is the one with least to spare.
    """
    needed = {name: FLOODS[name.partition(" x ")[2]].kept if least is None else least for name in kept}
    worst = min(kept, key=lambda name: kept[name] - needed[name])
    print(f"readers keep {kept[worst]:.0%} beside {worst}; at least {needed[worst]:.0%} are needed")
    return int(kept[worst] < needed[worst])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=1, help="how often each flood comes")
    parser.add_argument("--readers", type=int, help="connections that read, beside every flood")
    parser.add_argument("--flooders", type=int, nargs="+", default=[8, 64], help="connections that flood")
    parser.add_argument("--kept", type=float, help="what readers must keep beside every flood")
    parser.add_argument("--only", action="append", choices=FLOODS, help="this flood, and those named so too")
    return parser.parse_args()


# What floods consist of


def _bearer(target: Target, token: str) -> bytes:
    return (
        f"GET /api/incidents/{target.incident} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def _reading(target: Target) -> Requests:
    request = _bearer(target, target.token)
    return lambda _: request


def _forged(target: Target) -> Requests:
    """The token of a reader, with another signature each time: it is checked in full."""
    signed = target.token.rpartition(".")[0]
    return lambda number: _bearer(target, f"{signed}.{to_base64(number.to_bytes(256))}")


def _nonsense(target: Target) -> Requests:
    return lambda number: _bearer(target, f"{number}.e30.AAAA")


def _of_nobody(target: Target) -> Requests:
    """A token of the trusted issuer, by a key that it does not have."""
    tokens = [target.issuer.token(kid=f"made-up-{number}") for number in range(500)]
    return lambda number: _bearer(target, tokens[number % len(tokens)])


def _forged_foreign(target: Target) -> Requests:
    signed = target.issuer.token().rpartition(".")[0]
    return lambda number: _bearer(target, f"{signed}.{to_base64(number.to_bytes(256))}")


def _bad_secret(target: Target) -> Requests:
    def request(number: int) -> bytes:
        form = (
            f"grant_type=client_credentials&client_id={target.client_id}&client_secret=guess-{number}"
            "&scope=https%3A%2F%2Fapi.security.microsoft.com%2F.default"
        )
        return (
            f"POST /{target.tenant}/oauth2/v2.0/token HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n{form}"
        ).encode()

    return request


def _wrong_password(target: Target) -> Requests:
    """Another name each time, in the form of the page, as often as from very many addresses."""
    connection = http.client.HTTPConnection("127.0.0.1", target.port)
    asked = {
        "client_id": target.public_client_id,
        "response_type": "code",
        "redirect_uri": "http://localhost",
        "scope": "https://api.security.microsoft.com/Incident.Read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    connection.request("GET", f"/{target.tenant}/oauth2/v2.0/authorize?{urlencode(asked)}")
    answer = connection.getresponse()
    cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
    found = re.search(r'name="flow"[^>]* value="([^"]+)"', answer.read().decode())
    assert found, answer.status
    connection.close()

    def request(number: int) -> bytes:
        fields = {"flow": found[1], "username": f"somebody-{number}", "password": f"guess-{number}"}
        form = urlencode(fields)
        return (
            f"POST /signin/password HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nCookie: {cookie}\r\n"
            "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}"
        ).encode()

    return request


def _public(*paths: str, accept: str = "*/*") -> Callable[[Target], Requests]:
    """What asks for no token, by the paths in turn; `{tenant}` and `{client}` are those of the target."""

    def requests(target: Target) -> Requests:
        named = [path.format(tenant=target.tenant, client=target.public_client_id) for path in paths]
        heads = [
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nAccept: {accept}\r\n\r\n".encode()
            for path in named
        ]
        return lambda number: heads[number % len(heads)]

    return requests


_AUTHORIZE = "/{tenant}/oauth2/v2.0/authorize?" + urlencode(
    {
        "response_type": "code",
        "redirect_uri": "http://localhost",
        "scope": "https://api.security.microsoft.com/Incident.Read",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """What it asks for, beside how many readers, and what of their reads they must keep."""

    requests: Callable[[Target], Requests]
    readers: int = 16
    kept: float = 0.5


def _of_public(*paths: str, accept: str = "*/*") -> Flood:
    return Flood(requests=_public(*paths, accept=accept), readers=1, kept=0.6)


FLOODS: dict[str, Flood] = {
    "forged tokens": Flood(requests=_forged),
    "tokens that are none": Flood(requests=_nonsense),
    "unknown keys of an issuer": Flood(requests=_of_nobody),
    "forged tokens of an issuer": Flood(requests=_forged_foreign),
    "bad secrets": Flood(requests=_bad_secret),
    "wrong passwords": Flood(requests=_wrong_password),
    "metrics": _of_public("/metrics"),
    "metrics as OpenMetrics": _of_public("/metrics", accept="application/openmetrics-text"),
    "reference": _of_public("/reference", SHOWN_DOCUMENT_PATH),
    "program of the reference": _of_public(RENDERER_PATH),
    "OpenAPI documents": _of_public("/openapi.yaml", "/openapi.json"),
    "landing page": _of_public("/", accept="text/html"),
    "CSDL": _of_public("/api/$metadata", "/api"),
    "authorize page": _of_public(_AUTHORIZE + "&client_id={client}", accept="text/html"),
    "device page": _of_public("/devicelogin", accept="text/html"),
    "style sheet": _of_public(STYLE_PATH),
    "discovery": _of_public("/{tenant}/v2.0/.well-known/openid-configuration"),
    "keys": _of_public("/{tenant}/discovery/v2.0/keys"),
    "readiness": _of_public("/readyz"),
}


# Loading


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many reads were answered."""

    per_second: float
    per_cpu_second: float


def _middle(loads: tuple[Load, ...]) -> Load:
    return sorted(loads, key=lambda load: load.per_cpu_second)[len(loads) // 2]


@dataclass(frozen=True, slots=True)
class Flooding:
    """A flood under way: the requests, and how many connections send them."""

    requests: Requests
    connections: int


def _load_both(target: Target, seconds: float, readers: int, flood: Flooding | None) -> Load:
    """Read, beside a flood if there is one."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    flooding = None
    if flood is not None:
        load = (target.port, flood.requests, flood.connections, seconds + 2, None)
        flooding = context.Process(target=_load, args=load)
        flooding.start()
        time.sleep(1)
    before = cpu_seconds(target.pid)
    reading = context.Process(target=_load, args=(target.port, _reading(target), readers, seconds, sending))
    reading.start()
    answered: int = receiving.recv()
    spent = cpu_seconds(target.pid) - before
    reading.join()
    if flooding is not None:
        flooding.join()
    return Load(per_second=answered / seconds, per_cpu_second=answered / spent)


def _load(port: int, requests: Requests, count: int, seconds: float, told: Connection | None) -> None:
    """Keep connections busy, and say how many good answers there were."""
    pin(1)
    good, number = 0, 0
    came: dict[socket.socket, bytes] = {}
    with DefaultSelector() as selector:

        def open_another() -> None:
            connection = socket.create_connection(("127.0.0.1", port))
            selector.register(connection, EVENT_READ)
            came[connection] = b""
            connection.sendall(requests(number))

        for _ in range(count):
            open_another()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in selector.select(timeout=0.1):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                number += 1
                piece = _received(connection)
                if not piece:
                    selector.unregister(connection)
                    del came[connection]
                    connection.close()
                    open_another()
                    continue
                came[connection] += piece
                if _is_whole(came[connection]):
                    good += came[connection].startswith(b"HTTP/1.1 200")
                    came[connection] = b""
                    connection.sendall(requests(number))
        for connection in came:
            connection.close()
    if told is not None:
        told.send(good)


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(BYTES_READ)
    except ConnectionResetError:
        return b""


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


if __name__ == "__main__":
    main()
