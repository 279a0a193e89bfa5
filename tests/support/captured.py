"""Captured answers of the real service: they belong to others and are no part of the project."""

import os
from pathlib import Path

CAPTURED = Path(os.environ.get("CAPTURED_ANSWERS") or Path(__file__).parents[3] / "shared" / "data")
"""A directory of JSON files; the tests that need them are skipped where it is not there."""
