"""The part of an application that waits for a browser to come back: what it got, and where it sends people next."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Listening:
    """A place on this machine that browsers come to."""

    port: int
    next_url: str | None = None
    got: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://localhost:{self.port}/back"

    @property
    def answer(self) -> dict[str, str]:
        """The fields of the one request that has come."""
        ((_, _, fields),) = self.got
        return fields


@contextmanager
def listening(next_url: str | None = None) -> Iterator[Listening]:
    """Listen as long as the block lasts; each client is sent on to `next_url`, if there is one."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    place = Listening(server.server_port, next_url)
    server.place = place  # type: ignore[attr-defined]  # for the handler, which is made anew for each request
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002
        pass

    def _answer(self, fields: str) -> None:
        path = urlsplit(self.path).path
        if path == "/favicon.ico":
            self.send_error(404)
            return
        place: Listening = self.server.place  # type: ignore[attr-defined]
        got = {name: values[0] for name, values in parse_qs(fields, keep_blank_values=True).items()}
        place.got.append((self.command, path, got))
        self.send_response(302 if place.next_url else 200)
        if place.next_url:
            self.send_header("Location", place.next_url)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>done</title>")
