"""Where a command reads a secret that somebody has chosen: a file or stdin, never the command line."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import interruptible
from vigie.cli.output import CommandFailed
from vigie.files.trust import read_private
from vigie.synthetic.sample_clients import SAMPLE_CLIENTS

SecretFileOption = Annotated[
    str | None,
    Parameter(
        name="--client-secret-file",
        metavar="FILE",
        allow_leading_hyphen=True,
        help="A file with the client secret to use instead of a new one; - is stdin.",
    ),
]

_BYTES_MAX = 10_000


def read_secret(name: str) -> str:
    """The one line of a file or of stdin. Raises CommandFailed where it is none, or one that everybody knows."""
    secret = _line(name)
    if any(secret == each.secret for each in SAMPLE_CLIENTS):
        raise CommandFailed(
            "the client secret is one of `vigie demo`, which everybody knows; take another one"
        )
    return secret


def _line(name: str) -> str:
    if name == "-" and sys.stdin.isatty():
        with interruptible():
            return getpass("Client secret: ")
    where = "stdin" if name == "-" else name
    try:
        line = _read(name).decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{where}: the client secret is not UTF-8") from error
    if not line or "\n" in line:
        raise CommandFailed(f"{where}: there must be one line, the client secret")
    return line


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_BYTES_MAX)
    return read_private(Path(name))
