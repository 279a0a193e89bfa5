"""A request by a browser: which browser it is, its fields and cookies, and the headers of the answer."""

import re
import secrets
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

from vigie.core.instants import format_instant
from vigie.http.error_responses import Headers
from vigie.http.exchange import Exchange, read_body
from vigie.http.forwarded import is_protected
from vigie.identity.refusals import OAuthErrorText, OAuthRefusal
from vigie.ui.content_security_policy import SELF, form_policy
from vigie.ui.rendering import Html, PageContext

FIELDS_MAX = 100
REQUEST_BYTES_MAX = 32 * 1024
"""The size that the fields of an authorization request may have: by GET, the head of a request has that bound."""

FORM_BYTES_MAX = 64 * 1024
"""The size that our own forms may have: they bring such a request back, a third longer, and little else."""

_BROWSER = "vigie-browser"
_BROWSER_ID = re.compile(r"[\w-]{43}", re.ASCII)
_COOKIES_MAX = 100
_SEE_OTHER = 303
_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"pragma", b"no-cache"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), publickey-credentials-get=()"),
)


class UnreadableForm(Exception):
    """Fields that cannot be read; `duplicate` is the one that came twice, if that is what is wrong."""

    def __init__(self, duplicate: str = "") -> None:
        super().__init__(duplicate)
        self.duplicate = duplicate


class BrowserRequest:
    """A request by a browser and the answer to it.

    `browser` names it as long as it keeps our cookie: forms are signed for it, so that they are good in no
    other. It says nothing about the user. `is_insecure` is true where somebody on the network could read
    what is sent: nothing is asked for then, and no cookie is set. `oauth_error_text` has the words for refusals.
    """

    def __init__(
        self,
        exchange: Exchange,
        context: PageContext,
        oauth_error_text: Callable[[OAuthRefusal], OAuthErrorText],
    ) -> None:
        self.exchange = exchange
        self.context = context
        self.oauth_error_text = oauth_error_text
        self._is_secure = exchange.origin.startswith("https://")
        self.is_insecure = not is_protected(exchange.scope, exchange.origin)
        self._cookies = _cookies(exchange)
        self._set: list[str] = []
        known = self.cookie(_BROWSER)
        self.browser = known if known and _BROWSER_ID.fullmatch(known) else secrets.token_urlsafe(32)
        if self.browser != known and not self.is_insecure:
            # Lax: an application sends its user here from its own site.
            self.set_cookie(_BROWSER, self.browser, same_site="Lax")

    @property
    def is_cross_site(self) -> bool:
        """Whether another site sent this form. Old browsers do not say; the signature of the form must do then."""
        site = self.exchange.header(b"sec-fetch-site")
        if site is not None:
            # `none` is somebody who sends the same page again by hand.
            return site not in ("same-origin", "none")
        # Under our referrer policy a browser writes `null` for the pages' own origin too.
        return self.exchange.header(b"origin") not in (None, "null", self.exchange.origin)

    @property
    def time(self) -> str:
        """The time it came, as people read it."""
        return format_instant(self.exchange.at)[:19].replace("T", " ") + "Z"

    def query(self) -> dict[str, str]:
        """The fields of the address. Raises UnreadableForm."""
        query: bytes = self.exchange.scope["query_string"]
        return _fields(query)

    async def form(self, bytes_max: int) -> dict[str, str]:
        """The fields of the body. Raises UnreadableForm, BodyTooLarge."""
        return _fields(await read_body(self.exchange, bytes_max))

    def cookie(self, name: str) -> str | None:
        """The value of one of our cookies."""
        return self._cookies.get(self._full_name(name))

    def set_cookie(self, name: str, value: str, *, same_site: str, seconds: int | None = None) -> None:
        """Set a cookie that scripts cannot read, for as long as the browser runs or for some seconds."""
        age = "" if seconds is None else f"; Max-Age={seconds}"
        secure = "; Secure" if self._is_secure else ""
        self._set.append(
            f"{self._full_name(name)}={value}; Path=/; HttpOnly; SameSite={same_site}{age}{secure}"
        )

    def delete_cookie(self, name: str) -> None:
        """Have the browser delete a cookie."""
        self.set_cookie(name, "", same_site="Strict", seconds=0)

    async def show(
        self,
        page: Html,
        *,
        status: int = 200,
        form_targets: str = SELF,
        scripts: Sequence[str] = (),
        headers: Headers = (),
    ) -> None:
        """Answer with a page whose forms may lead to these targets, and which runs these inline scripts alone."""
        all_headers = [
            *self._headers(),
            (b"content-security-policy", form_policy(scripts, form_targets).encode()),
            (b"content-language", self.context.language.encode()),
            *self._cookie_headers(),
            *((name.encode(), value.encode()) for name, value in headers),
        ]
        await self.exchange.answer(status, all_headers, page.encode())

    async def redirect(self, url: str) -> None:
        """Redirect the browser. The URL must be of ASCII alone, as `urls.py` makes them."""
        location = (b"location", url.encode("ascii"))
        await self.exchange.answer(_SEE_OTHER, [*self._headers(), location, *self._cookie_headers()], b"")

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return (*_HEADERS, *self.exchange.safety_headers)

    def _cookie_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"set-cookie", each.encode("ascii")) for each in self._set]

    def _full_name(self, name: str) -> str:
        # A browser takes a name with this prefix over HTTPS alone, and from no neighbouring host.
        return f"__Host-{name}" if self._is_secure else name


def _fields(text: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            text.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
        )
    except ValueError as error:
        raise UnreadableForm from error
    fields: dict[str, str] = {}
    for name, value in pairs:
        # OAuth 2.0 (RFC 6749, 3.1): what comes twice can be read in two ways, and is refused.
        if name in fields:
            raise UnreadableForm(duplicate=name)
        fields[name] = value
    return fields


def _cookies(exchange: Exchange) -> dict[str, str]:
    """The cookies of a request; of those with the same name the first counts."""
    sent = [value.decode("latin-1") for name, value in exchange.scope["headers"] if name == b"cookie"]
    pairs = [each.strip().partition("=") for each in ";".join(sent).split(";", _COOKIES_MAX)]
    return {name: value for name, _, value in reversed(pairs)}
