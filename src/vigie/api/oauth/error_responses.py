"""Error responses of the token endpoints: status and `error` of every AADSTS code.

docs/errors.md says when each of them comes.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Self

import msgspec

from vigie.core.errors import Refusal
from vigie.core.instants import Instant, format_instant
from vigie.http.error_responses import ErrorRenderer, ErrorResponse
from vigie.http.exchange import Exchange
from vigie.identity.clients.authentication import GUID
from vigie.identity.token_errors import TokenRefusal

JSON_HEADER = (b"content-type", b"application/json; charset=utf-8")
NOT_STORED = ((b"cache-control", b"no-store, no-cache"), (b"pragma", b"no-cache"))

_RETRY_AFTER_SECONDS = {429: 60, 503: 5}

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


class TokenErrorRenderer(ErrorRenderer):
    """The token endpoints' form for a TokenRefusal, and the server's form for whatever else."""

    @classmethod
    def beside(cls, others: ErrorRenderer) -> Self:
        """The renderer that leaves other refusals to another one's tables."""
        return cls(**{each.name: getattr(others, each.name) for each in fields(others)})

    def has_response_to(self, refusal: Refusal) -> bool:
        """Whether there is a row for a refusal, in either table."""
        if isinstance(refusal, TokenRefusal):
            return refusal.code in TOKEN_ERROR_RESPONSES
        return type(refusal) in self.responses

    def response_to(self, refusal: Refusal) -> ErrorResponse:
        """The row for a refusal; the log and the metrics know one of a token by its number."""
        if not isinstance(refusal, TokenRefusal):
            return self.responses[type(refusal)]
        status, _ = TOKEN_ERROR_RESPONSES[refusal.code]
        return ErrorResponse(status=status, code=name_of(refusal))

    async def answer(self, exchange: Exchange, refusal: Refusal) -> None:
        """Send the error response to a refusal."""
        if not isinstance(refusal, TokenRefusal):
            await ErrorRenderer.answer(self, exchange, refusal)
            return
        status, error = TOKEN_ERROR_RESPONSES[refusal.code]
        seconds = _RETRY_AFTER_SECONDS.get(status)
        retry = [(b"retry-after", str(seconds).encode())] if seconds else []
        body = msgspec.json.encode(_error(exchange, refusal, error))
        await exchange.answer(status, [JSON_HEADER, *exchange.safety_headers, *NOT_STORED, *retry], body)


def name_of(refusal: TokenRefusal) -> str:
    """What the log, the metrics and the documents call it."""
    return f"AADSTS{refusal.code}"


def _error(exchange: Exchange, refusal: TokenRefusal, error: str) -> Mapping[str, object]:
    trace_id = exchange.request_id
    sent = exchange.client_request_id.decode()
    correlation_id = sent if GUID.fullmatch(sent) else trace_id
    timestamp = _timestamp(exchange.at)
    return {
        "error": error,
        "error_description": f"{name_of(refusal)}: {refusal.message} Trace ID: {trace_id} "
        f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
        "error_codes": [refusal.code],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"{exchange.origin}/error?code={refusal.code}",
    }


def _timestamp(at: Instant) -> str:
    return format_instant(at)[:19].replace("T", " ") + "Z"
