"""The token endpoints and the discovery documents, in Microsoft's shapes. They translate and do not decide.

Source: docs/api/tokens.md, docs/api/discovery.md, docs/api/clients.md.
"""

import base64
import binascii
from collections.abc import Callable, Collection
from functools import partial
from urllib.parse import SplitResult, parse_qsl, urlsplit

import msgspec

from vigie.api.oauth.error_responses import JSON_HEADER, NOT_STORED, oauth_error_of
from vigie.api.oauth.responses import client_info, device_answer, token_answer
from vigie.core.errors import StoreUnavailable
from vigie.core.letter_case import lowered
from vigie.http.anonymous_throttle import AnswerKind
from vigie.http.exchange import Exchange, read_body
from vigie.http.form_bodies import FORM_FIELDS_MAX, read_fields
from vigie.http.profile import OpenApiPart, Route
from vigie.identity.clients.assertions import ASSERTION_ALGORITHMS
from vigie.identity.clients.authentication import (
    SHARED_TENANTS,
    ClientAuthenticator,
)
from vigie.identity.clients.credentials import Credentials, Sender, basic_credentials
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.grants.device_code import DeviceCodes
from vigie.identity.grants.refusals import TransientError
from vigie.identity.grants.registry import GrantRegistry
from vigie.identity.grants.request import GrantRequest
from vigie.identity.keys.key_ring import KeyRing
from vigie.identity.refusals import (
    MissingAuthority,
    OAuthRefusal,
    SecretInQuery,
    UnknownAuthority,
    UnreadableBody,
)
from vigie.identity.tokens.access_tokens import issuer_of

INSTANCE_ROUTE = "/common/discovery/instance"

OPENAPI = OpenApiPart(
    package="vigie.api.oauth",
    sample_queries={
        INSTANCE_ROUTE: {
            "api-version": "1.1",
            "authorization_endpoint": "https://vigie.example/contoso.example/oauth2/v2.0/authorize",
        }
    },
)

ISSUED = "issued"
FORM_BYTES_MAX = 64 * 1024

_CACHED_BY_HOST = ((b"cache-control", b"private, max-age=300"), (b"vary", b"Host"))
_REVALIDATED = ((b"cache-control", b"no-cache"),)
_SECRET_FIELDS = frozenset(
    {
        "access_token",
        "client_assertion",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "password",
        "refresh_token",
    }
)
_MICROSOFT_CACHE_HOST = "login.windows.net"
_MICROSOFT_HOSTS = (
    "login.microsoftonline.com",
    _MICROSOFT_CACHE_HOST,
    "login.microsoft.com",
    "sts.windows.net",
)
"""The names of Microsoft's login, which its libraries take for one: the one to call first."""


