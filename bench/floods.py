"""What a flood of strangers does to those who read with good tokens: `python -m bench.floods --help`.

Serves a store with the real program, pinned to one core, and loads it from another: readers alone and the same
readers beside each flood, in turn. Every connection sends its next request when the last is answered. What counts
is what readers keep of their reads: for each second, or for each second of the server's processor time, whichever
is more. Whoever else uses the machine disturbs the first; the second also counts what hashing passwords takes of a
core that nobody needs. Ends with 1 if it is less than it must be beside any of the floods.
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

from tests.foreign_issuers import foreign_issuer
from tests.house import to_base64

from bench.serving import Target, cpu_seconds, memory_mib, pin, served

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
        print(f"{'':<28} {'reads/s':>8} {'kept':>6} {'per CPU s':>10} {'kept':>6} {'memory':>10}")
        for name in options.only or FLOODS:
            flood = FLOODS[name]
            rounds = [
                (_load_both(target, options, None), _load_both(target, options, flood(target)))
                for _ in range(options.rounds)
            ]
            alone, beside = (_middle(loads) for loads in zip(*rounds, strict=True))
            share = beside.per_second / alone.per_second
            cpu_share = beside.per_cpu_second / alone.per_cpu_second
            kept[name] = max(share, cpu_share)
            print(f"{'readers alone':<28} {alone.per_second:>8,.0f} {'':>6} {alone.per_cpu_second:>10,.0f}")
            print(
                f"{'with ' + name:<28} {beside.per_second:>8,.0f} {share:>6.0%} "
                f"{beside.per_cpu_second:>10,.0f} {cpu_share:>6.0%} {memory_mib(target.pid):>6.0f} MiB",
                flush=True,
            )
    sys.exit(judged(kept, options.kept))


def judged(kept: Mapping[str, float], least: float) -> int:
    """Say what readers keep beside the worst of the floods; 1 if that is less than they must."""
    worst = min(kept, key=kept.__getitem__)
    print(f"readers keep {kept[worst]:.0%} beside {worst}; at least {least:.0%} are needed")
    return int(kept[worst] < least)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each load lasts")
    parser.add_argument("--rounds", type=int, default=1, help="how often each flood comes")
    parser.add_argument("--readers", type=int, default=16, help="connections that read")
    parser.add_argument("--flooders", type=int, default=64, help="connections that flood")
    parser.add_argument("--kept", type=float, default=0.5, help="what readers must keep beside each")
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
    found = re.search(r'name="errand"[^>]* value="([^"]+)"', answer.read().decode())
    assert found, answer.status
    connection.close()

    def request(number: int) -> bytes:
        fields = {"errand": found[1], "username": f"somebody-{number}", "password": f"guess-{number}"}
        form = urlencode(fields)
        return (
            f"POST /signin/password HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nCookie: {cookie}\r\n"
            "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(form)}\r\n\r\n{form}"
        ).encode()

    return request


def _public(target: Target) -> Requests:
    """What asks for no token: the metrics in both of their forms, and the pages."""
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\nAccept: {accept}\r\n\r\n".encode()
        for path, accept in (
            ("/metrics", "text/plain"),
            ("/metrics", "application/openmetrics-text"),
            ("/reference", "text/html"),
        )
    ]
    return lambda number: requests[number % len(requests)]


FLOODS: dict[str, Callable[[Target], Requests]] = {
    "forged tokens": _forged,
    "tokens that are none": _nonsense,
    "unknown keys of an issuer": _of_nobody,
    "forged tokens of an issuer": _forged_foreign,
    "bad secrets": _bad_secret,
    "wrong passwords": _wrong_password,
    "public pages": _public,
}


# Loading


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How many reads were answered."""

    per_second: float
    per_cpu_second: float


def _middle(loads: tuple[Load, ...]) -> Load:
    return sorted(loads, key=lambda load: load.per_cpu_second)[len(loads) // 2]


def _load_both(target: Target, options: argparse.Namespace, flood: Requests | None) -> Load:
    """Read, beside a flood if there is one."""
    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    flooding = None
    if flood is not None:
        seconds = options.seconds + 2
        flooding = context.Process(target=_load, args=(target.port, flood, options.flooders, seconds, None))
        flooding.start()
        time.sleep(1)
    before = cpu_seconds(target.pid)
    reading = context.Process(
        target=_load, args=(target.port, _reading(target), options.readers, options.seconds, sending)
    )
    reading.start()
    answered: int = receiving.recv()
    spent = cpu_seconds(target.pid) - before
    reading.join()
    if flooding is not None:
        flooding.join()
    return Load(per_second=answered / options.seconds, per_cpu_second=answered / spent)


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
