"""Help texts without a terminal: plain lines with a hanging indent."""

import textwrap
from typing import TYPE_CHECKING

from cyclopts.help.formatters.plain import PlainFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

_UNBOUNDED_WIDTH = 10_000
_HANGING_INDENT = " " * 6


class HangingFormatter(PlainFormatter):
    """The plain formatter of Cyclopts, with continuation lines indented."""

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Write one panel: its title and its entries."""
        width = console.width
        with console.capture() as captured:
            console.width = _UNBOUNDED_WIDTH
            super().__call__(console, options, panel)
        console.width = width
        for line in captured.get().splitlines():
            console.print(_wrapped(line, width), highlight=False, markup=False, soft_wrap=True)


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(
        line, width, subsequent_indent=_HANGING_INDENT, break_long_words=False, break_on_hyphens=False
    )