class OAuthEndpoints:
    """Answers the calls of the token endpoints, discovery and the key set."""

    def __init__(
        self,
        grants: GrantRegistry,
        clients: ClientAuthenticator,
        device_codes: DeviceCodes,
        ring: Callable[[], KeyRing],
        *,
        issuer: str,
        origins: Collection[str],
        count_outcome: Callable[[str], None],
    ) -> None:
        self._grants = grants
        self._clients = clients
        self._device_codes = device_codes
        self._ring = ring
        self._issuer = issuer
        self._own_hosts = frozenset(urlsplit(origin).hostname for origin in origins)
        self._count_outcome = count_outcome

    async def token(self, exchange: Exchange, tenant: str, *, version: EndpointVersion) -> None:
        """Answer a request for a token, by POST or, as some clients do, by GET with a form."""
        try:
            request = await self._request(exchange, tenant, version)
            issued = await self._grants.issue(request)
        except OAuthRefusal as refusal:
            self._count_outcome(oauth_error_of(refusal).code)
            raise
        except StoreUnavailable as error:
            raise TransientError(detail=error.detail) from error
        exchange.tenant_guid = issued.tenant_guid
        # A client that gets a token has authenticated.
        exchange.anonymous_throttles = None
        self._count_outcome(ISSUED)
        more = client_info(issued) if request.form.get("client_info") == "1" else {}
        await _answer(exchange, {**token_answer(issued, version), **more}, headers=NOT_STORED)

    async def device_code(self, exchange: Exchange, tenant: str, *, version: EndpointVersion) -> None:
        """Answer a device that has no browser: what it shows, and where that is to be typed."""
        try:
            issued = await self._device_codes.issue(await self._request(exchange, tenant, version))
        except StoreUnavailable as error:
            raise TransientError(detail=error.detail) from error
        exchange.tenant_guid = issued.tenant_guid
        fields = device_answer(issued, exchange.origin, version)
        await _answer(exchange, fields, headers=NOT_STORED)

    async def _request(self, exchange: Exchange, tenant: str, version: EndpointVersion) -> GrantRequest:
        return GrantRequest(
            tenant_reference=tenant,
            form=await _form_of(exchange),
            sender=Sender(basic=_basic(exchange), address=exchange.address),
            version=version,
            ring=self._ring(),
            now=exchange.at,
        )

    async def discovery(self, exchange: Exchange, tenant: str, *, version: EndpointVersion) -> None:
        """Answer where everything is, on the origin that was called; the issuer is the installation's own."""
        is_of_any = lowered(tenant) in SHARED_TENANTS
        guid = "{tenantid}" if is_of_any else (await self._clients.tenant(tenant)).guid
        issuer = issuer_of(self._issuer, guid)
        document = _discovery(exchange.origin, tenant, issuer, self._grants.names, version)
        # Without one issuer there is nothing that an answer could name, and that a client could compare.
        document["authorization_response_iss_parameter_supported"] = not is_of_any
        await _answer(exchange, document, headers=_CACHED_BY_HOST)

    async def instance(self, exchange: Exchange) -> None:
        """Answer where discovery of an authority is, for clients that ask whether they may trust its address."""
        authority = self._own_authority(exchange)
        tenant = authority.path.strip("/").partition("/")[0]
        if lowered(tenant) not in SHARED_TENANTS:
            await self._clients.tenant(tenant)
        version = EndpointVersion.of_path(authority.path)
        endpoint = f"{exchange.origin}/{tenant}{version.path_segment}/.well-known/openid-configuration"
        document = {
            "tenant_discovery_endpoint": endpoint,
            "api-version": "1.1",
            "metadata": [self._names_of(authority)],
        }
        await _answer(exchange, document, headers=_CACHED_BY_HOST)

    def _own_authority(self, exchange: Exchange) -> SplitResult:
        """The authority that a query asks about. Clients leave its port out, so the name has to do."""
        authority = _authority(exchange)
        if authority.hostname not in {*self._own_hosts, urlsplit(exchange.origin).hostname}:
            raise UnknownAuthority
        return authority

    def _names_of(self, authority: SplitResult) -> dict[str, object]:
        """All names of an authority, and under which it is called and remembered.

        Microsoft's are one, as far as they lead here. A name of our own is one with the port and without it.
        """
        name = str(authority.hostname)
        called = f"[{name}]" if ":" in name else name
        if authority.port is not None:
            called += f":{authority.port}"
        aliases = list(dict.fromkeys((name, called)))
        if name in _MICROSOFT_HOSTS:
            aliases = [each for each in _MICROSOFT_HOSTS if each in {*self._own_hosts, name}]
        network = aliases[0] if name in _MICROSOFT_HOSTS else aliases[-1]
        cache = _MICROSOFT_CACHE_HOST if _MICROSOFT_CACHE_HOST in aliases else network
        return {"preferred_network": network, "preferred_cache": cache, "aliases": aliases}

    async def keys(self, exchange: Exchange, tenant: str) -> None:
        """Answer the public keys: the same for every tenant."""
        if lowered(tenant) not in SHARED_TENANTS:
            await self._clients.tenant(tenant)
        keys = {"keys": [key.public() for key in self._ring().accepted(exchange.at)]}
        await _answer(exchange, keys, headers=_REVALIDATED)


_TOKEN_METHODS = ("POST", "GET")

