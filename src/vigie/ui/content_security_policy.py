"""The Content-Security-Policy of the pages: nothing but what is listed by its hash or served here."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

from vigie.ui.rendering import source_of

SELF = "'self'"

_STYLE_SHEET_OF_REDOC = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
"""The one style sheet that Redoc brings as text, that of its scrollbars."""

_EMPTY_STYLE_SHEET = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"


def form_policy(scripts: Sequence[str], form_targets: str) -> str:
    """The policy of a page that runs these inline scripts, and whose forms may lead to these targets."""
    allowed = " ".join(hash_of(script) for script in scripts) or "'none'"
    return (
        f"default-src 'none'; style-src 'self'; script-src {allowed}; base-uri 'none'; "
        f"frame-ancestors 'none'; form-action {form_targets}"
    )


def reference_policy() -> str:
    """The policy of the reference page: our two scripts, read from this server, and the known style sheets.

    The empty sheet is the one that Redoc fills rule by rule, by a script. Its search runs in a worker that is
    made of a blob.
    """
    sheets = " ".join((hash_of("reference.css"), _STYLE_SHEET_OF_REDOC, _EMPTY_STYLE_SHEET))
    return (
        f"default-src 'none'; script-src 'self' {hash_of('reference.js')}; style-src {sheets}; "
        "connect-src 'self'; img-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


@cache
def hash_of(inline_file: str) -> str:
    """The source expression that allows a script or style sheet which a template includes."""
    return f"'sha256-{b64encode(sha256(source_of(inline_file).encode()).digest()).decode()}'"
