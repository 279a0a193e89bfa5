"""The sources of settings: one file, the environment and flags, each value checked before anything starts."""

import json
import re
import textwrap
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from itertools import groupby
from os.path import lexists
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from vigie.config.issuer_settings import IssuerSettings
from vigie.config.settings import DatabaseSettings, Settings, SettingsError
from vigie.config.validators import SQLITE_PREFIX, Rule
from vigie.files.trust import read_public

NO_OVERRIDES: Mapping[str, object] = MappingProxyType({})
NO_FLAGS: Mapping[str, str] = MappingProxyType({})

_VARIABLE_PREFIX = "VIGIE_"
# Printed in brackets, as they stand in the file.
_ISSUERS = "[identity.issuers]"

_FLAGS = {
    "database.url": "--database",
    "identity.issuer": "URL",
    "tls.mode": "--tls",
    "tls.names": "--tls-name",
}
_NUMBERS = {int: "an integer", float: "a number"}


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting, as its field declares it."""

    section: str
    key: str
    default: Any
    declared: Any
    meaning: str
    rule: Rule | None
    is_required: bool = False

    @property
    def name(self) -> str:
        """The dotted name that `load_settings` takes for command-line flags."""
        return f"{self.section}.{self.key}"

    @property
    def label(self) -> str:
        """The name in messages, as in the file."""
        return f"[{self.section}] {self.key}"

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the regular one first."""
        regular = f"{_VARIABLE_PREFIX}{self.section}_{self.key}".upper()
        return (regular, "VIGIE_DATABASE") if self.name == "database.url" else (regular,)

    @property
    def flag(self) -> str:
        """The command-line flag that sets it, where a command has one."""
        in_its_section = f"tls-{self.key}" if self.section == "tls" else self.key
        return _FLAGS.get(self.name, f"--{in_its_section.replace('_', '-')}")

    @property
    def allowed(self) -> str:
        """The allowed values, as the end of a sentence that begins with "must be"."""
        kind, *notes = get_args(self.declared)
        if self.rule:
            return self.rule.allowed
        if kind is bool:
            return "true or false"
        if get_origin(kind) is Literal:
            return "one of " + ", ".join(get_args(kind))
        limits = next(note for note in notes if isinstance(note, Meta))
        return f"{_NUMBERS[kind]} " + (
            f">= {limits.ge}" if limits.le is None else f"from {limits.ge} to {limits.le}"
        )


@cache
def every_setting() -> tuple[Setting, ...]:
    """All settings in the order of the file."""
    return tuple(
        _setting(section.encode_name, field)
        for section in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(section.type)
        # Without a meaning it is a list of tables, which are settings of their own.
        if get_origin(field.type) is Annotated
    )


@cache
def every_issuer_setting() -> tuple[Setting, ...]:
    """All settings of one issuer, in the order of their document. No variable and no flag sets them."""
    return tuple(_setting(_ISSUERS, field) for field in msgspec.structs.fields(IssuerSettings))


def _setting(section: str, field: msgspec.structs.FieldInfo) -> Setting:
    _, *notes = get_args(field.type)
    return Setting(
        section=section,
        key=field.encode_name,
        default=None if field.required else _default_of(field),
        declared=field.type,
        meaning=next(note for note in notes if isinstance(note, str)),
        rule=next((note for note in notes if isinstance(note, Rule)), None),
        is_required=field.required,
    )


def _default_of(field: msgspec.structs.FieldInfo) -> object:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def load_settings(
    *,
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] = NO_OVERRIDES,
    flags: Mapping[str, str] = NO_FLAGS,
) -> Settings:
    """Load the settings: overrides, then the environment, then the file, then the defaults.

    `file` must exist. If it is None, `VIGIE_CONFIG` names the file, and if that is not set either,
    `vigie.toml` in the working directory is read if it is there. `overrides` are command-line flags under
    dotted names ("server.port"); None is a flag that was not given. `flags` are the names of flags that a
    command names differently. An invalid value is rejected even where another value overrides it.
    """
    found = find_settings_file(file, environ)
    read = _read_file(found) if found else {}
    issuers = _issuers_in(read, found) if found else []
    given = (
        (_from_file(read, found) if found else {})
        | _from_environment(environ)
        | _from_flags(overrides, flags)
    )
    return _settings(given, issuers)


