"""Error responses of the Defender API: status and code of every refusal, and the envelope around them.

Whatever is called under a path of no API is answered like this too. docs/errors.md lists them.
"""

from collections.abc import Mapping

import msgspec

from vigie.api.defender import error_messages
from vigie.core.errors import (
    BadRequest,
    BodyTooLarge,
    ChangesGone,
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
    TokenPermissionMissing,
    TooManyStreams,
    ViewChanged,
    WrongAudience,
)
from vigie.http.error_responses import (
    ErrorResponse,
    Headers,
    InternalErrorResponse,
    TableErrorRenderer,
    allow,
    retry_after,
)

JSON_TYPE = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
ODATA_VERSION = (b"odata-version", b"4.0")
BODY_HEADERS = ((b"content-type", JSON_TYPE.encode()), ODATA_VERSION)


def bearer_challenge(_refusal: Refusal, origin: str) -> Headers:
    """The challenge of a 401, with the place to get a token at."""
    if not origin:
        return (("www-authenticate", "Bearer"),)
    return (("www-authenticate", f'Bearer authorization_uri="{origin}/common/oauth2/authorize"'),)


ERROR_RESPONSES: Mapping[type[Refusal], ErrorResponse] = {
    BadRequest: ErrorResponse(status=400, code="BadRequest"),
    InvalidInput: ErrorResponse(status=400, code="InvalidInput"),
    InvalidQuery: ErrorResponse(status=400, code="ODataError"),
    InvalidBody: ErrorResponse(status=400, code="InvalidRequestBody"),
    InvalidToken: ErrorResponse(
        status=401, code="Unauthorized", message=error_messages.invalid_token, headers=bearer_challenge
    ),
    WrongAudience: ErrorResponse(
        status=401, code="Unauthorized", message=error_messages.wrong_audience, headers=bearer_challenge
    ),
    PermissionMissing: ErrorResponse(status=403, code="Forbidden"),
    TokenPermissionMissing: ErrorResponse(
        status=403, code="Forbidden", message=error_messages.permission_missing
    ),
    DisallowedOperation: ErrorResponse(status=403, code="DisallowedOperation"),
    IncidentNotFound: ErrorResponse(status=404, code="ResourceNotFound"),
    RouteNotFound: ErrorResponse(status=404, code="NotFound"),
    MethodNotAllowed: ErrorResponse(status=405, code="MethodNotAllowed", headers=allow),
    ChangesGone: ErrorResponse(status=410, code="Gone"),
    ViewChanged: ErrorResponse(status=410, code="Gone"),
    BodyTooLarge: ErrorResponse(status=413, code="BadRequest"),
    # The code of a spent quota is this text, not a word.
    QuotaExceeded: ErrorResponse(
        status=429, code="429", message=error_messages.quota_exceeded, headers=retry_after
    ),
    TooManyStreams: ErrorResponse(status=429, code="429", headers=retry_after),
    QuotaStoreUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=retry_after),
    StoreUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=retry_after),
    IssuerUnavailable: ErrorResponse(status=503, code="ServiceUnavailable", headers=retry_after),
    QueryTooSlow: ErrorResponse(
        status=503, code="ServiceUnavailable", message=error_messages.query_too_slow, headers=retry_after
    ),
}

INTERNAL_ERROR = InternalErrorResponse(
    code="InternalServerError",
    message="Something went wrong on the server. Its log knows more under this target.",
)


def error_body(code: str, message: str, target: str) -> bytes:
    """The API's error envelope. `target` names the request, as its log line does."""
    return msgspec.json.encode({"error": {"code": code, "message": message, "target": target}})


def error_renderer(*, names_authorization_server: bool = True) -> TableErrorRenderer:
    """The renderer of a server: with an authorization server of its own, or without."""
    return TableErrorRenderer(
        responses=ERROR_RESPONSES,
        internal_error=INTERNAL_ERROR,
        envelope=error_body,
        headers=BODY_HEADERS,
        names_authorization_server=names_authorization_server,
    )
