"""The reference: nginx serving the same bytes as a static file, with the settings it is fastest with."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.processes import Server, free_port, running

# sendfile costs small files a system call more than it saves, but nginx gathers head and file with tcp_nopush;
# the open files are remembered, nothing is logged, and connections are never closed.
_CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; use epoll; multi_accept on; accept_mutex off; }}
http {{
    access_log off;
    default_type application/json;
    types {{ }}
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    server_tokens off;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=600s;
    open_file_cache_valid 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder}/files;
    }}
}}
"""


@contextmanager
def serving_files(bodies: Mapping[str, bytes]) -> Iterator[Server]:
    """nginx on the servers' core, answering each path with its body."""
    with TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        for path, body in bodies.items():
            file = folder / "files" / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, port=port), encoding="utf-8")
        command: list[str | Path] = ["nginx", "-p", folder, "-c", configuration]
        with running("nginx", command, port, ready_path=next(iter(bodies))) as server:
            yield server
