"""Every refusal as a status and a body: the one table that knows status codes.

Source: contract 6.2, 6.3 and 10; graph contract 9.4 for the token endpoints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from vigie.core.errors import (
    BadRequest,
    BodyTooLarge,
    DisallowedOperation,
    IncidentNotFound,
    InvalidBody,
    InvalidInput,
    InvalidQuery,
    InvalidToken,
    IssuerUnavailable,
    MethodNotAllowed,
    PermissionMissing,
    QueryTooSlow,
    QuotaExceeded,
    QuotaStoreUnavailable,
    Refusal,
    RouteNotFound,
    StoreUnavailable,
    WrongAudience,
)

JSON_TYPE = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """How a refusal is answered: the status, the word for machines, the headers that go with it.

    The headers may name the authority that issues tokens, by its origin; empty: there is none here.
    """

    status: int
    code: str
    headers: Callable[[Refusal, str], Headers] = lambda _refusal, _origin: ()


def _challenge(_refusal: Refusal, origin: str) -> Headers:
    if not origin:
        return (("www-authenticate", "Bearer"),)
    return (("www-authenticate", f'Bearer authorization_uri="{origin}/common/oauth2/authorize"'),)


def _retry_after(refusal: Refusal, _origin: str) -> Headers:
    return (("retry-after", str(getattr(refusal, "retry_after_seconds", 1))),)


def _allow(refusal: Refusal, _origin: str) -> Headers:
    return (("allow", ", ".join(getattr(refusal, "allowed", ()))),)


ERROR_RESPONSES: Mapping[type[Refusal], ErrorResponse] = {
    BadRequest: ErrorResponse(status=400, code="BadRequest"),
    InvalidInput: ErrorResponse(status=400, code="InvalidInput"),
    InvalidQuery: ErrorResponse(status=400, code="ODataError"),
    InvalidBody: ErrorResponse(status=400, code="InvalidRequestBody"),
    InvalidToken: ErrorResponse(status=401, code="Unauthorized", headers=_challenge),
    WrongAudience: ErrorResponse(status=401, code="Unauthorized", headers=_challenge),
    PermissionMissing: ErrorResponse(status=403, code="Forbidden"),
    DisallowedOperation: ErrorResponse(status=403, code="DisallowedOperation"),
    IncidentNotFound: ErrorResponse(status=404, code="ResourceNotFound"),
    RouteNotFound: ErrorResponse(status=404, code="NotFound"),
    MethodNotAllowed: ErrorResponse(status=405, code="MethodNotAllowed", headers=_allow),
    BodyTooLarge: ErrorResponse(status=413, code="BadRequest"),
    # The code of a spent quota is this text, not a word.
    QuotaExceeded: ErrorResponse(status=429, code="429", headers=_retry_after),
    QuotaStoreUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=_retry_after),
    StoreUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=_retry_after),
    IssuerUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=_retry_after),
    QueryTooSlow: ErrorResponse(status=503, code="ServiceUnavailable", headers=_retry_after),
}

INTERNAL_ERROR = ErrorResponse(status=500, code="InternalServerError")

# AADSTS code: status, `error`.
TOKEN_ERROR_RESPONSES: Mapping[int, tuple[int, str]] = {
    50049: (400, "invalid_instance"),
    50059: (400, "invalid_request"),
    50173: (400, "invalid_grant"),
    50196: (400, "slow_down"),
    54005: (400, "invalid_grant"),
    65001: (400, "invalid_grant"),
    65004: (400, "authorization_declined"),
    70000: (400, "invalid_grant"),
    70003: (400, "unsupported_grant_type"),
    70008: (400, "invalid_grant"),
    70011: (400, "invalid_scope"),
    70016: (400, "authorization_pending"),
    70018: (400, "bad_verification_code"),
    70020: (400, "expired_token"),
    90002: (400, "invalid_request"),
    90033: (503, "temporarily_unavailable"),
    90055: (429, "temporarily_unavailable"),
    500011: (400, "invalid_resource"),
    500112: (400, "invalid_grant"),
    501481: (400, "invalid_grant"),
    700016: (400, "unauthorized_client"),
    700025: (401, "invalid_client"),
    700027: (401, "invalid_client"),
    700082: (400, "invalid_grant"),
    900023: (400, "invalid_request"),
    900144: (400, "invalid_request"),
    901002: (400, "invalid_request"),
    1002012: (400, "invalid_scope"),
    7000215: (401, "invalid_client"),
    7000216: (401, "invalid_client"),
    7000218: (401, "invalid_client"),
    7000222: (401, "invalid_client"),
    9002313: (400, "invalid_grant"),
}

# Why a page for signing in does not go on: status.
PAGE_ERROR_RESPONSES: Mapping[str, int] = {
    "AuthorizationRefused": 400,
    "CredentialsMissing": 400,
    "DeviceCodeUnknown": 400,
    "CrossSiteForm": 403,
    "InsecureConnection": 403,
    "SignInBusy": 503,
    "SignInRefused": 403,
    "ExpiredPage": 400,
}


def error_response_of(refusal: Refusal) -> ErrorResponse:
    """The row of the table for a refusal."""
    return ERROR_RESPONSES[type(refusal)]


def error_body(code: str, message: str, target: str) -> bytes:
    """The API's error envelope. `target` names the request, as its log line does."""
    return msgspec.json.encode({"error": {"code": code, "message": message, "target": target}})
