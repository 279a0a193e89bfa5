"""The log as people read it on a terminal, made of its lines of JSON."""

from collections.abc import Iterator
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(dict[str, Any])


def console_lines(line: bytes) -> bytes:
    """What a terminal shows for one line of the log: one line, and below it the traceback if there is one.

    Nothing in it is obeyed by a terminal: what cannot be printed is written as an escape.
    """
    fields = _decoder.decode(line)
    time, level, event = (str(fields.pop(name)) for name in ("time", "level", "event"))
    exception = fields.pop("exception", None)
    words = _request(fields) if event == "request" else [event, *_pairs(fields)]
    shown = [f"{time[11:23]} {level:<7} {' '.join(map(_printable, words))}"]
    shown.extend(f"    {_printable(each)}" for each in str(exception or "").splitlines())
    return "".join(f"{each}\n" for each in shown).encode()


def _request(fields: dict[str, Any]) -> Iterator[str]:
    """A request as people say it, then who called; what there is nothing to say about is left out."""
    shown = ("method", "path", "route", "status", "duration_ms", "refusal", "detail")
    method, path, route, status, duration_ms, refusal, detail = (fields.pop(name, None) for name in shown)
    # A path with blanks in it must not forge other fields of the line.
    yield f"{method or '-'} {_quoted(path or route)} {status} {duration_ms} ms"
    if refusal:
        yield f"{refusal}: {detail}" if detail else str(refusal)
    yield from _pairs({name: value for name, value in fields.items() if value is not None})


def _pairs(fields: dict[str, Any]) -> Iterator[str]:
    for name, value in fields.items():
        yield f"{name}={_quoted(value) if isinstance(value, str) else msgspec.json.encode(value).decode()}"


def _quoted(text: str) -> str:
    """A text as one word: in quotes where it is empty, or has blanks or quotes in it."""
    is_word = text.isprintable() and text and not set(text) & set(" \"'=")
    return text if is_word else msgspec.json.encode(text).decode()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
