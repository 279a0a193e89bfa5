"""Client secrets given by the user, read from a file or stdin and never from the command line."""

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
        help="File with the client secret, instead of a new one; - is stdin.",
    ),
]

_BYTES_MAX = 10_000


def read_secret(name: str) -> str:
    """The one line of a file or of stdin. Raises CommandFailed for no line or a publicly known secret."""
    secret = _line(name)
    if any(secret == each.secret for each in SAMPLE_CLIENTS):
        raise CommandFailed("this client secret is a publicly known one of `vigie demo`; use another one")
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
        raise CommandFailed(f"{where}: expected exactly one line, the client secret")
    return line


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(_BYTES_MAX)
    return read_private(Path(name))
