"""The command `vigie --install-completion`: shell completion of commands, options and their values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields
from vigie.cli.output import WrongUsage, print_status

if TYPE_CHECKING:
    from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]

_ACTIVATION = {
    "bash": "~/.bashrc loads the completion",
    "zsh": "~/.zshrc adds its directory to fpath and must call compinit after that",
    "fish": "fish loads the completion",
}


def install_completion(
    *,
    shell: Annotated[
        Shell | None,
        Parameter(
            metavar="bash|zsh|fish",
            show_choices=False,
            help="Shell; default: the calling shell.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(metavar="FILE", help="Write the script to this file and change no startup file."),
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Install shell completion: a script, and a line in the startup file that loads it."""
    chosen = shell or _calling_shell()
    file = _completed_program().install_completion(shell=chosen, output=output, add_to_startup=output is None)
    if output is None:
        print_status(f"{_ACTIVATION[chosen]}; start a new shell")
    emit_fields(common, {"shell": chosen, "file": str(file)})


def _completed_program() -> "App":
    """The program for completion, with the common options before the end of a command too."""
    # Here, because it lists every command, this one included.
    from vigie.cli.command_table import FAMILIES
    from vigie.cli.main import program

    def only_options(*, common: Common = PLAIN) -> None:
        """The options of the program and of a family of commands."""

    app = program()
    for each in (app, *(app[name] for name in FAMILIES)):
        each.default(only_options)
    return app


def _calling_shell() -> Shell:
    from cyclopts.completion.detect import ShellDetectionError, detect_shell

    try:
        found = detect_shell()
    except ShellDetectionError:
        found = None
    known: tuple[Shell, ...] = get_args(Shell)
    for each in known:
        if each == found:
            return each
    raise WrongUsage("cannot detect the shell; use --shell bash, zsh or fish")
