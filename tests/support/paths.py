"""Where the project lies, whichever folder a test is in."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the checkout."""

DOCS = ROOT / "docs"
