"""How the demonstration shows what went over HTTP, and what it says to try next."""

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vigie.cli.output import one_line
from vigie.config.validators import SQLITE_PREFIX
from vigie.synthetic.sample_clients import BYSTANDER, READER, RESPONDER, SampleClient
from vigie.synthetic.sample_tenant import (
    SCOPE,
    SCOPED_UPN,
    TENANT_DOMAIN,
    WHOLE_TENANT_UPN,
    Sample,
)

DEFENDER_SCOPE = "https://api.security.microsoft.com/.default"

# The line break: a body has none, and a prompt behind it would be read as a part of it.
_CURL = r"curl -i -w '\n'"
_UNKNOWN_ID = 99_999_999
_BODY_LINES_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A GET and what came back."""

    path: str
    answer: Answer

    def as_value(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "request": f"GET {self.path}",
            "status": self.answer.status,
            "received": json.loads(self.answer.body),
        }


def shown(exchange: Exchange) -> Iterator[str]:
    """The request, its status, and the beginning of the answer, for people."""
    answer = exchange.answer
    lines = json.dumps(json.loads(answer.body), indent=2, ensure_ascii=False).splitlines()
    yield f"> GET {exchange.path} HTTP/1.1"
    yield "> Authorization: Bearer ..."
    yield f"< HTTP/1.1 {answer.status} {answer.reason}"
    yield from map(one_line, lines[:_BODY_LINES_MAX])
    if more := len(lines) - _BODY_LINES_MAX:
        yield f"... and {more} lines more"
    yield ""


def what_to_try(url: str, sample: Sample, store: Path) -> Iterator[str]:
    """Lines to copy into another terminal, whatever directory that is in."""
    incident = f"{url}/api/incidents/{sample.incident_id}"
    token, responder, bystander = map(_bearer, ("$TOKEN", "$RESPONDER", "$BYSTANDER"))
    yield "Try it yourself, in another terminal."
    yield ""
    yield "# An application asks for a token, and reads the incident:"
    yield f"TOKEN=$({_curl_for_a_token(url, READER)})"
    yield f"{_CURL} {token} {incident}"
    yield "# A user who sees the whole tenant:"
    yield f"{_CURL} {_bearer_of(WHOLE_TENANT_UPN, store)} {incident}"
    yield f"# A user who sees only the device group {SCOPE!r}: fewer alerts."
    yield f"{_CURL} {_bearer_of(SCOPED_UPN, store)} {incident}"
    yield "# Of what is not resolved yet, the five that were updated last:"
    asked = """--data-urlencode "\\$filter=status ne 'Resolved'" --data-urlencode '$top=5'"""
    yield f"{_CURL} -G {token} {url}/api/incidents {asked}"
    yield "# An application that may write takes an incident on:"
    yield f"RESPONDER=$({_curl_for_a_token(url, RESPONDER)})"
    yield (
        f'{_CURL} -X PATCH {responder} -H "Content-Type: application/json" '
        f"""-d '{{"status": "InProgress", "comment": "On it."}}' {incident}"""
    )
    yield "# An id that no incident has: 404."
    yield f"{_CURL} {token} {url}/api/incidents/{_UNKNOWN_ID}"
    yield "# An application without any permission: 403."
    yield f"BYSTANDER=$({_curl_for_a_token(url, BYSTANDER)})"
    yield f"{_CURL} {bystander} {incident}"
    yield ""
    yield "Ids and secrets are the same in every demonstration, so everybody knows them: keep nothing real here."
    yield f"What the server speaks: {url}/reference"
    yield ""


def token_form(application: SampleClient) -> dict[str, str]:
    """What an application sends to the token endpoint."""
    return {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.secret,
        "scope": DEFENDER_SCOPE,
    }


def _curl_for_a_token(url: str, application: SampleClient) -> str:
    fields = " ".join(
        f"-d {shlex.quote(f'{name}={value}')}" for name, value in token_form(application).items()
    )
    cut = """sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'"""
    return f"curl -s {fields} {url}/{TENANT_DOMAIN}/oauth2/v2.0/token | {cut}"


def _bearer(token: str) -> str:
    return f'-H "Authorization: Bearer {token}"'


def _bearer_of(upn: str, store: Path) -> str:
    program, database = _this_program(), shlex.quote(f"{SQLITE_PREFIX}{store.absolute()}")
    return _bearer(f"$({program} token --database {database} --tenant {TENANT_DOMAIN} --user {upn})")


def _this_program() -> str:
    """How this program was called, as a shell takes it in any directory."""
    called = Path(sys.argv[0]).absolute()
    is_module = called.name == "__main__.py"
    return shlex.join([sys.executable, "-m", "vigie"] if is_module else [str(called)])
