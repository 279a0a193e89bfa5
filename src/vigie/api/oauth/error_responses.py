"""The error responses of OAuth requests: the AADSTS number, status, OAuth word and sentence of each refusal.

The token endpoints, discovery and the sign-in pages answer from this one table. Clients search the numbers and the
sentences, so both are Microsoft's where Microsoft has them. docs/errors.md says when each of them comes.
"""

from collections.abc import Mapping

import msgspec

from vigie.core.errors import Refusal, for_caller, for_log
from vigie.core.instants import Instant, format_instant
from vigie.http.error_responses import ErrorRenderer, ErrorResponse, InternalErrorResponse
from vigie.http.exchange import Exchange
from vigie.identity.clients import refusals as clients
from vigie.identity.clients.authentication import GUID
from vigie.identity.grants import refusals as grants
from vigie.identity.refusals import (
    MissingAuthority,
    MissingParameter,
    OAuthErrorText,
    OAuthRefusal,
    SecretInQuery,
    UnknownAuthority,
    UnreadableBody,
    UnsupportedGrantType,
)
from vigie.identity.sign_in import refusals as sign_in
from vigie.identity.tokens import refusals as tokens

JSON_HEADER = (b"content-type", b"application/json; charset=utf-8")
NOT_STORED = ((b"cache-control", b"no-store, no-cache"), (b"pragma", b"no-cache"))

_RETRY_AFTER_SECONDS = {429: 60, 503: 5}