ROUTES: tuple[Route, ...] = (
    Route(
        path="/{tenant}/oauth2/v2.0/token",
        handler=partial(OAuthEndpoints.token, version=EndpointVersion.V2),
        methods=_TOKEN_METHODS,
    ),
    Route(
        path="/{tenant}/oauth2/token",
        handler=partial(OAuthEndpoints.token, version=EndpointVersion.V1),
        methods=_TOKEN_METHODS,
    ),
    Route(
        path="/{tenant}/oauth2/v2.0/devicecode",
        handler=partial(OAuthEndpoints.device_code, version=EndpointVersion.V2),
        methods=("POST",),
    ),
    Route(
        path="/{tenant}/oauth2/devicecode",
        handler=partial(OAuthEndpoints.device_code, version=EndpointVersion.V1),
        methods=("POST",),
    ),
    Route(
        path="/{tenant}/v2.0/.well-known/openid-configuration",
        handler=partial(OAuthEndpoints.discovery, version=EndpointVersion.V2),
    ),
    Route(
        path="/{tenant}/.well-known/openid-configuration",
        handler=partial(OAuthEndpoints.discovery, version=EndpointVersion.V1),
    ),
    Route(path="/{tenant}/discovery/v2.0/keys", handler=OAuthEndpoints.keys),
    Route(path="/{tenant}/discovery/keys", handler=OAuthEndpoints.keys),
    Route(path=INSTANCE_ROUTE, handler=OAuthEndpoints.instance),
)
"""Every route of the token endpoints and of what is published about them."""


async def _form_of(exchange: Exchange) -> dict[str, str]:
    """The form in the body. A query string stands in the logs of whatever is in between: no secret may be in it."""
    query: bytes = exchange.scope["query_string"]
    named = (
        {name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)} if query else set()
    )
    if named & _SECRET_FIELDS:
        raise SecretInQuery(min(named & _SECRET_FIELDS))
    body = await read_body(exchange, FORM_BYTES_MAX)
    try:
        fields = read_fields(body, exchange.header(b"content-type"))
    except ValueError as error:
        raise UnreadableBody from error
    # Of a field that comes twice the first counts.
    return dict(reversed(fields))


def _authority(exchange: Exchange) -> SplitResult:
    query: bytes = exchange.scope["query_string"]
    try:
        fields = dict(reversed(parse_qsl(query.decode("ascii"), max_num_fields=FORM_FIELDS_MAX)))
        return _split_url(fields["authorization_endpoint"])
    except (ValueError, KeyError) as error:
        raise MissingAuthority from error


def _split_url(text: str) -> SplitResult:
    """The parts of a URL, and ValueError also for a port that there cannot be: it is repeated in the answer."""
    parts = urlsplit(text)
    if parts.port == 0:
        raise ValueError("nothing listens at port 0")
    return parts


def _basic(exchange: Exchange) -> Credentials | None:
    """Credentials of HTTP Basic; any other Authorization means nothing here, even an empty one."""
    scheme, _, text = (exchange.header(b"authorization") or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, colon, secret = (
            base64.b64decode(text.strip(), validate=True).decode("utf-8").partition(":")
        )
    except (binascii.Error, ValueError):
        return None
    return basic_credentials(client_id, secret) if colon else None


def _discovery(
    origin: str, tenant: str, issuer: str, grant_types: Collection[str], version: EndpointVersion
) -> dict[str, object]:
    base, segment = f"{origin}/{tenant}", version.path_segment
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/oauth2{segment}/authorize",
        "token_endpoint": f"{base}/oauth2{segment}/token",
        "device_authorization_endpoint": f"{base}/oauth2{segment}/devicecode",
        "jwks_uri": f"{base}/discovery{segment}/keys",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "grant_types_supported": list(grant_types),
        "code_challenge_methods_supported": ["S256"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": [
            *("sub", "iss", "aud", "exp", "iat", "nbf", "tid", "oid", "upn", "ver"),
            *("name", "nonce", "preferred_username"),
        ],
        "request_uri_parameter_supported": False,
        "http_logout_supported": False,
        "frontchannel_logout_supported": False,
        "tenant_region_scope": None,
        "cloud_instance_name": origin.partition("://")[2],
    }


async def _answer(
    exchange: Exchange, value: object, *, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    await exchange.wait_among(AnswerKind.DOCUMENT)
    await exchange.answer(200, [JSON_HEADER, *exchange.safety_headers, *headers], msgspec.json.encode(value))
