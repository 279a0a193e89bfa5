"""The command `vigie config check`."""

import os

import msgspec

from vigie.cli.common import PLAIN, Common, emit_rows, settings_of
from vigie.config.sources import find_settings_file, settings_in_force


def check_config(*, common: Common = PLAIN) -> None:
    """Check the settings as a start would, and list each value with its source. Nothing is opened."""
    settings_of(common).check()
    in_force = settings_in_force(
        file=common.config, environ=os.environ, overrides={"database.url": common.database}
    )
    file = find_settings_file(common.config, os.environ)
    rows = [
        {
            "setting": f"[{each.section}] {each.key}",
            "value": msgspec.json.encode(each.value).decode(),
            "source": each.source,
        }
        for each in in_force
    ]
    value = {"file": None if file is None else str(file), "settings": in_force}
    emit_rows(common, ("setting", "value", "source"), rows, value=value, fold="value")
