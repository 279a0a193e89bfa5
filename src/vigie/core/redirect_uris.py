"""Redirect URIs: what an application may register, and whether a request names a registered one.

A request has to send a registered URI letter by letter: URLs have too many spellings, and every parser reads some
of them in its own way. Only the port of a loopback address may differ, because a program on somebody's machine
takes one that is free. Source: RFC 9700, 2.1 and 4.1.3; RFC 8252, 7 and 8.3; RFC 3986.
"""

import re
from collections.abc import Collection
from ipaddress import IPv6Address

LENGTH_MAX = 1024

_PORT_MAX = 65_535

# No fragment, no wildcard, and nothing that browsers drop or read as a slash.
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()+,;=-]|%[0-9A-Fa-f]{2})*")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):(.+)")
_WEB_ADDRESS = re.compile(
    r"//(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?:/[^?]*)?(?:\?.*)?"
)
_LOOPBACK = re.compile(
    r"http://(?P<host>localhost|127\.0\.0\.1|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?(?P<rest>(?:[/?].*)?)"
)
_DOT_SEGMENT = re.compile(r"/(\.|%2e){1,2}(/|$)", re.IGNORECASE)


def why_not_registrable(uri: str, *, is_public: bool) -> str | None:
    """Say what is wrong with a redirect URI that is to be registered, and what to do; None when nothing is."""
    if len(uri) > LENGTH_MAX:
        return f"is longer than {LENGTH_MAX} characters"
    if not uri.isascii():
        return "is not ASCII: write its host in punycode (xn--...), and percent-encode the rest"
    if "#" in uri:
        return "has a fragment: leave out the # and what follows"
    if "*" in uri:
        return "has a wildcard: register each URI on its own"
    if not _CHARACTERS.fullmatch(uri):
        return "has a character that no URI may have: percent-encode it"
    parts = _SCHEME.fullmatch(uri)
    if parts is None:
        return "is not an absolute URI with its scheme in lower case: write, for example, https://app.example/back"
    scheme, rest = parts.groups()
    if "@" in rest.removeprefix("//").partition("/")[0].partition("?")[0]:
        return "has a user name in it: leave out the @ and what is in front of it"
    if _DOT_SEGMENT.search(rest.partition("?")[0]):
        return "has . or .. in its path: write the path that it leads to"
    if scheme in ("http", "https"):
        return _why_not_web(scheme, uri, rest)
    return _why_not_private(scheme, is_public=is_public)


def is_registered(sent: str, registered: Collection[str]) -> bool:
    """Whether a request names a registered URI: letter by letter, save the port of a loopback address.

    `localhost`, `127.0.0.1` and `[::1]` are three hosts: what listens on one need not listen on the others.
    """
    if sent in registered:
        return True
    without_port = _loopback_without_port(sent)
    return without_port is not None and any(without_port == _loopback_without_port(uri) for uri in registered)


def _why_not_web(scheme: str, uri: str, rest: str) -> str | None:
    parts = _WEB_ADDRESS.fullmatch(rest)
    if parts is None or not _is_host(parts["host"]) or not _is_port(parts["port"]):
        return "has no host, or a host or a port that there cannot be: write, for example, https://app.example/back"
    if scheme == "http" and _LOOPBACK.fullmatch(uri) is None:
        return "is http, which is for localhost, 127.0.0.1 and [::1] alone: use https"
    return None


def _why_not_private(scheme: str, *, is_public: bool) -> str | None:
    """A private-use scheme (RFC 8252, 7.1): a reversed domain name, or the one that MSAL makes of a client id."""
    if "." not in scheme and not scheme.startswith("msal"):
        return (
            "has a scheme that cannot be registered: use https, a reversed domain name such as com.example.app, "
            "or msal with the client id behind it"
        )
    return None if is_public else "has a private-use scheme, which is for public clients: use https"


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except ValueError:
        return False
    return True


def _is_port(port: str | None) -> bool:
    return port is None or int(port) <= _PORT_MAX


def _loopback_without_port(uri: str) -> tuple[str, str] | None:
    """The host and what follows the port; None for what is no http URI on the loopback."""
    parts = _LOOPBACK.fullmatch(uri)
    if parts is None or not _is_port(parts["port"]):
        return None
    return parts["host"], parts["rest"]