class OAuthError(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one kind of refusal. The gaps in `sentence` are the refusal's facts.

    `error` is the word at the token endpoints, `redirect_error` the one that an application gets by way of the
    browser. Without the one or the other, the refusal does not occur there.
    """

    number: int
    sentence: str
    status: int = 400
    error: str = ""
    redirect_error: str = ""

    @property
    def code(self) -> str:
        """The number in the form that people search for."""
        return f"AADSTS{self.number}"

    def message(self, refusal: OAuthRefusal) -> str:
        """The sentence as the client reads it."""
        return for_caller(self.sentence.format_map(refusal.facts))

    def detail(self, refusal: OAuthRefusal) -> str:
        """The sentence as the log has it: without what came with the request."""
        return for_log(self.sentence.format_map(refusal.facts))


def _token(number: int, error: str, sentence: str, *, status: int = 400) -> OAuthError:
    return OAuthError(number=number, status=status, error=error, sentence=sentence)


def _client(number: int, sentence: str) -> OAuthError:
    return _token(number, "invalid_client", sentence, status=401)


def _redirect(number: int, redirect_error: str, sentence: str) -> OAuthError:
    return OAuthError(number=number, redirect_error=redirect_error, sentence=sentence)


def _both(number: int, error: str, sentence: str, *, redirect_error: str = "") -> OAuthError:
    return OAuthError(number=number, error=error, redirect_error=redirect_error or error, sentence=sentence)


def _page(number: int, sentence: str) -> OAuthError:
    return OAuthError(number=number, sentence=sentence)


_NOT_FORMATTED = "The request is not properly formatted."

OAUTH_ERRORS: Mapping[type[OAuthRefusal], OAuthError] = {
    # The form
    MissingParameter: _both(
        900144, "invalid_request", "The request body must contain the following parameter: '{name}'."
    ),
    SecretInQuery: _token(
        900144,
        "invalid_request",
        "The request body must contain the following parameter: '{name}'. It was in the query string, where others "
        "may read it: do not use it again.",
    ),
    UnreadableBody: _token(
        900144, "invalid_request", "The request body is not a form: 'grant_type' could not be read."
    ),
    MissingAuthority: _token(
        900144,
        "invalid_request",
        "The query must contain the following parameter, a URL: 'authorization_endpoint'.",
    ),
    UnknownAuthority: _token(
        50049,
        "invalid_instance",
        "Unknown or invalid instance: this server does not know that authority.",
    ),
    UnsupportedGrantType: _token(
        70003, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."
    ),
    # The tenant and the application
    clients.TenantNotNamed: _token(
        50059,
        "invalid_request",
        "No tenant-identifying information found: '{reference}' names no tenant in this grant.",
    ),
    clients.InvalidTenantName: _token(
        900023,
        "invalid_request",
        "Specified tenant identifier '{reference}' is neither a valid DNS name, nor a valid external domain.",
    ),
    clients.TenantNotFound: _token(
        90002,
        "invalid_request",
        "Tenant '{reference}' not found. Check to make sure you have the correct tenant ID.",
    ),
    clients.ApplicationNotFound: _both(
        700016,
        "unauthorized_client",
        "Application with identifier '{client_id}' was not found in the directory '{directory}'.",
    ),
    # The credentials of the application
    clients.UnexpectedCredentials: _client(
        700025,
        "Client '{client_id}' is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    ),
    clients.MissingCredentials: _client(
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    clients.GrantNeedsCredentials: _client(
        7000216,
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant.",
    ),
    clients.InvalidClientSecret: _client(
        7000215,
        "Invalid client secret provided. Ensure the secret being sent is the client secret value for app "
        "'{client_id}'.",
    ),
    clients.ExpiredClientSecret: _client(7000222, "The provided client secret keys are expired."),
    clients.InvalidClientAssertion: _client(
        700027, "The client assertion was not accepted. [Reason - {reason}.]"
    ),
    # Scopes and resources
    tokens.InvalidScope: _both(
        70011,
        "invalid_scope",
        "The provided value for the input parameter 'scope' is not valid: '{scope}'.",
    ),
    tokens.DefaultScopeRequired: _token(
        1002012,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    tokens.ResourceNotFound: _both(
        500011,
        "invalid_resource",
        "The resource principal named {resource} was not found; application '{client_id}' asked for it.",
    ),
    tokens.ResourceNotSupported: _both(
        901002, "invalid_request", "The 'resource' request parameter is not supported."
    ),
    tokens.PermissionNotAllowed: _both(
        65001,
        "invalid_grant",
        "The application '{client_id}' may ask nobody for {names}: an administrator has to allow it.",
        redirect_error="consent_required",
    ),
    tokens.ConsentRequired: _token(
        65001,
        "invalid_grant",
        "The user or administrator has not consented to {names}. Send an interactive authorization request for "
        "this user and resource.",
    ),
    # Codes and refresh tokens
    grants.CodeNotFound: _token(
        70000,
        "invalid_grant",
        "The provided value for the 'code' parameter is not valid: it is unknown, or was tried before.",
    ),
    grants.CodeOfAnotherApplication: _token(
        70000, "invalid_grant", "The provided authorization code was issued to another application."
    ),
    grants.RefreshTokenOfAnotherApplication: _token(
        70000, "invalid_grant", "The provided refresh token was issued to another application."
    ),
    grants.CodeExpired: _token(
        70008,
        "invalid_grant",
        "The provided authorization code has expired. Have the user sign in again.",
    ),
    grants.CodeRedeemed: _token(
        54005,
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
        "refresh token.",
    ),
    grants.RedirectUriMismatch: _token(
        500112,
        "invalid_grant",
        "The reply address does not match the reply address provided when requesting the authorization code.",
    ),
    grants.CodeVerifierMismatch: _token(
        501481,
        "invalid_grant",
        "The code_verifier does not match the code_challenge supplied in the authorization request.",
    ),
    grants.MalformedRefreshToken: _token(
        9002313, "invalid_grant", "Invalid request. Request is malformed or invalid: 'refresh_token'."
    ),
    grants.RefreshTokenExpired: _token(
        700082,
        "invalid_grant",
        "The refresh token has expired due to inactivity. Have the user sign in again.",
    ),
    grants.GrantRevoked: _token(
        50173,
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
        "changed or reset their password.",
    ),
    # Devices
    grants.TooManyDeviceCodes: _token(
        90055,
        "temporarily_unavailable",
        "Too many device codes have been asked for from this address.",
        status=429,
    ),
    grants.DeviceCodeNotFound: _token(
        70018, "bad_verification_code", "Invalid verification code: this device code is not known."
    ),
    grants.DeviceCodeExpired: _token(
        70020,
        "expired_token",
        "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
    ),
    grants.AuthorizationPending: _token(
        70016,
        "authorization_pending",
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    ),
    grants.PolledTooSoon: _token(50196, "slow_down", "Wait {interval_seconds} seconds before you ask again."),
    grants.AuthorizationDeclined: _both(
        65004,
        "authorization_declined",
        "User declined to consent to access the app.",
        redirect_error="access_denied",
    ),
    grants.TransientError: _token(
        90033,
        "temporarily_unavailable",
        "A transient error has occurred. Please try again.",
        status=503,
    ),
    # Authorization requests
    sign_in.UnsupportedResponseType: _redirect(
        70005,
        "unsupported_response_type",
        "response_type '{response_type}' is not supported here: only 'code' is.",
    ),
    sign_in.UnsupportedResponseMode: _redirect(
        70007, "invalid_request", "response_mode '{mode}' is not one of {supported}."
    ),
    sign_in.UnsupportedRequestObject: _redirect(
        9002313, "invalid_request", "Requests inside '{name}' are not supported here."
    ),
    sign_in.CodeChallengeRequired: _redirect(
        9002325,
        "invalid_request",
        "Proof Key for Code Exchange is required for a public client: 'code_challenge'.",
    ),
    sign_in.CodeChallengeMissing: _redirect(
        501491, "invalid_request", "There is a code_challenge_method, and no code_challenge."
    ),
    sign_in.UnsupportedChallengeMethod: _redirect(
        501491, "invalid_request", "The code_challenge_method must be S256."
    ),
    sign_in.MalformedCodeChallenge: _redirect(
        501491, "invalid_request", "Invalid size of code_challenge: it is 43 characters of base64url."
    ),
    sign_in.NonceTooLong: _redirect(
        9002313, "invalid_request", "The nonce may have at most {length_max} characters."
    ),
    sign_in.SignInRequired: _redirect(
        50058,
        "login_required",
        "Session information is not sufficient for single-sign-on: somebody has to sign in.",
    ),
    sign_in.SignInOutdated: _redirect(
        50058,
        "login_required",
        "The user has been removed or has another password since: sign in again.",
    ),
    sign_in.UserOfAnotherTenant: _redirect(
        50020, "access_denied", "The user belongs to another tenant than the application."
    ),
    # The pages
    sign_in.MalformedRequest: _page(9000411, _NOT_FORMATTED),
    sign_in.DuplicateParameter: _page(9000411, f"{_NOT_FORMATTED} The parameter '{{name}}' is duplicated."),
    sign_in.RedirectUriNotRegistered: _page(
        50011,
        "The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured "
        "for the application '{client_id}'.",
    ),
    sign_in.DeviceNotWaiting: _page(
        70018, "No device waits with this code: it is wrong, too old, or was used."
    ),
    sign_in.InvalidCredentials: _page(
        50126, "Error validating credentials due to invalid username or password."
    ),
    sign_in.TooManyAttempts: _page(90055, "Too many attempts have come from this address."),
    sign_in.TooManySignIns: _page(90055, "The server is checking as many passwords as it can."),
}

TOKEN_ERRORS: Mapping[int, OAuthError] = {row.number: row for row in OAUTH_ERRORS.values() if row.error}
"""The errors of the token endpoints by their numbers. Refusals of one number have one status and one word there."""


def oauth_error_of(refusal: OAuthRefusal) -> OAuthError:
    """The row of the table for a refusal."""
    return OAUTH_ERRORS[type(refusal)]


def oauth_error_text(refusal: OAuthRefusal) -> OAuthErrorText:
    """The words for a refusal where a browser brings the request."""
    row = oauth_error_of(refusal)
    return OAuthErrorText(
        code=row.code,
        redirect_error=row.redirect_error,
        message=row.message(refusal),
        detail=row.detail(refusal),
    )


class TokenErrorRenderer(msgspec.Struct, frozen=True, kw_only=True):
    """Answers an OAuthRefusal in the form of the token endpoints, and leaves all else to `others`."""

    others: ErrorRenderer

    @property
    def internal_error(self) -> InternalErrorResponse:
        """The response to whatever is no refusal."""
        return self.others.internal_error

    def has_response_to(self, refusal: Refusal) -> bool:
        """Whether there is a row for a refusal, with a word for clients of the token endpoints."""
        if not isinstance(refusal, OAuthRefusal):
            return self.others.has_response_to(refusal)
        row = OAUTH_ERRORS.get(type(refusal))
        return row is not None and bool(row.error)

    def response_to(self, refusal: Refusal) -> ErrorResponse:
        """The row for a refusal; the log and the metrics know it by its number."""
        if not isinstance(refusal, OAuthRefusal):
            return self.others.response_to(refusal)
        row = oauth_error_of(refusal)
        return ErrorResponse(status=row.status, code=row.code)

    async def answer(self, exchange: Exchange, refusal: Refusal) -> None:
        """Send the error response to a refusal."""
        if not isinstance(refusal, OAuthRefusal):
            await self.others.answer(exchange, refusal)
            return
        row = oauth_error_of(refusal)
        exchange.detail = refusal.detail or row.detail(refusal)
        seconds = _RETRY_AFTER_SECONDS.get(row.status)
        retry = [(b"retry-after", str(seconds).encode())] if seconds else []
        body = msgspec.json.encode(_body(exchange, row, row.message(refusal)))
        await exchange.answer(row.status, [JSON_HEADER, *exchange.safety_headers, *NOT_STORED, *retry], body)

    async def answer_internal_error(self, exchange: Exchange) -> None:
        """Send the error response to whatever is no refusal."""
        await self.others.answer_internal_error(exchange)


def _body(exchange: Exchange, row: OAuthError, message: str) -> Mapping[str, object]:
    trace_id = exchange.request_id
    sent = exchange.client_request_id.decode()
    correlation_id = sent if GUID.fullmatch(sent) else trace_id
    timestamp = _timestamp(exchange.at)
    return {
        "error": row.error,
        "error_description": f"{row.code}: {message} Trace ID: {trace_id} "
        f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
        "error_codes": [row.number],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"{exchange.origin}/error?code={row.number}",
    }


def _timestamp(at: Instant) -> str:
    return format_instant(at)[:19].replace("T", " ") + "Z"
