"""Elements of HTML. Whatever is not an element already is text, and is escaped."""

from html import escape
from typing import Final

_VOID: Final = frozenset({"input", "link", "meta"})


class Html(str):
    """Text that is HTML already: made by `element` and `fragment` alone."""

    __slots__ = ()


Child = str | Html | None
"""What may stand inside an element; None is nothing."""


def element(tag: str, *children: Child, **attributes: str | bool | None) -> Html:
    """One element. `class_` and `for_` stand for the attributes that Python has words for, `_` for `-`.

    An attribute that is True stands alone; one that is False or None is left out.
    """
    said = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(value)}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{tag}{said}>" if tag in _VOID else f"<{tag}{said}>{fragment(*children)}</{tag}>")


def fragment(*children: Child) -> Html:
    """Children without an element around them."""
    return Html("".join(_html(child) for child in children if child is not None))


def filled(text: str, **values: Child) -> Html:
    """A text of our own with values in its `{places}`: both are escaped, unless a value is an element."""
    return Html(
        escape(text, quote=False).format(**{name: _html(value or "") for name, value in values.items()})
    )


def _html(child: str) -> str:
    return child if isinstance(child, Html) else escape(child)
