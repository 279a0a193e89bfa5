"""`vigie serve`, without the library that reads command lines: loading that takes as long as all the rest."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie.cli.output import CommandFailed, one_line, write_json
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

if TYPE_CHECKING:
    from vigie.config.settings import Settings
    from vigie.observability.log_writer import LogWriter
    from vigie.runtime.installation import Installation
    from vigie.runtime.server import Serving

_PLAIN_HTTP = (
    "secrets and tokens cross the network unencrypted; use --tls auto or a certificate, or name the proxy "
    "that terminates TLS in [server] trusted_proxies"
)
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

    from vigie.config.sources import load_settings

    settings = load_settings(file=options.config, environ=os.environ, overrides=options.overrides)
    uvloop.run(_serve(settings, options))


async def _serve(settings: "Settings", options: ServeOptions) -> None:
    # The logs first, because they keep structlog from loading Rich.
    from vigie import __version__
    from vigie.observability.event_log import log, logging_to_stderr
    from vigie.runtime import server
    from vigie.runtime.installation import opened

    with logging_to_stderr(settings.logging.level, settings.logging.format) as writer:
        with server.bound(settings) as listeners:
            address = host_and_port(listeners.main.getsockname())

            def on_ready(running: "Serving") -> None:
                store = settings.database.place
                log.info("serving", url=running.url, address=address, version=__version__, store=store)
                if is_readable_on_the_network(settings, address):
                    log.warning("tokens_over_plain_http", address=address, reason=_PLAIN_HTTP)
                if running.issuer not in ("", running.url):
                    from vigie.cli.issuer_warning import warn_of_issuer

                    warn_of_issuer(running, settings, options)
                if sys.stderr.isatty():
                    writer.put_text(
                        one_line(f"Vigie serves {store} at {running.url}, listening on {address}.")
                    )
                _tell(running, writer, says_json=options.says_json)

            async with opened(settings, create=True) as installation:
                await _require_no_sample(installation)
                await server.serve(installation, listeners, writer, on_ready)
        log.info("stopped")


async def _require_no_sample(installation: "Installation") -> None:
    """Raise CommandFailed where applications have secrets that everybody knows."""
    for client in SAMPLE_CLIENTS:
        tenant = await installation.directory.find_tenant_of_application(client.client_id)
        if tenant is not None:
            raise CommandFailed(
                f"{tenant.name} has the application {client.name!r} of `vigie demo`, whose secret everybody knows; "
                "serve another database, or first run "
                f"`vigie tenant remove {shlex.quote(tenant.domain or tenant.guid)}`"
            )


def _tell(running: "Serving", writer: "LogWriter", *, says_json: bool) -> None:
    authority = running.secured.authority if running.secured else None
    if sys.stderr.isatty() and authority:
        from vigie.cli.trust_help import how_to_trust

        for line in how_to_trust(authority):
            writer.put_text(one_line(line))
    if sys.stderr.isatty():
        writer.put_text("Ctrl-C stops it.")
    if says_json:
        write_json({"url": running.url} | ({"ca": str(authority.file)} if authority else {}))


def host_and_port(address: Sequence[Any]) -> str:
    """Where a socket listens, as it stands in a URL."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_readable_on_the_network(settings: "Settings", address: str) -> bool:
    """Whether others may read tokens on their way: plain HTTP off the loopback, and no proxy that does TLS."""
    from vigie.core.url_policy import is_loopback

    host = address.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    return not (settings.tls.is_on or settings.server.trusted_proxies or is_loopback(host))
