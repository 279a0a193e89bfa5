"""A receiver of webhooks on the loopback: what it got, and what it answers."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_WAIT_SECONDS_MAX = 60.0

Respond = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Got:
    """One delivery as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """What tells it from others, the same at every attempt."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """What it says."""
        return json.loads(self.body)

    @property
    def number(self) -> int:
        """The number of the change that it is about."""
        return int(self.event["data"]["number"])


@dataclass
class WebhookReceiver:
    """What it answers is looked up for each delivery, so that a test may change it at any time."""

    url: str = ""
    respond: Respond | None = None
    got: list[Got] = field(default_factory=list)

    def answers(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer so from now on."""

        def respond(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        self.respond = respond

    def waits_for(self, count: int) -> list[Got]:
        """The deliveries, once there are so many."""
        until(lambda: len(self.got) >= count, lambda: f"{len(self.got)} deliveries instead of {count}")
        return list(self.got)

    @property
    def numbers(self) -> list[int]:
        """The numbers of the changes that it has heard of, in their order."""
        return [each.number for each in self.got]


def until(holds: Callable[[], object], otherwise: Callable[[], str] = lambda: "it never came so") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.01)


@contextmanager
def a_webhook_receiver(
    *, host: str = "127.0.0.1", tls: tuple[Path, Path] | None = None, name: str = ""
) -> Iterator[WebhookReceiver]:
    """Listen as long as the block lasts; over TLS with a certificate and its key. `name` is its host in the URL."""
    receiver = WebhookReceiver()
    receiver.answers(204)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            # A sender that was killed in the middle has delivered nothing.
            if len(body) < length:
                return
            headers = {key.lower(): value for key, value in self.headers.items()}
            receiver.got.append(Got(path=self.path, headers=headers, body=body))
            assert receiver.respond is not None
            receiver.respond(self)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, *_: object) -> None:
            """Clients that go away are what some tests are about."""

    server = Server((host, 0), Handler)
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if tls is None else "https"
    shown = f"[{host}]" if ":" in host else host
    receiver.url = f"{scheme}://{name or shown}:{server.server_port}/hook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
