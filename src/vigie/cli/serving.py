"""`vigie serve`, without the library that reads command lines: loading that takes as long as all the rest."""

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.cli.telling import remark, write_json

if TYPE_CHECKING:
    from vigie.server import Serving
    from vigie.settings import Settings

_NAMES = {
    "--host": "host",
    "--public-url": "public_url",
    "--tls": "tls",
    "--tls-cert": "tls_cert",
    "--tls-key": "tls_key",
    "--database": "database",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What goes before the settings, as far as it was said."""

    host: str | None = None
    port: int | None = None
    public_url: str | None = None
    tls: str | None = None
    tls_names: Sequence[str] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    config: Path | None = None
    database: str | None = None
    says_json: bool = False

    @property
    def overrides(self) -> dict[str, object]:
        """The settings that are overridden, under their dotted names; None for those that are not."""
        # Files that are named here go before the mode in the settings, as they go before the files there.
        has_files = self.tls_cert or self.tls_key
        return {
            "server.host": self.host,
            "server.port": self.port,
            "server.public_url": self.public_url,
            "tls.mode": "" if self.tls is None and has_files else self.tls,
            "tls.names": list(self.tls_names) or None,
            "tls.cert": self.tls_cert,
            "tls.key": self.tls_key,
            "database.url": self.database,
        }


def plain_options(arguments: Sequence[str]) -> ServeOptions | None:
    """What a plain `serve` says: known options, each once and with its value behind it.

    None for any other command line: the library reads those, and tests hold that it reads these alike.
    """
    command, *rest = arguments or [""]
    if command != "serve" or len(rest) % 2:
        return None
    options: dict[str, Any] = {}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        read = _plain_option(name, value)
        if read is None or read[0] in options:
            return None
        options[read[0]] = read[1]
    return ServeOptions(**options)


def _plain_option(name: str, value: str) -> tuple[str, object] | None:
    if not value or value.startswith("-"):
        return None
    if name == "--port":
        return ("port", int(value)) if re.fullmatch(r"[0-9]{1,5}", value, re.ASCII) else None
    if name == "--tls-name":
        return "tls_names", [value]
    if name == "--config":
        return "config", Path(value)
    return (_NAMES[name], value) if name in _NAMES else None


def serve_until_stopped(options: ServeOptions) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are finished."""
    # The only command that lasts long enough to be worth another event loop.
    import uvloop

    from vigie.settings_sources import load_settings

    settings = load_settings(file=options.config, environ=os.environ, overrides=options.overrides)
    uvloop.run(_serve(settings, says_json=options.says_json))


async def _serve(settings: "Settings", *, says_json: bool) -> None:
    # The logs first, because they keep structlog from loading Rich.
    from vigie.logs import configure_logging

    configure_logging(settings.logging.level, sys.stderr)

    import structlog

    from vigie import __version__, server
    from vigie.installation import opened

    def on_ready(running: "Serving") -> None:
        structlog.get_logger().info(
            "serving", url=running.url, version=__version__, store=settings.database.place
        )
        _tell(running, settings.database.place, says_json=says_json)

    with server.bound(settings) as listeners:
        async with opened(settings, create=True) as installation:
            await server.serve(installation, listeners, on_ready)
    structlog.get_logger().info("stopped")


def _tell(running: "Serving", store: str, *, says_json: bool) -> None:
    authority = running.secured.authority if running.secured else None
    if sys.stderr.isatty():
        remark(f"Vigie serves {store} at {running.url}; Ctrl-C stops it")
    if sys.stderr.isatty() and authority:
        from vigie.tls.trusting import how_to_trust

        for line in how_to_trust(authority):
            remark(line)
    if says_json:
        write_json({"url": running.url} | ({"ca": str(authority.file)} if authority else {}))
