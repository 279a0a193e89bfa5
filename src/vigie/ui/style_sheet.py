"""The style sheet of the pages, a file of its own: their policy allows no other style."""

from functools import cache
from importlib.resources import files

STYLE_PATH = "/signin.css"


@cache
def style_sheet() -> bytes:
    """The bytes that are served at `STYLE_PATH`."""
    return files("vigie.ui").joinpath("pages.css").read_bytes()
