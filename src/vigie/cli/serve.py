"""The command `vigie serve`, without the command-line library, whose import takes as long as all the rest."""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vigie.cli.output import CommandFailed, one_line, write_json
from vigie.cli.start import loading
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

if TYPE_CHECKING:
    from vigie.config.settings import Settings
    from vigie.observability.log_writer import LogWriter
    from vigie.runtime.installation import Installation
    from vigie.runtime.server import Serving

_PLAIN_HTTP = (
    "secrets and tokens are sent unencrypted; use --tls auto or a certificate, or set [server] trusted_proxies to "
    "the proxy that terminates TLS"
)
_NAMES = {
    "--host": "host",
    "--public-url": "public_url",
    "--tls": "tls",
    "--tls-cert": "tls_cert",
    "--tls-key": "tls_key",
    "--database": "database",
}


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of `vigie serve`, which override the settings; None for those not given."""

    host: str | None = None
    port: int | None = None
    public_url: str | None = None
    tls: str | None = None
    tls_names: Sequence[str] = ()
    tls_cert: str | None = None
    tls_key: str | None = None
    config: Path | None = None
    database: str | None = None
    json: bool = False

    @property
    def overrides(self) -> dict[str, object]:
        """The settings that are overridden, under their dotted names; None for those that are not."""
        # Certificate files given here override the mode of the settings, as they override its files.
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
    """The options of a plain `serve`: known options, each once and followed by its value.

    None for any other command line: the library parses those, and tests hold that it parses these alike.
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
    """Run the server until SIGTERM or Ctrl-C; requests in progress are finished."""
    with loading():
        # The only command that runs long enough to be worth another event loop.
        import uvloop

        from vigie.config.sources import load_settings

    settings = load_settings(file=options.config, environ=os.environ, overrides=options.overrides)
    uvloop.run(_serve(settings, options))


async def _serve(settings: "Settings", options: ServeOptions) -> None:
    with loading():
        from vigie import __version__
        from vigie.observability.event_log import log, logging_to_stderr
        from vigie.runtime import server
        from vigie.runtime.installation import opened

    with logging_to_stderr(settings.logging.level, settings.logging.format) as writer:
        with server.bound(settings) as listeners:
            address = host_and_port(listeners.main.getsockname())

            def report_ready(running: "Serving") -> None:
                database = settings.database.place
                log.info("serving", url=running.url, address=address, version=__version__, database=database)
                if is_readable_on_the_network(settings, address):
                    log.warning("tokens_over_plain_http", address=address, reason=_PLAIN_HTTP)
                if running.issuer not in ("", running.url):
                    from vigie.cli.issuer_warning import warn_of_issuer

                    warn_of_issuer(running, settings, options)
                if sys.stderr.isatty():
                    writer.put_text(one_line(f"Serving {database} at {running.url}, listening on {address}."))
                _report(running, writer, json=options.json)

            async with opened(settings, create=True) as installation:
                await _require_no_sample_secrets(installation)
                await server.serve(installation, listeners, writer, report_ready)
        log.info("stopped")


async def _require_no_sample_secrets(installation: "Installation") -> None:
    """Raise CommandFailed for a database that has the publicly known secrets of `vigie demo`."""
    for client in SAMPLE_CLIENTS:
        tenant = await installation.directory.find_tenant_of_application(client.client_id)
        if tenant is not None:
            raise CommandFailed(
                f"{tenant.name} has the application {client.name!r} of `vigie demo`, whose secret is publicly "
                "known; use another database, or first run "
                f"`vigie tenant remove {shlex.quote(tenant.domain or tenant.guid)}`"
            )


def _report(running: "Serving", writer: "LogWriter", *, json: bool) -> None:
    authority = running.secured.authority if running.secured else None
    if sys.stderr.isatty() and authority:
        from vigie.cli.trust_help import how_to_trust

        for line in how_to_trust(authority):
            writer.put_text(one_line(line))
    if sys.stderr.isatty():
        writer.put_text("Press Ctrl-C to stop.")
    if json:
        write_json({"url": running.url} | ({"ca": str(authority.file)} if authority else {}))


def host_and_port(address: Sequence[Any]) -> str:
    """The address of a socket, as host:port of a URL."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_readable_on_the_network(settings: "Settings", address: str) -> bool:
    """Whether tokens can be read on the network: plain HTTP beyond the loopback and no TLS proxy."""
    from vigie.core.url_policy import is_loopback

    host = address.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    return not (settings.tls.is_on or settings.server.trusted_proxies or is_loopback(host))
