"""The warning `issuer_mismatch`, with the command or setting that corrects the issuer."""

import os
import shlex
from typing import TYPE_CHECKING

from vigie.config.sources import find_settings_file
from vigie.config.validators import SQLITE_PREFIX
from vigie.observability.event_log import log

if TYPE_CHECKING:
    from vigie.cli.serve import ServeOptions
    from vigie.config.settings import Settings
    from vigie.runtime.server import Serving


def warn_of_issuer(running: "Serving", settings: "Settings", options: "ServeOptions") -> None:
    """Warn of an issuer other than the served URL: libraries that compare the two reject the discovery document.

    An issuer in the settings is not changed by a command: then the setting is named.
    """
    is_set = bool(settings.identity.issuer)
    log.warning(
        "issuer_mismatch",
        issuer=running.issuer,
        url=running.url,
        command=None if is_set else _command(running.url, settings, options),
        setting=f'[identity] issuer = "{running.url}"' if is_set else None,
    )


def _command(url: str, settings: "Settings", options: "ServeOptions") -> str:
    """The command, for a shell in any directory."""
    words = ["vigie", "issuer", "set", url]
    file = find_settings_file(options.config, os.environ)
    if file is not None:
        words += ["--config", str(file.absolute())]
    if file is None or options.database or {"VIGIE_DATABASE", "VIGIE_DATABASE_URL"} & set(os.environ):
        database = settings.database
        place = database.place if database.is_shared else f"{SQLITE_PREFIX}{database.path.absolute()}"
        words += ["--database", place]
    return shlex.join(words)
