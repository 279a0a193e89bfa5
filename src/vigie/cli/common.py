"""The options, the installation and the output that all commands share.

A command is a plain or async function with a row in `vigie.cli.command_table`, which has its sentence of help and
its example. It takes `common` after its own options and writes its answer once:

    async def add_tenant(name: Annotated[str, Parameter(help="...")], /, *, common: Common = PLAIN) -> None:
        \"""Add a tenant.\"""
        async with opened(common, create=True) as installation:
            tenant = await installation.directory.add_tenant(name, guid=None, domain=None)
        emit_fields(common, {"id": tenant.guid, "name": tenant.name, "domain": tenant.domain})

Answers go to stdout by `emit`, `emit_fields`, `emit_rows` or `emit_done`; everything else goes to stderr by
`print_status`. A command raises `CommandFailed` (exit 1) or `WrongUsage` (exit 2) with one line that says what to
do. The errors of the layers below pass through: `vigie.cli.failures` turns those into such a line too.
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

from vigie.cli.output import CommandFailed, WrongUsage, one_line, print_status, write_json
from vigie.config.settings import Settings
from vigie.config.sources import NO_OVERRIDES, load_settings
from vigie.core.incident import INCIDENT_ID_MAX

if TYPE_CHECKING:
    from cyclopts import Token
    from rich.console import Console

    from vigie.core.directory import Tenant
    from vigie.runtime.installation import Installation


# Options


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """The options that every command takes."""

    config: Annotated[
        Path | None,
        Parameter(metavar="FILE", help="Settings file; default: vigie.toml in the working directory."),
    ] = None
    database: Annotated[
        str | None,
        Parameter(metavar="URL", help="Database: sqlite:///path or postgresql://user@host/database."),
    ] = None
    json: Annotated[bool, Parameter(help="Write JSON, and only JSON, to stdout.")] = False
    debug: Annotated[bool, Parameter(help="Print a traceback when the command fails.")] = False


PLAIN = Common()

_FOLDED_WIDTH = 12
_BETWEEN_COLUMNS = 3


def _integer(_type: object, tokens: "Sequence[Token]") -> int:
    """Cyclopts would read 1.5 as 2; and no number here needs more than 64 bits."""
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text, re.ASCII) or abs(int(text)) >= 2**63:
        raise ValueError(f"expected integer, got {text[:60]!r}")
    return int(text)


Integer = Annotated[int, Parameter(converter=_integer)]
TenantOption = Annotated[
    str, Parameter(name="--tenant", metavar="TENANT", help="Tenant: its id, name or domain.")
]
TenantReference = Annotated[str, Parameter(help="Tenant: its id, name or domain.")]
ApplicationReference = Annotated[str, Parameter(help="Application: its client id or name.")]
ApplicationOption = Annotated[
    str | None, Parameter(name="--app", metavar="APP", help="Application: its client id or name.")
]
UserOption = Annotated[
    str | None, Parameter(name="--user", metavar="UPN", help="User: the user principal name.")
]
UserPrincipalName = Annotated[str, Parameter(help="User principal name.")]
IncidentId = Annotated[Integer, Parameter(name="ID", help="Incident id.")]
IncidentOption = Annotated[Integer, Parameter(name="--incident", metavar="ID", help="Incident id.")]
OutOption = Annotated[
    Path | None,
    Parameter(
        name="--out", metavar="FILE", help="Output file, compressed if it ends in .gz; default: stdout."
    ),
]
YesOption = Annotated[bool, Parameter(name="--yes", help="Do not ask for confirmation.")]


# The installation


def settings_of(
    common: Common, overrides: Mapping[str, object] = NO_OVERRIDES, *, database_option: str = "--database"
) -> Settings:
    """The settings of a command. `overrides` are its own options, under dotted names."""
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
    """The installation that the options name. With `create`, a missing database is created.

    A command about a tenant creates none: the tenant would not be in it.
    """
    # Here, because signing keys and the database cost 0.2 s that help and usage errors do not need.
    from vigie.runtime.installation import opened as opened_installation

    async with opened_installation(settings_of(common, overrides), create=create) as installation:
        yield installation


@asynccontextmanager
async def opened_tenant(common: Common, reference: str) -> AsyncIterator[tuple["Installation", "Tenant"]]:
    """The installation that the options name, and a tenant of it. Raises DirectoryError for an unknown one."""
    async with opened(common, create=False) as installation:
        yield installation, await installation.directory.get_tenant(reference)


def require_authorization_server(installation: "Installation") -> None:
    """Raise CommandFailed where this installation issues no tokens."""
    if not installation.settings.identity.issues_tokens:
        raise CommandFailed(
            "[identity] authority = none: this installation issues no tokens and uses no secrets, certificates, "
            "passwords or keys; get tokens from an issuer of [[identity.issuers]]"
        )


# Output


def emit(common: Common, value: object, *, lines: Iterable[str] = ()) -> None:
    """Write the answer: `value` as JSON with --json, else `lines`, one at a time as they come."""
    if common.json:
        write_json(value)
        return
    for line in lines:
        sys.stdout.write(f"{line}\n")


def emit_fields(common: Common, fields: Mapping[str, object]) -> None:
    """Write one object: as JSON, or one line for each field."""
    width = max(map(len, fields), default=0)
    lines = (f"{name:<{width}}  {_cell(value) or 'none'}" for name, value in fields.items())
    emit(common, fields, lines=lines)


def emit_done(common: Common, message: str) -> None:
    """Report a change that has no other answer: the message on stderr, and `{}` with --json."""
    print_status(message)
    emit(common, {})


def emit_rows(
    common: Common,
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]],
    *,
    value: object = None,
    fold: str = "",
) -> None:
    """Write a list: a JSON array, a table on a terminal, or tab-separated lines elsewhere.

    `value` replaces the rows in JSON, where it has more. Only the column `fold` may take several lines in a
    table; where the terminal is too narrow for that, each row is a block of its own.
    """
    if not common.json and sys.stdout.isatty():
        _print_on_terminal(columns, rows, fold)
        return
    lines = ("\t".join(_cell(row[column]) for column in columns) for row in rows)
    emit(common, rows if value is None else value, lines=lines)


def counted(count: int, thing: str) -> str:
    """A count with its noun: 1 incident, 2 incidents."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation unless `yes`. Raises CommandFailed where it is refused or cannot be asked for."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandFailed("confirmation required; stdin is not a terminal; use --yes")
    with interruptible():
        sys.stderr.write(f"{one_line(question)} [y/N] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
    if answer.strip().lower() not in ("y", "yes"):
        raise CommandFailed("cancelled; nothing was changed")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end a blocking read: asyncio's handler only sets a flag that is not looked at meanwhile."""
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
    """The least width of a table in which only the column `fold` may be folded."""
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


# Arguments


def check_incident_id(incident_id: int) -> None:
    """Raise WrongUsage for a number that no incident can have."""
    if incident_id < 1:
        raise WrongUsage(f"an incident id must be 1 to {INCIDENT_ID_MAX}; it was {incident_id}")
