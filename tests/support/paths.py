"""Paths of the project, in whichever folder a test is."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The root of the checkout."""

DOCS = ROOT / "docs"
