"""Where a browser is sent with an answer, and what of it may be shown or written into a header."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""What a URL may hold beside letters and digits; all else is encoded, so that no header can end early."""


def with_fields(url: str, fields: Mapping[str, str], *, in_fragment: bool) -> str:
    """The URL with fields added to its query, or as its fragment; in ASCII alone."""
    base, _, _ = quote(url, safe=_KEPT).partition("#")
    joint = "#" if in_fragment else ("&" if "?" in base else "?")
    return f"{base}{joint}{urlencode(fields)}"


def in_ascii(url: str) -> str:
    """The URL as it may stand in a form or a header."""
    return quote(url, safe=_KEPT)


def target_named(url: str) -> str:
    """Where a URL leads, as people can judge it: scheme, host and port, or all of one without a host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def form_targets(url: str) -> str:
    """What a policy's form-action must allow so that an answer reaches the URL, and where that leads further.

    Chromium holds every redirect after a form against the policy of the page with the form, those that the
    application makes after it has got its answer too. So the web is allowed as a whole, on pages where
    nothing is typed.
    """
    scheme = urlsplit(url).scheme
    own = "" if scheme in ("", "http", "https") else f" {scheme}:"
    return f"'self' http: https:{own}"
