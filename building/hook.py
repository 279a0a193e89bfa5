"""What hatchling runs when it builds a wheel, also that of an editable install."""

import sys
from pathlib import Path
from typing import Any

import yaml
from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ReferenceHook(BuildHookInterface[BuilderConfig]):
    """Puts the reference page beside the document that it is made of."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Make the page. Nothing of what hatchling knows about the build matters to it."""
        # hatchling runs this file alone, and may know no way to the modules beside it.
        sys.path.insert(0, self.root)
        from building.reference_page import page_of

        web = Path(self.root) / "src" / "vigie" / "web"
        (web / "reference.html").write_bytes(page_of(yaml.safe_load((web / "openapi.yaml").read_bytes())))
