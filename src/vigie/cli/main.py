"""The program `vigie`: which commands there are, and how each of them ends."""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from vigie import __version__
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.cli.serve import plain_options, serve_until_stopped
from vigie.cli.start import STOPPED
from vigie.config.settings import SettingsError
from vigie.core.directory import DirectoryError
from vigie.core.errors import InvalidQuery, Refusal, StoreUnavailable
from vigie.files.trust import UntrustedFile
from vigie.storage.database import StoreError

if TYPE_CHECKING:
    from cyclopts import App

DONE, FAILED, WRONG_USAGE, UNHEARD = 0, 1, 2, 141

GROUPS = {
    "app": "Applications: programs that ask for tokens with a secret or a certificate.",
    "config": "The settings.",
    "device-group": "Device groups: what a user's role may be limited to.",
    "incident": "Single incidents.",
    "issuer": "The issuer: in whose name tokens are issued.",
    "keys": "The keys that sign tokens.",
    "role": "Roles: what users may do.",
    "tenant": "Tenants: organisations that never see each other.",
    "user": "Users and the roles they are granted.",
}

# Each by import path: a command loads its own module and no other's.
COMMANDS = (
    ("init", "vigie.cli.setup:init", "Write a settings file and make the store and the signing key."),
    ("serve", "vigie.cli.setup:serve", "Serve the incidents over HTTP until stopped."),
    ("migrate", "vigie.cli.setup:migrate", "Bring the store up to this version."),
    ("backup", "vigie.cli.backup:backup", "Write a store file, as of now, to another file."),
    ("copy", "vigie.cli.backup:copy", "Move a store between SQLite and PostgreSQL."),
    ("demo", "vigie.cli.demo:demo", "Serve a sample tenant and show one exchange with it."),
    ("status", "vigie.cli.status:status", "Say how the database, the keys and the server are."),
    (
        "config check",
        "vigie.cli.config:check_config",
        "Check the settings, and say which count and from where.",
    ),
    ("tenant add", "vigie.cli.tenants:add_tenant", "Add a tenant."),
    ("tenant list", "vigie.cli.tenants:list_tenants", "List the tenants."),
    ("tenant remove", "vigie.cli.tenants:remove_tenant", "Remove a tenant, its incidents included."),
    ("app add", "vigie.cli.applications:add_application", "Add an application and print its secret, once."),
    (
        "app set",
        "vigie.cli.applications:set_application",
        "Change what an application may do, where people are sent back to, or its kind.",
    ),
    ("app list", "vigie.cli.applications:list_applications", "List the applications of a tenant."),
    ("app remove", "vigie.cli.applications:remove_application", "Remove an application."),
    ("app rotate-secret", "vigie.cli.applications:rotate_secret", "Give an application a new secret."),
    (
        "app add-certificate",
        "vigie.cli.certificates:add_certificate",
        "Let an application prove itself by one more certificate.",
    ),
    (
        "app list-certificates",
        "vigie.cli.certificates:list_certificates",
        "List the certificates of an application, the first to expire first.",
    ),
    (
        "app remove-certificate",
        "vigie.cli.certificates:remove_certificate",
        "Take a certificate away from an application.",
    ),
    ("role add", "vigie.cli.tenants:add_role", "Add a role."),
    ("role list", "vigie.cli.tenants:list_roles", "List the roles of a tenant, the built-in ones first."),
    ("role remove", "vigie.cli.tenants:remove_role", "Remove a role and every assignment of it."),
    ("user add", "vigie.cli.users:add_user", "Add a user, who sees nothing until a role is granted."),
    ("user list", "vigie.cli.users:list_users", "List the users of a tenant and their roles."),
    ("user grant", "vigie.cli.users:grant", "Grant a role to a user."),
    ("user revoke", "vigie.cli.users:revoke", "Take roles away from a user."),
    ("user remove", "vigie.cli.users:remove_user", "Remove a user."),
    (
        "user set-password",
        "vigie.cli.users:set_password",
        "Give a user a password, asked for twice on a terminal, or read from stdin.",
    ),
    ("user remove-password", "vigie.cli.users:remove_password", "Take a user's password away."),
    ("user unlock", "vigie.cli.users:unlock", "Let a user who is locked out try again at once."),
    ("user sign-out", "vigie.cli.users:sign_out", "End what a user has signed in to."),
    ("device-group add", "vigie.cli.tenants:add_device_group", "Add a device group."),
    ("device-group list", "vigie.cli.tenants:list_device_groups", "List the device groups of a tenant."),
    ("device-group remove", "vigie.cli.tenants:remove_device_group", "Remove a device group."),
    ("token", "vigie.cli.tokens:token", "Print a bearer token for an application or a user."),
    ("issuer set", "vigie.cli.issuer:set_issuer", "Change the issuer of tokens to the URL that clients use."),
    ("keys rotate", "vigie.cli.tokens:rotate_keys", "Sign with a new key from now on."),
    ("keys list", "vigie.cli.tokens:list_keys", "List the keys whose tokens are accepted."),
    ("import", "vigie.cli.incidents:import_", "Import incidents from files."),
    ("export", "vigie.cli.incidents:export", "Write the incidents of a tenant, one per line."),
    (
        "generate",
        "vigie.cli.incidents:generate",
        "Write realistic incidents of our own making, one per line.",
    ),
    ("explain", "vigie.cli.incidents:explain", "Say why a caller sees an incident, or does not."),
    ("history", "vigie.cli.history:history", "Say who changed an incident, when, and from what to what."),
    ("incident list", "vigie.cli.incident_views:list_incidents", "List the incidents of a tenant."),
    ("incident show", "vigie.cli.incident_views:show_incident", "Show one incident."),
    ("incident remove", "vigie.cli.incidents:remove_incident", "Remove an incident."),
    (
        "--install-completion",
        "vigie.cli.completion:install_completion",
        "Install completion of commands and options by the Tab key.",
    ),
)

