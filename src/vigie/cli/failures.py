"""The exit code and the one-line message that an error becomes."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches

from vigie.cli.command_table import COMMANDS, COMMON_OPTIONS
from vigie.cli.output import CommandFailed, WrongUsage
from vigie.config.settings import SettingsError
from vigie.core.directory import DirectoryError
from vigie.core.errors import InvalidQuery, Refusal, StoreUnavailable
from vigie.files.trust import UntrustedFile
from vigie.storage.database import StoreError

FAILED, WRONG_USAGE = 1, 2


def failure(error: Exception, command: str) -> tuple[int, str]:
    """The exit code and the message for an error of a command."""
    if usage_error := _command_line_error(error):
        return WRONG_USAGE, _with_help(usage_error, command)
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
            return FAILED, f"internal error: {reason}; run again with --debug and report the traceback"


def _is(module_name: str, name: str, error: Exception) -> bool:
    # The module is loaded if it raised the error; importing it here would load it for every command.
    module = sys.modules.get(module_name)
    return module is not None and isinstance(error, getattr(module, name))


def _command_line_error(error: Exception) -> str:
    """The message for an error of the command-line library; empty for any other error."""
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
            allowed = ", ".join(COMMON_OPTIONS)
            return f"unknown option {surplus[0]}; options allowed before the command: {allowed}"
        # Its own text would load every command there is.
        case UnknownCommandError():
            return f"unknown command {surplus[0]!r}{_hint(surplus[0], error.command_chain or ())}"
        case UnusedCliTokensError():
            return f"unexpected argument {' '.join(surplus)!r}"
        case MissingArgumentError(keyword=str(keyword)):
            return f"option {keyword} requires a value"
        case MissingArgumentError(argument=argument) if argument is not None:
            return f"missing {'option' if argument.name.startswith('-') else 'argument'} {argument.name}"
        case _:
            text = str(error).rstrip(".")
            return text[:1].lower() + text[1:]


def _with_help(message: str, command: str) -> str:
    return f"{message}{'' if message.endswith('?') else ';'} see `{command} --help`"


def _hint(word: str, chain: Sequence[str]) -> str:
    start = "".join(f"{name} " for name in chain)
    known = {each.name.removeprefix(start).split()[0] for each in COMMANDS if each.name.startswith(start)}
    close = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
