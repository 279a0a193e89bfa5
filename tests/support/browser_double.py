"""Somebody at a browser without a window, who reads pages, keeps cookies and fills in forms."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.house import INCIDENTS_API, PASSWORD, Answer, Headers, House, a_name
from tests.support.shown_page import ShownPage
from vigie.core.directory import Application, User

FORM = ("Content-Type", "application/x-www-form-urlencoded")
SAME_SITE = (("Origin", "null"), ("Sec-Fetch-Site", "same-origin"))
"""What Chromium says of a form that comes from a page with our referrer policy."""

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
VERIFIER = "dBjFTJeFXkpeAkjxrNdCJJ4ZjXfk6hvhVvb2zA8ZcHk"
"""The pair of RFC 7636, appendix B."""

BACK = "http://localhost/back"


_addresses = count(2)


def an_address() -> str:
    """An address of this machine that nobody has come from, so that nobody has come from it too often."""
    number = next(_addresses)
    return f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class Visitor:
    """A browser with its cookies, and the answer that it shows."""

    house: House
    headers: Headers = ()
    cookies: dict[str, str] = field(default_factory=dict)
    address: str = field(default_factory=an_address)
    host: str | None = None
    shown: Answer = field(default_factory=lambda: Answer(status=0, headers=(), body=b""))

    @property
    def page(self) -> ShownPage:
        """The page that is shown."""
        return ShownPage(self.shown.body)

    def another(self) -> "Visitor":
        """A browser of somebody else, with nothing in it."""
        return Visitor(self.house, self.headers)

    def get(self, path: str, headers: Headers = ()) -> Self:
        """Go somewhere."""
        return self._send("GET", path, headers)

    def post(self, path: str, fields: Mapping[str, str] | bytes, headers: Headers = SAME_SITE) -> Self:
        """Send a form of any origin."""
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self._send("POST", path, [FORM, *headers], body)

    def submit(self, headers: Headers = SAME_SITE, **changes: str) -> Self:
        """Fill in the form that is shown, and send it."""
        page = self.page
        return self.post(page.action, {**page.fields, **changes}, headers)

    def signs_in(self, user: User, password: str = PASSWORD) -> Self:
        """Give a name and a password."""
        return self.submit(username=user.upn, password=password)

    def answer_to_application(self) -> dict[str, str]:
        """What the application gets, by the query or the fragment of the address that the browser is sent to."""
        assert self.shown.status == 303, self.shown.body
        parts = urlsplit(self.shown.header("location") or "")
        fields = parse_qs(parts.fragment or parts.query, keep_blank_values=True, strict_parsing=True)
        assert all(len(values) == 1 for values in fields.values())
        return {name: values[0] for name, values in fields.items()}

    def _send(self, method: str, path: str, headers: Headers, body: bytes = b"") -> Self:
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        cookie = [("Cookie", jar)] if jar else []
        self.shown = self.house.running.request(
            method,
            path,
            [*self.headers, *cookie, *headers],
            body=body,
            host=self.host,
            address=self.address,
        )
        for name, value in self.shown.headers:
            if name == "set-cookie":
                self._keep(value)
        return self

    def _keep(self, set_cookie: str) -> None:
        pair, *attributes = set_cookie.split("; ")
        name, _, value = pair.partition("=")
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


@dataclass(frozen=True)
class Asking:
    """An application that sends people here to sign in."""

    house: House
    application: Application
    tenant: str
    version: str = "/v2.0"
    changes: Mapping[str, str | None] = field(default_factory=dict)

    def with_changes(self, **changes: str | None) -> "Asking":
        """The same with other fields; one that is None is left out."""
        return replace(self, changes={**self.changes, **changes})

    @property
    def path(self) -> str:
        """Where it sends people, without the fields."""
        return f"/{self.tenant}/oauth2{self.version}/authorize"

    @property
    def fields(self) -> dict[str, str]:
        """What it sends them with."""
        fields: dict[str, str | None] = {
            "client_id": self.application.client_id,
            "response_type": "code",
            "redirect_uri": "http://localhost:53123/back",
            "scope": f"{INCIDENTS_API}/Incident.Read offline_access openid",
            "state": "the-state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **self.changes,
        }
        return {name: value for name, value in fields.items() if value is not None}

    @property
    def url(self) -> str:
        """Both."""
        return f"{self.path}?{urlencode(self.fields)}"


def asking(house: House, *redirect_uris: str, name: str | None = None) -> Asking:
    """A new public application that asks to read incidents."""
    application = house.running.run(
        house.directory.add_application_without_secret(
            house.tenant,
            name or a_name("program"),
            ["Incident.Read"],
            redirect_uris=redirect_uris or (BACK,),
            is_public=True,
        )
    )
    return Asking(house, application, house.tenant.guid)
