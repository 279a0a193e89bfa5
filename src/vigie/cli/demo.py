"""`vigie demo`: serve the sample tenant, talk to it as a client would, and say what to try next."""

import asyncio
import http.client
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import quote_plus, urlencode, urlsplit

from cyclopts import Parameter

from vigie import installation as installations
from vigie.archive.sample import TENANT_DOMAIN, Sample, SampleApplication, settle_sample
from vigie.cli.deeds import deed_of
from vigie.cli.frame import PLAIN, Common, WholeNumber, emit, settings_of
from vigie.cli.showing import Answer, Exchange, print_exchanges, token_form, what_to_try
from vigie.cli.telling import remark
from vigie.logs import logging_to_stderr
from vigie.server import bound, serving, until_stopped
from vigie.setting_rules import SQLITE_PREFIX

DEMO_STORE = Path(".vigie/demo/vigie.sqlite3")

_TIMEOUT_SECONDS = 10


async def demo(
    *,
    once: Annotated[bool, Parameter(help="Show it and end, instead of serving on.")] = False,
    port: Annotated[WholeNumber, Parameter(help="The port to serve on; 0 takes any free one.")] = 8400,
    common: Common = PLAIN,
) -> None:
    """Serve a sample tenant and show how a client talks to it."""
    settings = settings_of(
        Common(config=common.config, database=f"{SQLITE_PREFIX}{DEMO_STORE}"),
        {
            "server.port": port,
            "server.host": "127.0.0.1",
            "server.public_url": "",
            "tls.mode": "off",
            "identity.authority": "embedded",
            "logging.level": "warning",
        },
    )
    with (
        logging_to_stderr(settings.logging.level, settings.logging.format) as writer,
        bound(settings) as listeners,
    ):
        async with installations.opened(settings, create=True) as installation:
            sample = await settle_sample(
                installation.directory, installation.incidents, deed_of("vigie demo")
            )
            async with serving(installation, listeners, writer) as running:
                await _show(common, running.url, sample)
                if not once:
                    _say_what_to_try(common, running.url, sample)
                    await until_stopped(running)
    if once and not common.json:
        remark("That was all; `vigie demo` serves on, and says what to try.")


async def _show(common: Common, url: str, sample: Sample) -> None:
    """Read, list and update through HTTP, with tokens from the server's own token endpoint."""
    exchanges = await asyncio.to_thread(lambda: list(_exchanges(url, sample)))
    if common.json:
        emit(common, {"url": url, "exchanges": [each.as_value() for each in exchanges]})
        return
    print_exchanges(exchanges)


def _say_what_to_try(common: Common, url: str, sample: Sample) -> None:
    if not common.json:
        sys.stdout.writelines(f"{line}\n" for line in what_to_try(url, sample, DEMO_STORE))
        sys.stdout.flush()
    remark(f"Serving on {url} until Ctrl-C.")


def _exchanges(url: str, sample: Sample) -> Iterator[Exchange]:
    reader, responder = (_token(url, each) for each in (sample.reader, sample.responder))
    path = f"/api/incidents/{sample.incident_id}"
    yield _call(url, "GET", path, reader)
    newest = quote_plus("status eq 'Active'", safe="'")
    yield _call(url, "GET", f"/api/incidents?$top=5&$filter={newest}", reader)
    update = {"assignedTo": "ines@sample.example", "comment": "Had a look during the demonstration."}
    yield _call(url, "PATCH", path, responder, update)


def _token(url: str, application: SampleApplication) -> str:
    form = urlencode(token_form(application))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = _request(url, "POST", f"/{TENANT_DOMAIN}/oauth2/v2.0/token", form, headers)
    token: str = json.loads(answer.body)["access_token"]
    return token


def _call(url: str, method: str, path: str, token: str, body: object = None) -> Exchange:
    headers = {"Authorization": f"Bearer {token}"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    text = None if body is None else json.dumps(body)
    return Exchange(
        url=url, method=method, path=path, sent=body, answer=_request(url, method, path, text, headers)
    )


def _request(url: str, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return Answer(
            status=response.status,
            reason=response.reason,
            headers=tuple(response.getheaders()),
            body=response.read(),
        )
    finally:
        connection.close()
