"""The output of `vigie demo`: the request with its response, and commands to try next."""

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

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

# The line break: a body has none, and the next prompt would look like a part of it.
_CURL = r"curl -i -w '\n'"
_UNKNOWN_ID = 99_999_999
_BODY_LINES_MAX = 12


class SampleResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response of the sample server."""

    status: int
    reason: str
    body: bytes


class SampleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A GET request and its response."""

    path: str
    response: SampleResponse

    def as_value(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "request": f"GET {self.path}",
            "status": self.response.status,
            "received": json.loads(self.response.body),
        }


def request_lines(request: SampleRequest) -> Iterator[str]:
    """The request, its status, and the first lines of the response."""
    response = request.response
    lines = json.dumps(json.loads(response.body), indent=2, ensure_ascii=False).splitlines()
    yield f"> GET {request.path} HTTP/1.1"
    yield "> Authorization: Bearer ..."
    yield f"< HTTP/1.1 {response.status} {response.reason}"
    yield from map(one_line, lines[:_BODY_LINES_MAX])
    if more := len(lines) - _BODY_LINES_MAX:
        yield f"... and {more} more lines"
    yield ""


def suggestion_lines(url: str, sample: Sample, store: Path) -> Iterator[str]:
    """Commands to copy into another terminal, in any directory."""
    incident = f"{url}/api/incidents/{sample.incident_id}"
    token, responder, bystander = map(_bearer, ("$TOKEN", "$RESPONDER", "$BYSTANDER"))
    yield "Try it yourself, in another terminal."
    yield ""
    yield "# An application gets a token and reads the incident:"
    yield f"TOKEN=$({_curl_for_a_token(url, READER)})"
    yield f"{_CURL} {token} {incident}"
    yield "# A user who sees the whole tenant:"
    yield f"{_CURL} {_bearer_of(WHOLE_TENANT_UPN, store)} {incident}"
    yield f"# A user who sees only the device group {SCOPE!r}: fewer alerts."
    yield f"{_CURL} {_bearer_of(SCOPED_UPN, store)} {incident}"
    yield "# The five unresolved incidents that were updated last:"
    query = """--data-urlencode "\\$filter=status ne 'Resolved'" --data-urlencode '$top=5'"""
    yield f"{_CURL} -G {token} {url}/api/incidents {query}"
    yield "# An application with write permission updates an incident:"
    yield f"RESPONDER=$({_curl_for_a_token(url, RESPONDER)})"
    yield (
        f'{_CURL} -X PATCH {responder} -H "Content-Type: application/json" '
        f"""-d '{{"status": "InProgress", "comment": "On it."}}' {incident}"""
    )
    yield "# What changed, the first three changes of all:"
    yield f"{_CURL} -G {token} {url}/api/vigie/changes --data-urlencode 'limit=3'"
    yield "# An unknown incident id: 404."
    yield f"{_CURL} {token} {url}/api/incidents/{_UNKNOWN_ID}"
    yield "# An application without any permission: 403."
    yield f"BYSTANDER=$({_curl_for_a_token(url, BYSTANDER)})"
    yield f"{_CURL} {bystander} {incident}"
    yield ""
    yield "The ids and secrets are the same in every demo and publicly known: do not store real data here."
    yield f"API reference: {url}/reference"
    yield ""


def token_form(application: SampleClient) -> dict[str, str]:
    """The form that an application sends to the token endpoint."""
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
    """The command that started this program, for a shell in any directory."""
    called = Path(sys.argv[0]).absolute()
    is_module = called.name == "__main__.py"
    return shlex.join([sys.executable, "-m", "vigie"] if is_module else [str(called)])
