"""Redirect URIs: what may be registered, why the rest may not, and what of a request is registered."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigie.core.redirect_uris import LENGTH_MAX, is_registered, why_not_registrable

GOOD = [
    "https://app.contoso.example",
    "https://app.contoso.example/",
    "https://app.contoso.example/signed-in",
    "https://App.Contoso.Example/Signed-In",
    "https://app.contoso.example:8443/a;b/c,d/(e)/@me/~f/$&+=!'",
    "https://app.contoso.example/%C3%A9?next=/a/../b&x=%2e%2e/y",
    "https://app.contoso.example?x=1",
    "https://xn--bcher-kva.example/cb",
    "https://app_1.contoso.example/..a/...",
    "https://localhost/back",
    "https://[2001:db8::1]:8443/cb",
    "http://localhost",
    "http://localhost:8080/back?x=1",
    "http://127.0.0.1/cb",
    "http://[::1]:8080/cb",
    "msal6f0c0a52://auth",
    "com.contoso.app:/oauth",
    "com.contoso.app://oauth/back",
    f"https://app.contoso.example/{'x' * (LENGTH_MAX - 28)}",
]

BAD = [
    # The whole: absolute, ASCII, of bearable length.
    ("", "absolute URI"),
    ("null", "absolute URI"),
    ("/cb", "absolute URI"),
    ("//contoso.example/cb", "absolute URI"),
    ("https:", "absolute URI"),
    ("HTTPS://contoso.example/cb", "lower case"),
    ("%68ttps://contoso.example/cb", "absolute URI"),
    (f"https://app.contoso.example/{'x' * (LENGTH_MAX - 27)}", "longer than 1024"),
    ("https://stra\u00dfe.example/cb", "punycode"),
    ("https://\u0430pp.contoso.example/cb", "punycode"),
    ("https://app\u3002contoso.example/cb", "punycode"),
    ("https://contoso.example/\u00e9", "percent-encode"),
    # Fragments and wildcards.
    ("https://contoso.example/cb#", "fragment"),
    ("https://contoso.example/cb#/route", "fragment"),
    ("https://contoso.example#@attacker.example/", "fragment"),
    ("https://*.contoso.example/cb", "wildcard"),
    ("https://contoso.example/*", "wildcard"),
    # What browsers drop, or read as a slash.
    ("https://contoso.example/\ncb", "character"),
    ("https://contoso.example/cb\n", "character"),
    (" https://contoso.example/cb", "character"),
    ("https://con\ttoso.example/cb", "character"),
    ("https://contoso.example/cb\0", "character"),
    ("https:\\\\contoso.example\\cb", "character"),
    ("https://contoso.example\\@attacker.example/cb", "character"),
    ("https://contoso.example/<script>", "character"),
    ("https://contoso.example/100%", "character"),
    ("https://contoso.example/%zz", "character"),
    # The user name in front of a host.
    ("https://user@contoso.example/cb", "user name"),
    ("https://user:secret@contoso.example/cb", "user name"),
    ("https://@contoso.example/cb", "user name"),
    ("https://contoso.example@attacker.example", "user name"),
    ("https://contoso.example@attacker.example?x", "user name"),
    ("http://localhost:80@attacker.example/back", "user name"),
    ("com.contoso.app://user@oauth", "user name"),
    # Dot segments.
    ("https://contoso.example/a/../cb", "path"),
    ("https://contoso.example/./cb", "path"),
    ("https://contoso.example/cb/..", "path"),
    ("https://contoso.example/a/%2E%2e/cb", "path"),
    ("https://contoso.example/a/.%2e", "path"),
    ("https://contoso.example/%2e?x", "path"),
    # Hosts and ports.
    ("https:///cb", "host"),
    ("https:/contoso.example/cb", "host"),
    ("https:contoso.example/cb", "host"),
    ("https://:443/cb", "host"),
    ("https://contoso..example/cb", "host"),
    ("https://.contoso.example/cb", "host"),
    ("https://contoso.example:/cb", "port"),
    ("https://contoso.example:0/cb", "port"),
    ("https://contoso.example:065/cb", "port"),
    ("https://contoso.example:65536/cb", "port"),
    ("https://contoso.example:x/cb", "port"),
    ("https://contoso.example:80:80/cb", "port"),
    ("https://%63ontoso.example/cb", "host"),
    ("https://contoso.example%2f.attacker.example/cb", "host"),
    ("https://contoso,example/cb", "host"),
    ("https://[::1/cb", "host"),
    ("https://[12345::1]/cb", "host"),
    ("https://[::1%25lo]/cb", "host"),
    ("https://[::1]contoso.example/cb", "host"),
    # Plain HTTP leaves the machine.
    ("http://contoso.example/cb", "use https"),
    ("http://localhost.contoso.example/cb", "use https"),
    ("http://LOCALHOST/cb", "use https"),
    ("http://localhost./cb", "use https"),
    ("http://127.0.0.2/cb", "use https"),
    ("http://127.1/cb", "use https"),
    ("http://2130706433/cb", "use https"),
    ("http://0.0.0.0/cb", "use https"),
    ("http://[::ffff:127.0.0.1]/cb", "use https"),
    ("http://[0:0:0:0:0:0:0:1]/cb", "use https"),
    # Schemes that are nobody's own.
    ("javascript:alert(1)", "scheme"),
    ("JavaScript:alert(1)", "lower case"),
    ("javascript://contoso.example/%0aalert(1)", "scheme"),
    ("vbscript:x", "scheme"),
    ("data:text/html,x", "scheme"),
    ("blob:https://contoso.example/x", "scheme"),
    ("file:///etc/passwd", "scheme"),
    ("ftp://contoso.example/cb", "scheme"),
    ("localhost:8080/cb", "scheme"),
    ("urn:ietf:wg:oauth:2.0:oob", "scheme"),
]


@pytest.mark.parametrize("uri", GOOD)
def test_what_may_be_registered_is_registered_as_it_stands(uri: str) -> None:
    assert why_not_registrable(uri, is_public=True) is None
    assert is_registered(uri, [uri])


@pytest.mark.parametrize(("uri", "reason"), BAD)
def test_what_may_not_be_registered_has_a_reason(uri: str, reason: str) -> None:
    said = why_not_registrable(uri, is_public=True)

    assert said is not None
    assert reason in said


@pytest.mark.parametrize("uri", ["msal6f0c0a52://auth", "com.contoso.app:/oauth"])
def test_a_private_use_scheme_is_for_public_clients(uri: str) -> None:
    assert "public clients" in (why_not_registrable(uri, is_public=False) or "")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("registered_port", ["", ":80", ":49152"])
@pytest.mark.parametrize("sent_port", ["", ":1", ":80", ":65535"])
def test_any_port_of_a_loopback_address_is_registered(
    host: str, registered_port: str, sent_port: str
) -> None:
    registered, sent = f"http://{host}{registered_port}/cb?x=1", f"http://{host}{sent_port}/cb?x=1"

    assert is_registered(sent, ["https://other.example/", registered])


TRICKY = st.text(alphabet="/\\@#?:.;%[]019aA\t\r\n \u0661\u3002", max_size=4)


@given(before=TRICKY, between=TRICKY, behind=TRICKY, port=st.integers(-10, 70_000))
def test_nothing_but_a_port_may_be_put_into_a_loopback_address(
    before: str, between: str, behind: str, port: int
) -> None:
    # Digits behind the port are a port too.
    written = f"{port}{between}"
    sent = f"{before}http://localhost:{written}/back{behind}"

    is_port = re.fullmatch("[1-9][0-9]*", written) is not None and int(written) <= 65_535
    is_only_a_port = is_port and not (before or behind)

    assert is_registered(sent, ["http://localhost/back"]) == is_only_a_port
