"""What every command has in common: its options, the installation it works on, how it speaks and fails.

A command is a plain or async function with a line in the table of `vigie.cli.main`, where its sentence of
help is. It takes `common` behind its own options, and says its answer once:

    async def add_tenant(name: Annotated[str, Parameter(help="...")], /, *, common: Common = PLAIN) -> None:
        \"""Add a tenant.\"""
        async with opened(common, create=True) as installation:
            tenant = await installation.directory.add_tenant(name, guid=None, domain=None)
        emit_fields(common, {"id": tenant.guid, "name": tenant.name, "domain": tenant.domain})

Answers go to stdout by `emit`, `emit_fields` or `emit_rows`; everything else goes to stderr by `print_status`. It
raises `CommandFailed` (exit 1) or `WrongUsage` (exit 2) with one line that says what to do, and lets the
refusals of the floors below through: `vigie.cli.main` turns those into such a line as well.
"""

import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from vigie.cli.output import CommandFailed, one_line, write_json
from vigie.config.settings import Settings
from vigie.config.sources import NO_OVERRIDES, load_settings

if TYPE_CHECKING:
    from cyclopts import Token
    from rich.console import Console

    from vigie.runtime.installation import Installation


# Options


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that every command takes."""

    config: Annotated[
        Path | None, Parameter(help="The settings file; without it, vigie.toml in the working directory.")
    ] = None
    database: Annotated[
        str | None, Parameter(help="Where the store is: sqlite:///path, or postgresql://user@host/database.")
    ] = None
    json: Annotated[bool, Parameter(help="Write JSON, and nothing else, to stdout.")] = False
    debug: Annotated[bool, Parameter(help="Show where in the program an error came from.")] = False


PLAIN = Common()

_FOLDED_WIDTH = 12
_BETWEEN_COLUMNS = 3


def _whole_number(_type: object, tokens: "Sequence[Token]") -> int:
    """Cyclopts would read 1.5 as 2; and nothing is numbered in more than 64 bits."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text, re.ASCII) or abs(int(text)) >= 2**63:
        raise ValueError(f"{text[:60]!r} is not a whole number")
    return int(text)


WholeNumber = Annotated[int, Parameter(converter=_whole_number)]
TenantOption = Annotated[str, Parameter(name="--tenant", help="The tenant: its id, name or domain.")]
YesOption = Annotated[bool, Parameter(name="--yes", help="Do it without asking.")]


# The installation


def settings_of(
    common: Common, overrides: Mapping[str, object] = NO_OVERRIDES, *, database_option: str = "--database"
) -> Settings:
    """The settings that a command works under. `overrides` are its own options, under dotted names."""
    return load_settings(
        file=common.config,
        environ=os.environ,
        overrides={**overrides, "database.url": common.database},
        flags={"database.url": database_option},
    )


@asynccontextmanager
async def opened(
    common: Common, *, create: bool, overrides: Mapping[str, object] = NO_OVERRIDES
) -> AsyncIterator["Installation"]:
    """The installation that the options name. With `create`, the store is made where there is none.

    A command about a tenant makes none: the tenant would not be there.
    """
    # Here, because signing keys and the store cost 0.2 s that help and refusals do not need.
    from vigie.runtime.installation import opened as opened_installation

    async with opened_installation(settings_of(common, overrides), create=create) as installation:
        yield installation


def require_authority(installation: "Installation") -> None:
    """Raise CommandFailed where this installation issues no tokens, for whoever came to get one."""
    if not installation.settings.identity.issues_tokens:
        raise CommandFailed(
            "[identity] authority = none: no tokens are issued here, and no secrets, certificates, passwords or "
            "keys are used; get tokens from an issuer of [[identity.issuers]]"
        )


# Speaking


def emit(common: Common, value: object, *, lines: Iterable[str] = ()) -> None:
    """Write the answer: `value` as JSON if that is asked for, else `lines`, one at a time as they come."""
    if common.json:
        write_json(value)
        return
    for line in lines:
        sys.stdout.write(f"{line}\n")


def emit_fields(common: Common, fields: Mapping[str, object]) -> None:
    """Write one thing: a JSON object, or a line for each of its fields."""
    width = max(map(len, fields), default=0)
    lines = (f"{name:<{width}}  {_cell(value) or 'none'}" for name, value in fields.items())
    emit(common, fields, lines=lines)


def emit_rows(
    common: Common,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    value: object = None,
    fold: str = "",
) -> None:
    """Write a list: a JSON array, a table on a terminal, lines with tabs anywhere else.

    `value` is what JSON says, where that is more than the rows. Only what is in the column `fold` may go over
    several lines of a table; where the terminal is too narrow for that, each row is a block of its own.
    """
    if not common.json and sys.stdout.isatty():
        _print_on_terminal(columns, rows, fold)
        return
    lines = ("\t".join(_cell(row[column]) for column in columns) for row in rows)
    emit(common, rows if value is None else value, lines=lines)


def counted(count: int, thing: str) -> str:
    """How many there are of something, as people say it: 1 incident, 2 incidents."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the person agrees, or has agreed by `--yes`. Raises CommandFailed otherwise."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed("nothing was done: this asks first, and there is nobody to ask; say --yes")
    with interruptible():
        sys.stderr.write(f"{one_line(question)} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandFailed("nothing was done")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a read: asyncio's own handler makes a note of it that nobody looks at meanwhile."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_cell, value))
    return one_line(str(value))


def _print_on_terminal(columns: Sequence[str], rows: Sequence[Mapping[str, object]], fold: str) -> None:
    from rich.console import Console

    console = Console()
    if _table_width(columns, rows, fold) <= console.width:
        _print_table(console, columns, rows, fold)
    else:
        _print_blocks(columns, rows)


def _table_width(columns: Sequence[str], rows: Sequence[Mapping[str, object]], fold: str) -> int:
    """How wide a table is at least, when nothing but one column may be folded."""
    from rich.cells import cell_len

    widest = (max(cell_len(column), *(cell_len(_cell(row[column])) for row in rows), 0) for column in columns)
    widths = zip(columns, widest, strict=True)
    return sum(
        (min(width, _FOLDED_WIDTH) if column == fold else width) + _BETWEEN_COLUMNS
        for column, width in widths
    )


def _print_table(
    console: "Console", columns: Sequence[str], rows: Sequence[Mapping[str, object]], fold: str
) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        # Folded, never cut: an id is there to be copied.
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column != fold)
    for row in rows:
        # Text: what is between brackets in a name is not markup.
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    console.print(table)


def _print_blocks(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    width = max(map(len, columns))
    for number, row in enumerate(rows):
        separator = "\n" if number else ""
        lines = (f"{column.replace('_', ' '):<{width}}  {_cell(row[column])}\n" for column in columns)
        sys.stdout.write(separator + "".join(lines))
