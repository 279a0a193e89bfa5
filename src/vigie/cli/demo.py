"""`vigie demo`: serve the sample tenant, talk to it as a client would, and say what to try next."""

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
from vigie.cli.common import PLAIN, Common, WholeNumber, emit
from vigie.cli.demo_output import Answer, Exchange, shown, token_form, what_to_try
from vigie.cli.output import WrongUsage, print_status
from vigie.config.sources import settings_by_flags
from vigie.config.validators import SQLITE_PREFIX
from vigie.observability.event_log import logging_to_stderr
from vigie.runtime import installation as installations
from vigie.runtime.server import bound, serving, until_stopped
from vigie.synthetic.sample_clients import READER
from vigie.synthetic.sample_tenant import TENANT_DOMAIN, Sample, settle_sample

DEMO_STORE = Path(".vigie/demo/vigie.sqlite3")

_TIMEOUT_SECONDS = 10


async def demo(
    *,
    once: Annotated[bool, Parameter(help="Show it and end, instead of serving on.")] = False,
    port: Annotated[WholeNumber, Parameter(help="The port to serve on; 0 takes any free one.")] = 8400,
    common: Common = PLAIN,
) -> None:
    """Serve a sample tenant on this machine, and show one call of it.

    It has a database and settings of its own: no settings file and no VIGIE_ variable is read.
    """
    for option, value in (("--database", common.database), ("--config", common.config)):
        if value is not None:
            raise WrongUsage(
                f"{option} is not for the demonstration, whose secrets everybody knows: "
                f"its database is {DEMO_STORE}"
            )
    settings = settings_by_flags(
        {
            "server.port": port,
            "database.url": f"{SQLITE_PREFIX}{DEMO_STORE}",
            "logging.level": "warning",
        }
    )
    with (
        logging_to_stderr(settings.logging.level, settings.logging.format) as writer,
        bound(settings) as listeners,
    ):
        async with installations.opened(settings, create=True) as installation:
            sample = await settle_sample(
                installation.directory, installation.incidents, audit_context_of("vigie demo")
            )
            async with serving(installation, listeners, writer) as running:
                await _show(common, running.url, sample.incident_id)
                if not once:
                    _say_what_to_try(common, running.url, sample)
                    await until_stopped(running)
    if once and not common.json:
        print_status("That was all; `vigie demo` serves on, and says what to try.")


async def _show(common: Common, url: str, incident_id: int) -> None:
    """Read an incident through HTTP, with a token from the server's own token endpoint."""
    exchange = await asyncio.to_thread(_read_incident, url, incident_id)
    emit(common, {"url": url, "exchanges": [exchange.as_value()]}, lines=shown(exchange))


def _say_what_to_try(common: Common, url: str, sample: Sample) -> None:
    if not common.json:
        sys.stdout.writelines(f"{line}\n" for line in what_to_try(url, sample, DEMO_STORE))
        sys.stdout.flush()
    print_status(f"Serving on {url} until Ctrl-C.")


def _read_incident(url: str, incident_id: int) -> Exchange:
    path = f"/api/incidents/{incident_id}"
    return Exchange(
        path=path, answer=_request(url, "GET", path, None, {"Authorization": f"Bearer {_token(url)}"})
    )


def _token(url: str) -> str:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/{TENANT_DOMAIN}/oauth2/v2.0/token"
    token: str = json.loads(_request(url, "POST", path, urlencode(token_form(READER)), headers).body)[
        "access_token"
    ]
    return token


def _request(url: str, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(status=response.status, reason=response.reason, body=response.read())
    finally:
        connection.close()
