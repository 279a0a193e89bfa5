"""The commands that set an installation up, bring it up to date and serve it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, WholeNumber, emit_fields, opened
from vigie.cli.output import CommandFailed, WrongUsage, print_status
from vigie.cli.serve import ServeOptions, serve_until_stopped
from vigie.config.settings import Settings
from vigie.config.sources import example_file, load_settings
from vigie.config.validators import SQLITE_PREFIX
from vigie.files.writing import new_file
from vigie.runtime.installation import opened as opened_installation
from vigie.storage.statements import schema_version

_SETTINGS_FILE_NAME = "vigie.toml"

TlsOption = Annotated[
    str | None,
    Parameter(
        name="--tls",
        metavar="auto|off",
        help="HTTPS: auto makes a certificate of its own, off is plain HTTP.",
    ),
]


async def init(
    directory: Annotated[
        Path | None, Parameter(help="Where to put them; without it, the working directory.")
    ] = None,
    /,
    *,
    public_url: Annotated[
        str | None, Parameter(help="The URL that clients will use; tokens are issued in its name.")
    ] = None,
    tls: TlsOption = None,
    common: Common = PLAIN,
) -> None:
    """Write a settings file with every default in it, and make the store and the signing key."""
    file = _new_settings_file(directory, common)
    chosen = {"server.public_url": public_url, "tls.mode": tls}
    text = _settings_text(common, chosen)
    _make_directory(file.parent)
    # Under another name until all is made: what fails half-way can be begun again.
    # Its owner alone may change it, whatever the umask; others may read it if that lets them.
    with new_file(file, replaces=False, mode=0o644) as part:
        part.write_text(text, encoding="utf-8")
        settings = load_settings(file=part, environ=os.environ, overrides=chosen)
        made = await _make(settings)
    if settings.identity.issues_tokens and not (settings.server.public_url or settings.identity.issuer):
        print_status(
            f"tokens are issued in the name of {made['issuer']}; if clients use another URL, run "
            "`vigie issuer set URL` before they get any"
        )
    emit_fields(common, {"config": str(file), **made})


async def migrate(*, common: Common = PLAIN) -> None:
    """Bring the store up to this version."""
    async with opened(common, create=False) as installation:
        database = installation.settings.database
    schema = schema_version("postgres" if database.is_shared else "sqlite")
    print_status(f"the store at {database.place} is up to date")
    emit_fields(common, {"schema": schema})


def serve(
    *,
    host: Annotated[str | None, Parameter(help="Where to listen: an address or a name.")] = None,
    port: Annotated[WholeNumber | None, Parameter(help="Port to listen on; 0: any free port.")] = None,
    public_url: Annotated[str | None, Parameter(help="The URL that clients use.")] = None,
    tls: TlsOption = None,
    tls_name: Annotated[
        list[str] | None, Parameter(help="A further name of that certificate; once for each name.")
    ] = None,
    tls_cert: Annotated[
        str | None, Parameter(help="A certificate from elsewhere, with its chain, in PEM.")
    ] = None,
    tls_key: Annotated[str | None, Parameter(help="The private key of that certificate.")] = None,
    common: Common = PLAIN,
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are finished."""
    serve_until_stopped(
        ServeOptions(
            host=host,
            port=port,
            public_url=public_url,
            tls=tls,
            tls_names=tls_name or (),
            tls_cert=tls_cert,
            tls_key=tls_key,
            config=common.config,
            database=common.database,
            says_json=common.json,
        )
    )


def _new_settings_file(directory: Path | None, common: Common) -> Path:
    if directory is not None and common.config is not None:
        raise WrongUsage("name either a directory or, with --config, the settings file itself")
    here = common.config or Path(os.environ.get("VIGIE_CONFIG") or _SETTINGS_FILE_NAME)
    file = here if directory is None else directory / _SETTINGS_FILE_NAME
    if os.path.lexists(file):
        raise CommandFailed(f"{file} is there already and was not touched; name another directory")
    return file


def _make_directory(directory: Path) -> None:
    # One by one: the modes of those above would be left to the umask.
    for each in reversed([directory, *directory.parents]):
        if not each.exists():
            each.mkdir(mode=0o755, exist_ok=True)


def _settings_text(common: Common, chosen: Mapping[str, str | None]) -> str:
    """The settings file: all defaults, but for what was asked for."""
    # The path as it is seen from here is checked, and written so that it is the same from there.
    settings = load_settings(file=None, environ={}, overrides={**chosen, "database.url": common.database})
    database = settings.database
    if settings.tls.makes_its_own and settings.server.public_url.startswith("http://"):
        raise WrongUsage("--public-url begins with http://, and --tls auto serves https://")
    url = database.url if database.is_shared else f"{SQLITE_PREFIX}{database.path.absolute()}"
    written = {
        "url": common.database and url,
        "public_url": settings.server.public_url,
        "mode": settings.tls.mode,
    }
    text = example_file()
    for key, value in written.items():
        if value:
            text = text.replace(f'\n# {key} = ""\n', f"\n{key} = {json.dumps(value, ensure_ascii=False)}\n")
    return text


async def _make(settings: Settings) -> dict[str, object]:
    async with opened_installation(settings, create=True) as installation:
        await installation.keys().settle()
        issuer = await installation.issuer()
        return {
            "store": settings.database.place,
            "signing_keys": "in the store" if settings.keys.secret_file else str(installation.key_file),
            "issuer": issuer,
        }
