"""`vigie --install-completion`: the Tab key completes commands, options and their values."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, emit_fields
from vigie.cli.output import WrongUsage, print_status

if TYPE_CHECKING:
    from cyclopts import App

Shell = Literal["bash", "zsh", "fish"]

_LOADED_BY = {
    "bash": "~/.bashrc loads it",
    "zsh": "~/.zshrc has its folder in fpath, and must call compinit after that",
    "fish": "fish loads it",
}


def install_completion(
    *,
    shell: Annotated[
        Shell | None,
        Parameter(
            metavar="bash|zsh|fish",
            show_choices=False,
            help="The shell; without it, the one that this is called from.",
        ),
    ] = None,
    output: Annotated[
        Path | None, Parameter(help="Write the script to this file instead, and change no startup file.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Install completion for a shell: its script, and the line in the startup file that loads it."""
    chosen = shell or _calling_shell()
    file = _completed_program().install_completion(shell=chosen, output=output, add_to_startup=output is None)
    if output is None:
        print_status(f"{_LOADED_BY[chosen]}: start a new shell")
    emit_fields(common, {"shell": chosen, "file": str(file)})


def _completed_program() -> "App":
    """The program as completion is to know it: the common options may come before the end of a command too."""
    # Here, because it lists every command, this one included.
    from vigie.cli.main import GROUPS, program

    def only_options(*, common: Common = PLAIN) -> None:
        """What the program and its groups take of themselves."""

    app = program()
    for each in (app, *(app[name] for name in GROUPS)):
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
    raise WrongUsage("the shell is not one of bash, zsh and fish; name one of them with --shell")
