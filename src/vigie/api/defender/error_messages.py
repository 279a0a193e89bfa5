"""The sentences of the Defender API, where clients know one of Microsoft's for a refusal. docs/divergences.md."""

from vigie.core.errors import (
    CLAIM_LENGTH_MAX,
    InvalidToken,
    QueryTooSlow,
    QuotaExceeded,
    TokenPermissionMissing,
    WrongAudience,
)
from vigie.core.instants import format_instant
from vigie.core.quotas import Window

_INVALID_TOKEN = "Invalid Authorization payload."  # noqa: S105  a sentence


def invalid_token(_refusal: InvalidToken) -> str:
    """The same sentence whatever is wrong with the token."""
    return _INVALID_TOKEN


def wrong_audience(refusal: WrongAudience) -> str:
    """The claims of the token, each cut, and when it is valid."""
    since = "" if refusal.valid_from is None else f"from {format_instant(refusal.valid_from)} "
    application, audience, issuer = (
        claim[:CLAIM_LENGTH_MAX] for claim in (refusal.application, refusal.audience, refusal.issuer)
    )
    return (
        f"{_INVALID_TOKEN} AppId: {application}, Audience: {audience}, Issuer: {issuer}, "
        f"Validity: valid {since}to {format_instant(refusal.valid_until)}"
    )


def permission_missing(refusal: TokenPermissionMissing) -> str:
    """The permissions that would do, and those that the token has."""
    required, granted = ",".join(refusal.required), ",".join(refusal.granted)
    if refusal.is_application:
        return f"Missing application roles. API required roles: {required}, application roles: {granted}."
    return f"Missing scope permissions. API required scopes: {required}, token scopes: {granted}."


def quota_exceeded(refusal: QuotaExceeded) -> str:
    """The limit and the wait: clients read the wait out of it. docs/divergences.md, "Retry-After"."""
    return (
        f"API calls quota exceeded! maximum allowed {refusal.window.calls} per {_printed(refusal.window)}. "
        f"You can send requests again in {refusal.retry_after_seconds} seconds."
    )


def query_too_slow(refusal: QueryTooSlow) -> str:
    """The refusal's sentence, with a property that makes a list shorter."""
    return f"{refusal.message.removesuffix('.')}, for example by a range of lastUpdateTime."


def _printed(window: Window) -> str:
    """The length of a window: hh:mm:ss."""
    return f"{window.seconds // 3600:02}:{window.seconds // 60 % 60:02}:{window.seconds % 60:02}"
