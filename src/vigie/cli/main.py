"""The program `vigie`: it reads the command line, runs one command and ends with its exit code."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigie import __version__
from vigie.cli.command_table import COMMANDS, COMMON_OPTIONS, FAMILIES, GROUPS
from vigie.cli.failures import failure
from vigie.cli.output import WrongUsage, print_status
from vigie.cli.serve import plain_options, serve_until_stopped
from vigie.cli.start import INTERRUPTED

if TYPE_CHECKING:
    from cyclopts import App

SUCCESS, BROKEN_PIPE = 0, 141

_WITH_A_VALUE = ("--config", "--database")


def run() -> None:
    """Run the command that the process was started with, and end the process."""
    _prepare_streams()
    code = main(sys.argv[1:])
    _discard_unwritable_output()
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. A traceback is printed with --debug alone."""
    command, options, rest = _split(arguments)
    try:
        _require_text(arguments)
        _run_command(command, options, rest)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe, as `head` does; shells know this code from other programs.
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print_status("vigie: stopped")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the outermost edge
        if "--debug" in arguments:
            traceback.print_exc()
        code, message = failure(error, " ".join(("vigie", *command)))
        print_status(f"vigie: {message}")
        return code
    return SUCCESS


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """The words of the command, the common options among and right behind them, and all that follows.

    The command is as far as there is one: the first word that continues none belongs to the rest.
    """
    command: list[str] = []
    options: list[str] = []
    rest = list(arguments)
    while rest:
        if rest[0].partition("=")[0] in COMMON_OPTIONS:
            length = 2 if rest[0] in _WITH_A_VALUE else 1
            options += rest[:length]
            del rest[:length]
        elif _begins_a_command([*command, rest[0]]):
            command.append(rest.pop(0))
        else:
            break
    return command, options, rest


def _begins_a_command(words: Sequence[str]) -> bool:
    return any(f"{each.name} ".startswith(f"{' '.join(words)} ") for each in COMMANDS)


def _run_command(command: Sequence[str], options: Sequence[str], rest: Sequence[str]) -> None:
    plain = plain_options([*command, *options, *rest])
    if plain is not None:
        serve_until_stopped(plain)
        return
    if not rest:
        _require_command(command, options)
    # Where there is no command, the word in its place is the error, whatever stands before it.
    ordered = [*command, *options, *rest] if command else [*rest, *options]
    program()(ordered, exit_on_error=False, print_error=False, result_action="return_value")


def _require_text(arguments: Sequence[str]) -> None:
    """Raise WrongUsage for an argument that is not UTF-8: Python decodes it to surrogates, which fail later."""
    for before, argument in pairwise(["", *arguments]):
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            named = argument if argument.startswith("--") else before
            option = named.partition("=")[0] if named.startswith("--") else "an argument"
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            raise WrongUsage(f"{option} must be UTF-8: '{shown}'") from error


def _require_command(command: Sequence[str], options: Sequence[str]) -> None:
    """Raise WrongUsage where a command or subcommand is missing; Cyclopts would show the help and succeed."""
    if options and not command:
        raise WrongUsage("missing command")
    if len(command) == 1 and command[0] in FAMILIES:
        start = f"{command[0]} "
        names = [each.name.removeprefix(start) for each in COMMANDS if each.name.startswith(start)]
        raise WrongUsage(f"missing subcommand of {command[0]}; use one of: {', '.join(names)}")


def program() -> "App":
    """The command-line application with every command, none of them loaded yet."""
    # Here, because a plain `serve` does without it.
    from cyclopts import App, Group, Parameter

    from vigie.cli.help import HangingFormatter

    app = App(
        name="vigie",
        help="A self-hosted incident server with the Microsoft Defender XDR incidents API.",
        help_epilogue="Run `vigie COMMAND --help` for the options of a command and an example.",
        version=f"vigie {__version__}",
        # A --no-json beside every --json would only be noise, and so would an empty default.
        default_parameter=Parameter(negative=(), show_default=lambda value: str(value) if value else None),
        group_parameters=Group.create_default_parameters("Options"),
        help_format="plaintext",
        help_formatter="default" if sys.stdout.isatty() else HangingFormatter(),
        suppress_keyboard_interrupt=False,
    )
    _add_commands(app)
    return app


def _add_commands(app: "App") -> None:
    """Add the commands in the groups and the order of the help."""
    from cyclopts import App, Group

    panels = {title: Group(title, sort_key=place) for place, title in enumerate([*GROUPS, "Options"])}
    group_of = {word: panels[title] for title, words in GROUPS.items() for word in words}
    order = list(group_of)
    for flag in ("--help", "--version"):
        app[flag].group = (panels["Options"],)
    families = {
        name: App(name=name, help=text, group=group_of[name], sort_key=order.index(name))
        for name, text in FAMILIES.items()
    }
    for family in families.values():
        app.command(family)
    for each in COMMANDS:
        first, _, second = each.name.rpartition(" ")
        place: dict[str, Any] = {} if first else {"group": group_of[second], "sort_key": order.index(second)}
        example = f"Example:\n  {each.example}"
        parent = families[first] if first else app
        parent.command(each.path, name=second, help=each.help, help_epilogue=example, **place)


def _prepare_streams() -> None:
    """Open the streams that the caller has closed, so that no other file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  as long as the process lasts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the terminal's encoding cannot show is escaped.
            stream.reconfigure(errors="backslashreplace")


def _discard_unwritable_output() -> None:
    """Drop what stdout does not take; Python would try again at its end and print its own error."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
