"""The API reference: the OpenAPI document, and the same as one page of HTML that needs no script."""

from importlib.resources import files


def openapi_document() -> bytes:
    """The document as it is kept."""
    return files("vigie.web").joinpath("openapi.yaml").read_bytes()


def reference_page() -> bytes:
    """The document as a page, as `building/hook.py` has made it."""
    return files("vigie.web").joinpath("reference.html").read_bytes()


def reference_style() -> bytes:
    """The style sheet that the page asks for as `/reference.css`."""
    return files("vigie.web").joinpath("reference.css").read_bytes()
