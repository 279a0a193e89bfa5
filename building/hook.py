"""The build hook of hatchling: makes the files that a running server needs and git does not keep.

It runs for every wheel, also that of an editable install.
"""

import json
from pathlib import Path
from typing import Any

import yaml
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class GeneratedFilesHook(BuildHookInterface[BuilderConfig]):
    """Converts documents once at build time: a server then needs no parser of YAML, and none of catalogues."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Make them beside their sources. Nothing of what hatchling knows about the build matters."""
        package = Path(self.root) / "src" / "vigie"
        for part in package.glob("api/**/openapi.yaml"):
            _write_openapi_json(part)
        for catalogue in package.glob("ui/locales/*/LC_MESSAGES/*.po"):
            _compile_catalogue(catalogue)


def _write_openapi_json(source: Path) -> None:
    document = yaml.safe_load(source.read_bytes())
    source.with_suffix(".json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _compile_catalogue(source: Path) -> None:
    with source.open("rb") as file:
        catalogue = read_po(file, locale=source.parts[-3], abort_invalid=True)
    with source.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogue)
