"""The command `vigie demo`: it serves the sample tenant, sends a request to it, and suggests commands to try."""

import asyncio
import http.client
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode, urlsplit

from cyclopts import Parameter

from vigie.cli.audit_context import audit_context_of
from vigie.cli.common import PLAIN, Common, Integer, emit
from vigie.cli.demo_output import SampleRequest, SampleResponse, request_lines, suggestion_lines, token_form
from vigie.cli.output import WrongUsage, print_status
from vigie.config.settings import Settings
from vigie.config.sources import settings_by_flags
from vigie.config.validators import SQLITE_PREFIX
from vigie.observability.event_log import logging_to_stderr
from vigie.runtime import installation as installations
from vigie.runtime.server import bound, serving, stop_on_signals
from vigie.synthetic.sample_clients import READER
from vigie.synthetic.sample_tenant import TENANT_DOMAIN, Sample, settle_sample

DEMO_STORE = Path(".vigie/demo/vigie.sqlite3")

_TIMEOUT_SECONDS = 10


async def demo(
    *,
    once: Annotated[bool, Parameter(help="Exit after the request.")] = False,
    port: Annotated[
        Integer, Parameter(metavar="PORT", help="Port to listen on; 0 for any free port.")
    ] = 8400,
    common: Common = PLAIN,
) -> None:
    """Serve a sample tenant on this machine and show one request to it.

    It has its own database and settings: settings files and VIGIE_ variables are not read.
    """
    settings = _settings(common, port)
    with (
        logging_to_stderr(settings.logging.level, settings.logging.format) as writer,
        bound(settings) as listeners,
    ):
        async with installations.opened(settings, create=True) as installation:
            sample = await settle_sample(
                installation.directory, installation.incidents, audit_context_of("vigie demo")
            )
            async with serving(installation, listeners, writer) as running:
                await _show_request(common, running.url, sample.incident_id)
                if not once:
                    # Before anything says how to stop it.
                    stop_on_signals(running)
                    _print_suggestions(common, running.url, sample)
                    await running.ended
    if once and not common.json:
        print_status("Run `vigie demo` without --once to keep the server running and to see commands to try.")


def _settings(common: Common, port: int) -> Settings:
    """The settings of a demo. Raises WrongUsage for options that would choose others."""
    for option, value in (("--database", common.database), ("--config", common.config)):
        if value is not None:
            raise WrongUsage(
                f"{option} cannot be used with the demo, whose secrets are publicly known; "
                f"its database is {DEMO_STORE}"
            )
    return settings_by_flags(
        {
            "server.port": port,
            "database.url": f"{SQLITE_PREFIX}{DEMO_STORE}",
            "logging.level": "warning",
        }
    )


async def _show_request(common: Common, url: str, incident_id: int) -> None:
    """Read an incident over HTTP, with a token from the server's token endpoint."""
    request = await asyncio.to_thread(_read_incident, url, incident_id)
    emit(common, {"url": url, "exchanges": [request.as_value()]}, lines=request_lines(request))


def _print_suggestions(common: Common, url: str, sample: Sample) -> None:
    if not common.json:
        sys.stdout.writelines(f"{line}\n" for line in suggestion_lines(url, sample, DEMO_STORE))
        sys.stdout.flush()
    print_status(f"Serving at {url}; press Ctrl-C to stop.")


def _read_incident(url: str, incident_id: int) -> SampleRequest:
    path = f"/api/incidents/{incident_id}"
    return SampleRequest(
        path=path, response=_request(url, "GET", path, None, {"Authorization": f"Bearer {_token(url)}"})
    )


def _token(url: str) -> str:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/{TENANT_DOMAIN}/oauth2/v2.0/token"
    token: str = json.loads(_request(url, "POST", path, urlencode(token_form(READER)), headers).body)[
        "access_token"
    ]
    return token


def _request(
    url: str, method: str, path: str, body: str | None, headers: Mapping[str, str]
) -> SampleResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return SampleResponse(status=response.status, reason=response.reason, body=response.read())
    finally:
        connection.close()
