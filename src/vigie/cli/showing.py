"""How the demonstration shows what went over HTTP, and what it says to try next."""

import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vigie.archive.sample import (
    SCOPE,
    SCOPED_UPN,
    TENANT_DOMAIN,
    WHOLE_TENANT_UPN,
    Sample,
    SampleApplication,
)
from vigie.cli.telling import one_line
from vigie.setting_rules import SQLITE_PREFIX

if TYPE_CHECKING:
    from rich.console import Console

DEFENDER_SCOPE = "https://api.security.microsoft.com/.default"

# The line break: a body has none, and a prompt behind it would be read as a part of it.
_CURL = r"curl -i -w '\n'"
_UNKNOWN_ID = 99_999_999
_SHOWN_OF_A_LIST = ("incidentId", "lastUpdateTime", "status", "severity", "incidentName")
_SHOWN_OF_AN_UPDATE = ("incidentId", "lastUpdateTime", "assignedTo", "comments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and what came back. `sent` is the body as a value, None for none."""

    url: str
    method: str
    path: str
    sent: object
    answer: Answer

    def as_value(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "request": f"{self.method} {self.path}",
            "sent": self.sent,
            "status": self.answer.status,
            "received": json.loads(self.answer.body),
        }


def print_exchanges(exchanges: Iterable[Exchange]) -> None:
    """Show each request, its status and headers, and what came back, in colour where there is colour."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for exchange in exchanges:
        _print_head(console, exchange)
        _print_body(console, exchange)
        console.print()


def what_to_try(url: str, sample: Sample, store: Path) -> Iterator[str]:
    """Lines to copy into another terminal, whatever directory that is in."""
    incident = f"{url}/api/incidents/{sample.incident_id}"
    token, responder, bystander = map(_bearer, ("$TOKEN", "$RESPONDER", "$BYSTANDER"))
    yield "Try it yourself, in another terminal."
    yield ""
    yield "# An application asks for a token, and reads the incident:"
    yield f"TOKEN=$({_curl_for_a_token(url, sample.reader)})"
    yield f"{_CURL} {token} {incident}"
    yield "# A user who sees the whole tenant:"
    yield f"{_CURL} {_bearer_of(WHOLE_TENANT_UPN, store)} {incident}"
    yield f"# A user who sees only the device group {SCOPE!r}: fewer alerts."
    yield f"{_CURL} {_bearer_of(SCOPED_UPN, store)} {incident}"
    yield "# Of what is not resolved yet, the five that were updated last:"
    asked = """--data-urlencode "\\$filter=status ne 'Resolved'" --data-urlencode '$top=5'"""
    yield f"{_CURL} -G {token} {url}/api/incidents {asked}"
    yield "# An application that may write takes an incident on:"
    yield f"RESPONDER=$({_curl_for_a_token(url, sample.responder)})"
    yield (
        f'{_CURL} -X PATCH {responder} -H "Content-Type: application/json" '
        f"""-d '{{"status": "InProgress", "comment": "On it."}}' {incident}"""
    )
    yield "# An id that no incident has: 404."
    yield f"{_CURL} {token} {url}/api/incidents/{_UNKNOWN_ID}"
    yield "# An application without any permission: 403."
    yield f"BYSTANDER=$({_curl_for_a_token(url, sample.bystander)})"
    yield f"{_CURL} {bystander} {incident}"
    yield ""
    yield f"What the server speaks: {url}/reference"
    yield ""


def token_form(application: SampleApplication) -> dict[str, str]:
    """What an application sends to the token endpoint."""
    return {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.secret,
        "scope": DEFENDER_SCOPE,
    }


def _print_head(console: "Console", exchange: Exchange) -> None:
    from rich.text import Text

    answer = exchange.answer
    console.print(Text(f"> {exchange.method} {exchange.path} HTTP/1.1", style="bold cyan"))
    console.print(Text(f"> Host: {urlsplit(exchange.url).netloc}\n> Authorization: Bearer ...", style="cyan"))
    if exchange.sent is not None:
        console.print(Text(f"> {json.dumps(exchange.sent)}", style="cyan"))
    console.print(Text(f"< HTTP/1.1 {answer.status} {answer.reason}", style="bold green"))
    for name, value in answer.headers:
        console.print(Text(f"< {name}: {one_line(value)}", style="green"))


def _print_body(console: "Console", exchange: Exchange) -> None:
    from rich.json import JSON

    received = json.loads(exchange.answer.body)
    if "value" in received:
        console.print("(of each incident, the most important)")
        for incident in received["value"]:
            console.print("  ".join(one_line(str(incident[key])) for key in _SHOWN_OF_A_LIST), markup=False)
        return
    if exchange.method == "PATCH":
        console.print("(of the whole incident, what changed)")
        received = _only(received, _SHOWN_OF_AN_UPDATE)
    console.print(JSON.from_data(received, ensure_ascii=False))


def _only(incident: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: incident[key] for key in keys if key in incident}


def _curl_for_a_token(url: str, application: SampleApplication) -> str:
    fields = " ".join(
        f"-d {shlex.quote(f'{name}={value}')}" for name, value in token_form(application).items()
    )
    cut = """sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    return f"curl -s {fields} {url}/{TENANT_DOMAIN}/oauth2/v2.0/token | {cut}"


def _bearer(token: str) -> str:
    return f'-H "Authorization: Bearer {token}"'


def _bearer_of(upn: str, store: Path) -> str:
    program, database = (
        shlex.quote(text) for text in (_this_program(), f"{SQLITE_PREFIX}{store.absolute()}")
    )
    return _bearer(f"$({program} token --database {database} --tenant {TENANT_DOMAIN} --user {upn})")


def _this_program() -> str:
    return str(Path(sys.argv[0]).absolute())
