"""Redirect URIs: the rules that one must keep, and when two are the same.

Source: RFC 6749, 3.1.2; RFC 8252, 7 and 8.4; RFC 9700, 2.1 and 4.1.
"""

import re
from urllib.parse import SplitResult, urlsplit

LENGTH_MAX = 1024

_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)
# Letters that became others in the first version of IDNA, and stay themselves in the second.
_READ_IN_TWO_WAYS = "\u00df\u03c2\u200c\u200d"
# What browsers read as a slash, cut off, or take away without a word.
_NEVER = re.compile(r"[\x00-\x20\x7f\\#*\"<>^`{|}]")


def why_not_a_redirect_uri(uri: str, *, is_public: bool) -> str | None:
    """What is wrong with a redirect URI that somebody wants to register; None when nothing is."""
    if len(uri) > LENGTH_MAX or _NEVER.search(uri):
        return f"is longer than {LENGTH_MAX} characters, or has a fragment, a wildcard or a blank in it"
    parts = _parts(uri)
    if parts is None:
        return "is not an absolute URI"
    if "@" in parts.netloc:
        return "has a user name in it"
    if _DOT_SEGMENT.search(parts.path):
        return "has . or .. in its path"
    if parts.scheme in ("http", "https") and _ascii_host(parts.hostname or "") is None:
        return "names no host, or one whose name must be written in punycode"
    if parts.scheme == "https":
        return None
    if parts.scheme == "http":
        return None if parts.hostname in _LOOPBACK_HOSTS else "is http, which is for this machine alone"
    return _why_not_private(parts, is_public=is_public)


def canonical(uri: str) -> str | None:
    """The one spelling that redirect URIs are compared in: the host in lower case and punycode.

    None for what can never be registered. The path is left as it is, for servers tell its cases apart.
    """
    if why_not_a_redirect_uri(uri, is_public=True) is not None:
        return None
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:{uri.partition(':')[2]}"
    host = _ascii_host(parts.hostname or "")
    port = "" if parts.port is None else f":{parts.port}"
    query = f"?{parts.query}" if "?" in uri else ""
    return f"{parts.scheme}://{host}{port}{parts.path}{query}"


def is_registered(sent: str, registered: str) -> bool:
    """Whether a URI that a request names is one that was registered; both in their canonical spelling.

    Letter by letter, but for the port of an http address on the loopback: a program on somebody's machine
    takes whichever is free (RFC 8252, 7.3).
    """
    return sent == registered or (
        _is_loopback(registered) and _is_loopback(sent) and _without_port(sent) == _without_port(registered)
    )


def _parts(uri: str) -> SplitResult | None:
    try:
        parts = urlsplit(uri)
        port_is_fine = not parts.netloc.endswith(":") and parts.port != 0
    except ValueError:
        return None
    is_absolute = bool(_SCHEME.fullmatch(parts.scheme)) and bool(parts.netloc or parts.path)
    return parts if is_absolute and port_is_fine else None


def _why_not_private(parts: SplitResult, *, is_public: bool) -> str | None:
    """A scheme of one's own: a reversed domain name, or the one that MSAL makes of a client id."""
    if "." not in parts.scheme and not parts.scheme.startswith("msal"):
        return "has a scheme that is not https; one of your own needs a dot in it, or begins with msal"
    return None if is_public else "has a scheme of its own, which is for public clients"


def _ascii_host(host: str) -> str | None:
    """A host as it is looked up; None for one that browsers and we would not look up alike."""
    if ":" in host:
        return f"[{host}]"
    if not host or any(letter in host for letter in _READ_IN_TWO_WAYS):
        return None
    try:
        return host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None


def _is_loopback(uri: str) -> bool:
    parts = urlsplit(uri)
    return parts.scheme == "http" and parts.hostname in _LOOPBACK_HOSTS


def _without_port(uri: str) -> tuple[str | None, str, str]:
    parts = urlsplit(uri)
    return parts.hostname, parts.path, parts.query
