"""Authorization requests: the fields with which a browser comes to sign in, and the errors in them.

Source: RFC 6749, 4.1; RFC 7636; RFC 9207; RFC 9700, 2.1 and 4.1;
docs/api/sign-in.md, "Authorization request".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vigie.core.directory import Application, Tenant
from vigie.core.errors import for_caller, for_log, user_text
from vigie.core.letter_case import lowered
from vigie.core.oauth_records import Consent
from vigie.core.redirect_uris import canonical, is_registered
from vigie.identity.clients.authentication import TENANTS_OF_ANY, ClientAuthenticator
from vigie.identity.directory_repository import DirectoryRepository
from vigie.identity.endpoint_version import EndpointVersion
from vigie.identity.form_parameters import first_of
from vigie.identity.token_errors import TokenRefusal
from vigie.identity.tokens.access_tokens import issuer_of
from vigie.identity.tokens.audiences import Audiences
from vigie.identity.tokens.scopes import asked_in, consent_to

# AADSTS code: the word that RFC 6749 or OpenID Connect has for it.
AUTHORIZATION_ERRORS: Mapping[int, str] = {
    50011: "invalid_request",
    50020: "access_denied",
    50058: "login_required",
    65001: "consent_required",
    65004: "access_denied",
    70005: "unsupported_response_type",
    70007: "invalid_request",
    70011: "invalid_scope",
    70018: "invalid_request",
    501491: "invalid_request",
    500011: "invalid_resource",
    700016: "unauthorized_client",
    900144: "invalid_request",
    901002: "invalid_request",
    9002313: "invalid_request",
    9002325: "invalid_request",
}

RESPONSE_MODES = ("query", "fragment", "form_post")

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_PROMPTS = ("none", "login", "consent", "select_account")
_NONCE_LENGTH_MAX = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """Where an answer goes, and what goes back with it: the state, and who answers (RFC 9207).

    `issuer` is None where the request came to no tenant's own address: the document of that address names no
    issuer that a client could compare.
    """

    redirect_uri: str
    response_mode: str
    state: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
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
    """Nobody is signed in for this request. `code` is the number behind AADSTS.

    Without `redirect`, the browser must not be sent anywhere: what is wrong is who asks, or where to send it.
    """

    def __init__(
        self, code: int, message: str, redirect: Redirection | None = None, *, detail: str = ""
    ) -> None:
        self.message = for_caller(message)
        super().__init__(self.message)
        self.code = code
        self.redirect = redirect
        self.detail = detail or for_log(message)

    @property
    def error(self) -> str:
        """The word for it that applications understand."""
        return AUTHORIZATION_ERRORS[self.code]


def issuer_at(tenant_reference: str, base: str, tenant_guid: str) -> str | None:
    """The issuer that a tenant's own address has; None for an address that is every tenant's."""
    return None if lowered(tenant_reference) in TENANTS_OF_ANY else issuer_of(base, tenant_guid)


def refused_by_user(request: AuthorizationRequest) -> AuthorizationRefused:
    """What an application hears when somebody does not want to."""
    message = "User declined to consent to access the app."
    return AuthorizationRefused(65004, message, request.redirection)


def sign_in_needed(request: AuthorizationRequest) -> AuthorizationRefused:
    """What an application hears that asked for no page to be shown, when one is needed."""
    message = "Session information is not sufficient for single-sign-on: somebody has to sign in."
    return AuthorizationRefused(50058, message, request.redirection)


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
        """What a browser brings, checked. Raises TokenRefusal for the tenant, AuthorizationRefused for the rest."""
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
            consent = consent_to(asked_in(fields, version), application, self._audiences)
            nonce = _checked_nonce(fields)
        except TokenRefusal as refusal:
            raise AuthorizationRefused(
                refusal.code, refusal.message, redirection, detail=refusal.detail
            ) from refusal
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
        try:
            client_id = first_of(fields, ("client_id",))
            return await self._clients.tenant_and_application(reference, client_id)
        except TokenRefusal as refusal:
            if refusal.code not in AUTHORIZATION_ERRORS:
                raise
            raise AuthorizationRefused(refusal.code, refusal.message, detail=refusal.detail) from refusal

    async def _checked_redirect_uri(
        self, tenant: Tenant, application: Application, fields: Mapping[str, str]
    ) -> str:
        sent = fields.get("redirect_uri") or ""
        wanted = canonical(sent)
        registered = await self._directory.redirect_uris(tenant, application)
        if wanted is None or not any(is_registered(wanted, each) for each in registered):
            raise AuthorizationRefused(
                50011,
                f"The redirect URI '{user_text(sent[:200])}' specified in the request does not match the redirect "
                f"URIs configured for the application '{application.client_id}'.",
            )
        return wanted


def _check_response(fields: Mapping[str, str], mode: str) -> None:
    response_type = first_of(fields, ("response_type",))
    if response_type != "code":
        raise TokenRefusal(
            70005, f"response_type '{user_text(response_type[:100])}' is not supported here: only 'code' is."
        )
    if mode not in RESPONSE_MODES:
        raise TokenRefusal(
            70007, f"response_mode '{user_text(mode[:100])}' is not one of {', '.join(RESPONSE_MODES)}."
        )
    for name in ("request", "request_uri"):
        if fields.get(name):
            raise TokenRefusal(9002313, f"Requests inside '{name}' are not supported here.")


def _checked_challenge(fields: Mapping[str, str], application: Application) -> str | None:
    """The challenge, of S256 alone: under `plain` anybody who sees the request could redeem the code."""
    challenge = fields.get("code_challenge") or None
    if challenge is None:
        if application.is_public:
            raise TokenRefusal(
                9002325, "Proof Key for Code Exchange is required for a public client: 'code_challenge'."
            )
        if fields.get("code_challenge_method"):
            raise TokenRefusal(501491, "There is a code_challenge_method, and no code_challenge.")
        return None
    if fields.get("code_challenge_method") != "S256":
        raise TokenRefusal(501491, "The code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise TokenRefusal(501491, "Invalid size of code_challenge: it is 43 characters of base64url.")
    return challenge


def _checked_nonce(fields: Mapping[str, str]) -> str | None:
    nonce = fields.get("nonce") or None
    if nonce is not None and len(nonce) > _NONCE_LENGTH_MAX:
        raise TokenRefusal(9002313, f"The nonce may have at most {_NONCE_LENGTH_MAX} characters.")
    return nonce
