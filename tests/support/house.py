"""A house for tests: a real store, really served on the loopback, and what tests do with it."""

import asyncio
import base64
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest.mock import patch
from urllib.parse import urlencode, urlsplit

import msgspec
import uvloop
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.builders import Document, an_audit_context, to_json
from tests.support.stores import database_in, keys_in
from vigie.config.settings import (
    IdentitySettings,
    IncidentsSettings,
    LoggingSettings,
    MetricsSettings,
    QuotaSettings,
    RetentionSettings,
    ServerSettings,
    Settings,
    TlsSettings,
    UpdateSettings,
    WebhookSettings,
)
from vigie.core.access import CallerKind
from vigie.core.api_resource import ApiResource
from vigie.core.directory import Application, Tenant, User
from vigie.core.instants import TICKS_PER_SECOND, Instant
from vigie.core.oauth_records import Password
from vigie.documents.defender.reading import keep_incident
from vigie.identity.keys.key_encryption import key_encryption_by
from vigie.identity.keys.key_ring import KeyRing, SigningKey, new_key, save_keys, text_of
from vigie.identity.sign_in.passwords import hash_password
from vigie.identity.tokens.access_tokens import USER_CLIENT_ID, TokenRequest, issue_token, issuer_of
from vigie.identity.tokens.issuance import application_token_request
from vigie.observability.log_writer import LogWriter, written_log
from vigie.runtime.apis import APIS, ProfileBuilder
from vigie.runtime.installation import Installation, opened
from vigie.runtime.resources import RESOURCES
from vigie.runtime.server import bound, serving
from vigie.storage.signing_key_repository import SigningKeyRepository

INCIDENTS_API = "https://api.security.microsoft.com"
READ_ALL = "Incident.Read.All"
PASSWORD = "a quiet harbour at noon"

Headers = Iterable[tuple[str, str]]
T = TypeVar("T")

_names = count(1)


class Clock:
    """A clock for houses that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = Instant(time.time_ns() // 100)

    def now(self) -> Instant:
        """The moment it shows."""
        return self._now

    def show(self, at: Instant) -> None:
        """Show another moment, in one step: several threads may do so at once."""
        self._now = at

    def forward(self, *, seconds: float = 0, ticks: int = 0) -> None:
        """Let time pass."""
        self._now = Instant(self._now + round(seconds * TICKS_PER_SECOND) + ticks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, None when it is not there."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a refusal, None for another answer."""
        error = self.json.get("error") if self.status >= 400 else None
        return str(error["code"]) if isinstance(error, dict) else None

    @property
    def stated_wait(self) -> tuple[str, str]:
        """What a spent quota is said to allow, and the seconds to wait, which `Retry-After` must say too."""
        found = re.fullmatch(
            r"API calls quota exceeded! maximum allowed (\d+ per [\d:]+)\. "
            r"You can send requests again in (\d+) seconds\.",
            self.json["error"]["message"],
        )
        assert found is not None, self.body
        assert found[2] == self.header("retry-after")
        return found[1], found[2]

    @property
    def error_code(self) -> int:
        """The number behind AADSTS of a refusal of the token endpoint."""
        return int(self.json["error_codes"][0])


@cache
def a_key_ring() -> KeyRing:
    """The keys of every house of this process: making one takes longer than most tests."""
    return KeyRing(current=new_key())


@cache
def a_strange_key() -> SigningKey:
    """A key that no house has."""
    return new_key()


def settings_in(folder: Path, **sections: Any) -> Settings:
    """The settings of a house in a folder: quick to notice changes, quiet, on any free port, and nobody waits."""
    return Settings(
        server=sections.get("server", ServerSettings(port=0, anonymous_answers_per_second=10**6)),
        database=sections.get("database", database_in(folder)),
        keys=sections.get("keys", keys_in(folder)),
        # Beside a store in PostgreSQL would be in the working directory.
        tls=msgspec.structs.replace(sections.get("tls", TlsSettings()), folder=str(folder)),
        identity=sections.get("identity", IdentitySettings(revocation_seconds=0.1)),
        quotas=sections.get("quotas", QuotaSettings()),
        updates=sections.get("updates", UpdateSettings()),
        incidents=sections.get("incidents", IncidentsSettings()),
        retention=sections.get("retention", RetentionSettings()),
        webhooks=sections.get("webhooks", WebhookSettings()),
        logging=sections.get("logging", LoggingSettings(level="error")),
        metrics=sections.get("metrics", MetricsSettings()),
    )


