"""Authorization requests: the fields with which a browser comes to sign in, and the errors in them.

Source: RFC 6749, 4.1; RFC 7636; RFC 9207; RFC 9700, 2.1 and 4.1;
docs/api/sign-in.md, "Authorization request".
"""

import re
from collections.abc import Mapping

import msgspec

from vigie.core.directory import Application, Tenant
from vigie.core.letter_case import lowered
from vigie.core.oauth_records import Consent
from vigie.core.redirect_uris import is_registered
from vigie.identity.clients.authentication import SHARED_TENANTS, ClientAuthenticator
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.form_parameters import first_of
from vigie.identity.grants.refusals import AuthorizationDeclined
from vigie.identity.refusals import OAuthRefusal
from vigie.identity.sign_in.refusals import (
    CodeChallengeMissing,
    CodeChallengeRequired,
    MalformedCodeChallenge,
    NonceTooLong,
    RedirectUriNotRegistered,
    SignInRequired,
    UnsupportedChallengeMethod,
    UnsupportedRequestObject,
    UnsupportedResponseMode,
    UnsupportedResponseType,
)
from vigie.identity.tokens.access_tokens import issuer_of
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.scopes import consent_to, requested_scopes

RESPONSE_MODES = ("query", "fragment", "form_post")

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PROMPTS = ("none", "login", "consent", "select_account")
_NONCE_LENGTH_MAX = 1024


class Redirection(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer goes, and what goes back with it: the state, and who answers (RFC 9207).

    `issuer` is None where the request came to no tenant's own address: the document of that address names no
    issuer that a client could compare.
    """

    redirect_uri: str
    response_mode: str
    state: str | None
    issuer: str | None


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an application wants of a person who signs in. `AuthorizationRequests` alone makes one, and checks it.

    The address in `redirection` is registered for the application. `prompt` is one of none, login, consent and
    select_account, or None; `login_hint` is who the application thinks will sign in.
    """

    tenant: Tenant
    application: Application
    redirection: Redirection
    nonce: str | None
    login_hint: str | None
    prompt: str | None
    consent: Consent
    code_challenge: str | None
    version: EndpointVersion

    @property
    def permissions(self) -> tuple[str, ...]:
        """What the application may do for the person, if they agree."""
        return self.consent.permissions

    @property
    def resource(self) -> str:
        """The API, as the request names it."""
        return self.consent.resource

    @property
    def wants_refresh(self) -> bool:
        """Whether the application wants to go on when the person has left."""
        return self.consent.wants_refresh

    @property
    def wants_id_token(self) -> bool:
        """Whether the application wants to know who the person is."""
        return self.consent.wants_id_token

    @property
    def redirect_uri(self) -> str:
        """Where the answer goes."""
        return self.redirection.redirect_uri


class AuthorizationRefused(Exception):
    """A refusal that the application is told, at its redirect URI.

    An `OAuthRefusal` that is raised without it is for the user alone: the application or its redirect URI is not
    known, so nobody may be redirected.
    """

    def __init__(self, refusal: OAuthRefusal, redirection: Redirection) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.redirection = redirection


def issuer_at(tenant_reference: str, base: str, tenant_guid: str) -> str | None:
    """The issuer that a tenant's own address has; None for an address that is every tenant's."""
    return None if lowered(tenant_reference) in SHARED_TENANTS else issuer_of(base, tenant_guid)


def refused_by_user(request: AuthorizationRequest) -> AuthorizationRefused:
    """What an application hears when somebody does not want to."""
    return AuthorizationRefused(AuthorizationDeclined(), request.redirection)


def sign_in_needed(request: AuthorizationRequest) -> AuthorizationRefused:
    """What an application hears that asked for no page to be shown, when one is needed."""
    return AuthorizationRefused(SignInRequired(), request.redirection)


class AuthorizationRequests:
    """Reads what browsers bring to the authorization endpoints."""

    def __init__(
        self,
        directory: DirectoryRepository,
        clients: ClientAuthenticator,
        audiences: Audiences,
        *,
        issuer: str,
    ) -> None:
        self._directory = directory
        self._clients = clients
        self._audiences = audiences
        self._issuer = issuer

    async def read(
        self, tenant_reference: str, fields: Mapping[str, str], version: EndpointVersion
    ) -> AuthorizationRequest:
        """The request of a browser, checked. Raises AuthorizationRefused, and OAuthRefusal for the user alone."""
        tenant, application = await self._who_asks(tenant_reference, fields)
        redirect_uri = await self._checked_redirect_uri(tenant, application, fields)
        mode = fields.get("response_mode") or "query"
        redirection = Redirection(
            redirect_uri=redirect_uri,
            response_mode=mode if mode in RESPONSE_MODES else "query",
            state=fields.get("state"),
            issuer=issuer_at(tenant_reference, self._issuer, tenant.guid),
        )
        try:
            _check_response(fields, mode)
            challenge = _checked_challenge(fields, application)
            consent = consent_to(requested_scopes(fields, version), application, self._audiences)
            nonce = _checked_nonce(fields)
        except OAuthRefusal as refusal:
            raise AuthorizationRefused(refusal, redirection) from refusal
        prompt = fields.get("prompt")
        return AuthorizationRequest(
            tenant=tenant,
            application=application,
            redirection=redirection,
            nonce=nonce,
            login_hint=fields.get("login_hint") or None,
            prompt=prompt if prompt in _PROMPTS else None,
            consent=consent,
            code_challenge=challenge,
            version=version,
        )

    async def _who_asks(self, reference: str, fields: Mapping[str, str]) -> tuple[Tenant, Application]:
        client_id = first_of(fields, ("client_id",))
        return await self._clients.tenant_and_application(reference, client_id)

    async def _checked_redirect_uri(
        self, tenant: Tenant, application: Application, fields: Mapping[str, str]
    ) -> str:
        sent = fields.get("redirect_uri") or ""
        if not is_registered(sent, await self._directory.redirect_uris(tenant, application)):
            raise RedirectUriNotRegistered(sent, application.client_id)
        return sent


def _check_response(fields: Mapping[str, str], mode: str) -> None:
    response_type = first_of(fields, ("response_type",))
    if response_type != "code":
        raise UnsupportedResponseType(response_type)
    if mode not in RESPONSE_MODES:
        raise UnsupportedResponseMode(mode, RESPONSE_MODES)
    for name in ("request", "request_uri"):
        if fields.get(name):
            raise UnsupportedRequestObject(name)


def _checked_challenge(fields: Mapping[str, str], application: Application) -> str | None:
    """The challenge, of S256 alone: under `plain` anybody who sees the request could redeem the code."""
    challenge = fields.get("code_challenge") or None
    if challenge is None:
        if application.is_public:
            raise CodeChallengeRequired
        if fields.get("code_challenge_method"):
            raise CodeChallengeMissing
        return None
    if fields.get("code_challenge_method") != "S256":
        raise UnsupportedChallengeMethod
    if not _CHALLENGE.fullmatch(challenge):
        raise MalformedCodeChallenge
    return challenge


def _checked_nonce(fields: Mapping[str, str]) -> str | None:
    nonce = fields.get("nonce") or None
    if nonce is not None and len(nonce) > _NONCE_LENGTH_MAX:
        raise NonceTooLong(_NONCE_LENGTH_MAX)
    return nonce
