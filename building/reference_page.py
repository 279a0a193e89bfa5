"""The reference page: an OpenAPI document as one page of HTML that needs no script."""

import json
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any, TypeAlias

from building.markup import anchor_of, codes, folded, inline, link, listed, prose, table

Node: TypeAlias = dict[str, Any]
"""An object of the document. What it may hold is OpenAPI's business, not Python's."""

_METHODS = ("get", "head", "post", "put", "patch", "delete")
_FACTS = {
    "enum": "One of",
    "const": "Always",
    "minimum": "At least",
    "maximum": "At most",
    "pattern": "Pattern",
    "example": "Example",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: API reference</title>
<link rel="stylesheet" href="/reference.css">
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>{title}</h1>
<p>{summary} The same for programs: <a href="/openapi.yaml">openapi.yaml</a></p>
</header>
<nav aria-label="Contents">
{contents}
</nav>
<main id="main" tabindex="-1">
{sections}
</main>
</body>
</html>
"""


def page_of(api: Node) -> bytes:
    """The page of an OpenAPI 3.1 document whose references all point into itself."""
    info: Node = api["info"]
    return _PAGE.format(
        title=escape(f"{info['title']} {info['version']}"),
        summary=inline(info.get("summary", "")),
        contents="\n".join(_contents(api)),
        sections="\n".join(_sections(api)),
    ).encode()


def _contents(api: Node) -> Iterator[str]:
    yield listed([link("about", "About"), link("security", "Security")])
    for tag in api["tags"]:
        yield f"<h2>{link(anchor_of('tag', tag['name']), tag['name'])}</h2>"
        yield listed(
            link(anchor_of("operation", operation["operationId"]), f"{method.upper()} {path}")
            for path, method, operation in _operations_of(api, tag)
        )
    yield f"<h2>{link('schemas', 'Schemas')}</h2>"
    yield listed(link(anchor_of("schema", name), name) for name in api["components"]["schemas"])


def _sections(api: Node) -> Iterator[str]:
    yield from _section("about", "About", [prose(api["info"].get("description", ""))])
    yield from _section("security", "Security", _schemes(api))
    for tag in api["tags"]:
        yield from _section(anchor_of("tag", tag["name"]), tag["name"], _operations(api, tag))
    yield from _section("schemas", "Schemas", _schemas(api))


def _section(anchor: str, title: str, inside: Iterable[str]) -> Iterator[str]:
    yield f'<section aria-labelledby="{anchor}">\n<h2 id="{anchor}">{escape(title)}</h2>'
    yield from inside
    yield "</section>"


def _schemes(api: Node) -> Iterator[str]:
    for name, scheme in api["components"]["securitySchemes"].items():
        yield f'<h3 id="{anchor_of("security", name)}">{escape(name)}</h3>'
        yield f"<p>{escape(scheme['type'])} {escape(scheme.get('scheme', ''))}</p>"
        yield prose(scheme.get("description", ""))


def _operations_of(api: Node, tag: Node) -> Iterator[tuple[str, str, Node]]:
    for path, item in api["paths"].items():
        for method in _METHODS:
            if method in item and tag["name"] in item[method]["tags"]:
                yield path, method, item[method]


def _operations(api: Node, tag: Node) -> Iterator[str]:
    yield prose(tag.get("description", ""))
    for path, method, operation in _operations_of(api, tag):
        anchor = anchor_of("operation", operation["operationId"])
        breakable = escape(path).replace("/", "/<wbr>")
        yield f'<article aria-labelledby="{anchor}">'
        yield f'<h3 id="{anchor}"><b>{method.upper()}</b> <code>{breakable}</code></h3>'
        yield f"<p><strong>{inline(operation['summary'])}</strong></p>"
        yield prose(operation.get("description", ""))
        yield _authentication(operation["security"])
        of_the_path, of_its_own = api["paths"][path].get("parameters", []), operation.get("parameters", [])
        yield _parameters(api, anchor, [*of_the_path, *of_its_own])
        if "requestBody" in operation:
            yield f"<h4>Request body</h4>{_bodies(operation['requestBody'])}"
        yield from _responses(api, operation["responses"])
        yield "</article>"


def _authentication(alternatives: list[Node]) -> str:
    """Who may call. Any one alternative is enough; an empty one, and an empty list, ask for nothing."""
    phrases = [
        link(anchor_of("security", name), name) + (f" with {codes(roles)}" if roles else "")
        for each in alternatives
        for name, roles in each.items()
    ]
    if not alternatives or {} in alternatives:
        phrases.insert(0, "none")
    return f"<p>Authentication: {', or '.join(phrases)}.</p>"


def _parameters(api: Node, anchor: str, parameters: list[Node]) -> str:
    rows = [
        (
            f"<code>{escape(each['name'])}</code>",
            escape(each["in"]),
            _type(each["schema"]),
            "yes" if each.get("required") else "no",
            prose(each.get("description", "")) + _facts(each["schema"]) + _facts(each),
        )
        for each in (_follow(api, parameter) for parameter in parameters)
    ]
    return table(f"{anchor}-parameters", "Parameters", "Name In Type Required Description", rows)


def _responses(api: Node, responses: Node) -> Iterator[str]:
    yield "<h4>Responses</h4>\n<dl>"
    for status, response in responses.items():
        each = _follow(api, response)
        yield f"<dt>{escape(status)}</dt>"
        yield f"<dd>{prose(each['description'])}{_headers(api, each.get('headers', {}))}{_bodies(each)}</dd>"
    yield "</dl>"


def _headers(api: Node, headers: Node) -> str:
    followed = {name: _follow(api, header) for name, header in headers.items()}
    return listed(
        f"<code>{escape(name)}</code>: {inline(each['description'])}{_facts(each['schema'])}{_facts(each)}"
        for name, each in followed.items()
    )


def _bodies(message: Node) -> str:
    """What a request or a response may carry: each media type with its schema and its examples."""
    return "".join(
        f"<p><code>{escape(media_type)}</code>: {_type(body['schema'])}</p>{''.join(_examples(body))}"
        for media_type, body in message.get("content", {}).items()
    )


def _examples(body: Node) -> Iterator[str]:
    unnamed = {"Example": {"value": body["example"]}} if "example" in body else {}
    for name, each in (unnamed | body.get("examples", {})).items():
        yield folded(each.get("summary", name), json.dumps(each["value"], indent=2, ensure_ascii=False))


def _schemas(api: Node) -> Iterator[str]:
    for name, schema in api["components"]["schemas"].items():
        anchor = anchor_of("schema", name)
        yield f'<article aria-labelledby="{anchor}"><h3 id="{anchor}">{escape(name)}</h3>'
        yield prose(schema.get("description", ""))
        yield _keys(anchor, schema) if "properties" in schema else f"<p>{_type(schema)}</p>{_facts(schema)}"
        yield "</article>"


def _keys(anchor: str, schema: Node) -> str:
    rows = [
        (
            f"<code>{escape(name)}</code>",
            _type(key),
            "yes" if required else "no",
            prose(key.get("description", "")) + _facts(key),
        )
        for name, key, required in _flattened(schema)
    ]
    closed = "<p>There are no other keys.</p>" if schema.get("additionalProperties") is False else ""
    return table(f"{anchor}-keys", "Keys", "Name Type Required Description", rows) + closed


def _flattened(schema: Node, prefix: str = "") -> Iterator[tuple[str, Node, bool]]:
    """The keys of an object and, as `outer.inner`, of the objects that are written out inside it."""
    for name, key in schema.get("properties", {}).items():
        yield prefix + name, key, name in schema.get("required", [])
        yield from _flattened(key, f"{prefix}{name}.")


def _type(schema: Node) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(anchor_of("schema", name), name)
    kinds = schema.get("type", "any")
    form = f" ({schema['format']})" if "format" in schema else ""
    text = escape((kinds if isinstance(kinds, str) else " or ".join(kinds)) + form)
    return text.replace("array", f"array of {_type(schema['items'])}") if "items" in schema else text


def _facts(node: Node) -> str:
    """What is stated about a value. An enumeration beside other choices tells known values, not all."""
    stated = [(label, node[keyword]) for keyword, label in _FACTS.items() if keyword in node]
    stated += [("Known values", each["enum"]) for each in node.get("anyOf", []) if "enum" in each]
    return "".join(
        f"<p>{label}: {codes(value if isinstance(value, list) else [value])}</p>" for label, value in stated
    )


def _follow(api: Node, node: Node) -> Node:
    """What a reference points at; anything else is itself."""
    while "$ref" in node:
        steps = node["$ref"].removeprefix("#/").split("/")
        node = api
        for step in steps:
            node = node[step]
    return node
