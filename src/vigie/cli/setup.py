"""The commands `vigie init`, `vigie migrate` and `vigie serve`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vigie.cli.common import PLAIN, Common, Integer, emit_fields, opened
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
        help="HTTPS with a generated certificate (auto), or plain HTTP (off).",
    ),
]


async def init(
    directory: Annotated[
        Path | None, Parameter(help="Directory for the files; default: the working directory.")
    ] = None,
    /,
    *,
    public_url: Annotated[
        str | None, Parameter(metavar="URL", help="URL that clients use, also the issuer of tokens.")
    ] = None,
    tls: TlsOption = None,
    common: Common = PLAIN,
) -> None:
    """Create a settings file with every default, the database and the signing key."""
    file = _new_settings_file(directory, common)
    chosen = {"server.public_url": public_url, "tls.mode": tls}
    text = _settings_text(common, chosen)
    _make_directory(file.parent)
    # Under another name until all is made, so that a failed attempt can be repeated.
    # The owner alone may write it, whatever the umask; others may read it if that allows it.
    with new_file(file, replaces=False, mode=0o644) as part:
        part.write_text(text, encoding="utf-8")
        settings = load_settings(file=part, environ=os.environ, overrides=chosen)
        made = await _make(settings)
    if settings.identity.issues_tokens and not (settings.server.public_url or settings.identity.issuer):
        print_status(
            f"the issuer of tokens is {made['issuer']}; if clients use another URL, run `vigie issuer set URL` "
            "before they get tokens"
        )
    emit_fields(common, {"config": str(file), **made})


async def migrate(*, common: Common = PLAIN) -> None:
    """Upgrade the database to the schema of this version."""
    async with opened(common, create=False) as installation:
        database = installation.settings.database
    schema = schema_version("postgres" if database.is_shared else "sqlite")
    print_status(f"the database {database.place} is up to date")
    emit_fields(common, {"schema": schema})


def serve(
    *,
    host: Annotated[str | None, Parameter(metavar="HOST", help="Address or host name to listen on.")] = None,
    port: Annotated[
        Integer | None, Parameter(metavar="PORT", help="Port to listen on; 0 for any free port.")
    ] = None,
    public_url: Annotated[str | None, Parameter(metavar="URL", help="URL that clients use.")] = None,
    tls: TlsOption = None,
    tls_name: Annotated[
        list[str] | None,
        Parameter(metavar="NAME...", help="Additional name in the generated certificate; may be repeated."),
    ] = None,
    tls_cert: Annotated[
        str | None, Parameter(metavar="FILE", help="Certificate of your own with its chain, a PEM file.")
    ] = None,
    tls_key: Annotated[
        str | None, Parameter(metavar="FILE", help="Private key of that certificate, a PEM file.")
    ] = None,
    common: Common = PLAIN,
) -> None:
    """Run the server until SIGTERM or Ctrl-C; requests in progress are finished."""
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
            json=common.json,
        )
    )


def _new_settings_file(directory: Path | None, common: Common) -> Path:
    if directory is not None and common.config is not None:
        raise WrongUsage("DIRECTORY and --config cannot be combined")
    here = common.config or Path(os.environ.get("VIGIE_CONFIG") or _SETTINGS_FILE_NAME)
    file = here if directory is None else directory / _SETTINGS_FILE_NAME
    if os.path.lexists(file):
        raise CommandFailed(f"{file} already exists and was not changed; use another directory")
    return file


def _make_directory(directory: Path) -> None:
    # One by one: the modes of parent directories would depend on the umask.
    for each in reversed([directory, *directory.parents]):
        if not each.exists():
            each.mkdir(mode=0o755, exist_ok=True)


def _settings_text(common: Common, chosen: Mapping[str, str | None]) -> str:
    """The text of the settings file: all defaults but the chosen values."""
    # The path is checked as seen from here, and written absolute so that it is the same from there.
    settings = load_settings(file=None, environ={}, overrides={**chosen, "database.url": common.database})
    database = settings.database
    if settings.tls.makes_its_own and settings.server.public_url.startswith("http://"):
        raise WrongUsage("--public-url is http://, but --tls auto serves https://; use an https:// URL")
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
        await installation.keys().load_or_create()
        issuer = await installation.issuer()
        return {
            "store": settings.database.place,
            "signing_keys": "in the database" if settings.keys.secret_file else str(installation.key_file),
            "issuer": issuer,
        }