# Written out: a plain `serve` does without the library that would know them. A test holds that these are all.
COMMON_OPTIONS = ("--config", "--database", "--json", "--debug")
_WITH_A_VALUE = ("--config", "--database")


def run() -> None:
    """Run the command that the process was started with, and end the process."""
    _have_streams()
    code = main(sys.argv[1:])
    _give_up_what_cannot_be_written()
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command and say how it ended: the exit code. No traceback gets past here, unless asked for."""
    command, options, rest = _parts_of(arguments)
    try:
        _require_text(arguments)
        _run_command(command, options, rest)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has heard enough; a shell knows this code from other programs.
        return UNHEARD
    except KeyboardInterrupt:
        print_status("vigie: stopped")
        return STOPPED
    except Exception as error:  # noqa: BLE001  the outermost edge
        if "--debug" in arguments:
            traceback.print_exc()
        code, message = _verdict(error, " ".join(("vigie", *command)))
        print_status(f"vigie: {message}")
        return code
    return DONE


def _parts_of(arguments: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
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
    return any(f"{name} ".startswith(f"{' '.join(words)} ") for name, _, _ in COMMANDS)


def _run_command(command: Sequence[str], options: Sequence[str], rest: Sequence[str]) -> None:
    plain = plain_options([*command, *options, *rest])
    if plain is not None:
        serve_until_stopped(plain)
        return
    if not rest:
        _require_command(command, options)
    # Where there is no command, the word in its place is what is wrong, whatever stands before it.
    ordered = [*command, *options, *rest] if command else [*rest, *options]
    program()(ordered, exit_on_error=False, print_error=False, result_action="return_value")


def _require_text(arguments: Sequence[str]) -> None:
    """Raise WrongUsage for an argument that is no UTF-8: its bytes come as half characters, which fail anywhere."""
    for before, argument in pairwise(["", *arguments]):
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            named = argument if argument.startswith("--") else before
            option = named.partition("=")[0] if named.startswith("--") else "an argument"
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            raise WrongUsage(f"{option} must be UTF-8: '{shown}'") from error


def _require_command(command: Sequence[str], options: Sequence[str]) -> None:
    """Cyclopts would show the help of a group that is named alone, as if that had been asked for."""
    if options and not command:
        raise WrongUsage("no command is named")
    if len(command) == 1 and command[0] in GROUPS:
        start = f"{command[0]} "
        names = [name.removeprefix(start) for name, _, _ in COMMANDS if name.startswith(start)]
        raise WrongUsage(f"say which command of {command[0]}: {', '.join(names)}")


def program() -> "App":
    """Every command, none of them loaded yet."""
    # Here, because a plain `serve` does without it.
    from cyclopts import App, Parameter

    from vigie.cli.help import HangingFormatter

    app = App(
        name="vigie",
        help="A self-hosted incident server that speaks the Microsoft Defender XDR incidents API.",
        version=f"vigie {__version__}",
        # A --no-json beside every --json would only be noise, and so would a default that says nothing.
        default_parameter=Parameter(negative=(), show_default=lambda value: str(value) if value else None),
        help_format="plaintext",
        help_formatter="default" if sys.stdout.isatty() else HangingFormatter(),
        suppress_keyboard_interrupt=False,
    )
    groups = {name: App(name=name, help=sentence) for name, sentence in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for name, path, sentence in COMMANDS:
        group_name, _, own_name = name.rpartition(" ")
        (groups[group_name] if group_name else app).command(path, name=own_name, help=sentence)
    return app


# How a command ends


def _verdict(error: Exception, command: str) -> tuple[int, str]:
    """The exit code and the line that an error becomes."""
    if wrong := _wrong_command_line(error):
        return WRONG_USAGE, _with_help(wrong, command)
    match error:
        case WrongUsage():
            return WRONG_USAGE, _with_help(str(error), command)
        case SettingsError():
            return WRONG_USAGE, str(error)
        case CommandFailed() | DirectoryError() | StoreError() | UntrustedFile():
            return FAILED, str(error)
        case StoreUnavailable():
            return FAILED, f"{error.message} ({error.detail})"
        case InvalidQuery():
            return WRONG_USAGE, _with_help(error.message.rstrip("."), command)
        case Refusal():
            return FAILED, error.message
        case OSError():
            reason = error.strerror or str(error)
            return FAILED, f"{error.filename}: {reason}" if error.filename else reason
        case _ if _is("vigie.runtime.server", "AddressUnavailable", error):
            return WRONG_USAGE, str(error)
        case _ if _is("vigie.files.errors", "KeyFileError", error):
            return FAILED, str(error)
        case _:
            reason = f"{type(error).__name__}: {error}"
            return FAILED, f"this is a defect of Vigie, please report it with what --debug shows: {reason}"


def _is(module_name: str, name: str, error: Exception) -> bool:
    # Whoever raised it has loaded the module; nobody else shall have to.
    module = sys.modules.get(module_name)
    return module is not None and isinstance(error, getattr(module, name))


def _wrong_command_line(error: Exception) -> str:
    """What the library of the command line found wrong; empty for any other error."""
    if not _is("cyclopts.exceptions", "CycloptsError", error):
        return ""
    from cyclopts.exceptions import (
        CycloptsError,
        MissingArgumentError,
        UnknownCommandError,
        UnusedCliTokensError,
    )

    assert isinstance(error, CycloptsError)  # noqa: S101
    surplus = error.unused_tokens or [""]
    match error:
        case UnknownCommandError() if surplus[0].startswith("-"):
            return f"there is no option {surplus[0]} here; before a command come {', '.join(COMMON_OPTIONS)}"
        # Its own text would load every command there is.
        case UnknownCommandError():
            return f"there is no command {surplus[0]!r}{_hint(surplus[0], error.command_chain or ())}"
        case UnusedCliTokensError():
            return f"there is no place for {' '.join(surplus)!r}"
        case MissingArgumentError(keyword=str(keyword)):
            return f"{keyword} needs a value"
        case MissingArgumentError(argument=argument) if argument is not None:
            return f"{argument.name} is missing"
        case _:
            text = str(error).rstrip(".")
            return text[:1].lower() + text[1:]


def _with_help(wrong: str, command: str) -> str:
    return f"{wrong}{'' if wrong.endswith('?') else ';'} see `{command} --help`"


def _hint(word: str, chain: Sequence[str]) -> str:
    start = "".join(f"{name} " for name in chain)
    known = {name.removeprefix(start).split()[0] for name, _, _ in COMMANDS if name.startswith(start)}
    close = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _have_streams() -> None:
    """Open what the caller has closed, so that nothing else gets its number; write what cannot be encoded."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  as long as the process lasts
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _give_up_what_cannot_be_written() -> None:
    """Python would try once more at its end, and complain in its own words."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
