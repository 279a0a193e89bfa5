"""Pieces of HTML. What is called text is escaped here; all else is HTML already, or a name of our own."""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape


def prose(text: str) -> str:
    """A description: paragraphs parted by blank lines, lists of items behind `- `, code between backticks."""
    return "\n".join(_block(block) for block in re.split(r"\n\s*\n", text.strip()) if block)


def inline(text: str) -> str:
    """A line of a description."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def codes(texts: Iterable[object]) -> str:
    """Values as code, with commas between them: texts as they are, others as JSON writes them."""
    return ", ".join(f"<code>{escape(_written(text))}</code>" for text in texts)


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def link(anchor: str, text: str) -> str:
    """A link to an anchor of the same page."""
    return f'<a href="#{anchor}">{escape(text)}</a>'


def anchor_of(*texts: str) -> str:
    """The anchor of whatever these name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join(texts))


def listed(items: Iterable[str]) -> str:
    """A list; nothing when it has no items."""
    inside = "\n".join(f"<li>{item}</li>" for item in items)
    return f"<ul>\n{inside}\n</ul>" if inside else ""


def table(anchor: str, caption: str, headings: str, rows: Sequence[tuple[str, ...]]) -> str:
    """A table that scrolls sideways by itself, so that the page never does; nothing when it has no rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings.split())
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    # What scrolls by itself has to be reachable by keyboard: hence the tabindex.
    return (
        f'<div tabindex="0" role="group" aria-labelledby="{anchor}">\n'
        f'<table><caption id="{anchor}">{caption}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def folded(summary_text: str, text: str) -> str:
    """A longer piece of code that stays folded until it is asked for."""
    label = escape(summary_text)
    return (
        f"<details><summary>{label}</summary>"
        f'<pre tabindex="0" role="group" aria-label="{label}">{escape(text)}</pre></details>'
    )


def _block(text: str) -> str:
    if text.startswith("- "):
        return listed(inline(item) for item in text.removeprefix("- ").split("\n- "))
    return f"<p>{inline(text)}</p>"
