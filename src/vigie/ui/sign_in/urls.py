"""URLs of applications: with the fields of an answer, and fit for a header, a form or a page."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

_KEPT = "!#$%&'()*+,/:;=?@[]~"
"""A URL may hold these beside letters and digits; all else is encoded, so that no header can end early."""


def with_fields(url: str, fields: Mapping[str, str], *, in_fragment: bool) -> str:
    """The URL with fields added to its query, or as its fragment; in ASCII alone."""
    base, _, _ = quote(url, safe=_KEPT).partition("#")
    joint = "#" if in_fragment else ("&" if "?" in base else "?")
    return f"{base}{joint}{urlencode(fields)}"


def in_ascii(url: str) -> str:
    """The URL as it may stand in a form or a header."""
    return quote(url, safe=_KEPT)


def target_named(url: str) -> str:
    """The target of a URL, as people can judge it: scheme, host and port, or all of one without a host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else url


def form_targets(url: str) -> str:
    """The form-action of a policy that lets an answer reach the URL, and the redirects that follow.

    Chromium holds every redirect after a form against the policy of the page with the form, those that the
    application makes after it has got its answer too. So the web is allowed as a whole, on pages where
    nothing is typed.
    """
    scheme = urlsplit(url).scheme
    own = "" if scheme in ("", "http", "https") else f" {scheme}:"
    return f"'self' http: https:{own}"