class RunningHouse:
    """An installation that is really served, on a thread with a loop of its own, while the `with` lasts."""

    installation: Installation
    url: str

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock | None = None,
        answer_age_seconds_max: float = 0,
        apis: Iterable[ProfileBuilder] = APIS,
        resources: tuple[ApiResource, ...] = RESOURCES,
        **sections: Any,
    ) -> None:
        """`answer_age_seconds_max` of 0: tests read at once what they have just caused."""
        self.clock = clock
        self._answer_age_seconds_max = answer_age_seconds_max
        self._apis = apis
        self._resources = resources
        self.folder = folder
        self.settings = settings_in(folder, **sections)
        self._thread = threading.Thread(target=self._live, name="house", daemon=True)
        self._started: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result(timeout=20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(timeout=20)

    @property
    def key(self) -> SigningKey:
        """The key that signs its tokens, unless a test has rotated it."""
        return a_key_ring().current

    def keep_keys(self, ring: KeyRing) -> None:
        """Put a ring in the place of its keys, whatever is there, as nobody but a test does."""
        self.run(self._keep_keys(ring))

    def damage_keys(self, damage: bytes) -> None:
        """Put something else in the place of its keys."""
        if not self.settings.keys.secret_file:
            self.installation.key_file.write_bytes(damage)
            return
        text = damage.decode("latin-1")
        self.run(SigningKeyRepository(self.installation.database).change(lambda _: text))

    async def _keep_keys(self, ring: KeyRing) -> None:
        secret_file = self.settings.keys.secret_file
        if not secret_file:
            save_keys(self.installation.key_file, ring)
            return
        wrapped = key_encryption_by(Path(secret_file)).encrypt(text_of(ring))
        await SigningKeyRepository(self.installation.database).change(lambda _: wrapped)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something on the loop of the house, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    def send(self, request: bytes, *, method: str = "GET", address: str = "") -> Answer:
        """Send these very bytes and read one answer, from an address of this machine."""
        place = urlsplit(self.url)
        source = (address, 0) if address else None
        with socket.create_connection((place.hostname, place.port), 20, source) as connection:
            connection.sendall(request)
            response = HTTPResponse(connection, method=method)
            try:
                response.begin()
                headers = tuple((name.lower(), value) for name, value in response.getheaders())
                return Answer(status=response.status, headers=headers, body=response.read())
            finally:
                response.close()

    def request(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        *,
        body: bytes = b"",
        host: str | None = None,
        address: str = "",
    ) -> Answer:
        """Send a request: its path as it is given, its headers in their order, `Host` in front."""
        fields = [("Host", host or urlsplit(self.url).netloc), *headers, ("Connection", "close")]
        if body:
            fields.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        return self.send("\r\n".join(lines).encode("latin-1") + body, method=method, address=address)

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        async with AsyncExitStack() as stack:
            try:
                listeners = stack.enter_context(bound(self.settings))
                writer = stack.enter_context(_written_to_stderr())
                self.installation = await stack.enter_async_context(
                    opened(self.settings, create=True, resources=self._resources)
                )
                if self.settings.identity.issues_tokens:
                    await self._keep_keys(a_key_ring())
                with _clocks_of_the_server(self.clock):
                    server = serving(
                        self.installation,
                        listeners,
                        writer,
                        answer_age_seconds_max=self._answer_age_seconds_max,
                        apis=self._apis,
                    )
                    self.url = (await stack.enter_async_context(server)).url
            # Whatever it is, the test that waits for the house wants to hear of it.
            except Exception as error:  # noqa: BLE001
                self._started.set_exception(error)
                return
            self._started.set_result(None)
            await self._end.wait()


@contextmanager
def _written_to_stderr() -> Iterator[LogWriter]:
    with open(2, "wb", buffering=0, closefd=False) as stderr, written_log(stderr) as writer:
        yield writer


@contextmanager
def _clocks_of_the_server(clock: Clock | None) -> Iterator[None]:
    """Time is the outside world: a server takes its clocks by name when it is put together."""
    with ExitStack() as stack:
        if clock is not None:
            for name in ("container.now", "container.steady_now", "server.now"):
                stack.enter_context(patch(f"vigie.runtime.{name}", clock.now))
        yield


class House:
    """A tenant of its own in a running house, and what tests do there."""

    def __init__(self, running: RunningHouse) -> None:
        self.running = running
        self.directory = running.installation.directory
        self.tenant = self.add_tenant()

    # Who is there

    def add_tenant(self, *, domain: str | None = None) -> Tenant:
        """Another tenant, without anything in it."""
        return self.running.run(self.directory.add_tenant(a_name("Tenant"), guid=None, domain=domain))

    def add_application(self, *permissions: str, tenant: Tenant | None = None) -> tuple[Application, str]:
        """An application with application permissions, and its secret."""
        return self.running.run(
            self.directory.add_application(tenant or self.tenant, a_name("app"), permissions)
        )

    def add_public_application(
        self, *permissions: str, redirect_uris: tuple[str, ...] = ("http://localhost/back",)
    ) -> Application:
        """An application on somebody's machine, for which people sign in; it may ask to read by itself."""
        return self.running.run(
            self.directory.add_application_without_secret(
                self.tenant,
                a_name("program"),
                permissions or ("Incident.Read",),
                redirect_uris=redirect_uris,
                is_public=True,
            )
        )

    def add_person(self, password: str = PASSWORD) -> User:
        """A user who may view data and has a password."""
        user = self.add_user()
        self.set_password(user, password)
        return user

    def set_password(self, user: User, password: str) -> None:
        """Give a user a password, as an administrator does."""
        kept = Password(hash=hash_password(password), changed_at=self.now())
        self.running.run(self.running.installation.sign_ins.put_password(self.tenant, user, kept))

    def add_user(self, *device_groups: str, role: str | None = "security-reader") -> User:
        """A user with a role over some device groups, or over the whole tenant; for None without any role."""
        user = self.running.run(self.directory.add_user(self.tenant, f"{a_name('user')}@contoso.example"))
        if role is not None:
            self.grant(user, role, *device_groups)
        return user

    def grant(self, user: User, role: str, *device_groups: str) -> None:
        """Give a user a role over some device groups, which are made if they are not known yet."""
        known = {group.name for group in self.running.run(self.directory.device_groups(self.tenant))}
        for name in set(device_groups) - known:
            self.running.run(self.directory.add_device_group(self.tenant, name, None))
        chosen = self.running.run(self.directory.get_role(self.tenant, role))
        self.running.run(self.directory.grant(self.tenant, user, chosen, device_groups))

    # Tokens

    def a_token(
        self,
        *permissions: str,
        tenant: Tenant | None = None,
        audience: str = INCIDENTS_API,
        lifetime_seconds: int = 3599,
    ) -> str:
        """The token of a new application, one that may read unless permissions are named."""
        tenant = tenant or self.tenant
        application, _ = self.add_application(*(permissions or (READ_ALL,)), tenant=tenant)
        installation = self.running.installation
        request = application_token_request(
            self._issuer(), tenant, application, audience, installation.audiences(self.running.url)
        )
        return self._issue(request, lifetime_seconds)

    def a_token_without_permission(self) -> str:
        """The token of a new application that may do nothing."""
        application, secret = self.add_application()
        return self.fetch_token(application, secret)

    def a_token_exposed_to(self, *device_groups: str, scopes: tuple[str, ...] = ("Incident.Read",)) -> str:
        """The token of a new user who may view data of these device groups; without any, of the tenant."""
        return self.token_of(self.add_user(*device_groups), *scopes)

    def token_of(self, user: User, *scopes: str, lifetime_seconds: int = 3599) -> str:
        """A token of a user with delegated permissions."""
        request = TokenRequest(
            issuer=issuer_of(self._issuer(), self.tenant.guid),
            audience=INCIDENTS_API,
            tenant_guid=self.tenant.guid,
            kind=CallerKind.USER,
            application_id=USER_CLIENT_ID,
            application_name="Vigie",
            object_id=user.object_id,
            upn=user.upn,
            granted=scopes,
        )
        return self._issue(request, lifetime_seconds)

    def fetch_token(self, application: Application, secret: str) -> str:
        """A token from the token endpoint, as a client gets it."""
        answer = self.ask_for_token({"client_id": application.client_id, "client_secret": secret})
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])

    def ask_for_token(
        self,
        changes: Mapping[str, str | None],
        path: str | None = None,
        headers: Headers = (("Content-Type", "application/x-www-form-urlencoded"),),
        *,
        method: str = "POST",
        address: str = "",
    ) -> Answer:
        """What the token endpoint answers to a form; a field that is None is left out."""
        form = {"grant_type": "client_credentials", "scope": f"{INCIDENTS_API}/.default", **changes}
        body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
        return self.running.request(
            method, path or f"/{self.tenant.guid}/oauth2/v2.0/token", headers, body=body, address=address
        )

    def claims(self, **changes: object) -> dict[str, object]:
        """The claims of a good token of a new application that may read; `...` leaves one out."""
        application, _ = self.add_application(READ_ALL)
        issuer = issuer_of(self._issuer(), self.tenant.guid)
        now = self._now_seconds()
        claims = {
            "aud": INCIDENTS_API,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + 3599,
            "appid": application.client_id,
            "oid": application.client_id,
            "sub": application.client_id,
            "tid": self.tenant.guid,
            "roles": [READ_ALL],
            "idtyp": "app",
            "ver": "1.0",
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not ...}

    def sign(self, claims: Mapping[str, object] | bytes, **header: object) -> str:
        """A token that says anything at all, signed with the key of the house."""
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        head = {"typ": "JWT", "alg": "RS256", "kid": self.running.key.kid, **header}
        head = {name: value for name, value in head.items() if value is not ...}
        signed = f"{to_base64(json.dumps(head).encode())}.{to_base64(payload)}"
        return f"{signed}.{to_base64(signature_of(signed.encode(), self.running.key))}"

    def _issue(self, request: TokenRequest, lifetime_seconds: int) -> str:
        return issue_token(
            request,
            self.running.key,
            now_seconds=self._now_seconds(),
            lifetime_seconds=lifetime_seconds,
        )

    def _issuer(self) -> str:
        return self.running.run(self.running.installation.issuer())

    def now(self) -> Instant:
        """The time in the house."""
        clock = self.running.clock
        return clock.now() if clock else Instant(time.time_ns() // 100)

    def _now_seconds(self) -> int:
        return self.now() // TICKS_PER_SECOND

    # Incidents

    def takes(self, incident: Document, *, tenant: Tenant | None = None) -> int:
        """Put an incident in, and say its number."""
        kept = keep_incident(to_json(incident))
        tenant_id = (tenant or self.tenant).tenant_id
        self.running.run(
            self.running.installation.incidents.put_incidents(tenant_id, [kept], an_audit_context())
        )
        return kept.incident_id

    def get(
        self, incident: int | str, token: str | None, headers: Headers = (), *, method: str = "GET"
    ) -> Answer:
        """Ask for an incident by its number, or by any path, with a token or without."""
        path = incident if isinstance(incident, str) else f"/api/incidents/{incident}"
        bearer = [("Authorization", f"Bearer {token}")] if token is not None else []
        return self.running.request(method, path, [*bearer, *headers])


def a_name(kind: str) -> str:
    """A name that nothing else in this process has."""
    return f"{kind}-{next(_names)}"


def to_base64(data: bytes) -> str:
    """As tokens write bytes."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64(text: str) -> bytes:
    """As tokens write bytes."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signature_of(signed: bytes, key: SigningKey) -> bytes:
    """RS256, made without the library that checks it."""
    return key.pair.private_key.sign(signed, PKCS1v15(), SHA256())


def eventually(claim: Callable[[], bool], *, within_seconds: float = 2.0) -> bool:
    """Whether something becomes true in time."""
    end = time.monotonic() + within_seconds
    while not (holds := claim()) and time.monotonic() < end:
        time.sleep(0.02)
    return holds