def settings_by_flags(overrides: Mapping[str, object]) -> Settings:
    """The defaults with the overrides, without a file or the environment."""
    return _settings(_from_flags(overrides, NO_FLAGS), [])


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The effective value of a setting and its source: a flag, a variable, a file or the default.

    Passwords in an address are removed from the value.
    """

    section: str
    key: str
    value: Any
    source: str


def settings_in_force(
    *, file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] = NO_OVERRIDES
) -> list[InForce]:
    """The effective settings in the order of the file, then the other issuers."""
    found = find_settings_file(file, environ)
    read = _read_file(found) if found else {}
    issuers = _issuers_in(read, found) if found else []
    in_file = _from_file(read, found) if found else {}
    in_environment, by_flag = _from_environment(environ), _from_flags(overrides, NO_FLAGS)
    values = in_file | in_environment | by_flag

    def source_of(setting: Setting) -> str:
        if setting in by_flag:
            return setting.flag
        if setting in in_environment:
            return next(f"environment {each}" for each in setting.variables if each in environ)
        return str(found) if setting.key in read.get(setting.section, {}) else "default"

    return [
        *(
            InForce(
                section=each.section,
                key=each.key,
                value=_without_passwords(values.get(each, each.default)),
                source=source_of(each),
            )
            for each in every_setting()
        ),
        *(
            InForce(section=_ISSUERS, key="issuer", value=each["issuer"], source=str(found))
            for each in issuers
        ),
    ]


def _without_passwords(value: Any) -> Any:
    if isinstance(value, str):
        return re.sub(r"(://[^/@:]*):[^/]*@", r"\1:...@", value)
    return [_without_passwords(each) for each in value] if isinstance(value, list | tuple) else value


def _settings(given: Mapping[Setting, object], issuers: list[dict[str, object]]) -> Settings:
    sections: dict[str, dict[str, object]] = {}
    for setting, value in given.items():
        sections.setdefault(setting.section, {})[setting.key] = value
    if issuers:
        sections.setdefault("identity", {})["issuers"] = issuers
    return msgspec.convert(sections, Settings)


def _issuers_in(read: dict[str, Any], file: Path) -> list[dict[str, object]]:
    """Remove `[[identity.issuers]]` from the content of a file and return it, checked."""
    identity = read.get("identity")
    tables = identity.pop("issuers", []) if isinstance(identity, dict) else []
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f"{file}: [identity] issuers = {_shown(tables)}: must be tables, [{_ISSUERS}]")
    return [_issuer(table, number, file) for number, table in enumerate(tables, start=1)]


def _issuer(table: dict[str, Any], number: int, file: Path) -> dict[str, object]:
    settings = {setting.key: setting for setting in every_issuer_setting()}
    source = f"{file}, issuer {number}"
    for key in table:
        if key not in settings:
            words = {each.key: each.label for each in settings.values()}
            raise SettingsError(f"{source}: unknown key {key!r} in [{_ISSUERS}]{_hint(key, words)}")
    for setting in settings.values():
        if setting.is_required and setting.key not in table:
            raise SettingsError(f"{source}: {setting.label} is required and must be {setting.allowed}")
        if setting.key in table:
            _checked(setting, table[setting.key], source)
    return {**table, "ca": str(file.parent / table["ca"])} if table.get("ca") else table


def find_settings_file(file: Path | None, environ: Mapping[str, str]) -> Path | None:
    if file is not None:
        return file
    if named := environ.get("VIGIE_CONFIG"):
        return Path(named)
    here = Path("vigie.toml")
    # A dangling link is a file that cannot be read, not a missing one.
    return here if lexists(here) else None


# Settings that are paths: a relative one is relative to the settings file.
_FILES = (
    ("tls", "folder"),
    ("tls", "cert"),
    ("tls", "key"),
    ("keys", "secret_file"),
    ("quotas", "password_file"),
    ("quotas", "ca_file"),
)


def _from_file(read: dict[str, Any], file: Path) -> dict[Setting, object]:
    settings = {(setting.section, setting.key): setting for setting in every_setting()}
    known = {setting.section: f"[{setting.section}]" for setting in every_setting()}
    words = known | {setting.key: setting.label for setting in every_setting()}
    given: dict[Setting, object] = {}
    for section, values in read.items():
        if section not in known:
            raise SettingsError(f"{file}: unknown section {section!r}{_hint(section, words)}")
        if not isinstance(values, dict):
            raise SettingsError(f"{file}: {section} = {_shown(values)}: must be a section, [{section}]")
        for key, value in values.items():
            if (section, key) not in settings:
                raise SettingsError(f"{file}: unknown key {key!r} in [{section}]{_hint(key, words)}")
            setting = settings[section, key]
            given[setting] = _checked(setting, value, str(file))
    url = settings["database", "url"]
    files = [settings[name] for name in _FILES if given.get(settings[name])]
    return (
        given
        | {setting: str(file.parent / str(given[setting])) for setting in files}
        | {url: _database_seen_from(file.parent, str(given.get(url, "")))}
    )


def _database_seen_from(directory: Path, url: str) -> str:
    """The database URL of a settings file in the directory, relative to the working directory."""
    if directory == Path() or DatabaseSettings(url=url).is_shared:
        return url
    return f"{SQLITE_PREFIX}{directory / DatabaseSettings(url=url).path}"


def _read_file(file: Path) -> dict[str, Any]:
    try:
        # utf-8-sig: some editors put a byte order mark in front.
        return tomllib.loads(read_public(file).decode("utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}: line {line} is not UTF-8") from error
    # ValueError: also for numbers of thousands of digits; RecursionError: for brackets as deep.
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{file}: must be TOML: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[Setting, object]:
    settings = {variable: setting for setting in every_setting() for variable in setting.variables}
    given: dict[Setting, object] = {}
    for variable in sorted(environ):
        if not variable.startswith(_VARIABLE_PREFIX) or variable == "VIGIE_CONFIG":
            continue
        setting = settings.get(variable)
        if setting is None:
            # Without the common prefix, which would make all of them similar.
            words = {name.removeprefix(_VARIABLE_PREFIX): name for name in (*settings, "VIGIE_CONFIG")}
            words |= {each.key.upper(): each.variables[0] for each in every_setting()}
            hint = _hint(variable.removeprefix(_VARIABLE_PREFIX), words)
            raise SettingsError(f"environment: unknown setting {variable!r}{hint}")
        if setting in given:
            raise SettingsError(
                f"environment: {setting.label} is set twice; keep one of {', '.join(setting.variables)}"
            )
        given[setting] = _checked(setting, _parsed(setting, environ[variable]), f"environment {variable}")
    return given


def _from_flags(overrides: Mapping[str, object], flags: Mapping[str, str]) -> dict[Setting, object]:
    settings = {setting.name: setting for setting in every_setting()}
    given: dict[Setting, object] = {}
    for name, value in overrides.items():
        if name not in settings:
            words = {known: known for known in settings}
            raise SettingsError(f"command line: unknown setting {name!r}{_hint(name, words)}")
        if value is not None:
            flag = flags.get(name, settings[name].flag)
            given[settings[name]] = _checked(settings[name], value, flag)
            _refuse_password(settings[name], str(value), flag)
    return given


def _refuse_password(setting: Setting, value: str, flag: str) -> None:
    if setting.name == "database.url" and DatabaseSettings(url=value).has_password:
        raise SettingsError(
            f"{flag}: a password must not be on the command line, where every user of this machine can read it; "
            "put it into a file that PGPASSFILE or passfile= in the URL names, or into PGPASSWORD, or put the URL "
            "into VIGIE_DATABASE or [database] url of a settings file"
        )


_INTEGER = r"-?(0|[1-9][0-9]{0,17})"
_FRACTION = r"(\.[0-9]{1,17})?"


def _parsed(setting: Setting, text: str) -> object:
    """The value as TOML would have it; a text that is not a number stays a text and is rejected later."""
    if isinstance(setting.default, tuple):
        return [entry.strip() for entry in text.split(",")] if text else []
    if isinstance(setting.default, bool):
        return {"true": True, "false": False}.get(text, text)
    if isinstance(setting.default, int) and re.fullmatch(_INTEGER, text):
        return int(text)
    if isinstance(setting.default, float) and re.fullmatch(_INTEGER + _FRACTION, text):
        return float(text)
    return text


def _checked(setting: Setting, value: object, source: str) -> object:
    refusal = f"{source}: {setting.label} = {_shown(value)}: must be {setting.allowed}"
    try:
        good = msgspec.convert(value, setting.declared)
    except msgspec.ValidationError as error:
        raise SettingsError(refusal) from error
    texts = good if isinstance(good, tuple) else (good,)
    # A default may break the rule, such as an empty text.
    if setting.rule and good != setting.default and not all(map(setting.rule.is_right, texts)):
        raise SettingsError(refusal)
    return good


def _shown(value: object) -> str:
    """The value on one line, without a possible password: the text after a colon, if an @ or ? follows."""
    text = json.dumps(value, ensure_ascii=False, default=str).encode(errors="backslashreplace").decode()
    return re.sub(r":.*[@?].*", ':..."', text)[:200]


def _hint(name: str, words: Mapping[str, str]) -> str:
    """The closest known names; only the known one if it is in the wrong place."""
    close = dict.fromkeys(
        words[word] for word in ([name] if name in words else get_close_matches(name, words))
    )
    return f"; did you mean {' or '.join(close)}?" if close else "; see docs/settings.md"


_EXAMPLE_HEAD = """\
# Settings of Vigie, each with its default; to change one, remove the "# " before the key.
# Environment variables override this file: VIGIE_SERVER_PORT=8400 sets port of [server].

"""

_EXAMPLE_TAILS = {
    "identity": "\n# Other issuers are tables, [[identity.issuers]]: see docs/identity.md for examples.\n"
}


def example_file() -> str:
    """The settings file that `vigie init` writes: every setting commented out."""
    sections = groupby(every_setting(), key=lambda setting: setting.section)
    return _EXAMPLE_HEAD + "\n".join(
        f"[{section}]\n\n" + "\n".join(map(_example_of, settings)) + _EXAMPLE_TAILS.get(section, "")
        for section, settings in sections
    )


def _example_of(setting: Setting) -> str:
    text = f"{setting.meaning} Allowed: {setting.allowed}."
    lines = textwrap.wrap(
        text, 108, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
    )
    return "\n".join([*lines, f"# {setting.key} = {json.dumps(setting.default)}", ""])
