"""Name resolution as `docs/tls.md` has it for clients with hard-coded hosts: names lead to a server of ours."""

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest


def leads_here(monkeypatch: pytest.MonkeyPatch, url: str, *hosts: str) -> None:
    """Let names lead to the server at a URL, and port 443 of them to its port."""
    resolve, port = socket.getaddrinfo, urlsplit(url).port

    def resolve_here(host: Any, wanted: Any, *arguments: Any, **options: Any) -> Any:
        is_ours = host in hosts
        place = ("127.0.0.1", port if wanted == 443 else wanted) if is_ours else (host, wanted)
        return resolve(*place, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_here)
