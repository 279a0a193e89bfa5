"""The hook that hatchling runs when it builds a wheel, also that of an editable install."""

import json
from pathlib import Path
from typing import Any

import yaml
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DescriptionHook(BuildHookInterface[BuilderConfig]):
    """Puts `openapi.json` beside `openapi.yaml`, of which it is made: a server needs no parser of YAML then."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Make it. Nothing of what hatchling knows about the build matters to it."""
        folder = Path(self.root) / "src" / "vigie" / "api" / "operations"
        document = yaml.safe_load((folder / "openapi.yaml").read_bytes())
        (folder / "openapi.json").write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
