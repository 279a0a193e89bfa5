"""Code samples of the API reference: each call with curl and in Python, made from its description."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec

Node = dict[str, Any]

ORIGIN = "https://vigie.example"
"""Stands in every sample for the server's own address."""

_PATH_VALUES = {"id": "5127", "tenant": "contoso.example"}

_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    url: str
    has_token: bool
    form: dict[str, str] | None = None
    document: Node | None = None


def code_samples(path: str, method: str, operation: Node, query: Mapping[str, str]) -> list[dict[str, str]]:
    """The samples of one operation with a query, as the extension `x-codeSamples` has them."""
    call = _call(path, method, operation, query)
    return [
        {"lang": "Shell", "label": "curl", "source": _curl(call)},
        {"lang": "Python", "label": "Python", "source": _python(call)},
    ]


def _call(path: str, method: str, operation: Node, query: Mapping[str, str]) -> _Call:
    asked = "?" + urlencode(query, safe="$/:'") if query else ""
    content = operation.get("requestBody", {}).get("content", {})
    return _Call(
        method=method.upper(),
        url=f"{ORIGIN}{path.format(**_PATH_VALUES)}{asked}",
        has_token=any("bearer" in each for each in operation["security"]),
        form=content.get(_FORM, {}).get("example"),
        document=content.get(_JSON, {}).get("example"),
    )


def _curl(call: _Call) -> str:
    parts = ["curl" if call.method in ("GET", "POST") else f"curl -X {call.method}"]
    if call.has_token:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if call.document is not None:
        body = json.dumps(call.document).replace("'", r"'\''")
        parts += [f"-H 'Content-Type: {_JSON}'", f"-d '{body}'"]
    parts += [f"-d {name}='{value}'" for name, value in (call.form or {}).items()]
    return " \\\n  ".join([*parts, f'"{_in_shell(call.url)}"'])


def _in_shell(url: str) -> str:
    return url.replace("$", r"\$")


def _python(call: _Call) -> str:
    arguments = [f'"{call.url}"']
    if call.has_token:
        arguments.append('headers={"Authorization": f"Bearer {token}"}')
    if call.document is not None:
        arguments.append(f"json={_literal(call.document)}")
    if call.form is not None:
        arguments.append(f"data={_literal(call.form)}")
    lines = "".join(f"    {argument},\n" for argument in arguments)
    return f"import requests\n\nanswer = requests.{call.method.lower()}(\n{lines})\nprint(answer.text)"


def _literal(value: Node) -> str:
    return json.dumps(value, indent=4).replace("\n", "\n    ")
